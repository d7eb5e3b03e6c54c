//! Tensors as a run has them: larger than the caches, so that what a chunk reads comes from afar and what it gives goes there.

use std::cell::{Cell, RefCell};

use tacit_mpc::R64;

/// Words that are gone over again and again: more than the caches of a core hold.
const WORDS: usize = 1 << 20;
/// The most that is read or written at once, somewhat more than the longest chunk.
const ONCE: usize = 1 << 13;

/// What rehearsals read and write instead of tensors.
#[derive(Debug)]
pub(crate) struct Far {
    read: Vec<R64>,
    written: RefCell<Vec<R64>>,
    at: Cell<usize>,
}

impl Far {
    /// Of zeros. Where no clock looks at what is done with it, it need not be large.
    pub(crate) fn new(timed: bool) -> Self {
        let words = if timed { WORDS } else { ONCE };
        // Written, or the system would give one page of zeros for all.
        let zeros = || (0..words).map(|_| std::hint::black_box(R64::default()));
        Self {
            read: zeros().collect(),
            written: RefCell::new(zeros().collect()),
            at: Cell::new(0),
        }
    }

    /// Where the next `n` words are.
    fn next(&self, n: usize) -> std::ops::Range<usize> {
        let start = self.at.get();
        let start = if start + n > self.read.len() {
            0
        } else {
            start
        };
        self.at.set(start + n);
        start..start + n
    }

    /// `n` words of a tensor, a chunk at most.
    pub(crate) fn words(&self, n: usize) -> &[R64] {
        &self.read[self.next(n)]
    }

    /// Puts words, a chunk at most, into a tensor.
    pub(crate) fn put(&self, words: &[R64]) {
        let range = self.next(words.len());
        self.written.borrow_mut()[range].copy_from_slice(words);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_from_everywhere_in_turn() {
        let far = Far::new(false);
        let at = |words: &[R64]| words.as_ptr() as usize - far.read.as_ptr() as usize;
        assert_eq!(
            [3000, 5000, 1].map(|n| at(far.words(n))),
            [0, 24_000, 64_000]
        );
        // What is left is too short.
        assert_eq!(at(far.words(300)), 0);
        far.put(&[R64::default(); 7]);
        assert_eq!(at(far.words(2)), 8 * 307);
    }
}
