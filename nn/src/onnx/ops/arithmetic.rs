//! Arithmetic of several operands. Integers that are known are computed exactly; division of integers truncates.

use std::sync::Arc;

use ndarray::{ArrayD, IxDyn, Zip};

use super::{factors::times_known, layout::common_shape};
use crate::{
    Edge, Graph,
    onnx::{
        Constant, Element,
        context::{Ctx, Val},
        error::{Fault, Lowering, refuse},
        node::Node,
        registry::{OpSpec, op},
    },
};

pub(super) const OPS: &[OpSpec] = &[
    op("Add", 7, add, ""),
    op(
        "Div",
        7,
        div,
        "private divisors: 2^-14 <= |y| < 2^17; integers only by a public number",
    ),
    op("Max", 6, |ctx, _| extreme(ctx, true), ""),
    op("Mean", 6, mean, ""),
    op("Min", 6, |ctx, _| extreme(ctx, false), ""),
    op(
        "Mod",
        10,
        modulo,
        "private: integers by one positive number",
    )
    .public("B"),
    op("Mul", 7, mul, ""),
    op("PRelu", 7, prelu, ""),
    op(
        "Pow",
        7,
        pow,
        "a private exponent, or one that is neither an integer up to 64 nor a half, wants a positive base",
    ),
    op("Sub", 7, sub, ""),
    op("Sum", 6, sum, ""),
];

/// f of two known tensors of numbers, broadcast as numpy does; `None` where one is not known.
pub(super) fn known_pair(
    ctx: &Ctx<'_>,
    real: impl Fn(f64, f64) -> f64,
    integer: impl Fn(i64, i64) -> i64,
) -> Lowering<Option<Val>> {
    let (Some(x), Some(y)) = (ctx.known(0), ctx.known(1)) else {
        return Ok(None);
    };
    let shape = common_shape(x.shape(), y.shape())?;
    ctx.check_size(&shape)?;
    let value = match (x, y) {
        (Constant::Int(x), Constant::Int(y)) => Constant::Int(zip(x, y, &shape, integer)?),
        _ => {
            let (Some(x), Some(y)) = (x.numbers(), y.numbers()) else {
                return refuse("text is not computed with");
            };
            let element = ctx.element(0)?;
            let z = zip(&x, &y, &shape, real)?;
            Constant::of_numbers(element, &z)
                .ok_or_else(|| Fault::Refused("text is not computed with".into()))?
        }
    };
    Ok(Some(Val::Known {
        value: Arc::new(value),
        secret: ctx.is_secret(0) || ctx.is_secret(1),
    }))
}

/// f entry by entry after broadcasting.
pub(super) fn zip<A: Clone, B: Clone, C>(
    x: &ArrayD<A>,
    y: &ArrayD<B>,
    shape: &[usize],
    f: impl Fn(A, B) -> C,
) -> Lowering<ArrayD<C>> {
    let misfit = || Fault::Shape(format!("{:?} and {:?} do not fit", x.shape(), y.shape()));
    let x = x.broadcast(IxDyn(shape)).ok_or_else(misfit)?;
    let y = y.broadcast(IxDyn(shape)).ok_or_else(misfit)?;
    Ok(Zip::from(&x)
        .and(&y)
        .map_collect(|a, b| f(a.clone(), b.clone())))
}

/// The one number of operand i, if it is public and has no more axes than operand `other`.
fn scalar(ctx: &Ctx<'_>, i: usize, other: usize) -> Lowering<Option<f64>> {
    let Some(x) = ctx.known_numbers(i).filter(|_| ctx.is_public(i)) else {
        return Ok(None);
    };
    let fits = x.len() == 1 && x.ndim() <= ctx.shape(other)?.len();
    Ok(x.first().copied().filter(|v| fits && v.is_finite()))
}

/// The kind of a result of operands 0 and 1.
fn kind(ctx: &Ctx<'_>) -> Lowering<Element> {
    match ctx.element(0)? {
        Element::Text => refuse("text is not computed with"),
        element => Ok(element),
    }
}

