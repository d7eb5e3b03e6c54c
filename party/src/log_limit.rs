//! How often the log tells of what others can cause as often as they like: enough to see it, and no more than it takes.

use std::time::{Duration, Instant};

/// The least time between two lines.
const EVERY: Duration = Duration::from_secs(10);

/// One kind of line, about one member or about all strangers.
#[derive(Debug, Default)]
pub(crate) struct LogLimit {
    last: Option<Instant>,
    /// Events that the log was not told of since.
    silent: u64,
}

impl LogLimit {
    /// An event at this instant: how many the log has not been told of before it, if it is to be told of this one.
    pub(crate) fn tell(&mut self, now: Instant) -> Option<u64> {
        if self.last.is_some_and(|last| now < last + EVERY) {
            self.silent += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.silent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_told_now_and_then() {
        let (mut limit, start) = (LogLimit::default(), Instant::now());
        assert_eq!(limit.tell(start), Some(0));
        for k in 1..5 {
            assert_eq!(limit.tell(start + EVERY / 10 * k), None);
        }
        assert_eq!(limit.tell(start + EVERY), Some(4));
        assert_eq!(limit.tell(start + 3 * EVERY), Some(0));
    }
}
