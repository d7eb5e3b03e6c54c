//! The quotients: how many times 2^64 a combination of relations is, over the integers.
//!
//! Every word of a relation is an integer in [0, 2^64). For an honest prover E_g = 0 mod 2^64, hence S_c = Σ_g τ_{g,c}·E_g is
//! 2^64·W_c, with 0 <= W_c < 2^128. The prover sends β_c = W_c ⊕ γ_c to the left verifier; γ_c is a draw that the right one has.
//! Whatever it sends, W_c = β_c + γ_c - 2·Σ_b 2^b·β_{c,b}·γ_{c,b} is an integer of 128 bits: the range costs nothing to prove
//! (protocols-malicious, section 4, step 2). Only then is the prime drawn: who knew it before could choose W_c = S_c/2^64 mod p.

use std::num::Wrapping;

use bytemuck::cast_slice;
use tacit_mpc::kernels::vectorised;
use tacit_mpc::{PartyId, Purpose, R64, Result};

use super::super::circuit::Circuit;
use super::super::log::{BitDots, Rest, Weight};
use super::super::pair::{Pair, Words};
use super::super::product::Support;
use super::Relations;
use super::challenge::{Coin, Fixed};
use super::combinations::Buckets;
use super::pages::Page;
use super::parts::{Kind, Part};
use super::prime_sum::{PrimeSum, integer_dot};
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
            Kind::Products {
                terms,
                support,
                rest,
            } => {
                let factors = factors(me, terms, *support);
                products(&factors, rest, &tau, &mut sums);
            }
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

    fn add_sum(&mut self, sum: PrimeSum) {
        let [low, middle, high] = sum.limbs();
        self.low += u128::from(low);
        self.high += u128::from(high) << 64 | u128::from(middle);
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

/// The factors of a prover's own products, but for those with zeros.
fn factors(me: PartyId, terms: &[(Words, Words)], support: Support) -> Vec<[&[R64]; 2]> {
    let meets =
        |second: bool| !support.is_empty_at(second, me) && !support.is_empty_at(!second, me + 1);
    let (first, second) = (meets(false), meets(true));
    let mut factors = Vec::with_capacity(2 * terms.len());
    for (x, y) in terms {
        if first {
            factors.push([&x.own[..], &y.next[..]]);
        }
        if second {
            factors.push([&y.own[..], &x.next[..]]);
        }
    }
    factors
}

fn products(factors: &[[&[R64]; 2]], rest: &Rest<Vec<R64>>, tau: &[u64], sums: &mut Sums) {
    let (left, right) = (&rest.left.own, &rest.right.next);
    let locals = || tau.iter().zip(left.iter().zip(&**right));
    match factors {
        [[x, y]] => {
            for ((&tau, (&left, &right)), (&x, &y)) in locals().zip(x.iter().zip(*y)) {
                let mut e = Wide::default();
                e.add_product(x, y);
                sums.add(tau, e, left, right);
            }
        }
        [[x, y], [v, w]] => {
            let factors = x.iter().zip(*y).zip(v.iter().zip(*w));
            for ((&tau, (&left, &right)), ((&x, &y), (&v, &w))) in locals().zip(factors) {
                let mut e = Wide::default();
                e.add_product(x, y);
                e.add_product(v, w);
                sums.add(tau, e, left, right);
            }
        }
        _ => {
            for (k, (&tau, (&left, &right))) in locals().enumerate() {
                let mut e = Wide::default();
                factors.iter().for_each(|[x, y]| e.add_product(x[k], y[k]));
                sums.add(tau, e, left, right);
            }
        }
    }
}

fn matrices(page: &Pair<Page>, tau: &[u64], sums: &mut Sums) {
    let (own, next) = (&page.own, &page.next);
    let inner = own.inner;
    let row = |x: &[R64], i: usize, sum: &mut Wide, y: &[R64], j: usize| {
        sum.add_sum(integer_dot(
            cast_slice(&x[i * inner..][..inner]),
            cast_slice(&y[j * inner..][..inner]),
        ));
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

/// Relations whose quotients are written down together.
const PART: usize = 512;

/// The prover of these has both halves.
fn bit_dots(dots: &BitDots, tau: &[u64], sums: &mut Sums) {
    let (Some(beta), Some(gamma)) = (&dots.beta, &dots.gamma) else {
        return;
    };
    for (relation, tau) in dots.relations.iter().zip(tau.chunks(dots.len.max(1))) {
        let zero = vec![Wrapping(0); dots.len];
        let left = relation.left.as_deref().unwrap_or(&zero);
        let right = relation.right.as_deref().unwrap_or(&zero);
        let Weight { from, up } = relation.weight;
        let mut quotients = [0; PART];
        let shares = beta.chunks(PART).zip(gamma.chunks(PART));
        let locals = left.chunks(PART).zip(right.chunks(PART));
        for (((beta, gamma), (left, right)), tau) in shares.zip(locals).zip(tau.chunks(PART)) {
            // A number below 2^65 and two words: the quotient is below 4.
            let quotient = |((b, g), (left, right)): ((&R64, &R64), (&R64, &R64))| {
                let both = (b.0 & g.0) >> from;
                let low = both.checked_shl(up).unwrap_or(0);
                let high = both.checked_shr(64 - up).unwrap_or(0);
                let (sum, carry) = low.overflowing_add(left.0);
                let (remainder, carries) = sum.overflowing_add(right.0);
                (high + u64::from(carry) + u64::from(carries), remainder)
            };
            let relations = || beta.iter().zip(gamma).zip(left.iter().zip(right));
            vectorised(|| {
                let quotients = quotients.iter_mut().zip(relations());
                quotients.for_each(|(q, relation)| *q = quotient(relation).0);
            });
            sums.quotients.add_small(tau, &quotients[..tau.len()]);
            #[cfg(test)]
            for (&tau, relation) in tau.iter().zip(relations()) {
                sums.remainders.add(tau, quotient(relation).1.into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use proptest::prelude::*;
    use tacit_mpc::prss::expand_seed;

    use super::super::super::log::BitRelation;
    use super::*;

    /// A number of 256 bits.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    struct Big([u64; 4]);

    impl Big {
        /// The same with x·2^(64·limb) added.
        fn plus(mut self, x: u128, limb: usize) -> Self {
            let mut carry = 0;
            for (k, word) in self.0.iter_mut().enumerate().skip(limb) {
                let part = match k - limb {
                    0 => x as u64,
                    1 => (x >> 64) as u64,
                    _ => 0,
                };
                let sum = u128::from(*word) + u128::from(part) + carry;
                (*word, carry) = (sum as u64, sum >> 64);
            }
            assert_eq!(carry, 0, "sums stay below 2^256");
            self
        }

        fn product(self, x: R64, y: R64) -> Self {
            self.plus(u128::from(x.0) * u128::from(y.0), 0)
        }
    }

    /// Requirement 3: Σ τ·E as it is, and as 2^64·Σ τ·⌊E/2^64⌋ + Σ τ·(E mod 2^64).
    fn check(tau: &[u64], e: &[Big], sums: &Sums) {
        let (quotients, remainders) = (sums.quotients(), sums.remainders.sums());
        for c in 0..SIGMA {
            let terms = tau.iter().zip(e).filter(|(tau, _)| *tau >> c & 1 == 1);
            let want = terms.fold(Big::default(), |s, (_, e)| {
                let s = s.plus(e.0[0].into(), 0).plus(e.0[1].into(), 1);
                s.plus(e.0[2].into(), 2)
            });
            let got = Big::default().plus(quotients[c], 1).plus(remainders[c], 0);
            assert_eq!(got, want, "combination {c}");
        }
    }

    /// Words of a seed, or the largest word everywhere.
    fn words(seed: Option<u64>, n: usize) -> Vec<R64> {
        match seed {
            None => vec![Wrapping(u64::MAX); n],
            Some(seed) => expand_seed(&bytemuck::cast([seed, n as u64]), n),
        }
    }

    fn pair(seed: Option<u64>, n: usize) -> Words {
        let other = seed.map(|s| s ^ 1 << 40);
        Pair::new(words(seed, n), words(other, n))
    }

    fn tau(n: usize) -> Vec<u64> {
        let words = words(Some(99), n).into_iter();
        words.map(|w| w.0 & ((1 << SIGMA) - 1)).collect()
    }

    fn of_products(seed: Option<u64>, n: usize, count: u64) {
        let at = |k: u64| seed.map(|s| s + k);
        let terms: Vec<_> = (0..count)
            .map(|k| (pair(at(k), n), pair(at(k + 10), n)))
            .collect();
        let rest = Rest {
            left: pair(at(20), n),
            right: pair(at(21), n),
        };
        let (tau, mut sums) = (tau(n), Sums::default());
        products(&factors(0, &terms, Support::Full), &rest, &tau, &mut sums);
        let e: Vec<Big> = (0..n)
            .map(|g| {
                let local = Big::default().plus(rest.left.own[g].0.into(), 0);
                let local = local.plus(rest.right.next[g].0.into(), 0);
                terms.iter().fold(local, |e, (x, y)| {
                    e.product(x.own[g], y.next[g]).product(y.own[g], x.next[g])
                })
            })
            .collect();
        check(&tau, &e, &sums);
    }

    /// 2^64 - 1 in all shares: one E is above 2^128 already.
    #[test]
    fn req3_the_largest_words_in_all_shares_of_products() {
        of_products(None, 100, 3);
    }

    /// The same in matrices that are 2^16 deep.
    #[test]
    fn req3_the_largest_words_in_deep_matrices() {
        let (rows, columns, inner) = (3, 5, 1 << 16);
        for seed in [None, Some(5)] {
            let page = |k: u64| Page {
                x: words(seed.map(|s| s + k), rows * inner),
                y: words(seed.map(|s| s + k + 3), columns * inner),
                left: words(seed.map(|s| s + k + 6), rows * columns),
                right: words(seed.map(|s| s + k + 9), rows * columns),
                rows,
                columns,
                inner,
            };
            let page = Pair::new(page(0), page(1));
            let (tau, mut sums) = (tau(rows * columns), Sums::default());
            matrices(&page, &tau, &mut sums);
            let (own, next) = (&page.own, &page.next);
            let entry = |k: usize| {
                let (i, j) = (k / columns * inner, k % columns * inner);
                let local = Big::default().plus(own.left[k].0.into(), 0);
                let local = local.plus(next.right[k].0.into(), 0);
                (0..inner).fold(local, |e, l| {
                    e.product(own.x[i + l], next.y[j + l])
                        .product(next.x[i + l], own.y[j + l])
                })
            };
            let e: Vec<Big> = (0..rows * columns).map(entry).collect();
            assert!(seed.is_some() || e[0].0[2] >= 1 << 16, "above 2^144");
            check(&tau, &e, &sums);
        }
    }

    #[test]
    fn req3_the_largest_words_in_sums_of_bits() {
        let weights = [(0, 1), (0, 0), (18, 0), (63, 46), (62, 63), (5, 5)];
        for seed in [None, Some(8)] {
            let n = 60;
            let some = |k: u64| Some(Rc::new(words(seed.map(|s| s + k), n)));
            let relation = |(from, up)| BitRelation {
                weight: Weight { from, up },
                left: some(u64::from(from)),
                right: some(100 + u64::from(up)),
            };
            let dots = BitDots {
                dealer: 0,
                len: n,
                beta: some(50),
                gamma: some(51),
                relations: weights.map(relation).into(),
            };
            let (tau, mut sums) = (tau(weights.len() * n), Sums::default());
            bit_dots(&dots, &tau, &mut sums);
            let (beta, gamma) = (dots.beta.unwrap(), dots.gamma.unwrap());
            let mut e = Vec::new();
            for r in &dots.relations {
                for k in 0..n {
                    let both = beta[k].0 & gamma[k].0;
                    let mut sum = Big::default();
                    for b in (0..64).filter(|b| both >> b & 1 == 1) {
                        if let Some(log2) = r.weight.log2(b) {
                            sum = sum.plus(1 << log2, 0);
                        }
                    }
                    let (left, right) = (r.left.as_ref().unwrap(), r.right.as_ref().unwrap());
                    sum = sum.plus(left[k].0.into(), 0);
                    e.push(sum.plus(right[k].0.into(), 0));
                }
            }
            check(&tau, &e, &sums);
        }
    }

    proptest! {
        #[test]
        fn req3_products_of_any_words(seed in 0..u64::MAX >> 2, n in 1usize..60, count in 1u64..9) {
            of_products(Some(seed), n, count);
        }
    }
}