fn add(ctx: &mut Ctx<'_>, _: &Node) -> Lowering<Vec<Val>> {
    if let Some(val) = known_pair(ctx, |x, y| x + y, i64::wrapping_add)? {
        return Ok(vec![val]);
    }
    let element = kind(ctx)?;
    for (i, other) in [(1, 0), (0, 1)] {
        if let Some(c) = scalar(ctx, i, other)? {
            let x = ctx.edge(other)?;
            let edge = ctx.g.linear(&[(1, x)], c)?;
            return Ok(vec![Val::Edge { edge, element }]);
        }
    }
    let (x, y) = (ctx.edge(0)?, ctx.edge(1)?);
    let edge = ctx.g.add(x, y)?;
    Ok(vec![Val::Edge { edge, element }])
}

fn sub(ctx: &mut Ctx<'_>, _: &Node) -> Lowering<Vec<Val>> {
    if let Some(val) = known_pair(ctx, |x, y| x - y, i64::wrapping_sub)? {
        return Ok(vec![val]);
    }
    let element = kind(ctx)?;
    let edge = if let Some(c) = scalar(ctx, 1, 0)? {
        let x = ctx.edge(0)?;
        ctx.g.linear(&[(1, x)], -c)?
    } else if let Some(c) = scalar(ctx, 0, 1)? {
        let y = ctx.edge(1)?;
        ctx.g.linear(&[(-1, y)], c)?
    } else {
        let (x, y) = (ctx.edge(0)?, ctx.edge(1)?);
        ctx.g.sub(x, y)?
    };
    Ok(vec![Val::Edge { edge, element }])
}

fn mul(ctx: &mut Ctx<'_>, _: &Node) -> Lowering<Vec<Val>> {
    if let Some(val) = known_pair(ctx, |x, y| x * y, i64::wrapping_mul)? {
        return Ok(vec![val]);
    }
    let element = kind(ctx)?;
    for (i, other) in [(1, 0), (0, 1)] {
        if let Some(c) = scalar(ctx, i, other)?.filter(|c| c.abs() < 2f64.powi(40)) {
            let x = ctx.edge(other)?;
            let edge = ctx.g.scale_exact(x, c)?;
            return Ok(vec![Val::Edge { edge, element }]);
        }
    }
    for (i, other) in [(1, 0), (0, 1)] {
        let public = ctx.is_public(i) && element == Element::Float;
        if let Some(factors) = ctx.known_numbers(i).filter(|_| public) {
            let x = ctx.edge(other)?;
            let name = ctx.names.get(i).cloned().unwrap_or_default();
            return Ok(vec![Val::float(times_known(
                ctx, x, &factors, false, &name,
            )?)]);
        }
    }
    let (x, y) = (ctx.edge(0)?, ctx.edge(1)?);
    let edge = ctx.g.mul(x, y)?;
    Ok(vec![Val::Edge { edge, element }])
}

fn div(ctx: &mut Ctx<'_>, _: &Node) -> Lowering<Vec<Val>> {
    if let (Some(Constant::Int(_)), Some(Constant::Int(y))) = (ctx.known(0), ctx.known(1))
        && y.iter().any(|&v| v == 0)
    {
        return refuse("an integer is divided by 0");
    }
    let truncated = |x: i64, y: i64| x.wrapping_div(y);
    if let Some(val) = known_pair(ctx, |x, y| x / y, truncated)? {
        return Ok(vec![val]);
    }
    let element = kind(ctx)?;
    if element != Element::Float {
        let n = scalar(ctx, 1, 0)?.filter(|n| n.abs() >= 1.0 && n.abs() < 2f64.powi(15));
        let Some(n) = n else {
            return refuse("private integers are divided only by one public integer below 2^15");
        };
        let x = ctx.edge(0)?;
        let edge = truncated_quotient(&mut ctx.g, x, n)?;
        return Ok(vec![Val::int(edge)]);
    }
    if let Some(c) = scalar(ctx, 1, 0)?.filter(|c| c.recip().abs() < 2f64.powi(40)) {
        let x = ctx.edge(0)?;
        let edge = ctx.g.scale_exact(x, c.recip())?;
        return Ok(vec![Val::float(edge)]);
    }
    let x = ctx.edge(0)?;
    let edge = match ctx.known_numbers(1) {
        Some(y) if !ctx.is_public(1) || y.iter().all(|v| *v != 0.0) => {
            let name = format!("1/{}", ctx.names.get(1).map_or("", |name| name));
            let secret = ctx.is_secret(1);
            times_known(ctx, x, &y.mapv(f64::recip), secret, &name)?
        }
        _ => {
            let y = ctx.edge(1)?;
            ctx.g.div(x, y)?
        }
    };
    Ok(vec![Val::float(edge)])
}

