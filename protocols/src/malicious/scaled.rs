//! 1/x, 1/√x, √x and ln x over many binades, for x in [2^lo, 2^hi).
//!
//! Normalisation as in [`crate::rep3`]: with j the position of the leading bit of the word and β = x/2^(j+1), F(x) is F(β) times a
//! factor T_j, or plus one. The bits of x (`compare.rs`) and a prefix conjunction of their complements give n_i = \[x < 2^i\];
//! V = 2^(top-1-j) and T_j are linear combinations of the n_i; 7·V·x goes to the table of F.
//!
//! Linear combinations of bits: each share of a bit is known to two parties. u = n_d ⊕ n_{d+1} as a number takes one product of
//! neighbours, 8 bytes; then Σ w·n = Σ w·m + Σ u·w·(1 - 2m) for m = n_{d+2}, 16 bytes a combination however many bits there are.

use std::num::Wrapping;
use std::rc::Rc;

use tacit_mpc::{R64, Result};

use super::adder::prefixes;
use super::bilinear::Rounding;
use super::circuit::Circuit;
use super::compare::bits;
use super::known::{concat, separate};
use super::pair::{Bits, Words, joint_beside};
use super::product::{Support, product};
use super::table::evaluate;
use crate::rep3::bits::to_words;
use crate::rep3::combine::Weights;
use crate::rep3::scaled::Normalised;

/// F(x), for x in the range.
pub(crate) async fn scaled(
    c: &Circuit<'_>,
    t: &Normalised,
    x: &Words,
    rounding: Rounding,
) -> Result<Words> {
    let planes = bits(c, x, t.top).await?;
    let wanted = planes[t.first as usize + 1..].iter().rev();
    let below = prefixes(c, wanted.map(|bit| bit.not(c.me())).collect()).await?;
    let mut sums = combinations(c, &below, &[&t.position, &t.factor]).await?;
    let factor = sums.swap_remove(1).offset(c.me(), t.base);
    let position = sums.swap_remove(0).offset(c.me(), Wrapping(1));
    let terms = [(position.times(Wrapping(7)), x.clone())];
    let b = product(c, &terms, Support::Full).await?;
    let Some(shift) = t.shift else {
        return evaluate(c, &t.table, &b, Some(&factor), rounding).await;
    };
    let y = evaluate(c, &t.table, &b, None, rounding).await?;
    let z = product(c, &[(factor, y)], Support::Full).await?;
    rounding.apply(c, &z, shift).await
}

/// Σ w_i·n_i for each of the weights. 8 bytes a bit and 16 a combination, 2 rounds.
async fn combinations(c: &Circuit<'_>, bits: &[Bits], weights: &[&Weights]) -> Result<Vec<Words>> {
    let (n, me, d) = (c.len(), c.me(), c.dealer());
    let words = |j: usize| -> Option<Vec<Vec<R64>>> {
        let planes: Option<Vec<_>> = bits.iter().map(|b| b.at(me, j)).collect();
        Some(planes?.into_iter().map(|p| to_words(p, n)).collect())
    };
    let flat = |j: usize| {
        let words = words(j).map(|w| Rc::new(w.concat()));
        c.joint(j, bits.len() * n, words)
    };
    let (first, second) = (flat(d), flat(d + 1));
    let terms = [(first.clone(), second.clone())];
    let both = product(c, &terms, Support::Neighbours(d)).await?;
    let u = first.plus(&second).minus(&both.times(Wrapping(2)));
    let third = words(d + 2);
    let zero = Rc::new(vec![R64::default(); weights.len() * n]);
    // For bit i, its summands of all combinations one after the other.
    let summand = |i: usize, of: fn(R64, R64) -> R64| {
        let all = third.as_ref().map(|m| {
            let each = |w: &&Weights| {
                let w = w.of[i];
                m[i].iter().map(move |&m| of(w, m))
            };
            Rc::new(weights.iter().flat_map(each).collect())
        });
        joint_beside(me, d + 2, &zero, all)
    };
    let terms: Vec<_> = separate(&u, n)
        .iter()
        .enumerate()
        .map(|(i, u)| {
            let u = concat(std::iter::repeat_n(u, weights.len()));
            (u, summand(i, |w, m| w - Wrapping(2) * w * m))
        })
        .collect();
    let products = product(c, &terms, Support::PairBySingle(d + 2)).await?;
    let sum = (0..bits.len()).fold(products, |s, i| s.plus(&summand(i, |w, m| w * m)));
    Ok(separate(&sum, n))
}
