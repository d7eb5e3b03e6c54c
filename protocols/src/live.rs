//! Bytes of the values that are alive while a run is counted: what a party holds at once.

use std::cell::Cell;
use std::rc::Rc;

/// The account of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Live(Rc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    now: Cell<u64>,
    peak: Cell<u64>,
}

impl Live {
    /// So many bytes are held until the lease ends.
    pub(crate) fn hold(&self, bytes: u64) -> Lease {
        self.0.now.set(self.0.now.get() + bytes);
        self.touch(0);
        Lease(Some((self.clone(), bytes)))
    }

    /// So many bytes are needed besides, for a moment.
    pub(crate) fn touch(&self, bytes: u64) {
        let all = self.0.now.get() + bytes;
        self.0.peak.set(self.0.peak.get().max(all));
    }

    /// The most that was held at once.
    pub(crate) fn peak(&self) -> u64 {
        self.0.peak.get()
    }
}

/// What a value holds, if that is counted; its copies hold as much. Values are equal whatever they hold.
#[derive(Debug, Default)]
pub(crate) struct Lease(Option<(Live, u64)>);

impl Clone for Lease {
    fn clone(&self) -> Self {
        match &self.0 {
            Some((live, bytes)) => live.hold(*bytes),
            None => Self(None),
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some((live, bytes)) = &self.0 {
            live.0.now.set(live.0.now.get() - bytes);
        }
    }
}

impl PartialEq for Lease {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Lease {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_what_was_held_at_once() {
        let live = Live::default();
        let a = live.hold(10);
        let b = a.clone();
        live.touch(5);
        drop(a);
        let c = live.hold(3);
        assert_eq!((live.peak(), live.0.now.get()), (25, 13));
        drop((b, c, Lease::default().clone()));
        assert_eq!((live.peak(), live.0.now.get()), (25, 0));
    }
}
