//! Roundings without error: truncation to the floor, and the floor of a fixed-point number.
//!
//! Both are c >> p less r >> p less the borrow [c mod 2^p < r mod 2^p] (`truncate.rs`, `compare.rs`): what truncation leaves to its
//! masks is computed.

use std::rc::Rc;

use tacit_mpc::{R64, Result};

use super::circuit::Circuit;
use super::compare::below;
use super::convert::to_arithmetic;
use super::pair::Words;
use super::split::{Sign, Split, Sum, common};
use super::truncate::truncate_split;

/// floor(x/2^p) for -2^62 <= x < 2^62, 0 < p <= 62: truncation, a comparison of p bits and 24 bytes.
pub(crate) async fn truncate_exact(c: &Circuit<'_>, x: &Words, p: u32) -> Result<Words> {
    let (y, r, start) = truncate_split(c, x, p).await?;
    let borrow = below(c, &r, start.as_ref(), x.own.len(), p).await?;
    Ok(y.minus(&to_arithmetic(c, &borrow, 64).await?))
}

/// 2^p·floor(x/2^p) for every word, 0 < p < 64. The sums are needed modulo 2^(64-p): 8 + (64-p)/2 bytes and a comparison of p bits.
pub(crate) async fn floor(c: &Circuit<'_>, x: &Words, p: u32) -> Result<Words> {
    let n = x.own.len();
    let high = Sum { from: p, up: p };
    let (r, [high]) = Split::with_sums(c, x, 64, Sign::Minus, [high]).await?;
    let common = common(c, x);
    let borrow = below(c, &r, common.as_ref(), n, p).await?;
    let borrow = to_arithmetic(c, &borrow, 64 - p).await?;
    let cut =
        |c: Rc<Vec<R64>>| Rc::new(c.iter().map(|c| (c >> p as usize) << p as usize).collect());
    let common = c.joint(c.dealer() + 2, n, common.map(cut));
    Ok(common.minus(&high).minus(&borrow))
}
