//! Functions of one variable on a bounded range, by a table of polynomials that the dealer turns to its own share.
//!
//! **Split** (no communication): for lo <= x <= lo + (2^κ - 1)·2^d, modulo 2^(d+κ),
//!     c - lo = 2^d·v + L_c (A and B),  s = 2^d·w + L_s (D):   x - lo = 2^d·e + L_c + L_s,  e = v + w mod 2^κ.
//! The carry of the low parts is missing, so e is the true cell or one less: every cell is fitted on two cell widths and one
//! cell stands for e = -1.
//!
//! **Functionality**: the result is G(x, c) with G public: which of two cells and the roundings depend on the sharing. Out of
//! range the result is wrong and depends on x mod 2^(d+κ): a range violation is a privacy fault as well once the result is
//! opened. Rows are read by a full scan, never by an index into memory (R13).

use std::num::Wrapping;

use tacit_mpc::{R64, Result, Strand};
use tacit_nn::program::Table;
use tacit_nn::{Error, table};

use super::exchange::{deal_words, swap_words};
use super::held::{Held, Words, mask};
use super::rounding::Rounding;
use super::select_row::{pick, rotate};

/// This party's part of x - lo: the cell part (v or w) and the low part (L_c or L_s).
pub(crate) struct Split {
    pub(crate) cell: Words,
    pub(crate) low: Vec<u64>,
}

/// Splits this party's side of x = c + s at bit d with 2^`log2_cells` cells; A and B take off `lo`.
pub(crate) fn split(strand: &Strand<'_>, side: &[R64], lo: i64, d: u32, log2_cells: u32) -> Split {
    let dealer = strand.role() == tacit_mpc::Role::Dealer;
    let offset = if dealer { 0 } else { lo as u64 };
    let x = side
        .iter()
        .map(|w| w.0.wrapping_sub(offset) & (u64::MAX >> (64 - d - log2_cells)));
    let (cell, low) = x.map(|x| (Wrapping(x >> d), x & ((1 << d) - 1))).unzip();
    Split { cell, low }
}

/// From the pair's products at a high scale over Z_2^K to a rounded sharing over Z_2^64: swap and T1.
pub(crate) async fn finish(
    strand: &Strand<'_>,
    n: usize,
    u: Option<Words>,
    k: u32,
    shift: u32,
    rounding: &Rounding,
) -> Result<Held<Words>> {
    let side: Words = match swap_words(strand, n, k, u).await? {
        Held::Dealer { a, b } => a.iter().zip(b).map(|(&a, b)| (a + b) & mask(k)).collect(),
        Held::Pair { common, .. } => common,
    };
    rounding.apply(strand, &side, k, shift).await
}

/// A table made ready for one precision: sizes and coefficients, computed once and the same at all parties.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    /// Lower end in units of 2^-f.
    pub(crate) lo: i64,
    /// log2 of the cell width in units of 2^-f.
    pub(crate) d: u32,
    pub(crate) log2_cells: u32,
    pub(crate) degree: usize,
    /// Scale of the powers and of the coefficients.
    pub(crate) scale: u32,
    /// Bits of the dealt words.
    pub(super) k: u32,
    /// Bits to round off the products.
    pub(crate) shift: u32,
    /// \[cell\]\[power\] in u = (x - centre)/2^d.
    coefficients: Vec<Vec<f64>>,
}

/// Guard bits of the table's arithmetic beyond the working precision, at least.
const GUARD: u32 = 6;
/// Scale of powers and coefficients at most: the product of the two must fit into 62 bits.
const MAX_SCALE: u32 = 29;

impl Prepared {
    /// Prepares `table` for f fractional bits: words of K = 2a + 3 + ⌈log2 max|F|⌉ bits at scale a, which grows with the
    /// coefficients so that the rounding of powers stays below a unit.
    pub(crate) fn new(t: &Table, f: u32) -> std::result::Result<Self, Error> {
        Self::with_scales(t, f, f, GUARD)
    }

