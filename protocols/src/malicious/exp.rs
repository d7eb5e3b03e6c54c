//! e^x for x in [-239, 1), with an absolute error, or in [-16, 12), with a relative one.
//!
//! With the split of `table.rs`, e^x = e^(lo + 2^d·e + L_c)·e^(L_s): both others compute the first factor for every w, and the
//! dealer's unit vector chooses; the second is the dealer's: its bits in groups of four and five, each looked up in a table of
//! constants (`known.rs`), the last few as 1 + δ, multiplied. The constants and scales are those of [`crate::rep3`]'s exponential,
//! whose two sides are exchanged here.
//!
//! 305.2 bytes for 16 cells of width 16 and 236.4 for 8 cells of width 4, at f = 18; 5 rounds.

use std::num::Wrapping;

use tacit_mpc::Result;

use super::bilinear::Rounding;
use super::circuit::Circuit;
use super::known::{constant, look_up, multiply, multiply_rounded};
use super::pair::Words;
use super::product::{Support, product};
use super::split::{Sign, Split, Sum};
use super::table::cut;
use super::truncate::truncate_known;
use crate::rep3::exp::ExpTables;

/// Scale of the constants of [`ExpTables::exp_lows`].
const UNIT: u32 = 40;
/// Scale of the factors close to one, and of their product.
const FINE: u32 = 30;
const NEAR: u32 = 20;

/// e^x.
pub(crate) async fn exp(
    c: &Circuit<'_>,
    t: &ExpTables,
    x: &Words,
    rounding: Rounding,
) -> Result<Words> {
    let (f, range) = (t.f, t.range);
    let d = f + range.log2_width;
    let (cut, []) = cut(c, x, range.lo << f, d, range.log2_cells, []).await?;
    let own = exp_low(c, t, &cut.split, x).await?;
    let rows = |low: &[u64]| {
        let low = t.exp_lows(low);
        vec![t.cells.iter().map(|&cell| t.row(cell, &low)).collect()]
    };
    let others = cut.choose(c, 1, rows).await?.swap_remove(0);
    let product = product(c, &[(own, others)], Support::Full).await?;
    rounding.apply(c, &product, range.shift(f)).await
}

/// Bits (first, count) of the tables for d low bits, highest first, and how many bits are left below them: few enough that
/// e^δ is 1 + δ to 2^-20.
fn groups(d: u32, f: u32) -> (Vec<(u32, u32)>, u32) {
    let (mut groups, mut rest) = (Vec::new(), d);
    while rest > f.saturating_sub(10) {
        let most = if groups.is_empty() { 4 } else { 5 };
        let count = most.min(rest - f.saturating_sub(10));
        rest -= count;
        groups.push((rest, count));
    }
    (groups, rest)
}

/// e^(L_s) at the scale of the pair's factor, known to the dealer.
async fn exp_low(c: &Circuit<'_>, t: &ExpTables, split: &Split, x: &Words) -> Result<Words> {
    let (groups, rest) = groups(t.f + t.range.log2_width, t.f);
    let table = |(first, count): (u32, u32), scale: u32| -> Vec<u64> {
        let entry = |e: u64| (e + (1 << (UNIT - scale - 1))) >> (UNIT - scale);
        let low: Vec<u64> = (0..1 << count).map(|k| k << first).collect();
        t.exp_lows(&low).into_iter().map(entry).collect()
    };
    // The factors close to one, the lowest first.
    let mut near: Option<Words> = None;
    if rest > 0 {
        let delta = Sum {
            from: 64 - rest,
            up: 0,
        };
        let (_, [delta]) = Split::with_sums(c, x, rest, Sign::Plus, [delta]).await?;
        let one = constant(c, Wrapping(1 << FINE));
        near = Some(delta.times(Wrapping(1 << (FINE - t.f))).plus(&one));
    }
    for &group in groups[1..].iter().rev() {
        let factor = look_up(c, split, group.0, &table(group, FINE)).await?;
        near = Some(match near {
            None => factor,
            Some(near) => multiply_rounded(c, &near, &factor, FINE).await?,
        });
    }
    let one = || constant(c, Wrapping(1 << FINE));
    let half = constant(c, Wrapping(1 << (FINE - NEAR - 1)));
    let near = truncate_known(c, &near.unwrap_or_else(one).plus(&half), FINE - NEAR).await?;
    // e^width·2^NEAR times a scale stays below 2^62.
    let bits = ((1u32 << t.range.log2_width) * 3).div_ceil(2);
    let scale = (61 - NEAR - bits).min(FINE);
    let far = look_up(c, split, groups[0].0, &table(groups[0], scale)).await?;
    let out = scale + NEAR - t.range.pair_scale;
    if out == 0 {
        return multiply(c, &far, &near).await;
    }
    multiply_rounded(c, &far, &near, out).await
}
