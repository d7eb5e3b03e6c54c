//! Correlated random values: what an online phase needs and no input enters.

use std::num::Wrapping;
use std::pin::Pin;

use tacit_mpc::{R64, Result};

use super::cells::Cells;
use super::circuit::Circuit;
use super::primitives::Primitives;
use super::share::{Bits, Words};
use crate::rep3::bits::{to_bits, to_words, words_of};

/// Random values of a kind, for each element of a chunk. Whoever holds less than the access structure asks for knows nothing of
/// them.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Correlation {
    /// Random bits, as words 0 and 1 and as bits (daBits: Rotaru, Wood, INDOCRYPT 2019). `count` words, plane after plane, and
    /// the same planes.
    Bits {
        /// Bits for each element.
        count: usize,
    },
    /// A word r, uniform over Z_2^64, with its `planes` low bits as bits (edaBits: Escudero, Ghosh, Keller, Rachuri, Scholl,
    /// CRYPTO 2020). With a `shift` p, 0 < p <= 62, also the words r >> p and r >> 63, which are what a truncation needs
    /// (Catrina, de Hoogh, SCN 2010, over the ring). r, then these two; and the planes, lowest first.
    Mask {
        /// How many low bits come as bits, at most 64.
        planes: u32,
        /// p.
        shift: Option<u32>,
    },
    /// A mask s for a table, with a unit vector and factors that its bits make (`cells.rs`); no bits.
    Cells(Cells),
}

/// Correlated values in the clear, at whoever deals them.
pub struct Dealt {
    /// [`Correlation::words`] vectors of one word an element, one after the other.
    pub words: Vec<R64>,
    /// [`Correlation::planes`] planes, one after the other.
    pub bits: Vec<u64>,
}

impl std::fmt::Debug for Dealt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dealt").finish_non_exhaustive()
    }
}

/// What a party holds of correlated values: laid out as in [`Dealt`].
#[derive(Clone, Debug)]
pub struct Correlated {
    /// The words.
    pub words: Words,
    /// The planes.
    pub bits: Bits,
}

impl Correlation {
    /// Words for each element.
    #[must_use]
    pub fn words(&self) -> usize {
        match self {
            Self::Bits { count } => *count,
            Self::Mask { shift: None, .. } => 1,
            Self::Mask { shift: Some(_), .. } => 3,
            Self::Cells(cells) => cells.words(),
        }
    }

    /// Planes of bits.
    #[must_use]
    pub fn planes(&self) -> usize {
        match self {
            Self::Bits { count } => *count,
            Self::Mask { planes, .. } => *planes as usize,
            Self::Cells(_) => 0,
        }
    }

    /// The values for `n` elements in the clear, for a dealer: from uniform words by `random`, which fills what it is given.
    ///
    /// # Errors
    /// That of `random`.
    pub fn deal(
        &self,
        n: usize,
        mut random: impl FnMut(&mut [u64]) -> Result<()>,
    ) -> Result<Dealt> {
        match self {
            Self::Bits { count } => {
                let mut bits = vec![0; count * words_of(n)];
                random(&mut bits)?;
                Ok(Dealt {
                    words: plane_words(&bits, n),
                    bits,
                })
            }
            Self::Mask { planes, shift } => {
                let mut r = vec![0; n];
                random(&mut r)?;
                let mut words: Vec<R64> = r.into_iter().map(Wrapping).collect();
                let bits = to_bits(&words, *planes);
                if let Some(p) = *shift {
                    for by in [p, 63] {
                        let parts: Vec<R64> = words[..n].iter().map(|r| r >> by as usize).collect();
                        words.extend(parts);
                    }
                }
                Ok(Dealt { words, bits })
            }
            Self::Cells(cells) => cells.deal(n, random),
        }
    }
}

/// The bits of planes of n values as words 0 and 1, plane after plane.
pub(super) fn plane_words(bits: &[u64], n: usize) -> Vec<R64> {
    let planes = bits.chunks(words_of(n).max(1));
    planes.flat_map(|plane| to_words(plane, n)).collect()
}

/// Correlated values for this chunk: each vector of words by itself, and the planes. The one place from which they are asked for,
/// so that what is done before inputs are known can be told from what is done on them.
pub(super) async fn draw<P: Primitives>(
    c: &Circuit<'_, P>,
    what: &Correlation,
) -> Result<(Vec<Words>, Bits)> {
    // Making some takes others: the type would contain itself.
    let made: Pin<Box<dyn Future<Output = Result<Correlated>> + '_>> =
        Box::pin(c.protocol.correlated(c, what));
    let made = c.strand.offline(made).await?;
    Ok((made.words.separate(c.len()), made.bits))
}
