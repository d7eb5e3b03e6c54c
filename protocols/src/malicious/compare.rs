//! Comparisons: borrows of c - r, where the dealer knows r in bits that it has proved and both others know c.
//!
//! x = c - r is negative, for |x| < 2^k, iff bit k of it is set: c_k ⊕ r_k ⊕ [c mod 2^k < r mod 2^k], and the last is the carry of
//! r + ~c (protocols-malicious, section 6). At a position r ∧ ~c generates and r ⊕ ~c hands on. Since r lies at two indices and c at
//! the third, the first level takes 2 bits instead of 3.
//!
//! For k = 63: 60.125 bytes in 8 rounds (the specification has 76 bytes).

use std::rc::Rc;

use tacit_mpc::{R64, Result};

use super::adder::{Group, all, carries, carry};
use super::circuit::Circuit;
use super::pair::{Bits, Words};
use super::product::{Support, and_between};
use super::split::{Sign, Split, common, common_planes, each_plane, planes};

/// What generates and what hands on at each position of r + ~c. 2 bits a position, 1 round.
async fn positions(c: &Circuit<'_>, r: &Bits, not_c: &Bits) -> Result<(Bits, Bits)> {
    let g = and_between(c, r, not_c, Support::PairBySingle(c.dealer() + 2)).await?;
    Ok((g, r.xor(not_c)))
}

/// The complement of words that two parties know.
fn complement(words: Option<&Rc<Vec<R64>>>) -> Option<Vec<R64>> {
    words.map(|w| w.iter().map(|w| !w).collect())
}

/// The k low bits of r as x has it, proved, and those of ~c.
async fn sides(c: &Circuit<'_>, x: &Words, k: u32) -> Result<(Bits, Bits)> {
    let r = Split::new(c, x, k, Sign::Minus).await?;
    let not_c = complement(common(c, x).as_ref());
    let not_c = common_planes(c, not_c.as_deref(), x.own.len(), k);
    Ok((r.planes(), not_c))
}

/// The bit \[x < 0\] for -2^k <= x < 2^k, 1 <= k <= 63.
pub(crate) async fn negative(c: &Circuit<'_>, x: &Words, k: u32) -> Result<Bits> {
    let (r, not_c) = sides(c, x, k + 1).await?;
    let low = k as usize;
    let cut = |bits: &Bits| (planes(c, bits, 0, low), planes(c, bits, low, 1));
    let ((r, r_k), (not_c, not_c_k)) = (cut(&r), cut(&not_c));
    let (g, p) = positions(c, &r, &not_c).await?;
    let borrow = carry(c, g, p).await?;
    Ok(borrow.xor(&r_k).xor(&not_c_k).not(c.me()))
}

/// Bits 0 to k - 1 of x, lowest first.
pub(crate) async fn bits(c: &Circuit<'_>, x: &Words, k: u32) -> Result<Vec<Bits>> {
    let (r, not_c) = sides(c, x, k).await?;
    let sums = each_plane(c, &r.xor(&not_c));
    let low = k as usize - 1;
    let mut borrows = Vec::new();
    if low > 0 {
        let (r, not_c) = (planes(c, &r, 0, low), planes(c, &not_c, 0, low));
        let (g, p) = positions(c, &r, &not_c).await?;
        let groups = each_plane(c, &g).into_iter().zip(each_plane(c, &p));
        borrows = carries(c, groups.map(|(g, p)| Group { g, p }).collect()).await?;
    }
    let sums = sums.into_iter().enumerate().map(|(i, sum)| match i {
        0 => sum,
        _ => sum.xor(&borrows[i - 1]),
    });
    Ok(sums.map(|bit| bit.not(c.me())).collect())
}

/// The bit \[x = 0\]: c = r in every bit. 8 bytes and 63 conjunctions, 31.625 bytes, 7 rounds.
pub(crate) async fn zero(c: &Circuit<'_>, x: &Words) -> Result<Bits> {
    let (r, not_c) = sides(c, x, 64).await?;
    all(c, each_plane(c, &r.xor(&not_c))).await
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
    let r = planes(c, &r.planes(), 0, p as usize);
    let (g, p) = positions(c, &r, &not_c).await?;
    carry(c, g, p).await
}
