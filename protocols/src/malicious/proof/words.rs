//! The claim over F_p: products, compressed matrix products, bits of words, and the quotients.
//!
//! With λ_g = Σ_c θ_c·τ_{g,c} the σ statements S_c = 2^64·W_c become one inner product modulo p (protocols-malicious, section 4,
//! step 3):
//!     Σ_g λ_g·(products of g) + Σ_{c,b} θ_c·2^{65+b}·β_{c,b}·γ_{c,b} = cL + cR,
//!     cL = -Σ λ_g·tL_g + Σ_c 2^64·θ_c·β_c,   cR = -Σ λ_g·tR_g + Σ_c 2^64·θ_c·γ_c.
//! A_j holds first factors and B_j weighted second factors; C_j the bits β of the relations of P_j and D_j the weighted bits γ of
//! those of P_{j-1}. Bits of different provers lie at the same positions: only C_j meets D_{j+1}.

use std::rc::Rc;

use tacit_mpc::{PartyId, R64};

use super::Relations;
use super::bit_rows::{BitRows, K, ROWS, Row};
use super::challenge::Coin;
use super::combinations::{Lambda, subset_sums};
use super::field::Field;
use super::fold::{Claim, Fold, Segments};
use super::parts::{Kind, Part};
use super::prime::Prime;
use super::quotients::Quotients;
use super::strength::SIGMA;

/// The vectors of the claim, in parts.
pub(super) struct WordClaim<'l> {
    f: Prime,
    me: PartyId,
    parts: Vec<Weighted<'l>>,
    quotients: Quotients,
    theta: Vec<u64>,
}

struct Weighted<'l> {
    part: Part<'l>,
    lambda: Vec<u64>,
}

/// (A, B) of some relations at this party's two indices: a whole number of blocks.
type Factors = [[Vec<u64>; 2]; 2];

/// The proof to be folded, with this party's shares of the right-hand side.
pub(super) fn claim<'l>(
    f: Prime,
    me: PartyId,
    parts: Vec<Part<'l>>,
    quotients: Quotients,
    combinations: &Coin<Relations>,
    coin: &Coin<Quotients>,
) -> Fold<Prime, WordClaim<'l>> {
    let theta: Vec<u64> = coin
        .words("theta", 0, 2 * SIGMA)
        .as_chunks::<2>()
        .0
        .iter()
        .map(|&bits| f.uniform(bits))
        .collect();
    let table = Lambda::new(f, &theta);
    let parts: Vec<Weighted<'l>> = parts
        .into_iter()
        .map(|part| Weighted {
            lambda: part
                .tau(combinations)
                .into_iter()
                .map(|t| table.of(t))
                .collect(),
            part,
        })
        .collect();
    let claim = WordClaim {
        f,
        me,
        parts,
        quotients,
        theta,
    };
    let (left, right) = claim.shares();
    Fold::new(f, claim, left, right)
}

