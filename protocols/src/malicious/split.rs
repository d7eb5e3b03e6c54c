//! A word that one party knows, in bits that it cannot lie about.
//!
//! In the chunk of dealer P_d, x = x_{d+2} + (x_d + x_{d+1}): P_d knows the second summand, both others know the first. P_d
//! shares v = ±(x_d + x_{d+1}) bit by bit, v = β ⊕ γ with β at index d and γ = F(k_{d+1}) at index d + 1, and proves
//!     2·Σ 2^b·β_b·γ_b + (v_d - β) + (v_{d+1} - γ) = 0,
//! since β + γ - 2·(β ∧ γ) = β ⊕ γ (protocols-malicious, section 6, "A2B"). A weighted sum of bits as a sharing of words is
//! then one more input e = Σ w·β_b·γ_b with its relation, because Σ w·v_b = Σ w·β_b + Σ w·γ_b - 2e.
//!
//! All of it comes from P_d alone, which waits for nothing. Where only k low bits of x matter, everything is multiplied by
//! 2^(64-k), and k bits are sent.

use std::num::Wrapping;
use std::rc::Rc;

use tacit_mpc::kernels::vectorised;
use tacit_mpc::{PartyId, R64, Result};

use super::circuit::Circuit;
use super::input::{input_top, input_xor};
use super::log::{BitDots, BitRelation, Entry, Weight};
use super::pair::{Bits, Pair, Share, Words};
use super::proof::RELATIONS;
use crate::rep3::bits::to_bits;

const TWO: R64 = Wrapping(2);

/// Which word of the dealer is split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    /// s = x_d + x_{d+1}, so that x = c + s.
    Plus,
    /// r = -(x_d + x_{d+1}), so that x = c - r.
    Minus,
}

/// Σ 2^(b - from + up) over the bits b >= `from` of a word that are set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sum {
    /// The lowest bit that counts, of words of 64 bits in which a split word's k bits are the upper ones.
    pub(crate) from: u32,
    /// log2 of its weight. A sum that is a multiple of 2^up takes 64 - up bits.
    pub(crate) up: u32,
}

/// A word of the dealer in bits that it has proved: there is none whose relations are not logged.
pub(crate) struct Split {
    dealer: PartyId,
    /// Bits that matter; they are the upper ones of the words.
    bits: u32,
    /// Shares by exclusive or: β at index d, γ at index d + 1.
    shares: Words,
}

impl Split {
    /// Splits the k low bits of the dealer's word of x. k bits, 1 round.
    pub(crate) async fn new(c: &Circuit<'_>, x: &Words, k: u32, sign: Sign) -> Result<Self> {
        Ok(Self::with_sums(c, x, k, sign, []).await?.0)
    }

    /// The same with sums of its bits, known to the dealer: 64 - up bits each, in the same round.
    pub(crate) async fn with_sums<const N: usize>(
        c: &Circuit<'_>,
        x: &Words,
        k: u32,
        sign: Sign,
        sums: [Sum; N],
    ) -> Result<(Self, [Words; N])> {
        const { assert!(N < RELATIONS, "what a proof sums of one word fits 128 bits") };
        let (d, me, n) = (c.dealer(), c.me(), x.own.len());
        let up = Wrapping(1u64 << (64 - k));
        let factor = if sign == Sign::Plus { up } else { -up };
        let known = || {
            let shares = x.own.iter().zip(&*x.next);
            vectorised(|| shares.map(|(a, b)| factor * (a + b)).collect())
        };
        let word: Option<Vec<R64>> = (me == d).then(known);
        let label = c.strand.next_gate()?;
        let shares = input_xor(c, label, d, n, k, word.as_deref()).await?;
        let split = Self {
            dealer: d,
            bits: k,
            shares,
        };
        let less = |j: PartyId| {
            let words = x.at(me, j)?.iter().zip(&**split.shares.at(me, j)?);
            Some(Rc::new(vectorised(|| {
                words.map(|(x, s)| factor * x - s).collect()
            })))
        };
        let mut relations = vec![BitRelation {
            weight: Weight { from: 0, up: 1 },
            left: less(d),
            right: less(d + 1),
        }];
        let mut words = sums.map(|_| split.shares.clone());
        for (word, sum) in words.iter_mut().zip(sums) {
            let relation;
            (*word, relation) = split.sum(c, sum).await?;
            relations.push(relation);
        }
        let at = |j: PartyId| split.shares.at(me, j).map(Rc::clone);
        let dots = BitDots {
            dealer: d,
            len: n,
            beta: at(d),
            gamma: at(d + 1),
            relations,
        };
        c.log.push(label, Entry::BitDots(dots))?;
        Ok((split, words))
    }

