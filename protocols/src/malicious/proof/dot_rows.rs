//! Rows of bits after the first challenge: an element for each nibble, looked up whenever it is needed.

use bytemuck::cast_slice;

use super::dots::{Dots, K, Scale};
use super::field::Field;
use super::prime::Prime;
use super::prime_sum::PrimeSum;

/// Rows of a word.
pub(super) const ROWS: usize = 64 / K;
/// Rows of half a word: the block length of the second level.
pub(super) const HALF: usize = ROWS / 2;
/// Nibbles.
pub(super) const NIBBLES: usize = 1 << K;

/// An element for each nibble of each row.
type Tables = [[u64; NIBBLES]; ROWS];

/// One relation of some words.
#[derive(Clone)]
pub(super) struct Weighing<'d> {
    /// What λ multiplies.
    pub(super) tables: Box<Tables>,
    /// The first row with a bit that counts.
    pub(super) first: usize,
    /// λ of each word.
    pub(super) lambda: &'d [u64],
}

impl Weighing<'_> {
    /// With every entry of all multiplied by the radix of products by vectors.
    #[cfg(target_arch = "x86_64")]
    fn raised(f: Prime, relations: &[Self]) -> Vec<Self> {
        let relations = relations.iter().cloned();
        relations.map(|r| r.times(f, |_| f.radix())).collect()
    }

    /// With every entry of row i multiplied by c_i.
    fn times(mut self, f: Prime, c: impl Fn(usize) -> u64) -> Self {
        for (row, table) in self.tables.iter_mut().enumerate() {
            let c = c(row);
            table.iter_mut().for_each(|entry| *entry = f.mul(*entry, c));
        }
        self
    }
}

impl Scale {
    /// The first row with a bit that counts.
    fn row(&self) -> usize {
        self.from / K
    }

    /// The bits of a row that count.
    fn mask(&self, row: usize) -> usize {
        if row == self.row() {
            ((NIBBLES - 1) << (self.from % K)) & (NIBBLES - 1)
        } else {
            NIBBLES - 1
        }
    }

    /// The weight of the lowest bit of each row, were it to count.
    fn rows(&self, f: Prime) -> [u64; ROWS] {
        std::array::from_fn(|i| f.mul(self.scale, f.power_of_two((K * i) as u32)))
    }
}

fn nibble(word: u64, row: usize) -> usize {
    (word >> (K * row)) as usize & (NIBBLES - 1)
}

/// Σ_j c_j·bit_j for every nibble.
fn subset_sums(f: Prime, c: &[u64; K]) -> [u64; NIBBLES] {
    let mut sums = [0; NIBBLES];
    for (bit, &c) in c.iter().enumerate() {
        for nibble in 0..1 << bit {
            sums[nibble | 1 << bit] = f.add(sums[nibble], c);
        }
    }
    sums
}

/// What rows fold to under the Lagrange polynomials of the first challenge.
pub(super) struct Rows {
    f: Prime,
    /// Of β.
    beta: [u64; NIBBLES],
    /// Of γ with the weights of its bits in a row.
    gamma: [u64; NIBBLES],
}

impl Rows {
    pub(super) fn new(f: Prime, lagrange: &[u64; K]) -> Self {
        let doubled = std::array::from_fn(|l| f.mul(1 << l, lagrange[l]));
        Self {
            f,
            beta: subset_sums(f, lagrange),
            gamma: subset_sums(f, &doubled),
        }
    }