    /// The same with arguments of f and results of `fine` fractional bits, and `guard` bits for the arithmetic.
    pub(crate) fn with_scales(
        t: &Table,
        f: u32,
        fine: u32,
        guard: u32,
    ) -> std::result::Result<Self, Error> {
        let invalid = |why: &str| Error::Invalid(format!("table {}: {why}", t.name));
        let coefficients = table::fit(t);
        let growth = log2_ceil(coefficients.iter().map(|a| noise(a)).fold(1.0, f64::max));
        let scale = (fine + guard.max(1 + growth)).min(MAX_SCALE);
        let k = (2 * scale + 3 + log2_ceil(t.max)).min(64);
        let d = u32::try_from(t.cell + f as i32)
            .map_err(|_| invalid("its cells are narrower than one unit of the encoding"))?;
        if d == 0
            || d + t.log2_cells > 63
            || t.hi - t.lo > ((1u64 << t.log2_cells) - 1) as f64 * 2f64.powi(t.cell)
        {
            return Err(invalid("its cells do not cover its range"));
        }
        let lo = (t.lo * 2f64.powi(f as i32)).floor() as i64;
        Ok(Self {
            lo,
            d,
            log2_cells: t.log2_cells,
            degree: t.degree,
            scale,
            k,
            shift: 2 * scale - fine,
            coefficients,
        })
    }

    /// log2 of the scale of its products.
    pub(super) fn unit_bits(&self) -> u32 {
        2 * self.scale
    }

    /// The coefficients, bit for bit.
    #[cfg(test)]
    pub(super) fn coefficient_bits(&self) -> impl Iterator<Item = u64> {
        self.coefficients.iter().flatten().map(|c| c.to_bits())
    }

    /// Words dealt a value.
    pub(super) fn words(&self) -> usize {
        (self.degree + 1) << self.log2_cells
    }

    /// D's rows: Q_i = Σ_{j>=i} A_j·C(j,i)·b^(j-i), b = L_s/2^d - 1/2, for every cell and power, at the scale of the
    /// coefficients. Sums and products of IEEE doubles, each rounded by itself (no fused multiply-add, no library function
    /// whose last bit is left to the platform; `round` is exact by its definition): the same on every machine (requirement
    /// R7).
    pub(crate) fn rows(&self, low: &[u64]) -> Vec<Vec<Words>> {
        let b: Vec<f64> = low
            .iter()
            .map(|&l| l as f64 / (1u64 << self.d) as f64 - 0.5)
            .collect();
        let unit = 2f64.powi(self.scale as i32);
        let row = |a: &[f64], i: usize| -> Words {
            let weights: Vec<f64> = (i..=self.degree).map(|j| a[j] * binomial(j, i)).collect();
            b.iter()
                .map(|&b| {
                    let q = weights.iter().rev().fold(0.0, |acc, &w| acc * b + w);
                    Wrapping((q * unit).round() as i64 as u64)
                })
                .collect()
        };
        (0..=self.degree)
            .map(|i| self.coefficients.iter().map(|a| row(a, i)).collect())
            .collect()
    }

    /// Integer powers of a = L_c/2^d - 1/2 at the same scale: A and B must agree on every bit.
    pub(crate) fn powers(&self, low: &[u64]) -> Vec<Vec<i64>> {
        let (d, p) = (self.d, self.scale);
        let first: Vec<i64> = low
            .iter()
            .map(|&l| {
                let centred = l as i64 - (1 << (d - 1));
                if p >= d {
                    centred << (p - d)
                } else {
                    centred >> (d - p)
                }
            })
            .collect();
        let mut powers = vec![vec![1i64 << p; low.len()]];
        for i in 0..self.degree {
            powers.push(
                powers[i]
                    .iter()
                    .zip(&first)
                    .map(|(&x, &a)| (x * a + (1 << (p - 1))) >> p)
                    .collect(),
            );
        }
        powers
    }
}

/// Σ_{i>0} max|Q_i| for the coefficients of one cell: by how much errors of the powers grow.
fn noise(a: &[f64]) -> f64 {
    let bound = |i: usize| {
        (i..a.len())
            .map(|j| a[j].abs() * binomial(j, i) * 0.5f64.powi((j - i) as i32))
            .sum::<f64>()
    };
    (1..a.len()).map(bound).sum()
}

