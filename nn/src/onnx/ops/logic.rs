//! Comparisons, logic and choices. A truth value of the graph is the number 0 or 1.

use std::sync::Arc;

use ndarray::ArrayD;

use super::{arithmetic::zip, layout::common_shape};
use crate::{
    Edge, Graph, Result,
    onnx::{
        Constant, Element,
        context::{Ctx, Val},
        error::{Fault, Lowering, refuse},
        node::Node,
        registry::{OpSpec, op},
    },
};

pub(super) const OPS: &[OpSpec] = &[
    op(
        "And",
        7,
        |ctx, _| compare(ctx, |x, y| x != 0.0 && y != 0.0, Graph::and),
        "",
    ),
    op(
        "Equal",
        7,
        equal,
        "private real numbers are equal if their fixed-point forms are; text only where it is known",
    ),
    op(
        "Greater",
        7,
        |ctx, _| compare(ctx, |x, y| x > y, Graph::greater),
        "",
    ),
    op(
        "GreaterOrEqual",
        12,
        |ctx, _| compare(ctx, |x, y| x >= y, Graph::greater_equal),
        "",
    ),
    op(
        "Less",
        7,
        |ctx, _| compare(ctx, |x, y| x < y, Graph::less),
        "",
    ),
    op(
        "LessOrEqual",
        12,
        |ctx, _| compare(ctx, |x, y| x <= y, Graph::less_equal),
        "",
    ),
    op("Not", 1, not, ""),
    op(
        "Or",
        7,
        |ctx, _| compare(ctx, |x, y| x != 0.0 || y != 0.0, Graph::or),
        "",
    ),
    op(
        "Where",
        9,
        choose,
        "a private condition: |X - Y| < 2^26 unless it is a comparison of the result's shape",
    ),
    op(
        "Xor",
        7,
        |ctx, _| compare(ctx, |x, y| (x != 0.0) != (y != 0.0), Graph::xor),
        "",
    ),
];

fn compare(
    ctx: &mut Ctx<'_>,
    exact: impl Fn(f64, f64) -> bool,
    word: impl FnOnce(&mut Graph, Edge, Edge) -> Result<Edge>,
) -> Lowering<Vec<Val>> {
    if let (Some(x), Some(y)) = (ctx.known_numbers(0), ctx.known_numbers(1)) {
        let shape = common_shape(x.shape(), y.shape())?;
        ctx.check_size(&shape)?;
        let answer = Constant::Bool(zip(&x, &y, &shape, exact)?);
        return Ok(vec![known(ctx, answer)]);
    }
    if (0..2).any(|i| ctx.element(i).is_ok_and(|e| e == Element::Text)) {
        return refuse("text that depends on private values is not compared");
    }
    let (x, y) = (ctx.edge(0)?, ctx.edge(1)?);
    Ok(vec![Val::bool(word(&mut ctx.g, x, y)?)])
}

fn known(ctx: &Ctx<'_>, value: Constant) -> Val {
    Val::Known {
        value: Arc::new(value),
        secret: (0..ctx.len()).any(|i| ctx.is_secret(i)),
    }
}

fn equal(ctx: &mut Ctx<'_>, _: &Node) -> Lowering<Vec<Val>> {
    if let (Some(x), Some(y)) = (ctx.known(0), ctx.known(1)) {
        let shape = common_shape(x.shape(), y.shape())?;
        ctx.check_size(&shape)?;
        let answer = match (x, y) {
            (Constant::Int(x), Constant::Int(y)) => Some(zip(x, y, &shape, |a, b| a == b)?),
            (Constant::Text(x), Constant::Text(y)) => Some(zip(x, y, &shape, |a, b| a == b)?),
            _ => None,
        };
        if let Some(answer) = answer {
            return Ok(vec![known(ctx, Constant::Bool(answer))]);
        }
    }
    compare(ctx, |x, y| x == y, Graph::equal)
}

fn not(ctx: &mut Ctx<'_>, _: &Node) -> Lowering<Vec<Val>> {
    let x = ctx.edge(0)?;
    Ok(vec![Val::bool(ctx.g.not(x)?)])
}

fn choose(ctx: &mut Ctx<'_>, _: &Node) -> Lowering<Vec<Val>> {
    let shape = common_shape(
        &common_shape(&ctx.shape(0)?, &ctx.shape(1)?)?,
        &ctx.shape(2)?,
    )?;
    ctx.check_size(&shape)?;
    let (x, y) = (ctx.val(1).clone(), ctx.val(2).clone());
    if let Some(c) = ctx.known_numbers(0) {
        let secret = ctx.is_secret(0) || x.is_secret() || y.is_secret();
        if let (Some(x), Some(y)) = (ctx.known(1), ctx.known(2)) {
            let value = match (x, y) {
                (Constant::Int(x), Constant::Int(y)) => Constant::Int(pick(&c, x, y, &shape)?),
                (Constant::Bool(x), Constant::Bool(y)) => Constant::Bool(pick(&c, x, y, &shape)?),
                (Constant::Text(x), Constant::Text(y)) => Constant::Text(pick(&c, x, y, &shape)?),
                (Constant::Float(x), Constant::Float(y)) => {
                    Constant::Float(pick(&c, x, y, &shape)?)
                }
                _ => return refuse("its alternatives are of different kinds"),
            };
            let value = Arc::new(value);
            return Ok(vec![Val::Known { value, secret }]);
        }
        // The same alternative everywhere.
        let all = |v: bool| c.iter().all(|&c| (c != 0.0) == v);
        if let Some(one) = if all(true) {
            Some(&x)
        } else if all(false) {
            Some(&y)
        } else {
            None
        } {
            return Ok(vec![ctx.layout(one, crate::Layout::Broadcast(shape))?]);
        }
    }
    let element = ctx.element(1)?;
    if element == Element::Text || ctx.element(2)? == Element::Text {
        return refuse("text that depends on private values is not chosen");
    }
    let (c, x, y) = (ctx.edge(0)?, ctx.edge(1)?, ctx.edge(2)?);
    let edge = ctx.g.select(c, x, y)?;
    Ok(vec![Val::Edge { edge, element }])
}

/// x where c is not 0, else y.
fn pick<T: Clone>(
    c: &ArrayD<f64>,
    x: &ArrayD<T>,
    y: &ArrayD<T>,
    shape: &[usize],
) -> Lowering<ArrayD<T>> {
    let c = c
        .broadcast(shape)
        .ok_or_else(|| Fault::Shape("the condition does not fit".into()))?;
    let pairs = zip(x, y, shape, |x, y| (x, y))?;
    Ok(ndarray::Zip::from(&c)
        .and(&pairs)
        .map_collect(|&c, (x, y)| if c == 0.0 { y.clone() } else { x.clone() }))
}
