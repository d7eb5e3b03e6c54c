//! One chunk of a tensor on its way through gates that are made of a protocol's primitives.

use std::num::Wrapping;

use tacit_mpc::kernels::vectorised;
use tacit_mpc::{PartyId, R64, Result, Strand};

use super::primitives::Primitives;
use super::private::Private;
use super::share::{Bits, Words};

/// A strand, the protocol whose primitives run on it, and this party's own randomness.
pub struct Circuit<'s, P> {
    pub(super) strand: Strand<'s>,
    pub(super) protocol: &'s P,
    pub(super) private: &'s Private,
    /// [`Primitives::one`].
    pub(super) one: &'s [bool],
}

impl<P> std::fmt::Debug for Circuit<'_, P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Circuit")
            .field("chunk", &self.strand.chunk())
            .finish_non_exhaustive()
    }
}

impl<'s, P: Primitives> Circuit<'s, P> {
    /// The chunk, its messages and draws.
    #[must_use]
    pub fn strand(&self) -> &Strand<'s> {
        &self.strand
    }

    /// This party's own randomness.
    #[must_use]
    pub fn private(&self) -> &Private {
        self.private
    }

    /// Elements of the chunk.
    #[must_use]
    pub fn len(&self) -> usize {
        self.strand.chunk().len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Words of a plane of bits of the chunk.
    #[must_use]
    pub fn plane(&self) -> usize {
        self.len().div_ceil(64)
    }

    /// All parties that compute, in order.
    pub(super) fn parties(&self) -> Vec<PartyId> {
        (0..self.protocol.parties(self.strand.session())).collect()
    }

    /// The sharing of words that everybody knows. No communication.
    #[must_use]
    pub fn public(&self, words: &[R64]) -> Words {
        let zeros = || vec![R64::default(); words.len()];
        let parts = self.one.iter();
        Words::new(
            parts
                .map(|&one| if one { words.to_vec() } else { zeros() })
                .collect(),
        )
    }

    /// x plus words that everybody knows.
    pub(super) fn plus_public(&self, x: &Words, words: &[R64]) -> Words {
        let add = |x: &Vec<R64>| vectorised(|| x.iter().zip(words).map(|(x, c)| x + c).collect());
        self.where_one(x, add)
    }

    /// x plus a number that everybody knows.
    pub(super) fn offset(&self, x: &Words, c: R64) -> Words {
        self.where_one(x, |x| vectorised(|| x.iter().map(|x| x + c).collect()))
    }

    /// x ⊕ bits that everybody knows.
    pub(super) fn xor_public(&self, x: &Bits, bits: &[u64]) -> Bits {
        let flip = |x: &Vec<u64>| vectorised(|| x.iter().zip(bits).map(|(x, b)| x ^ b).collect());
        self.where_one(x, flip)
    }

    /// The complement.
    pub(super) fn not(&self, x: &Bits) -> Bits {
        self.where_one(x, |x| x.iter().map(|x| !x).collect())
    }

    /// Changes the components in which public values stand.
    fn where_one<W: Copy>(
        &self,
        x: &super::Shared<Vec<W>>,
        mut change: impl FnMut(&Vec<W>) -> Vec<W>,
    ) -> super::Shared<Vec<W>> {
        let mut one = self.one.iter();
        x.each(|part| match one.next() {
            Some(true) => change(part),
            _ => part.clone(),
        })
    }

    /// Opens words to all parties.
    pub(super) async fn open(&self, x: &Words) -> Result<Vec<R64>> {
        self.protocol.open_words(&self.strand, x).await
    }

    /// Opens planes to all parties.
    pub(super) async fn open_bits(&self, x: &Bits) -> Result<Vec<u64>> {
        let planes = self.planes(x);
        self.protocol.open_bits(&self.strand, planes, x).await
    }

    /// x·y.
    pub(super) async fn multiply(&self, x: &Words, y: &Words) -> Result<Words> {
        let terms = [(x.clone(), y.clone())];
        self.protocol.product(&self.strand, &terms).await
    }

    /// Σ x·y.
    pub(super) async fn product(&self, terms: &[(Words, Words)]) -> Result<Words> {
        self.protocol.product(&self.strand, terms).await
    }

    /// x ∧ y.
    pub(super) async fn and(&self, x: &Bits, y: &Bits) -> Result<Bits> {
        let planes = self.planes(x);
        self.protocol.and(&self.strand, planes, x, y).await
    }

    /// How many planes these are.
    pub(super) fn planes(&self, x: &Bits) -> usize {
        x.len().checked_div(self.plane()).unwrap_or(0)
    }
}

/// Words shifted to the right.
pub(super) fn shifted(words: &[R64], by: u32) -> Vec<R64> {
    vectorised(|| words.iter().map(|w| w >> by as usize).collect())
}

/// 2^k.
pub(super) fn power(k: u32) -> R64 {
    Wrapping(1 << k)
}
