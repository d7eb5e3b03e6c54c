//! Products with known factors: factors far from 1 keep their digits.
//!
//! A word has 18 fractional bits, so that the factor 1/σ of a feature with a deviation of 10^5 would be left with two of them.
//! Small public factors are carried times a power of two, and where the factors of one tensor lie far apart, what of them is
//! lost goes into a second product, 2^16 times as fine. What is done must not depend on private factors: they always have the
//! second product and no power of two.

use std::sync::Arc;

use ndarray::ArrayD;

use crate::{
    Edge, Graph, Result,
    fixed::FRACTION_BITS,
    onnx::{
        Constant, Weights,
        context::{Ctx, Val},
        error::Lowering,
    },
};

/// The largest power of two that factors are carried times.
const MOST_UP: f64 = 20.0;
/// By how many bits the second product is finer than the first.
const FINER: i32 = 16;
/// Factors that are off by more than this part of themselves are refined.
const TOLERANCE: f64 = 1.0 / (1 << 13) as f64;

/// Factors times 2^`up`, as they are put into words, and what was lost of them times 2^`FINER` if it matters.
struct Split {
    up: i32,
    coarse: ArrayD<f64>,
    rest: Option<ArrayD<f64>>,
}

impl Split {
    /// For public factors.
    fn by_need(factors: &ArrayD<f64>) -> Self {
        let most = factors.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        let up = if most > 0.0 && most < 1.0 {
            (-most.log2().floor()).min(MOST_UP) as i32
        } else {
            0
        };
        let scaled = factors * 2f64.powi(up);
        let (coarse, lost) = rounded(&scaled);
        let off = |(v, lost): (&f64, &f64)| lost.abs() > TOLERANCE * v.abs();
        if scaled.iter().zip(&lost).any(off) {
            let rest = Some(lost * 2f64.powi(FINER));
            return Self { up, coarse, rest };
        }
        Self {
            up,
            coarse: scaled,
            rest: None,
        }
    }

    /// For private factors: the same for all.
    fn always(factors: &ArrayD<f64>) -> Self {
        let (coarse, lost) = rounded(factors);
        Self {
            up: 0,
            coarse,
            rest: Some(lost * 2f64.powi(FINER)),
        }
    }

    /// Where factors are trained, they are what the file holds.
    fn never(factors: &ArrayD<f64>) -> Self {
        Self {
            up: 0,
            coarse: factors.clone(),
            rest: None,
        }
    }
}

/// Factors in multiples of a unit that every usual precision represents, and what that leaves; nothing of what is infinite.
fn rounded(factors: &ArrayD<f64>) -> (ArrayD<f64>, ArrayD<f64>) {
    let unit = 2f64.powi(2 - FRACTION_BITS as i32);
    let coarse = factors.mapv(|v| (v / unit).round() * unit);
    let lost = (factors - &coarse).mapv(|v| if v.is_finite() { v } else { 0.0 });
    (coarse, lost)
}

/// f(x, factors) for a product f that is linear in the factors: |f(x, factors)| < 2^26 and |x| < 2^26, and 2^up times less
/// where public factors are all below 2^-up.
pub(super) fn product_with_known(
    ctx: &mut Ctx<'_>,
    factors: &ArrayD<f64>,
    secret: bool,
    name: &str,
    mut product: impl FnMut(&mut Graph, Edge) -> Result<Edge>,
) -> Lowering<Edge> {
    let Split { up, coarse, rest } = if !secret || *ctx.weights == Weights::Public {
        Split::by_need(factors)
    } else if ctx.training() {
        Split::never(factors)
    } else {
        Split::always(factors)
    };
    let place = |ctx: &mut Ctx<'_>, value, name: &str| {
        let value = Arc::new(Constant::Float(value));
        ctx.edge_of(&Val::Known { value, secret }, name)
    };
    let named = |what: &str| match name {
        "" => String::new(),
        name => format!("{what}{name}"),
    };
    let first = match (up, &rest) {
        (0, None) => named(""),
        (up, None) => named(&format!("2^{up}·")),
        (0, Some(_)) => named("rounded "),
        (up, Some(_)) => named(&format!("rounded 2^{up}·")),
    };
    let coarse = place(ctx, coarse, &first)?;
    let y = product(&mut ctx.g, coarse)?;
    let y = ctx.g.scale(y, 2f64.powi(-up))?;
    let Some(rest) = rest else { return Ok(y) };
    let rest = place(ctx, rest, &named("rest of "))?;
    let more = product(&mut ctx.g, rest)?;
    let more = ctx.g.scale(more, 2f64.powi(-up - FINER))?;
    Ok(ctx.g.add(y, more)?)
}

/// x times known factors, broadcast as numpy does; ranges as in [`product_with_known`].
pub(super) fn times_known(
    ctx: &mut Ctx<'_>,
    x: Edge,
    factors: &ArrayD<f64>,
    secret: bool,
    name: &str,
) -> Lowering<Edge> {
    product_with_known(ctx, factors, secret, name, |g, factors| g.mul(x, factors))
}