/// x/n toward zero, for integers: |x| + 1/2 is never close to a multiple of n.
fn truncated_quotient(g: &mut Graph, x: Edge, n: f64) -> Lowering<Edge> {
    let (sign, magnitude) = (g.sign(x)?, g.abs(x)?);
    let middle = g.linear(&[(1, magnitude)], 0.5)?;
    let quotient = g.scale_exact(middle, n.abs().recip())?;
    let whole = g.floor(quotient)?;
    let quotient = g.mul(sign, whole)?;
    Ok(if n < 0.0 { g.neg(quotient)? } else { quotient })
}

fn modulo(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let c_style = node.flag("fmod", false)?;
    if let Some(Constant::Int(y)) = ctx.known(1)
        && y.iter().any(|&v| v == 0)
    {
        return refuse("an integer is divided by 0");
    }
    let real = |x: f64, y: f64| {
        if c_style {
            x % y
        } else {
            x - y * (x / y).floor()
        }
    };
    let integer = |x: i64, y: i64| {
        let rest = x.wrapping_rem(y);
        if !c_style && rest != 0 && (rest < 0) != (y < 0) {
            rest + y
        } else {
            rest
        }
    };
    if let Some(val) = known_pair(ctx, real, integer)? {
        return Ok(vec![val]);
    }
    ctx.must_know(1, "the divisor")?;
    let n = scalar(ctx, 1, 0)?.filter(|n| *n >= 1.0 && *n < 2f64.powi(15) && n.fract() == 0.0);
    let (Some(n), false, Element::Int) = (n, c_style, kind(ctx)?) else {
        return refuse(
            "of private values only the rest of integers by one positive integer below 2^15 is supported",
        );
    };
    let x = ctx.edge(0)?;
    let middle = ctx.g.linear(&[(1, x)], 0.5)?;
    let quotient = ctx.g.scale_exact(middle, n.recip())?;
    let whole = ctx.g.floor(quotient)?;
    let edge = ctx.g.linear(&[(1, x), (-(n as i64), whole)], 0.0)?;
    Ok(vec![Val::int(edge)])
}

fn pow(ctx: &mut Ctx<'_>, _: &Node) -> Lowering<Vec<Val>> {
    let integer = |x: i64, y: i64| (x as f64).powf(y as f64) as i64;
    if let Some(val) = known_pair(ctx, f64::powf, integer)? {
        return Ok(vec![val]);
    }
    let element = kind(ctx)?;
    // Exponents decide what is computed and are public, also where weights are not.
    if let Some(p) = ctx
        .known_numbers(1)
        .filter(|p| p.len() == 1 && p.ndim() <= ctx.shape(0).map_or(0, |s| s.len()))
    {
        let x = ctx.edge(0)?;
        let edge = ctx.g.pow(x, p.first().copied().unwrap_or(1.0))?;
        return Ok(vec![Val::Edge { edge, element }]);
    }
    let edge = match (ctx.known_numbers(0), ctx.known_numbers(1)) {
        (None, Some(p)) => powers(ctx, &p)?,
        (Some(base), None) if base.iter().all(|v| *v > 0.0) => {
            let y = ctx.edge(1)?;
            let logarithm = Val::Known {
                value: Arc::new(Constant::Float(base.mapv(f64::ln))),
                secret: ctx.is_secret(0),
            };
            let name = format!("ln {}", ctx.names.first().map_or("", |name| name));
            let logarithm = ctx.edge_of(&logarithm, &name)?;
            let product = ctx.g.mul(logarithm, y)?;
            ctx.g.exp(product)?
        }
        _ => {
            let (x, y) = (ctx.edge(0)?, ctx.edge(1)?);
            ctx.g.pow_edge(x, y)?
        }
    };
    let edge = if element == Element::Int {
        ctx.g.round(edge)?
    } else {
        edge
    };
    Ok(vec![Val::Edge { edge, element }])
}

