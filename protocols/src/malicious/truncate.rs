//! Truncation: from x to floor(x/2^p), or one unit more.
//!
//! In the chunk of dealer P_d, x = c - r with c = x_{d+2} known to the two others and r = -(x_d + x_{d+1}) known to P_d. With
//! x' = x + 2^62 in [0, 2^63) and c' = c + 2^62,
//!     floor(x'/2^p) + [c' mod 2^p < r mod 2^p] = (c' >> p) - (r >> p) + 2^(64-p)·r_63·(1 - c'_63),
//! because c' = x' + r wraps around iff r_63 = 1 and c'_63 = 0. P_d splits r (`split.rs`) and gives the sums r >> p and
//! 2^(64-p)·r_63 with their relations; the product with c'_63 is one of a pair of shares by a single one. What matters modulo
//! 2^p only travels in p bits.
//!
//! 16 + 3p/8 bytes, 2 rounds: the dealer's, and that of the product.
//!
//! **Functionality**: floor((x + t)/2^p) with t in [0, 2^p), t = 2^p - 1 - c' mod 2^p: every party knows t, and a corrupt one must
//! be taken to choose it. t is uniform where c is, as after every product. Wrong without notice outside [-2^62, 2^62).
//!
//! **Deviation** from protocols-malicious, section 6: there the mask r is fresh, x + r is opened to two parties before anything
//! is proved, and 32 + 3p/8 bytes are sent. The sharing has such a mask already, as rep3's truncation uses it: nothing is opened
//! at all, so no opening has to be defended against what is not proved yet (section 7.1), and the functionality is the same.

use std::num::Wrapping;
use std::rc::Rc;

use tacit_mpc::kernels::vectorised;
use tacit_mpc::{R64, Result};

use super::circuit::Circuit;
use super::pair::Words;
use super::product::{Support, product_top};
use super::split::{Sign, Split, Sum, common};

const START: R64 = Wrapping(1 << 62);

/// (c' >> p) - (r >> p) + 2^(64-p)·r_63·(1 - c'_63) - 2^(62-p), and what it was made from. 0 < p <= 62.
pub(crate) async fn truncate(c: &Circuit<'_>, x: &Words, p: u32) -> Result<Words> {
    Ok(truncate_split(c, x, p).await?.0)
}

/// [`truncate`], with the split of r and c' at the parties that know it: what its one error is told from.
pub(super) async fn truncate_split(
    c: &Circuit<'_>,
    x: &Words,
    p: u32,
) -> Result<(Words, Split, Option<Rc<Vec<R64>>>)> {
    debug_assert!(0 < p && p <= 62, "p = {p}");
    let n = x.own.len();
    let (high, top) = (
        Sum { from: p, up: 0 },
        Sum {
            from: 63,
            up: 64 - p,
        },
    );
    let (r, [high, top]) = Split::with_sums(c, x, 64, Sign::Minus, [high, top]).await?;
    let start = common(c, x).map(|c| {
        Rc::new(vectorised(|| {
            c.iter().map(|c| c + START).collect::<Vec<_>>()
        }))
    });
    let part = |bits: u32| {
        let shifted = |c: &Rc<Vec<R64>>| {
            Rc::new(vectorised(|| {
                c.iter().map(|c| c >> bits as usize).collect()
            }))
        };
        c.joint(c.dealer() + 2, n, start.as_ref().map(shifted))
    };
    let terms = [(top.clone(), part(63))];
    let wrapped = product_top(c, &terms, Support::PairBySingle(c.dealer() + 2), p).await?;
    let y = top.minus(&high).minus(&wrapped).plus(&part(p));
    Ok((y.offset(c.me(), -(START >> p as usize)), r, start))
}

/// floor(x/2^p) for words -2^62 <= x < 2^62 that the dealer knows (x_{d+2} = 0), exactly. 16 bytes, 1 round.
pub(crate) async fn truncate_known(c: &Circuit<'_>, x: &Words, p: u32) -> Result<Words> {
    // The offset stands at the dealer's own index.
    let start = Some(Rc::new(vec![START; x.own.len()]));
    let start = x.plus(&c.joint(c.dealer(), x.own.len(), start));
    let high = Sum { from: p, up: 0 };
    let (_, [high]) = Split::with_sums(c, &start, 64, Sign::Plus, [high]).await?;
    let back = Some(Rc::new(vec![START >> p as usize; x.own.len()]));
    Ok(high.minus(&c.joint(c.dealer(), x.own.len(), back)))
}
