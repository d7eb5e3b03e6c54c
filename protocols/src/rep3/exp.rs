//! e^x for x in [-16, 12), with a relative error, and the table by which it and `exp_negative.rs` work.
//!
//! With the split of `lookup.rs`, e^x = e^(lo + 2^d·e + L_s)·e^(L_c): D deals the first factor for every cell, rotated by its
//! w, and A and B multiply their half of row v by the second (e^(c+s) = e^c·e^s on shares: Kelkar, Le, Raykova, Seth, USENIX
//! Security 2022). No polynomial, no base change. 3 rounds (D's first) and 98.5 bytes at f = 16, for 8 cells of width 4.
//! Semi-honest; the functionality is that of `lookup.rs`.
//!
//! A and B must compute e^(L_c) to the same bit, so everything is integer arithmetic, the dealer's rows too (requirement R7): a
//! product of constants, one a bit of the low part.

use std::num::Wrapping;

use tacit_mpc::{R64, Result, Strand};

use super::exchange::deal_words;
use super::held::{Held, Words};
use super::lookup::{finish, split};
use super::rounding::Rounding;
use super::select_row::{Opaque, pick, rotate};

/// A range of arguments and the scales to work at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Range {
    /// Its lower end; the upper one is 2^log2_width·(2^log2_cells - 1) above.
    pub(crate) lo: i64,
    pub(crate) log2_width: u32,
    pub(crate) log2_cells: u32,
    /// Scales of e^(L_c) and of the dealt rows: the greatest product stays below 2^62.
    pub(crate) pair_scale: u32,
    pub(super) row_scale: u32,
    /// Scale of the cells' constants, the greatest of which stays below 2^64.
    pub(super) cell_scale: u32,
}

/// [-239, 1), for the malicious level: e^1·2^59 < 2^62.
pub(crate) const NEGATIVE: Range = Range {
    lo: -239,
    log2_width: 4,
    log2_cells: 4,
    pair_scale: 18,
    row_scale: 41,
    cell_scale: 80,
};

/// [-16, 12): e^12·2^44 < 2^62.
pub(crate) const RELATIVE: Range = Range {
    lo: -16,
    log2_width: 2,
    log2_cells: 3,
    pair_scale: 18,
    row_scale: 26,
    cell_scale: 52,
};

/// Scale of the running product: e^16·2^40 < 2^64.
const UNIT: u32 = 40;

impl Range {
    /// Words dealt a value.
    pub(super) fn cells(self) -> usize {
        1 << self.log2_cells
    }

    /// Bits of the low parts: one factor each.
    pub(super) fn low_bits(self, f: u32) -> u32 {
        f + self.log2_width
    }

    /// Bits to round off the product of the two factors for f fractional bits.
    pub(crate) fn shift(self, f: u32) -> u32 {
        self.pair_scale + self.row_scale - f
    }
}

/// Constants for one range and precision, the same at all parties.
#[derive(Clone, Debug)]
pub(crate) struct ExpTables {
    pub(crate) f: u32,
    pub(crate) range: Range,
    /// e^(2^j·2^-f) at scale 2^40, for each bit j of the low part.
    factors: Vec<u64>,
    /// e^(lo + width·e) at the cells' scale, for e = 0, 1, … and the guard cell e = -1.
    pub(crate) cells: Vec<u64>,
}

impl ExpTables {
    /// Constants for f fractional bits, 1 <= f <= 24.
    pub(crate) fn new(range: Range, f: u32) -> Self {
        let factors = (0..range.low_bits(f))
            .map(|j| fixed_exp(1, (1u128 << j, f), UNIT) as u64)
            .collect();
        let last = range.cells() as i64 - 1;
        let cell = |e: i64| {
            let argument = range.lo + (e << range.log2_width);
            let (sign, whole) = (argument.signum(), argument.unsigned_abs());
            fixed_exp(sign as i32, (u128::from(whole), 0), range.cell_scale) as u64
        };
        let cells = (0..last).chain([-1]).map(cell).collect();
        Self {
            f,
            range,
            factors,
            cells,
        }
    }

    /// e^(L·2^-f) at scale 2^40 for 0 <= L·2^-f < width, the same bits everywhere, in constant time.
    fn exp_low<W: Factor>(&self, low: W) -> W {
        let one = W::constant(1 << UNIT);
        let factors = self.factors.iter().enumerate();
        factors.fold(one, |product, (j, &factor)| {
            product.times(one ^ (low.hidden(j as u32) & W::constant(factor ^ (1 << UNIT))))
        })
    }

    /// [`Self::exp_low`] of each word.
    pub(crate) fn exp_lows(&self, low: &[u64]) -> Vec<u64> {
        low.iter().map(|&l| self.exp_low(Wrapping(l)).0).collect()
    }