    /// Of γ in each relation: what λ multiplies, for every row and nibble.
    fn weighted<'d>(&self, dots: &'d Dots) -> Vec<Weighing<'d>> {
        let f = self.f;
        let relations = dots.relations.iter().enumerate();
        let of = |(m, scale): (usize, &Scale)| {
            let weights = scale.rows(f);
            let entry = |row: usize, nibble: usize| {
                if row < scale.row() {
                    0
                } else {
                    f.mul(weights[row], self.gamma[nibble & scale.mask(row)])
                }
            };
            let row = |row| std::array::from_fn(|nibble| entry(row, nibble));
            Weighing {
                tables: Box::new(std::array::from_fn(row)),
                first: scale.row(),
                lambda: dots.lambda(m),
            }
        };
        relations.map(of).collect()
    }

    /// Adds to the sums of [`Field::gram`] those of (C, D) at this party's relations, half a word being a block.
    pub(super) fn gram(&self, dots: &[Dots], out: &mut [PrimeSum]) {
        let f = self.f;
        for dots in dots {
            let Some((beta, gamma)) = dots.both() else {
                continue;
            };
            let (beta, gamma): (&[u64], &[u64]) = (cast_slice(beta), cast_slice(gamma));
            let relations = self.weighted(dots);
            #[cfg(target_arch = "x86_64")]
            let done = f.vectors().map_or(0, |m| {
                let raised = Weighing::raised(f, &relations);
                m.dot_gram(&self.beta, &raised, [beta, gamma], out)
            });
            #[cfg(not(target_arch = "x86_64"))]
            let done = 0;
            for (g, (&beta, &gamma)) in beta.iter().zip(gamma).enumerate().skip(done) {
                let c: [u64; ROWS] = std::array::from_fn(|row| self.beta[nibble(beta, row)]);
                let d: [u64; ROWS] = std::array::from_fn(|row| {
                    let terms = relations.iter();
                    let entry = |r: &Weighing<'_>| r.tables[row][nibble(gamma, row)];
                    f.wide(products(terms.map(|r| (r.lambda[g], entry(r)))))
                });
                f.gram(&c, &d, HALF, out);
            }
        }
    }

    /// Appends both halves of every word of β, folded again with `c`; zeros where it is not known.
    pub(super) fn fold_beta(&self, dots: &[Dots], c: &[u64; HALF], out: &mut Vec<u64>) {
        let f = self.f;
        let row = |row: usize| self.beta.map(|x| f.mul(x, c[row % HALF]));
        let tables: Tables = std::array::from_fn(row);
        for dots in dots {
            let Some(beta) = dots.beta.as_deref() else {
                out.resize(out.len() + 2 * dots.len, 0);
                continue;
            };
            let beta: &[u64] = cast_slice(beta);
            #[cfg(target_arch = "x86_64")]
            let done = f.vectors().map_or(0, |m| m.dot_fold(&tables, beta, out));
            #[cfg(not(target_arch = "x86_64"))]
            let done = 0;
            for &word in &beta[done..] {
                out.extend(halves(&tables, word).map(|half| f.lift(half)));
            }
        }
    }

    /// The same for weighted γ.
    pub(super) fn fold_gamma(&self, dots: &[Dots], c: &[u64; HALF], out: &mut Vec<u64>) {
        let f = self.f;
        for dots in dots {
            let Some(gamma) = dots.gamma.as_deref() else {
                out.resize(out.len() + 2 * dots.len, 0);
                continue;
            };
            let gamma: &[u64] = cast_slice(gamma);
            let relations = self.weighted(dots).into_iter();
            let relations: Vec<_> = relations.map(|r| r.times(f, |row| c[row % HALF])).collect();
            #[cfg(target_arch = "x86_64")]
            let done = f.vectors().map_or(0, |m| {
                m.dot_fold_weighted(&Weighing::raised(f, &relations), gamma, out)
            });
            #[cfg(not(target_arch = "x86_64"))]
            let done = 0;
            for (g, &word) in gamma.iter().enumerate().skip(done) {
                for half in [0, 1] {
                    let terms = relations.iter();
                    let terms = terms.map(|r| (r.lambda[g], f.lift(halves(&r.tables, word)[half])));
                    out.push(f.wide(products(terms)));
                }
            }
        }
    }
}

/// Both sums of a word's entries: eight numbers below 2^61 fit 64 bits.
fn halves(tables: &Tables, word: u64) -> [u64; 2] {
    [0, HALF].map(|first| {
        let rows = first..first + HALF;
        rows.map(|row| tables[row][nibble(word, row)]).sum()
    })
}

/// Σ x·y for reduced numbers and at most as many terms as a word has relations, which do not overflow.
fn products(terms: impl Iterator<Item = (u64, u64)>) -> u128 {
    terms.map(|(x, y)| u128::from(x) * u128::from(y)).sum()
}
