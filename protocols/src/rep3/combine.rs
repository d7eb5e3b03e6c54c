//! Linear combinations of bits, as words.
//!
//! As in `convert.rs`, b = m + (1 - 2m)·λ; D deals every λ once, and A and B hold additive shares of all bits: any number of
//! combinations then costs a swap each. A weight that is a multiple of 2^a needs its λ modulo 2^(k-a) only, so λ travel in
//! fewer bits than words have.

use std::num::Wrapping;

use tacit_mpc::{R64, Result, Strand};

use super::bits::{Plane, to_words};
use super::exchange::{Halves, deal_words};
use super::held::{Held, Words, is_a};

/// Σ w_j·b_j over Z_2^k.
#[derive(Clone, Debug)]
pub(crate) struct Weights {
    pub(crate) k: u32,
    pub(crate) of: Vec<R64>,
}

/// λ in groups of this many, in the bits of the widest.
const GROUP: usize = 4;

/// Bits of the dealt λ, and how many of them, group by group.
pub(super) fn groups(combinations: &[&Weights]) -> Vec<(usize, u32)> {
    let n = combinations.first().map_or(0, |w| w.of.len());
    let bits = |j: usize| {
        let of = |w: &&Weights| w.k.saturating_sub(w.of[j].0.trailing_zeros());
        combinations.iter().map(of).max().unwrap_or(0).max(1)
    };
    let all: Vec<u32> = (0..n).map(bits).collect();
    all.chunks(GROUP)
        .map(|g| (g.len(), g.iter().copied().max().unwrap_or(1)))
        .collect()
}

/// A's or B's additive shares of bits; nothing at the dealer.
pub(super) struct BitShares(Option<Vec<Words>>);

/// Deals the λ of all bits, for these combinations. Σ bits of λ, 1 round (D's).
pub(super) async fn share_bits(
    strand: &Strand<'_>,
    bits: &[Held<Plane>],
    combinations: &[&Weights],
) -> Result<BitShares> {
    let n = strand.chunk().len();
    let mut shares = Vec::with_capacity(bits.len());
    let mut rest = bits;
    for (count, width) in groups(combinations) {
        let (group, later) = rest.split_at(count);
        rest = later;
        let dealt = deal_words(strand, count * n, width, || {
            let lambda = |b: &Held<Plane>| to_words(&b.lambda().unwrap_or_default(), n);
            group.iter().flat_map(lambda).collect()
        })
        .await?;
        let Halves::Pair(half) = dealt else { continue };
        let constant = Wrapping(u64::from(is_a(strand)));
        for (bit, half) in group.iter().zip(half.chunks(n.max(1))) {
            if let Held::Pair { common, .. } = bit {
                let share = |(m, &l): (R64, &R64)| constant * m + (Wrapping(1) - (m << 1)) * l;
                shares.push(
                    to_words(common, n)
                        .into_iter()
                        .zip(half)
                        .map(share)
                        .collect(),
                );
            }
        }
    }
    let dealer = strand.role() == tacit_mpc::Role::Dealer;
    Ok(BitShares((!dealer).then_some(shares)))
}

impl BitShares {
    /// A's or B's share of Σ w_j·b_j; the two add up to it modulo 2^k.
    pub(super) fn sum(&self, w: &Weights, n: usize) -> Option<Words> {
        let shares = self.0.as_ref()?;
        let mut sum = vec![Wrapping(0); n];
        for (share, &w) in shares.iter().zip(&w.of) {
            sum.iter_mut().zip(share).for_each(|(s, &x)| *s += w * x);
        }
        Some(sum)
    }
}