    /// D's row for one cell, before it is turned to w.
    pub(crate) fn row(&self, cell: u64, low: &[u64]) -> Words {
        let shift = UNIT + self.range.cell_scale - self.range.row_scale;
        let half = 1u128 << (shift - 1);
        low.iter()
            .map(|&l| Wrapping(((u128::from(l) * u128::from(cell) + half) >> shift) as u64))
            .collect()
    }

    /// The pair's factor e^(L_c).
    pub(crate) fn pair_factor(&self, low: u64) -> R64 {
        let shift = UNIT - self.range.pair_scale;
        Wrapping((self.exp_low(Wrapping(low)).0 + (1 << (shift - 1))) >> shift)
    }

    /// What A or B picked, times its factors.
    pub(super) fn times_pair_factors(&self, mut picked: Words, low: &[u64]) -> Words {
        let factors = low.iter().map(|&l| self.pair_factor(l));
        picked.iter_mut().zip(factors).for_each(|(r, f)| *r *= f);
        picked
    }
}

/// A secret word of which factors are chosen, and their product at scale 2^40.
trait Factor: Opaque {
    /// A number that everybody knows.
    fn constant(x: u64) -> Self;
    /// x·y/2^40.
    fn times(self, o: Self) -> Self;
    /// Bit j in every position.
    fn hidden(self, j: u32) -> Self;
}

impl Factor for R64 {
    fn constant(x: u64) -> Self {
        Self(x)
    }

    fn times(self, o: Self) -> Self {
        Self(((u128::from(self.0) * u128::from(o.0)) >> UNIT) as u64)
    }

    // A compiler that sees that this is one of two values makes a branch of the choice, whose time tells the secret.
    fn hidden(self, j: u32) -> Self {
        std::hint::black_box(self.spread(j))
    }
}

/// e^(±numerator/2^shift) at scale 2^scale: a Taylor series after halving the argument below one, squared back. Integers
/// only, at 100 bits of scale and with the argument split into whole units and a fraction.
fn fixed_exp(sign: i32, (numerator, shift): (u128, u32), scale: u32) -> u128 {
    const S: u32 = 100;
    let whole = (numerator >> shift) as u32;
    let fraction = (numerator & ((1u128 << shift) - 1)) << (S - shift);
    let mul = |x: u128, y: u128| mul_shift(x, y, S);
    let series = |x: u128| {
        let (mut term, mut sum) = (1u128 << S, 1u128 << S);
        for i in 1..40u128 {
            term = mul(term, x) / i;
            sum += term;
        }
        sum
    };
    if sign > 0 {
        // e^whole stays below 2^12 for the arguments used here (at most 8), so 100 + 12 bits fit.
        let e = series(1u128 << S);
        let value = (0..whole).fold(series(fraction), |acc, _| mul(acc, e));
        value >> (S - scale)
    } else {
        // 1/e from the alternating series, by its exact reciprocal.
        let e = series(1u128 << S);
        let inverse = reciprocal(e, S);
        let value = (0..whole).fold(1u128 << S, |acc, _| mul(acc, inverse));
        value >> (S - scale)
    }
}

/// (x·y) >> s without losing the upper half of the product; x·y >> s must fit.
fn mul_shift(x: u128, y: u128, s: u32) -> u128 {
    let (xh, xl, yh, yl) = (
        x >> 64,
        x & u128::from(u64::MAX),
        y >> 64,
        y & u128::from(u64::MAX),
    );
    let low = xl * yl;
    let (middle, carry) = (xh * yl).overflowing_add(xl * yh);
    let (low, carry_low) = low.overflowing_add(middle << 64);
    let high = xh * yh + (middle >> 64) + (u128::from(carry) << 64) + u128::from(carry_low);
    high << (128 - s) | low >> s
}

/// 2^(2s)/x for x in [2^s, 2^(s+2)), by Newton's iteration r ← r·(2 - x·r).
fn reciprocal(x: u128, s: u32) -> u128 {
    let mut r = (1u128 << s) / 4;
    for _ in 0..12 {
        r = mul_shift(r, (2u128 << s) - mul_shift(x, r, s), s);
    }
    r
}

/// e^x from this party's side of x = c + s.
pub(crate) async fn exp(
    strand: &Strand<'_>,
    t: &ExpTables,
    side: &[R64],
    rounding: &Rounding,
) -> Result<Held<Words>> {
    let (n, range) = (side.len(), t.range);
    let d = t.f + range.log2_width;
    let parts = split(strand, side, range.lo << t.f, d, range.log2_cells);
    let dealt = deal_words(strand, n << range.log2_cells, 64, || {
        let low = t.exp_lows(&parts.low);
        let mut rows: Words = t.cells.iter().flat_map(|&c| t.row(c, &low)).collect();
        rotate(&mut rows, &parts.cell);
        rows
    })
    .await?;
    let u = dealt
        .half()
        .map(|half| t.times_pair_factors(pick(half, &parts.cell), &parts.low));
    finish(strand, n, u, 64, range.shift(t.f), rounding).await
}

