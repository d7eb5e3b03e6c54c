//! Randomness of one party alone.

use std::cell::RefCell;

use tacit_mpc::prss::SeedStream;
use tacit_mpc::{Error, Result};
use zeroize::Zeroizing;

/// A stream under a key that the operating system gave to this party and that it shares with nobody. Each word is drawn once.
pub struct Private(RefCell<Option<Stream>>);

struct Stream {
    words: SeedStream,
    /// Pairs of words that were drawn.
    drawn: u32,
}

impl std::fmt::Debug for Private {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Private").finish_non_exhaustive()
    }
}

impl Private {
    /// A stream that is seeded when it is first drawn from.
    #[must_use]
    pub fn new() -> Self {
        Self(RefCell::new(None))
    }

    /// Fills `out` with uniform words.
    ///
    /// # Errors
    /// [`Error::Randomness`] where the operating system gives no seed.
    pub fn fill(&self, out: &mut [u64]) -> Result<()> {
        let mut stream = self.0.borrow_mut();
        let pairs = u32::try_from(out.len().div_ceil(2)).map_err(|_| Error::Exhausted {
            what: "private random words",
        })?;
        let end = |s: &Stream| s.drawn.checked_add(pairs);
        // A stream that is used up gives way to another.
        if stream.as_ref().and_then(end).is_none() {
            let mut seed = Zeroizing::new([0; 16]);
            getrandom::fill(&mut *seed).map_err(|e| Error::Randomness(e.to_string()))?;
            let words = SeedStream::new(&seed);
            *stream = Some(Stream { words, drawn: 0 });
        }
        if let Some(stream) = &mut *stream {
            stream.words.fill(stream.drawn, out);
            stream.drawn += pairs;
        }
        Ok(())
    }

    /// `n` uniform words.
    ///
    /// # Errors
    /// As for [`Self::fill`].
    pub fn words(&self, n: usize) -> Result<Vec<u64>> {
        let mut words = vec![0; n];
        self.fill(&mut words)?;
        Ok(words)
    }
}

impl Default for Private {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_word_is_drawn_twice_and_no_two_streams_are_alike() {
        let (a, b) = (Private::new(), Private::new());
        let mut seen = std::collections::HashSet::new();
        for n in [1, 2, 3, 64, 1000] {
            for stream in [&a, &b] {
                let words = stream.words(n).unwrap();
                assert!(words.iter().all(|w| seen.insert(*w)), "{n}");
            }
        }
    }
}