    /// A sum, and the relation that makes it one.
    async fn sum(&self, c: &Circuit<'_>, Sum { from, up }: Sum) -> Result<(Words, BitRelation)> {
        let (d, me, n) = (self.dealer, c.me(), self.shares.own.len());
        let weigh = |w: R64| (w >> from as usize) << up as usize;
        let both = || {
            let shares = self.shares.own.iter().zip(&*self.shares.next);
            vectorised(|| shares.map(|(b, g)| weigh(b & g)).collect())
        };
        let word: Option<Vec<R64>> = (me == d).then(both);
        let e = input_top(c, d, n, 64 - up, word.as_deref()).await?;
        let negated = |j: PartyId| {
            let e = e.at(me, j)?.iter();
            Some(Rc::new(vectorised(|| e.map(|&e| -e).collect::<Vec<_>>())))
        };
        let relation = BitRelation {
            weight: Weight { from, up },
            left: negated(d),
            right: negated(d + 1),
        };
        let sum = |j: PartyId, share: &Rc<Vec<R64>>, e: &Rc<Vec<R64>>| {
            if j % 3 == (d + 2) % 3 {
                return R64::zeros(n);
            }
            let terms = share.iter().zip(&**e);
            let sum = vectorised(|| terms.map(|(&w, &e)| weigh(w) - TWO * e).collect());
            Rc::new(sum)
        };
        let sum = Pair {
            own: sum(me, &self.shares.own, &e.own),
            next: sum(me + 1, &self.shares.next, &e.next),
        };
        Ok((sum, relation))
    }

    /// The dealer's word in bit planes, lowest first and one after the other, known to the dealer.
    pub(crate) fn planes(&self) -> Bits {
        let down = (64 - self.bits) as usize;
        self.shares.each(|words| {
            let low: Vec<R64> = words.iter().map(|w| w >> down).collect();
            to_bits(&low, self.bits)
        })
    }

    /// `count` bits from bit `first` on of each share: a pair of small numbers whose exclusive or is that part of the word.
    pub(crate) fn part(&self, first: u32, count: u32) -> Words {
        let down = (64 - self.bits + first) as usize;
        let mask = Wrapping(u64::MAX >> (64 - count));
        self.shares
            .each(|words| words.iter().map(|w| w >> down & mask).collect())
    }
}

/// c = x_{d+2} of the sharing x, at the two parties that know it.
pub(crate) fn common(c: &Circuit<'_>, x: &Words) -> Option<Rc<Vec<R64>>> {
    x.at(c.me(), c.dealer() + 2).map(Rc::clone)
}

/// The low `k` bits of a word that both others know, in planes at index d + 2, lowest first and one after the other.
pub(crate) fn common_planes(c: &Circuit<'_>, words: Option<&[R64]>, n: usize, k: u32) -> Bits {
    let flat = words.map(|w| Rc::new(to_bits(w, k)));
    c.joint(c.dealer() + 2, k as usize * n.div_ceil(64), flat)
}

/// `count` planes from plane `first` on.
pub(crate) fn planes(c: &Circuit<'_>, bits: &Bits, first: usize, count: usize) -> Bits {
    let words = c.len().div_ceil(64);
    bits.each(|b| b[first * words..][..count * words].to_vec())
}

/// The planes one by one.
pub(crate) fn each_plane(c: &Circuit<'_>, bits: &Bits) -> Vec<Bits> {
    let count = bits.own.len() / c.len().div_ceil(64);
    (0..count).map(|k| planes(c, bits, k, 1)).collect()
}
