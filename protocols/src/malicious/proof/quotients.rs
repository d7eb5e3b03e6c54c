//! The quotients: how many times 2^64 a combination of relations is, over the integers.
//!
//! Every word of a relation is an integer in [0, 2^64). For an honest prover E_g = 0 mod 2^64, hence S_c = Σ_g τ_{g,c}·E_g is
//! 2^64·W_c, with 0 <= W_c < 2^128. The prover sends β_c = W_c ⊕ γ_c to the left verifier; γ_c is a draw that the right one has.
//! Whatever it sends, W_c = β_c + γ_c - 2·Σ_b 2^b·β_{c,b}·γ_{c,b} is an integer of 128 bits: the range costs nothing to prove
//! (protocols-malicious, section 4, step 2). Only then is the prime drawn: who knew it before could choose W_c = S_c/2^64 mod p.

use std::num::Wrapping;

use tacit_mpc::{Purpose, R64, Result};

use super::super::circuit::Circuit;
use super::super::log::{BitDots, Rest};
use super::super::pair::{Pair, Words};
use super::Relations;
use super::challenge::{Coin, Fixed};
use super::combinations::Buckets;
use super::pages::Page;
use super::parts::{Kind, Part};
use super::strength::SIGMA;

/// Both shares of all quotients at this party's indices: β of P_j at index j, γ of P_{j-1} at index j.
pub(super) struct Quotients {
    pub(super) beta: Pair<[u128; SIGMA]>,
    pub(super) gamma: Pair<[u128; SIGMA]>,
}

impl Fixed for Quotients {}

/// Bytes of all quotients of a prover.
const BYTES: usize = 16 * SIGMA;

/// Computes this party's quotients and exchanges them. 16σ bytes a party, no round of its own: the coin after it follows at once.
pub(super) async fn exchange(
    c: &Circuit<'_>,
    coin: &Coin<Relations>,
    parts: &[Part<'_>],
) -> Result<Quotients> {
    let label = c.strand.next_gate()?;
    let me = c.me();
    let mut sums = Sums::default();
    for part in parts {
        if part.dealer().is_some_and(|d| d != me) {
            continue;
        }
        let tau = part.tau(coin);
        match &part.kind {
            Kind::Products { terms, rest } => products(terms, rest, &tau, &mut sums),
            Kind::Page(page) => matrices(page, &tau, &mut sums),
            Kind::Dots(dots) => bit_dots(dots, &tau, &mut sums),
        }
    }
    let gamma = |j| -> Result<[u128; SIGMA]> {
        let words = c.strand.draw(j, label, Purpose::Quotient, 2 * SIGMA)?;
        Ok(std::array::from_fn(|k| {
            u128::from(words[2 * k + 1].0) << 64 | u128::from(words[2 * k].0)
        }))
    };
    let gamma = Pair::new(gamma(me)?, gamma(me + 1)?);
    let quotients = sums.quotients();
    let own: [u128; SIGMA] = std::array::from_fn(|k| quotients[k] ^ gamma.next[k]);
    c.strand.send((me + 2) % 3, label, BYTES, |out| {
        own.iter()
            .for_each(|w| out.extend_from_slice(&w.to_le_bytes()));
    })?;
    let received = c.strand.recv((me + 1) % 3, label, BYTES).await?;
    let (words, _) = received.as_chunks::<16>();
    let next = std::array::from_fn(|k| u128::from_le_bytes(words[k]));
    Ok(Quotients {
        beta: Pair::new(own, next),
        gamma,
    })
}

/// An integer below 2^192: sums of words and of products of words, of which the quotient by 2^64 is wanted. A `u128` overflows
/// for one product in fourteen.
#[derive(Clone, Copy, Default)]
struct Wide {
    low: u128,
    high: u128,
}

impl Wide {
    #[inline(always)]
    fn add_product(&mut self, x: R64, y: R64) {
        let product = u128::from(x.0) * u128::from(y.0);
        self.low += u128::from(product as u64);
        self.high += product >> 64;
    }

    /// The quotient by 2^64 and the remainder after two more words.
    #[inline(always)]
    fn divided(self, left: R64, right: R64) -> (u128, u64) {
        let low = self.low + u128::from(left.0) + u128::from(right.0);
        (self.high + (low >> 64), low as u64)
    }
}

/// Σ_g τ_{g,c}·E_g, divided by 2^64.
struct Sums {
    quotients: Buckets,
    /// What is left over: nothing, unless somebody cheats.
    #[cfg(test)]
    remainders: Buckets,
}

impl Default for Sums {
    fn default() -> Self {
        Self {
            quotients: Buckets::new(),
            #[cfg(test)]
            remainders: Buckets::new(),
        }
    }
}

impl Sums {
    #[inline(always)]
    fn add(&mut self, tau: u64, e: Wide, left: R64, right: R64) {
        let (quotient, _remainder) = e.divided(left, right);
        self.quotients.add(tau, quotient);
        #[cfg(test)]
        self.remainders.add(tau, _remainder.into());
    }

    fn quotients(&self) -> [u128; SIGMA] {
        #[cfg(test)]
        if let Some(cheat) = super::strength::QUOTIENTS.get() {
            return cheat(self.quotients.sums(), self.remainders.sums());
        }
        self.quotients.sums()
    }
}

fn products(terms: &[(Words, Words)], rest: &Rest<Vec<R64>>, tau: &[u64], sums: &mut Sums) {
    for (k, &tau) in tau.iter().enumerate() {
        let mut e = Wide::default();
        for (x, y) in terms {
            e.add_product(x.own[k], y.next[k]);
            e.add_product(y.own[k], x.next[k]);
        }
        sums.add(tau, e, rest.left.own[k], rest.right.next[k]);
    }
}

fn matrices(page: &Pair<Page>, tau: &[u64], sums: &mut Sums) {
    let (own, next) = (&page.own, &page.next);
    let inner = own.inner;
    let row = |x: &[R64], i: usize, sum: &mut Wide, y: &[R64], j: usize| {
        x[i * inner..][..inner]
            .iter()
            .zip(&y[j * inner..][..inner])
            .for_each(|(&x, &y)| sum.add_product(x, y));
    };
    for i in 0..own.rows {
        for j in 0..own.columns {
            let (k, mut e) = (i * own.columns + j, Wide::default());
            row(&own.x, i, &mut e, &next.y, j);
            row(&next.x, i, &mut e, &own.y, j);
            sums.add(tau[k], e, own.left[k], next.right[k]);
        }
    }
}

/// The prover of these has both halves.
fn bit_dots(dots: &BitDots, tau: &[u64], sums: &mut Sums) {
    let (Some(beta), Some(gamma)) = (&dots.beta, &dots.gamma) else {
        return;
    };
    for (relation, tau) in dots.relations.iter().zip(tau.chunks(dots.len.max(1))) {
        let zero = vec![Wrapping(0); dots.len];
        let left = relation.left.as_deref().unwrap_or(&zero);
        let right = relation.right.as_deref().unwrap_or(&zero);
        let weight = relation.weight;
        for (k, &tau) in tau.iter().enumerate() {
            let both = u128::from((beta[k].0 & gamma[k].0) >> weight.from) << weight.up;
            let e = Wide { low: both, high: 0 };
            sums.add(tau, e, left[k], right[k]);
        }
    }
}
