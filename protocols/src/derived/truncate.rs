//! Truncation: from x to floor(x/2^p), or one unit more, by a mask that is opened.
//!
//! With x' = x + 2^62 in [0, 2^63) and r uniform over Z_2^64, of which r >> p and r_63 are shared too, m = x' + r is opened:
//! uniform, whatever x is. Then
//!     floor(x'/2^p) + \[m mod 2^p < r mod 2^p\] = (m >> p) - (r >> p) + 2^(64-p)·r_63·(1 - m_63),
//! because m wraps around iff r_63 = 1 and m_63 = 0. This corrects the wrap for which Catrina, de Hoogh (SCN 2010) leave
//! statistical slack, as Escudero et al. (CRYPTO 2020, section 5) do it by edaBits. One word opened, 1 round.
//!
//! **Functionality**: floor((x + t)/2^p) with t = 2^p - 1 - (m mod 2^p) uniform in [0, 2^p) and known to everybody. Where the
//! result is opened again and again from the same x, t's tell the bits that were dropped: [`Rounding::Exact`] gives the floor and
//! tells nothing, by the borrow \[m mod 2^p < r mod 2^p\] in bits: ⌈log2 p⌉ + 1 rounds more. Wrong without notice outside
//! [-2^62, 2^62).

use std::num::Wrapping;

use tacit_mpc::{R64, Result};

use super::circuit::{Circuit, power, shifted};
use super::compare::below;
use super::convert::to_words;
use super::correlation::{Correlation, draw};
use super::primitives::Primitives;
use super::share::Words;

const START: R64 = Wrapping(1 << 62);

/// How a number loses its low bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rounding {
    /// The floor or one unit more, by a mask that each party knows.
    Masked,
    /// The floor.
    Exact,
}

impl Rounding {
    /// That of a node.
    pub(super) fn of(exact: bool) -> Self {
        if exact { Self::Exact } else { Self::Masked }
    }

    /// x/2^p for -2^62 <= x < 2^62, p <= 62; nothing for p = 0.
    pub(super) async fn apply<P: Primitives>(
        self,
        c: &Circuit<'_, P>,
        x: &Words,
        p: u32,
    ) -> Result<Words> {
        if p == 0 {
            return Ok(x.clone());
        }
        let exact = self == Self::Exact;
        let what = Correlation::Mask {
            planes: if exact { p } else { 0 },
            shift: Some(p),
        };
        let (mut words, planes) = draw(c, &what).await?;
        let (top, high, r) = (words.pop(), words.pop(), words.pop());
        let (Some(top), Some(high), Some(r)) = (top, high, r) else {
            unreachable!("a mask with a shift has three words")
        };
        let m = c.open(&c.offset(&x.plus(&r), START)).await?;
        let unwrapped: Vec<R64> = m
            .iter()
            .map(|m| power(64 - p) * (Wrapping(1) - (m >> 63)))
            .collect();
        let wrapped = top.times_each(&unwrapped);
        let start = START >> p as usize;
        let m_high: Vec<R64> = shifted(&m, p).iter().map(|m| m - start).collect();
        let y = c.plus_public(&wrapped.minus(&high), &m_high);
        if !exact {
            return Ok(y);
        }
        let borrow = below(c, &m, &planes, p).await?;
        Ok(y.minus(&to_words(c, &borrow).await?))
    }
}

/// 2^p·floor(x/2^p) for every word, 0 < p <= 62, exactly: x less x mod 2^p, which is m mod 2^p less r mod 2^p, and 2^p more where
/// that is negative. One word opened, a borrow of p bits, one conversion.
pub(super) async fn floor<P: Primitives>(c: &Circuit<'_, P>, x: &Words, p: u32) -> Result<Words> {
    let what = Correlation::Mask {
        planes: p,
        shift: Some(p),
    };
    let (words, planes) = draw(c, &what).await?;
    let [r, high, _] = &words[..] else {
        unreachable!("a mask with a shift has three words")
    };
    let m = c.open(&x.plus(r)).await?;
    let borrow = below(c, &m, &planes, p).await?;
    let borrow = to_words(c, &borrow).await?;
    let low = r.minus(&high.times(power(p)));
    let m_low: Vec<R64> = m.iter().map(|m| m & (power(p) - Wrapping(1))).collect();
    let low = c.plus_public(&borrow.times(power(p)).minus(&low), &m_low);
    Ok(x.minus(&low))
}
