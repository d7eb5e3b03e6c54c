//! Public randomness: everybody who knows the seed of a job draws the same permutations and initial weights.

use sha2::{Digest, Sha256};

/// A stream of numbers: SHA-256 of seed, label and counter. Nothing secret may come from it.
#[derive(Clone, Debug)]
pub struct Stream {
    prefix: Sha256,
    counter: u64,
    words: Vec<u64>,
}

impl Stream {
    /// The stream of this seed and label. Streams of different labels are independent.
    #[must_use]
    pub fn new(seed: &[u8; 32], label: &str) -> Self {
        let prefix = Sha256::new()
            .chain_update(seed)
            .chain_update((label.len() as u64).to_le_bytes());
        Self {
            prefix: prefix.chain_update(label),
            counter: 0,
            words: Vec::new(),
        }
    }

    /// The next word.
    pub fn word(&mut self) -> u64 {
        if let Some(word) = self.words.pop() {
            return word;
        }
        let block = self
            .prefix
            .clone()
            .chain_update(self.counter.to_le_bytes())
            .finalize();
        self.counter += 1;
        let words = block
            .as_chunks::<8>()
            .0
            .iter()
            .map(|bytes| u64::from_le_bytes(*bytes));
        self.words = words.rev().collect();
        self.words.pop().unwrap_or_default()
    }

    /// Uniform below `n`, for n > 0.
    pub fn below(&mut self, n: usize) -> usize {
        let n = n.max(1) as u64;
        // The largest multiple of n: words above it would favour small remainders.
        let limit = u64::MAX - u64::MAX % n;
        loop {
            let word = self.word();
            if word < limit {
                return (word % n) as usize;
            }
        }
    }

    /// Uniform in [-1, 1).
    pub fn symmetric(&mut self) -> f64 {
        (self.word() >> 11) as f64 * 2f64.powi(-52) - 1.0
    }

    /// A uniform permutation of 0..n (Fisher and Yates).
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        for k in (1..n).rev() {
            order.swap(k, self.below(k + 1));
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_depend_on_seed_and_label_alone() {
        let draw = |seed: u8, label: &str| {
            let mut s = Stream::new(&[seed; 32], label);
            (0..9).map(|_| s.word()).collect::<Vec<_>>()
        };
        assert_eq!(draw(1, "a"), draw(1, "a"));
        assert_ne!(draw(1, "a"), draw(2, "a"));
        assert_ne!(draw(1, "a"), draw(1, "b"));
    }

    #[test]
    fn the_first_word_is_that_of_sha_256() {
        let mut bytes = vec![0u8; 32];
        bytes.extend([1, 0, 0, 0, 0, 0, 0, 0, b'x', 0, 0, 0, 0, 0, 0, 0, 0]);
        let digest = Sha256::digest(&bytes);
        assert_eq!(Stream::new(&[0; 32], "x").word().to_le_bytes(), digest[..8]);
    }

    #[test]
    fn draws_are_uniform_and_permutations_complete() {
        let mut s = Stream::new(&[7; 32], "test");
        let mut counts = [0; 3];
        (0..30_000).for_each(|_| counts[s.below(3)] += 1);
        assert!(
            counts.iter().all(|&c| (9_700..10_300).contains(&c)),
            "{counts:?}"
        );
        let mean = (0..10_000).map(|_| s.symmetric()).sum::<f64>() / 10_000.0;
        assert!(mean.abs() < 0.02, "{mean}");
        let mut p = s.permutation(100);
        assert_ne!(p, (0..100).collect::<Vec<_>>());
        p.sort_unstable();
        assert_eq!(p, (0..100).collect::<Vec<_>>());
        assert!(s.permutation(0).is_empty());
    }
}
