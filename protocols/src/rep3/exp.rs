//! e^x for x in [-239, 1).
//!
//! With the split of `lookup.rs`, e^x = e^(lo + 2^d·e + L_s)·e^(L_c): D deals the first factor for every cell, rotated by its
//! w, and A and B multiply their half of row v by the second (e^(c+s) = e^c·e^s on shares: Kelkar, Le, Raykova, Seth, USENIX
//! Security 2022). No polynomial, no base change. 16 cells of width 16; 168 bytes at f = 16, 3 rounds (D's first).
//!
//! A and B must compute e^(L_c) to the same bit, so it is integer arithmetic: a product of constants, one a bit of L_c.

use std::num::Wrapping;

use tacit_mpc::{R64, Result, Strand};

use super::exchange::deal_words;
use super::held::{Held, Words};
use super::lookup::{finish, pick, rotate, split};

const LO: i64 = -239;
/// log2 of the cell width: cells of 16.
const CELL: u32 = 4;
pub(super) const LOG2_CELLS: u32 = 4;
/// Scale of e^(L_c) and of the dealt rows: e^1·2^59 < 2^62.
const PAIR_SCALE: u32 = 18;
const ROW_SCALE: u32 = 41;
/// Scale of the running product: e^16·2^40 < 2^64.
const UNIT: u32 = 40;

/// Bits to round off the product of the two factors for f fractional bits.
pub(super) fn shift(f: u32) -> u32 {
    PAIR_SCALE + ROW_SCALE - f
}

/// Constants for one precision, the same at all parties.
#[derive(Clone, Debug)]
pub(crate) struct ExpTables {
    f: u32,
    /// e^(2^j·2^-f) at scale 2^40, for each bit j of the low part.
    factors: Vec<u64>,
    /// e^(lo + 16e) at scale 2^80, for e = 0 .. 14 and the guard cell.
    cells: Vec<u64>,
}

impl ExpTables {
    /// Constants for f fractional bits, 1 <= f <= 24.
    pub(crate) fn new(f: u32) -> Self {
        let bits = f + CELL;
        let factors = (0..bits)
            .map(|j| fixed_exp(1, (1u128 << j, f), UNIT) as u64)
            .collect();
        // e^-15 · 2^80 < 2^59; the guard cell e = -1 is e^-255, which is nothing at this scale.
        let cells = (0..15)
            .map(|e| (fixed_exp(-1, ((239 - 16 * e) as u128, 0), 80)) as u64)
            .chain([0])
            .collect();
        Self { f, factors, cells }
    }

    /// e^(L·2^-f) at scale 2^40 for 0 <= L·2^-f < 16, the same bits everywhere, in constant time.
    fn exp_low(&self, low: u64) -> u64 {
        self.factors
            .iter()
            .enumerate()
            .fold(1 << UNIT, |acc: u64, (j, &factor)| {
                let chosen =
                    (1 << UNIT) ^ (0u64.wrapping_sub(low >> j & 1) & (factor ^ (1 << UNIT)));
                ((u128::from(acc) * u128::from(chosen)) >> UNIT) as u64
            })
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
pub(crate) async fn exp_neg(
    strand: &Strand<'_>,
    t: &ExpTables,
    side: &[R64],
) -> Result<Held<Words>> {
    let n = side.len();
    let d = t.f + CELL;
    let parts = split(strand, side, LO << t.f, d, LOG2_CELLS);
    let dealt = deal_words(strand, n << LOG2_CELLS, 64, || {
        let low: Vec<u64> = parts.low.iter().map(|&l| t.exp_low(l)).collect();
        let shift = UNIT + 80 - ROW_SCALE;
        let row = |&cell: &u64| {
            low.iter()
                .map(|&l| Wrapping(((u128::from(l) * u128::from(cell)) >> shift) as u64))
                .collect()
        };
        rotate(t.cells.iter().map(row).collect(), &parts.cell).concat()
    })
    .await?;
    let u = dealt.half().map(|half| {
        let row = pick(half.chunks(n).map(<[R64]>::to_vec).collect(), &parts.cell);
        let round = 1u64 << (UNIT - PAIR_SCALE - 1);
        row.iter()
            .zip(&parts.low)
            .map(|(&r, &l)| r * Wrapping((t.exp_low(l) + round) >> (UNIT - PAIR_SCALE)))
            .collect()
    });
    finish(strand, n, u, 64, shift(t.f)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_and_products_are_right_to_the_last_bits() {
        for f in [16, 18, 20] {
            let t = ExpTables::new(f);
            for (j, &x) in t.factors.iter().enumerate() {
                let want = (2f64.powi(j as i32 - f as i32)).exp();
                assert!(
                    (x as f64 / 2f64.powi(40) / want - 1.0).abs() < 2f64.powi(-39),
                    "factor {j}"
                );
            }
            for (e, &x) in t.cells[..15].iter().enumerate() {
                let want = (-239.0 + 16.0 * e as f64).exp();
                assert!(
                    (x as f64 / 2f64.powi(80) - want).abs() < 2f64.powi(-79) + want * 1e-15,
                    "cell {e}"
                );
            }
            for low in [0, 1, 12345, (1 << (f + 4)) - 1, 1 << (f + 3)] {
                let want = (low as f64 / 2f64.powi(f as i32)).exp();
                assert!(
                    (t.exp_low(low) as f64 / 2f64.powi(40) / want - 1.0).abs() < 2f64.powi(-34),
                    "e^{low}"
                );
            }
        }
    }
}
