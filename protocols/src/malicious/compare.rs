//! Comparisons: borrows of c - r, where the dealer knows r in bits that it has proved and both others know c.
//!
//! x = c - r is negative, for |x| < 2^k, iff bit k of it is set: c_k ⊕ r_k ⊕ [c mod 2^k < r mod 2^k], and the last is the carry of
//! r + ~c (protocols-malicious, section 6). At a position r ∧ ~c generates and r ⊕ ~c hands on. Since r lies at two indices and c at
//! the third, the first level takes 2 bits instead of 3.
//!
//! For k = 63: 60.125 bytes in 8 rounds (the specification has 76 bytes).

use std::rc::Rc;

use tacit_mpc::{R64, Result};

use super::adder::{Group, all, ands, carries, carry};
use super::circuit::Circuit;
use super::pair::{Bits, Words};
use super::product::Support;
use super::split::{Sign, Split, common, common_planes};

/// What each position of r + ~c does. 2 bits a position, 1 round.
pub(super) async fn groups(c: &Circuit<'_>, r: &[Bits], not_c: &[Bits]) -> Result<Vec<Group>> {
    let gates: Vec<_> = r.iter().cloned().zip(not_c.iter().cloned()).collect();
    let g = ands(c, &gates, Support::PairBySingle(c.dealer() + 2)).await?;
    let group = |(g, (r, not_c)): (Bits, &(Bits, Bits))| Group { g, p: r.xor(not_c) };
    Ok(g.into_iter().zip(&gates).map(group).collect())
}

/// The complement of words that two parties know.
pub(super) fn complement(words: Option<&Rc<Vec<R64>>>) -> Option<Vec<R64>> {
    words.map(|w| w.iter().map(|w| !w).collect())
}

/// The bit \[x < 0\] for -2^k <= x < 2^k, 1 <= k <= 63.
pub(crate) async fn negative(c: &Circuit<'_>, x: &Words, k: u32) -> Result<Bits> {
    let n = x.own.len();
    let mut r = Split::new(c, x, k + 1, Sign::Minus).await?;
    r.prove(c)?;
    let (r, not_c) = (r.planes(), complement(common(c, x).as_ref()));
    let not_c = common_planes(c, not_c.as_deref(), n, k + 1);
    let low = k as usize;
    let borrow = carry(c, groups(c, &r[..low], &not_c[..low]).await?).await?;
    Ok(borrow.xor(&r[low]).xor(&not_c[low]).not(c.me()))
}

/// Bits 0 to k - 1 of x, lowest first.
pub(crate) async fn bits(c: &Circuit<'_>, x: &Words, k: u32) -> Result<Vec<Bits>> {
    let n = x.own.len();
    let mut r = Split::new(c, x, k, Sign::Minus).await?;
    r.prove(c)?;
    let (r, not_c) = (r.planes(), complement(common(c, x).as_ref()));
    let not_c = common_planes(c, not_c.as_deref(), n, k);
    let low = k as usize - 1;
    let borrows = carries(c, groups(c, &r[..low], &not_c[..low]).await?).await?;
    let sums = r.iter().zip(&not_c).map(|(r, c)| r.xor(c));
    let sums = sums.enumerate().map(|(i, sum)| match i {
        0 => sum,
        _ => sum.xor(&borrows[i - 1]),
    });
    Ok(sums.map(|bit| bit.not(c.me())).collect())
}

/// The bit \[x = 0\]: c = r in every bit. 8 bytes and 63 conjunctions, 31.625 bytes, 7 rounds.
pub(crate) async fn zero(c: &Circuit<'_>, x: &Words) -> Result<Bits> {
    let mut r = Split::new(c, x, 64, Sign::Minus).await?;
    r.prove(c)?;
    let not_c = complement(common(c, x).as_ref());
    let not_c = common_planes(c, not_c.as_deref(), x.own.len(), 64);
    let equal = r.planes().into_iter().zip(&not_c).map(|(r, c)| r.xor(c));
    all(c, equal.collect()).await
}

/// The bit \[c mod 2^p < r mod 2^p\] for words c that two parties know.
pub(super) async fn below(
    c: &Circuit<'_>,
    r: &Split,
    common: Option<&Rc<Vec<R64>>>,
    n: usize,
    p: u32,
) -> Result<Bits> {
    let not_c = common_planes(c, complement(common).as_deref(), n, p);
    carry(c, groups(c, &r.planes()[..p as usize], &not_c).await?).await
}
