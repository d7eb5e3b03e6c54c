//! e^x for every x < 1 with an absolute error, and 0 far below.
//!
//! The table of `exp.rs` on [-23, 1), four cells of width 8, and one bit more in its index: with b = \[x < -23\] = m ⊕ λ from
//! a comparison (`compare.rs`), m known to A and B and λ to D,
//! ```text
//! D deals T'[v]·(1-λ) for m = 0 and T'[v]·λ for m = 1     (T' as in exp.rs, turned by w)
//! A, B  look up (v, m), multiply by e^(L_c), swap; T1 takes the scale off
//! ```
//! so that what lies below the table comes out as 0, exactly, and no clamping goes before it. The comparison leaves out the
//! low f + 2 bits of c and s (`drop` in section 3 of the specification): it holds from -23 down, and may hold for x < -19,
//! where e^x is less than a 40th of a unit at f = 22. Whether it does depends on the sharing, as all of the functionality of
//! `lookup.rs`.
//!
//! Semi-honest. Words of K = 2f + 18 bits: 8K dealt, 2K swapped, and T1. With the comparison 119.125 bytes and 7 rounds (D's
//! first) at f = 18. For |x| < 2^62 as a word. The index of a table by a bit that is shared with its dealer is that of a
//! one-time truth table (Beaver 1998); in this form new, not peer reviewed.

use std::num::Wrapping;

use tacit_mpc::{R64, Result, Role, Strand};

use super::compare::negative;
use super::convert::masks;
use super::exchange::deal_words;
use super::exp::{ExpTables, Range};
use super::held::{Held, Words};
use super::lookup::{finish, split};
use super::plan::Method;
use super::rounding::Rounding;
use super::select_row::{pick, rotate};

/// Its part of the table for f fractional bits, f <= 22. The rows are scaled by the e^8 that A and B may multiply them by:
/// each factor adds less than half a unit.
pub(crate) fn range(f: u32) -> Range {
    Range {
        lo: -23,
        log2_width: 3,
        log2_cells: 2,
        pair_scale: f + 2,
        row_scale: f + 12,
        cell_scale: 72,
    }
}

/// Bits of the words dealt: e^1·2^(2f + 14) < 2^(K - 2).
pub(super) fn word_bits(f: u32) -> u32 {
    2 * f + 18
}

/// Bits of c and s that the comparison leaves out.
fn dropped(f: u32) -> u32 {
    f + 2
}

/// Bits that it compares.
pub(super) fn compared(f: u32) -> u32 {
    63 - dropped(f)
}

/// e^x from this party's side of x = c + s, by a method for [`compared`] bits.
pub(crate) async fn exp_negative(
    strand: &Strand<'_>,
    t: &ExpTables,
    side: &[R64],
    method: &Method,
    rounding: &Rounding,
) -> Result<Held<Words>> {
    let (n, f, range) = (side.len(), t.f, t.range);
    let dealer = strand.role() == Role::Dealer;
    let lo = Wrapping(if dealer { 0 } else { (range.lo << f) as u64 });
    let high: Words = side
        .iter()
        .map(|&x| (x - lo) >> dropped(f) as usize)
        .collect();
    let below = negative(strand, &high, compared(f), method).await?;
    let mut parts = split(
        strand,
        side,
        range.lo << f,
        f + range.log2_width,
        range.log2_cells,
    );
    let k = word_bits(f);
    let dealt = deal_words(strand, 2 * range.cells() * n, k, || {
        let low = t.exp_lows(&parts.low);
        let mut rows: Words = t.cells.iter().flat_map(|&c| t.row(c, &low)).collect();
        rotate(&mut rows, &parts.cell);
        let lambda = masks(&below.lambda().unwrap_or_default(), n);
        let kept = |keep: R64| {
            let masked = |row: &[R64]| -> Words {
                let masks = lambda.iter().map(|&l| l ^ keep);
                row.iter().zip(masks).map(|(&w, m)| w & m).collect()
            };
            rows.chunks(n.max(1)).flat_map(masked).collect::<Words>()
        };
        [kept(Wrapping(u64::MAX)), kept(Wrapping(0))].concat()
    })
    .await?;
    let u = match (&below, dealt.half()) {
        (Held::Pair { common: m, .. }, Some(half)) => {
            let bit = Wrapping(1u64 << range.log2_cells);
            let masks = masks(m, n);
            let index = parts.cell.iter_mut().zip(masks);
            index.for_each(|(v, m)| *v += bit & m);
            Some(t.times_pair_factors(pick(half, &parts.cell), &parts.low))
        }
        _ => None,
    };
    finish(strand, n, u, k, range.shift(f), rounding).await
}

#[cfg(test)]
mod tests {
    use super::super::plan::Depth;
    use super::super::uniform::opened;
    use super::*;

    fn exponentials(words: &[u64], f: u32, seed: u64) -> Vec<f64> {
        let tables = ExpTables::new(range(f), f);
        let method = Method::cheapest(compared(f), Depth::Three);
        let words = opened(words, seed, async |strand, held| {
            exp_negative(strand, &tables, &held.side(), &method, &Rounding::Dithered).await
        });
        words.into_iter().map(|w| w as i64 as f64).collect()
    }

    /// In units of the last place, over a dense grid of the table, at its ends, and below it down to the end of the ring.
    #[test]
    fn within_two_units_below_one_and_zero_far_below() {
        for f in [8, 16, 18, 20, 22] {
            let (unit, one) = (2f64.powi(f as i32), 1i64 << f);
            let n = 60_000i64;
            let mut x: Vec<i64> = (0..n).map(|i| one - 1 - (i * 25 * one) / n).collect();
            for edge in [-7, -15, -19, -23, -31] {
                x.extend((-3..4).map(|e| edge * one + e));
            }
            let grid = x.len();
            x.extend((5..62 - f).flat_map(|j| [-(1i64 << (j + f)), -(1i64 << (j + f)) + 12345]));
            x.extend([-(1 << 62), -(1 << 62) + 1, -(1 << 61)]);
            let words: Vec<u64> = x.iter().map(|&x| x as u64).collect();
            let (mut worst, mut sum) = (0f64, 0f64);
            for (i, (&x, y)) in x.iter().zip(exponentials(&words, f, 7)).enumerate() {
                if i >= grid {
                    assert_eq!(y, 0.0, "e^({x}/2^{f})");
                    continue;
                }
                let error = y - (x as f64 / unit).exp() * unit;
                assert!(error.abs() < 2.0, "e^({x}/2^{f}): {error} units");
                (worst, sum) = (worst.max(error.abs()), sum + error);
            }
            println!(
                "f = {f}: {worst:.2} units at most, {:.4} on average",
                sum / grid as f64
            );
        }
    }
}