#[cfg(test)]
mod tests {
    use super::super::exp_negative::range as below_one;
    use super::super::select_row::traced::{Traced, trace};
    use super::*;

    #[test]
    fn constants_and_products_are_right_to_the_last_bits() {
        let ranges = |f| [NEGATIVE, RELATIVE, below_one(f)].map(|range| (range, f));
        for (range, f) in [16, 18, 20].into_iter().flat_map(ranges) {
            let t = ExpTables::new(range, f);
            for (j, &x) in t.factors.iter().enumerate() {
                let want = (2f64.powi(j as i32 - f as i32)).exp();
                assert!(
                    (x as f64 / 2f64.powi(40) / want - 1.0).abs() < 2f64.powi(-39),
                    "factor {j}"
                );
            }
            let unit = 2f64.powi(range.cell_scale as i32);
            for (e, &x) in t.cells.iter().enumerate() {
                let e = if e + 1 == t.cells.len() {
                    -1.0
                } else {
                    e as f64
                };
                let want = (range.lo as f64 + e * 2f64.powi(range.log2_width as i32)).exp();
                assert!(
                    (x as f64 / unit - want).abs() < 2.0 / unit + want * 1e-15,
                    "cell {e}"
                );
            }
            let top = 1 << (f + range.log2_width);
            for low in [0, 1, 12345, top - 1, top / 2] {
                let want = (low as f64 / 2f64.powi(f as i32)).exp();
                assert!(
                    (t.exp_lows(&[low])[0] as f64 / 2f64.powi(40) / want - 1.0).abs()
                        < 2f64.powi(-34),
                    "e^{low}"
                );
            }
        }
    }

    impl Factor for Traced {
        fn constant(x: u64) -> Self {
            Self::new(x)
        }

        fn times(self, o: Self) -> Self {
            let product = (Wrapping(self.0)).times(Wrapping(o.0)).0;
            // Noted as an operation on both.
            (self ^ o).holding(product)
        }

        fn hidden(self, j: u32) -> Self {
            self.spread(j)
        }
    }

    #[test]
    fn r13_factors_are_chosen_the_same_way_for_every_word() {
        let t = ExpTables::new(RELATIVE, 18);
        let run = |low: u64| trace(|| t.exp_low(Traced::new(low)).0);
        let (_, first) = run(0);
        assert!(first.len() > 3 * t.factors.len());
        for low in [1, 2, 0x5_5555, 0xA_AAAA, 0xF_FFFF] {
            let (product, operations) = run(low);
            assert_eq!(operations, first, "{low:#x}");
            assert_eq!(product, t.exp_lows(&[low])[0]);
        }
    }

    /// Golden words: constants, rows and factors at fixed low parts, folded by FNV-1a, as
    /// `tests/spec/golden.py` computes them.
    #[test]
    fn r7_tables_are_these_words_on_every_build() {
        use super::super::lookup::tests::fnv;
        let hash = |range: Range, f: u32| {
            let t = ExpTables::new(range, f);
            let top = 1u64 << (f + range.log2_width);
            let low: Vec<u64> = (0..97u64)
                .map(|i| i.wrapping_mul(0x9E37_79B9_7F4A_7C15) % top)
                .collect();
            let exponentials = t.exp_lows(&low);
            let rows = t.cells.iter().flat_map(|&c| t.row(c, &exponentials));
            let factors = low.iter().map(|&l| t.pair_factor(l));
            let constants = t.factors.iter().chain(&t.cells).copied();
            fnv(constants.chain(rows.chain(factors).map(|w| w.0)))
        };
        let got =
            [16, 18, 20].map(|f| [hash(NEGATIVE, f), hash(RELATIVE, f), hash(below_one(f), f)]);
        assert_eq!(got, EXPONENTIALS, "{got:#x?}");
    }

    const EXPONENTIALS: [[u64; 3]; 3] = [
        [
            0xF8C2_7324_33D6_861E,
            0xF2CD_6FD1_1B36_C413,
            0x61DB_AF63_4445_DFC1,
        ],
        [
            0x4409_88AF_950B_E595,
            0x073F_D50D_58EB_A5E5,
            0x5ACB_0153_8E87_8D04,
        ],
        [
            0x6238_61E0_9CA9_F131,
            0x2B8E_A6F0_5D27_34B6,
            0x7B05_3D41_C459_B2FC,
        ],
    ];
}
