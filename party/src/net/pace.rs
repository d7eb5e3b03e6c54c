//! How slowly somebody may read who need not be trusted: not by the time that a frame takes, which is long where the frame and
//! the way are, but by a rate.
//!
//! A writer has `floor` seconds in hand. Waiting uses them up; each byte that is taken gives back 1/`rate` of a second, and time
//! in which nothing is to be written fills them up again. A reader of `rate` bytes a second and more gets frames of any length;
//! one that takes a byte now and then is given up after little more than `floor`.

use std::io::{self, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::channel::Timed;

/// Bytes a second of those who read from a service: a link of 128 KiB a second, over which three parties answer, has room for
/// it.
pub(crate) const RATE: u32 = 32 << 10;

/// The time in hand of one who writes.
#[derive(Debug)]
pub(super) struct Pace {
    floor: Duration,
    /// Bytes a second.
    rate: u32,
    left: Duration,
    /// When the last write ended.
    rests: Instant,
}

impl Pace {
    pub(super) fn new(floor: Duration, rate: u32) -> Self {
        Self {
            floor,
            rate,
            left: floor,
            rests: Instant::now(),
        }
    }

    /// How long a write of so many bytes may take that begins now.
    fn allow(&mut self, bytes: usize, now: Instant) -> Duration {
        let rested = now.saturating_duration_since(self.rests);
        self.left = (self.left + rested).min(self.floor);
        self.left + Duration::from_secs_f64(bytes as f64 / f64::from(self.rate))
    }

    /// It has taken this long of what it was allowed.
    fn took(&mut self, allowed: Duration, time: Duration, now: Instant) {
        self.left = allowed.saturating_sub(time).min(self.floor);
        self.rests = now;
    }

    /// Writes bytes, and gives up a reader that is too slow.
    pub(super) fn write(&mut self, socket: &TcpStream, bytes: &[u8]) -> io::Result<()> {
        let start = Instant::now();
        let allowed = self.allow(bytes.len(), start);
        let until = start + allowed;
        let written = Timed { socket, until }.write_all(bytes);
        let end = Instant::now();
        self.took(allowed, end.saturating_duration_since(start), end);
        written
    }
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read};
    use std::net::TcpListener;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
    use std::thread;

    use super::*;

    const FLOOR: Duration = Duration::from_secs(20);
    const SECOND: Duration = Duration::from_secs(1);

    /// Pieces of 128 KiB, each read in this time, until the reader is given up.
    fn pieces(each: Duration, most: usize) -> usize {
        let (mut pace, mut now) = (Pace::new(FLOOR, RATE), Instant::now());
        for k in 0..most {
            let allowed = pace.allow(128 << 10, now);
            if each > allowed {
                return k;
            }
            now += each;
            pace.took(allowed, each, now);
        }
        most
    }

    #[test]
    fn a_steady_reader_has_no_end_and_a_slow_one_soon() {
        // 64 MiB at 43 and at 32 KiB a second: half an hour.
        assert_eq!(pieces(3 * SECOND, 512), 512);
        assert_eq!(pieces(4 * SECOND, 512), 512);
        // At 26, after 100 seconds; with nothing read, at the first piece.
        assert_eq!(pieces(5 * SECOND, 512), 20);
        assert_eq!(pieces(25 * SECOND, 512), 0);
    }

    /// What a system takes at once gives nobody the right to stop afterwards, and neither do many short frames.
    #[test]
    fn no_more_is_saved_than_the_floor() {
        let (mut pace, now) = (Pace::new(FLOOR, RATE), Instant::now());
        for _ in 0..1000 {
            let allowed = pace.allow(1 << 20, now);
            pace.took(allowed, Duration::ZERO, now);
        }
        assert_eq!(pace.allow(0, now), FLOOR);
        let mut now = now;
        let mut waited = Duration::ZERO;
        loop {
            let allowed = pace.allow(1 << 10, now);
            if allowed < SECOND {
                break;
            }
            now += SECOND;
            waited += SECOND;
            pace.took(allowed, SECOND, now);
        }
        assert!(waited < 2 * FLOOR, "{waited:?}");
        // A rest makes it good.
        assert_eq!(pace.allow(0, now + FLOOR), FLOOR);
    }

    /// Over a socket: all bytes in small sips, in much longer than the floor; and a byte at a time.
    #[test]
    fn slow_readers_of_sockets_are_told_from_those_that_do_not_read() {
        let floor = SECOND;
        let write = |sip: usize, pause: Duration, len: usize| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (mut far, _) = listener.accept().unwrap();
            let over = Arc::new(AtomicBool::new(false));
            let given_up = over.clone();
            let reader = thread::spawn(move || {
                let mut buffer = vec![0; sip];
                while far.read(&mut buffer).is_ok_and(|n| n > 0) && !given_up.load(Relaxed) {
                    thread::sleep(pause);
                }
            });
            let mut pace = Pace::new(floor, 1 << 20);
            let start = Instant::now();
            let piece = vec![7; 128 << 10];
            let mut written = Ok(());
            for _ in 0..len / piece.len() {
                written = written.and_then(|()| pace.write(&near, &piece));
            }
            let took = start.elapsed();
            over.store(written.is_err(), Relaxed);
            drop(near);
            reader.join().unwrap();
            (written, took)
        };
        // A system keeps some mebibytes by itself.
        let (written, took) = write(256 << 10, Duration::from_millis(25), 48 << 20);
        written.unwrap();
        assert!(took > 2 * floor, "it was no slow reader: {took:?}");
        let (written, _) = write(1, Duration::from_millis(50), 48 << 20);
        let kind = written.unwrap_err().kind();
        assert!(
            matches!(kind, ErrorKind::TimedOut | ErrorKind::WouldBlock),
            "{kind:?}"
        );
    }
}