/// Operand 0 to the power of known exponents: the entries of each exponent together.
fn powers(ctx: &mut Ctx<'_>, p: &ArrayD<f64>) -> Lowering<Edge> {
    let shape = common_shape(&ctx.shape(0)?, p.shape())?;
    ctx.check_size(&shape)?;
    let x = ctx.edge(0)?;
    let x = ctx.g.broadcast(x, &shape)?;
    let n = shape.iter().product();
    let x = ctx.reshape_edge(x, &[n])?;
    let exponents = p
        .broadcast(IxDyn(&shape))
        .map(|p| p.iter().copied().collect::<Vec<f64>>());
    let exponents = exponents.unwrap_or_default();
    let mut distinct = exponents.clone();
    distinct.sort_by(f64::total_cmp);
    distinct.dedup();
    if distinct.len() > 16 {
        return refuse("more than 16 different exponents");
    }
    let (mut parts, mut order) = (Vec::new(), vec![0; n]);
    let mut placed = 0;
    for p in distinct {
        let at: Vec<usize> = (0..n).filter(|&k| exponents[k] == p).collect();
        for &k in &at {
            order[k] = placed;
            placed += 1;
        }
        let part = ctx.g.gather(x, 0, &at)?;
        parts.push(ctx.g.pow(part, p)?);
    }
    let joined = ctx.g.concat(0, &parts)?;
    let y = ctx.g.gather(joined, 0, &order)?;
    ctx.reshape_edge(y, &shape)
}

/// The kind that all operands have, and their edges.
fn edges(ctx: &mut Ctx<'_>) -> Lowering<(Element, Vec<Edge>)> {
    let element = kind(ctx)?;
    let edges = (0..ctx.len())
        .map(|i| ctx.edge(i))
        .collect::<Lowering<Vec<Edge>>>()?;
    Ok((element, edges))
}

/// The greatest or least of known operands, which may be infinite; `None` where one is not known.
fn known_extreme(ctx: &Ctx<'_>, most: bool) -> Lowering<Option<Val>> {
    let all = (0..ctx.len()).map(|i| ctx.known_numbers(i));
    let Some(all) = all.collect::<Option<Vec<ArrayD<f64>>>>() else {
        return Ok(None);
    };
    let Some((first, rest)) = all.split_first() else {
        return Ok(None);
    };
    let better = if most { f64::max } else { f64::min };
    let mut x = first.clone();
    for y in rest {
        let shape = common_shape(x.shape(), y.shape())?;
        ctx.check_size(&shape)?;
        x = zip(&x, y, &shape, better)?;
    }
    let value = Constant::of_numbers(kind(ctx)?, &x);
    Ok(value.map(|value| Val::Known {
        value: Arc::new(value),
        secret: (0..ctx.len()).any(|i| ctx.is_secret(i)),
    }))
}

fn extreme(ctx: &mut Ctx<'_>, most: bool) -> Lowering<Vec<Val>> {
    if let Some(val) = known_extreme(ctx, most)? {
        return Ok(vec![val]);
    }
    let (element, xs) = edges(ctx)?;
    let Some((&first, rest)) = xs.split_first() else {
        return refuse("it has no operand");
    };
    let mut edge = first;
    for &x in rest {
        edge = if most {
            ctx.g.max(edge, x)?
        } else {
            ctx.g.min(edge, x)?
        };
    }
    Ok(vec![Val::Edge { edge, element }])
}

fn sum(ctx: &mut Ctx<'_>, _: &Node) -> Lowering<Vec<Val>> {
    let (element, xs) = edges(ctx)?;
    let terms: Vec<(i64, Edge)> = xs.into_iter().map(|x| (1, x)).collect();
    let edge = ctx.g.linear(&terms, 0.0)?;
    Ok(vec![Val::Edge { edge, element }])
}

fn mean(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let count = ctx.len();
    let Some(Val::Edge { edge, element }) = sum(ctx, node)?.pop() else {
        return refuse("it has no operand");
    };
    let edge = ctx.g.divide(edge, count)?;
    Ok(vec![Val::Edge { edge, element }])
}

fn prelu(ctx: &mut Ctx<'_>, _: &Node) -> Lowering<Vec<Val>> {
    let (x, slope) = (ctx.edge(0)?, ctx.edge(1)?);
    let (of_x, of_slope) = (ctx.g.shape(x)?.to_vec(), ctx.g.shape(slope)?.to_vec());
    if common_shape(&of_x, &of_slope)? != of_x {
        return Err(Fault::Shape(format!(
            "slopes of shape {of_slope:?} for a tensor of shape {of_x:?}"
        )));
    }
    let slope = ctx.g.broadcast(slope, &of_x)?;
    Ok(vec![Val::float(ctx.g.prelu(x, slope)?)])
}
