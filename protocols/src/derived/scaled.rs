//! 1/x, 1/√x, √x and ln x over many binades, for x in [2^lo, 2^hi).
//!
//! Normalisation as in [`crate::rep3`] (after Catrina, Saxena, FC 2010): with j the position of the leading bit of the word and
//! β = x/2^(j+1), F(x) is F(β) times a factor T_j, or plus one. The bits of x (`compare.rs`) and a prefix conjunction of their
//! complements give n_i = \[x < 2^i\], which are converted; V = 2^(top-1-j) and T_j are linear combinations of the n_i; 7·V·x goes
//! to the table of F. For k bits 2·⌈log2 k⌉ + 6 rounds for ln, two more for the others.

use std::num::Wrapping;

use tacit_mpc::Result;

use super::circuit::Circuit;
use super::compare::bits;
use super::convert::to_words;
use super::primitives::Primitives;
use super::share::{Bits, Words};
use super::table::evaluate;
use super::truncate::Rounding;
use crate::rep3::combine::Weights;
use crate::rep3::scaled::Normalised;
use crate::trees;

/// F(x), for x in the range.
pub(super) async fn scaled<P: Primitives>(
    c: &Circuit<'_, P>,
    t: &Normalised,
    x: &Words,
    rounding: Rounding,
) -> Result<Words> {
    let planes = bits(c, x, t.top).await?;
    let wanted = planes[t.first as usize + 1..].iter().rev();
    let and = async |x: &Bits, y: &Bits| c.and(x, y).await;
    let below = trees::prefixes(c.plane(), wanted.map(|bit| c.not(bit)).collect(), &and).await?;
    let below = Bits::concat(&below.iter().collect::<Vec<_>>());
    let below = to_words(c, &below).await?.separate(c.len());
    let combine = |w: &Weights| {
        let terms = below.iter().zip(&w.of).map(|(n, &w)| n.times(w));
        terms.reduce(|x, y| x.plus(&y)).unwrap_or_else(|| x.clone())
    };
    let position = c.offset(&combine(&t.position), Wrapping(1));
    let factor = c.offset(&combine(&t.factor), t.base);
    let b = c.multiply(&position.times(Wrapping(7)), x).await?;
    let Some(shift) = t.shift else {
        return evaluate(c, &t.table, &b, Some(&factor), rounding).await;
    };
    let y = evaluate(c, &t.table, &b, None, rounding).await?;
    let z = c.multiply(&factor, &y).await?;
    rounding.apply(c, &z, shift).await
}
