//! The memory of a device that a party may use: what is held of it, and whose turn it is to use the rest.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes that a setting allows.
#[derive(Debug)]
pub(crate) struct Budget {
    memory: usize,
    held: AtomicUsize,
    turn: Mutex<()>,
}

/// Bytes that are held, until this is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Budget {
    pub(crate) fn new(memory: usize) -> Arc<Self> {
        Arc::new(Self {
            memory,
            held: AtomicUsize::new(0),
            turn: Mutex::default(),
        })
    }

    /// Who has it uses what nobody holds: products of several sessions are computed one after the other, each with all of it.
    pub(crate) fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes that are held.
    pub(crate) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// What is left of the memory.
    pub(crate) fn room(&self) -> usize {
        self.memory.saturating_sub(self.held())
    }

    /// Takes bytes to hold; at most half of the memory is held altogether.
    pub(crate) fn hold(self: &Arc<Self>, bytes: usize) -> Option<Held> {
        let more = |held: usize| {
            held.checked_add(bytes)
                .filter(|&all| all <= self.memory / 2)
        };
        let taken = self
            .held
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        taken.ok().map(|_| Held {
            budget: Arc::clone(self),
            bytes,
        })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::Budget;

    #[test]
    fn half_is_held_at_most() {
        let budget = Budget::new(100);
        let (first, second) = (budget.hold(30).unwrap(), budget.hold(20).unwrap());
        assert_eq!((budget.held(), budget.room()), (50, 50));
        assert!(budget.hold(1).is_none() && budget.hold(usize::MAX).is_none());
        drop(first);
        assert_eq!((budget.held(), budget.room()), (20, 80));
        assert!(budget.hold(30).is_some(), "and lets go at once");
        drop(second);
        assert_eq!(budget.room(), 100);
    }
}