impl WordClaim<'_> {
    /// cL of the proof of P_{me+1} and cR of that of P_{me-1}.
    fn shares(&self) -> (u64, u64) {
        let f = self.f;
        let (mut left, mut right) = (0, 0);
        let weigh =
            |lambda: &[u64], t: &[R64]| f.dot(lambda.iter().copied(), t.iter().map(|w| w.0));
        for Weighted { part, lambda } in &self.parts {
            match &part.kind {
                Kind::Products { rest, .. } => {
                    left = f.sub(left, weigh(lambda, &rest.left.next));
                    right = f.sub(right, weigh(lambda, &rest.right.own));
                }
                Kind::Page(page) => {
                    left = f.sub(left, weigh(lambda, &page.next.left));
                    right = f.sub(right, weigh(lambda, &page.own.right));
                }
                Kind::Dots(dots) => {
                    let relations = dots.relations.iter().zip(lambda.chunks(dots.len.max(1)));
                    for (relation, lambda) in relations {
                        if dots.dealer == (self.me + 1) % 3 {
                            let t = relation.left.as_deref().map_or(&[][..], Vec::as_slice);
                            left = f.sub(left, weigh(lambda, t));
                        }
                        if (dots.dealer + 1) % 3 == self.me {
                            let t = relation.right.as_deref().map_or(&[][..], Vec::as_slice);
                            right = f.sub(right, weigh(lambda, t));
                        }
                    }
                }
            }
        }
        let word = f.power_of_two(64);
        let quotients = |w: &[u128; SIGMA]| {
            let sum = f.dot(self.theta.iter().copied(), w.iter().map(|&w| f.wide(w)));
            f.mul(word, sum)
        };
        (
            f.add(left, quotients(&self.quotients.beta.next)),
            f.add(right, quotients(&self.quotients.gamma.own)),
        )
    }

    /// Calls `visit` with the factors of all products, some at a time.
    fn for_each_product(&self, mut visit: impl FnMut(&Factors)) {
        let f = self.f;
        let lift = |x: &[R64]| -> Vec<u64> {
            let n = x.len().next_multiple_of(K);
            let mut lifted = Vec::with_capacity(n);
            lifted.extend(x.iter().map(|w| f.lift(w.0)));
            lifted.resize(n, 0);
            lifted
        };
        for Weighted { part, lambda } in &self.parts {
            match &part.kind {
                Kind::Products { terms, .. } => {
                    let weighted = |y: &[R64]| {
                        let mut y = lift(y);
                        f.scale(&mut y, lambda);
                        y
                    };
                    for (x, y) in *terms {
                        visit(&[
                            [lift(&x.own), weighted(&y.own)],
                            [lift(&x.next), weighted(&y.next)],
                        ]);
                    }
                }
                Kind::Page(page) => {
                    // Row i meets Σ_j λ_ij·(row j of the other).
                    let weighted = |y: &[R64]| {
                        let (inner, columns) = (page.own.inner, page.own.columns);
                        let y: Vec<u64> = y.iter().map(|w| f.lift(w.0)).collect();
                        let mut out =
                            Vec::with_capacity((page.own.rows * inner).next_multiple_of(K));
                        for row in lambda.chunks(columns.max(1)) {
                            let mut sums = vec![<Prime as Field>::Sum::default(); inner];
                            for (j, &l) in row.iter().enumerate() {
                                sums.iter_mut()
                                    .zip(&y[j * inner..][..inner])
                                    .for_each(|(s, &y)| f.accumulate(s, l, y));
                            }
                            out.extend(sums.into_iter().map(|s| f.reduce(s)));
                        }
                        out.resize(out.len().next_multiple_of(K), 0);
                        out
                    };
                    visit(&[
                        [lift(&page.own.x), weighted(&page.own.y)],
                        [lift(&page.next.x), weighted(&page.next.y)],
                    ]);
                }
                Kind::Dots(_) => {}
            }
        }
    }

    /// Calls `visit` with the bits of a dealer's relations and of its quotients; what this party does not know is zero.
    fn for_each_row(&self, dealer: PartyId, mut visit: impl FnMut(Row<'_>)) {
        let (f, quotients) = (self.f, &self.quotients);
        // β of P_d lies at index d, γ at index d + 1.
        let beta = quotients.beta.at(self.me, dealer);
        let gamma = quotients.gamma.at(self.me, dealer + 1);
        let plain = BitRows::plain(f);
        for (c, &theta) in self.theta.iter().enumerate() {
            for half in 0..2 {
                let word =
                    |w: Option<&Rc<[u128; SIGMA]>>| w.map_or(0, |w| (w[c] >> (64 * half)) as u64);
                let weight = f.mul(theta, f.power_of_two(65 + 64 * half));
                plain.visit(|_| weight, word(beta), word(gamma), &mut visit);
            }
        }
        for Weighted { part, lambda } in &self.parts {
            let Kind::Dots(dots) = &part.kind else {
                continue;
            };
            if dots.dealer != dealer {
                continue;
            }
            let rows = BitRows::new(f, &dots.relations);
            let word = |v: &Option<Rc<Vec<R64>>>, g: usize| v.as_ref().map_or(0, |v| v[g].0);
            for g in 0..dots.len {
                let lambda = |m: usize| lambda[m * dots.len + g];
                let (beta, gamma) = (word(&dots.beta, g), word(&dots.gamma, g));
                rows.visit(lambda, beta, gamma, &mut visit);
            }
        }
    }

    /// Rows of bits at an index: those of the dealer that has most.
    fn bit_rows(&self) -> usize {
        let of = |dealer: PartyId| -> usize {
            let dots = self.parts.iter().map(|w| match &w.part.kind {
                Kind::Dots(dots) if dots.dealer == dealer => dots.len,
                _ => 0,
            });
            ROWS * (2 * SIGMA + dots.sum::<usize>())
        };
        (0..3).map(of).max().unwrap_or(0)
    }
}