/// The least b >= 0 with x <= 2^b, without a logarithm: all parties must agree on it (R7).
fn log2_ceil(x: f64) -> u32 {
    (0..64).find(|&b| x <= (1u64 << b) as f64).unwrap_or(64)
}

fn binomial(n: usize, k: usize) -> f64 {
    (0..k).fold(1.0, |b, i| b * (n - i) as f64 / (i + 1) as f64)
}

/// F(x) from this party's side of x = c + s: with u = a + b, Σ_j A_j·u^j = Σ_i a^i·Q_i; D deals Q_i for every v, A and B take
/// the product with the powers of a at their v, swap, T1. (deg+1)·2^κ·K + 2K + 64 + 3e bits, 3 rounds (D's first).
/// Table lookup dealt by a third party: Beaver 1997, 1998; Ishai et al., TCC 2013; split as derived in protocols-rep3,
/// section 5 (new in this form, not peer reviewed).
/// `plus`: shares at A and B of what is added before the truncation, at the scale of the products.
pub(crate) async fn evaluate(
    strand: &Strand<'_>,
    t: &Prepared,
    side: &[R64],
    plus: Option<Words>,
    rounding: &Rounding,
) -> Result<Held<Words>> {
    let n = side.len();
    let parts = split(strand, side, t.lo, t.d, t.log2_cells);
    let cells = 1usize << t.log2_cells;
    let dealt = deal_words(strand, (t.degree + 1) * cells * n, t.k, || {
        let mut dealt = Vec::with_capacity((t.degree + 1) * cells * n);
        for rows in t.rows(&parts.low) {
            let start = dealt.len();
            rows.iter().for_each(|row| dealt.extend_from_slice(row));
            rotate(&mut dealt[start..], &parts.cell);
        }
        dealt
    })
    .await?;
    let u = dealt.half().map(|half| {
        let mut u = plus.unwrap_or_else(|| vec![Wrapping(0); n]);
        for (rows, powers) in half.chunks(cells * n).zip(t.powers(&parts.low)) {
            let row = pick(rows, &parts.cell);
            u.iter_mut()
                .zip(row.iter().zip(powers))
                .for_each(|(u, (&r, p))| *u += r * Wrapping(p as u64));
        }
        u
    });
    finish(strand, n, u, t.k, t.shift, rounding).await
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Golden words: the dealer's rows and the pair's powers for fixed coefficients and low parts, folded by FNV-1a, as
    /// `tests/spec/golden.py` computes them.
    #[test]
    fn r7_rows_and_powers_are_these_words_on_every_build() {
        let cell = |e: i32| -> Vec<f64> {
            (0..6)
                .map(|j| f64::from((7 * e + 3 * j) % 11 - 5) / f64::from(3 * j + 1 + e))
                .collect()
        };
        for (d, scale, want) in [(17, 24, ROWS_17), (31, 26, ROWS_31), (22, 29, ROWS_22)] {
            let t = Prepared {
                lo: 0,
                d,
                log2_cells: 2,
                degree: 5,
                scale,
                k: 2 * scale + 4,
                shift: 20,
                coefficients: (0..4).map(cell).collect(),
            };
            let low: Vec<u64> = (0..97u64)
                .map(|i| i.wrapping_mul(0x9E37_79B9_7F4A_7C15) & ((1 << d) - 1))
                .collect();
            let rows = t.rows(&low).into_iter().flatten().flatten().map(|w| w.0);
            let powers = t.powers(&low).into_iter().flatten().map(|p| p as u64);
            assert_eq!(fnv(rows.chain(powers)), want, "d = {d}, scale {scale}");
        }
    }

    const ROWS_17: u64 = 0xCED8_F706_59B7_D3CB;
    const ROWS_31: u64 = 0x4B99_8134_A316_17D6;
    const ROWS_22: u64 = 0x7D98_2EB1_5A2F_14ED;

    /// FNV-1a over the bytes of words.
    pub(crate) fn fnv(words: impl Iterator<Item = u64>) -> u64 {
        words
            .flat_map(u64::to_le_bytes)
            .fold(0xCBF2_9CE4_8422_2325, |h, byte| {
                (h ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
            })
    }
}
