//! Intervals of bilinear maps.

use ndarray::ArrayD;
use tacit_mpc::Bilinear;

use super::{Interval, Stop, value::Value, within_words};
use crate::{Error, Product, Result, fixed};

/// More than the relative error of a sum of 2^20 numbers in double precision.
pub(super) const ROUNDING: f64 = 1.0 / (1u64 << 30) as f64;

/// floor(c·Σ coefficient·f(x, y)·2^-shift) for the factor c·2^-g of `scale`, with c·Σ below 2^62; or c·Σ itself, `unrounded`.
pub(super) fn products(
    terms: &[Product<'_, Value>],
    scale: f64,
    fraction_bits: u32,
    unrounded: bool,
) -> std::result::Result<Value, Stop> {
    let (c, g) = fixed::scale_factor(scale)?;
    let op = terms.first().map_or("products", |t| t.f.name());
    let mut sum: Option<(Vec<usize>, Vec<Interval>)> = None;
    for t in terms {
        let misfit = || Error::Shape {
            op: t.f.name(),
            left: t.x.lo.shape().to_vec(),
            right: t.y.lo.shape().to_vec(),
        };
        let shape =
            t.f.output_shape(t.x.lo.shape(), t.y.lo.shape())
                .ok_or_else(misfit)?;
        let factor = i128::from(t.coefficient) * i128::from(c);
        let entries = bilinear(t.f, t.x, t.y, &shape)?
            .into_iter()
            .map(|(lo, hi)| {
                // Far beyond any limit, so that what saturates is refused.
                let (a, b) = (lo.saturating_mul(factor), hi.saturating_mul(factor));
                (a.min(b), a.max(b))
            });
        sum = Some(match sum {
            None => (shape, entries.collect()),
            Some((other, _)) if other != shape => return Err(misfit().into()),
            Some((_, sum)) => {
                let added = sum.into_iter().zip(entries);
                let add = |(s, e): (Interval, Interval)| {
                    (s.0.saturating_add(e.0), s.1.saturating_add(e.1))
                };
                (shape, added.map(add).collect())
            }
        });
    }
    let (shape, sum) =
        sum.ok_or_else(|| Error::Invalid("a sum of products has no terms".into()))?;
    let shift = fraction_bits + g;
    let unit = 2f64.powi(-2 * fraction_bits as i32);
    let mut words = Vec::with_capacity(sum.len());
    for entry in sum {
        within_words(
            &format!("{op} before its rounding, in units of its operands"),
            entry,
            unit,
        )
        .map_err(Stop::Outside)?;
        words.push(if unrounded {
            entry
        } else {
            ((entry.0 >> shift) - 1, (entry.1 >> shift) + 1)
        });
    }
    Ok(Value::collect(&shape, words)?)
}

/// The least and greatest product.
pub(super) fn times(x: Interval, y: Interval) -> Interval {
    let all = [x.0 * y.0, x.0 * y.1, x.1 * y.0, x.1 * y.1];
    all.iter().fold((i128::MAX, i128::MIN), |(lo, hi), &v| {
        (lo.min(v), hi.max(v))
    })
}

/// The least and greatest square.
pub(super) fn square(x: Interval) -> Interval {
    let (a, b) = (x.0 * x.0, x.1 * x.1);
    let lo = if x.0 <= 0 && x.1 >= 0 { 0 } else { a.min(b) };
    (lo, a.max(b))
}

fn bilinear(f: Bilinear, x: &Value, y: &Value, shape: &[usize]) -> Result<Vec<Interval>> {
    if f == Bilinear::Mul {
        let same = x.lo == y.lo && x.hi == y.hi && std::ptr::eq(x, y);
        let pairs = x.entries().zip(y.entries());
        return Ok(pairs
            .map(|(a, b)| if same { square(a) } else { times(a, b) })
            .collect());
    }
    // What is alike along an axis of the result is computed once.
    if let Some(axis) = (0..shape.len()).find(|&axis| alike(f, x, y, axis)) {
        let mut small = shape.to_vec();
        small[axis] = 1;
        let rank = shape.len();
        let (of_x, of_y) = match f {
            Bilinear::MatMul if axis + 1 == rank => (false, true),
            Bilinear::MatMul if axis + 2 < rank => (true, true),
            _ => (true, false),
        };
        let cut = |v: &Value, is: bool| if is { v.first_along(axis) } else { v.clone() };
        let part = bilinear(f, &cut(x, of_x), &cut(y, of_y), &small)?;
        let outer: usize = shape[..axis].iter().product();
        let inner: usize = shape[axis + 1..].iter().product();
        let mut all = Vec::with_capacity(outer * shape[axis] * inner);
        for block in part.chunks(inner.max(1)) {
            (0..shape[axis]).for_each(|_| all.extend_from_slice(block));
        }
        return Ok(all);
    }
    sums(f, x, y)
}

/// Whether the result is alike along an axis because the operands are.
fn alike(f: Bilinear, x: &Value, y: &Value, axis: usize) -> bool {
    let rank = x.lo.ndim();
    match f {
        Bilinear::MatMul if axis + 1 == rank => y.alike_along(axis),
        Bilinear::MatMul if axis + 2 == rank => x.alike_along(axis),
        Bilinear::MatMul => x.alike_along(axis) && y.alike_along(axis),
        Bilinear::Conv(_) | Bilinear::ConvInput(_) => axis == 0 && x.alike_along(0),
        Bilinear::Mul | Bilinear::ConvWeights(_) => false,
    }
}

/// Sums of products by middles and radii (Rump, *Fast and parallel interval arithmetic*, 1999), in double precision: exact up
/// to its rounding where one operand is known, at most half as wide again where none is.
fn sums(f: Bilinear, x: &Value, y: &Value) -> Result<Vec<Interval>> {
    let misfit = || Error::Shape {
        op: f.name(),
        left: x.lo.shape().to_vec(),
        right: y.lo.shape().to_vec(),
    };
    let apply = |a: &ArrayD<f64>, b: &ArrayD<f64>| f.apply(a, b).ok_or_else(misfit);
    let real = |v: &ArrayD<i64>| v.mapv(|w| w as f64);
    let (xl, xh, yl, yh) = (real(&x.lo), real(&x.hi), real(&y.lo), real(&y.hi));
    let (a, b) = ((&xl + &xh) * 0.5, (&yl + &yh) * 0.5);
    let (r, s) = ((&xh - &xl) * 0.5, (&yh - &yl) * 0.5);
    let largest = |m: &ArrayD<f64>, r: &ArrayD<f64>| m.mapv(f64::abs) + r;
    let zero = |v: &ArrayD<f64>| v.iter().all(|&v| v == 0.0);
    let (size_x, size_y) = (largest(&a, &r), largest(&b, &s));
    let size = apply(&size_x, &size_y)?;
    let (mut lo, mut hi) = if zero(&a) || zero(&b) {
        (-&size, size.clone())
    } else {
        let middle = apply(&a, &b)?;
        let radius = match (zero(&r), zero(&s)) {
            (true, true) => &middle * 0.0,
            (false, true) => apply(&r, &size_y)?,
            (true, false) => apply(&size_x, &s)?,
            (false, false) => apply(&a.mapv(f64::abs), &s)? + apply(&r, &size_y)?,
        };
        (&middle - &radius, &middle + &radius)
    };
    // Operands of one sign each give ends that are exact.
    let signless = |v: &ArrayD<f64>| v.iter().all(|&v| v >= 0.0);
    if signless(&xl) && signless(&yl) {
        (lo, hi) = (apply(&xl, &yl)?, size.clone());
    }
    // Rows of x whose magnitudes add up to no more than this: no entry of the result is larger than that of the largest of y.
    let bounded = (f == Bilinear::MatMul)
        .then_some(x.mass)
        .flatten()
        .map(|mass| {
            let most = size_y.iter().copied().fold(0.0, f64::max);
            mass * most
        });
    let rounding = ROUNDING * (1.0 + f.depth(x.lo.shape(), y.lo.shape()) as f64 * 2f64.powi(-20));
    Ok(lo
        .iter()
        .zip(&hi)
        .zip(&size)
        .map(|((&lo, &hi), &size)| {
            let error = size * rounding + 1.0;
            let most = bounded.map_or(size, |b| b.min(size)) + error;
            // Casts saturate, far beyond what is allowed.
            let lo = (lo - error).max(-most).floor() as i128;
            let hi = (hi + error).min(most).ceil() as i128;
            (lo, hi)
        })
        .collect())
}