impl Claim<Prime> for WordClaim<'_> {
    const BLOCK: usize = K;

    fn gram(&self) -> Vec<u64> {
        let f = self.f;
        let mut sums = [<Prime as Field>::Sum::default(); K * K];
        self.for_each_product(|[own, next]| {
            f.gram(&own[0], &next[1], K, &mut sums);
            f.gram(&own[1], &next[0], K, &mut sums);
        });
        // One number for each pair of nibbles.
        let mut table = [[0u128; 1 << K]; 1 << K];
        self.for_each_row(self.me, |row| {
            table[row.beta][row.gamma] += u128::from(row.weight);
            for &(mask, weight) in row.partial {
                table[row.beta][row.gamma & mask] += u128::from(weight);
            }
        });
        let bits = |j: usize, l: usize| {
            let rows = table
                .iter()
                .enumerate()
                .filter(|(beta, _)| beta >> j & 1 == 1);
            let entries = rows.flat_map(|(_, row)| {
                let set = row
                    .iter()
                    .enumerate()
                    .filter(|(gamma, _)| gamma >> l & 1 == 1);
                set.map(|(_, &sum)| f.wide(sum))
            });
            f.mul(1 << l, entries.fold(0, |s, x| f.add(s, x)))
        };
        (0..K * K)
            .map(|k| f.add(f.reduce(sums[k]), bits(k / K, k % K)))
            .collect()
    }

    fn fold(self, lagrange: &[u64]) -> [Segments; 2] {
        let f = self.f;
        let mut folded = [Segments::default(), Segments::default()];
        self.for_each_product(|indices| {
            for (segments, [a, b]) in folded.iter_mut().zip(indices) {
                f.combine(a, lagrange, &mut segments.a);
                f.combine(b, lagrange, &mut segments.b);
            }
        });
        let beta = subset_sums(lagrange, |x, y| f.add(x, y));
        let doubled: Vec<u64> = (0..K).map(|l| f.mul(1 << l, lagrange[l])).collect();
        let gamma = subset_sums(&doubled, |x, y| f.add(x, y));
        let weighted = |row: &Row<'_>| {
            let full = f.mul(row.weight, gamma[row.gamma]);
            row.partial.iter().fold(full, |sum, &(mask, weight)| {
                f.add(sum, f.mul(weight, gamma[row.gamma & mask]))
            })
        };
        let [own, next] = &mut folded;
        self.for_each_row(self.me, |row| {
            own.c.push(beta[row.beta]);
            next.d.push(weighted(&row));
        });
        self.for_each_row((self.me + 1) % 3, |row| next.c.push(beta[row.beta]));
        self.for_each_row((self.me + 2) % 3, |row| own.d.push(weighted(&row)));
        let rows = self.bit_rows();
        for bits in [&mut own.c, &mut own.d, &mut next.c, &mut next.d] {
            bits.resize(rows, 0);
        }
        folded
    }
}
