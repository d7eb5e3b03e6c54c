//! Reductions over axes, which are an attribute in old operator sets and an operand in new ones.

use std::sync::Arc;

use ndarray::{ArrayD, Axis, IxDyn};

use super::layout::given_axes;
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
    op("ReduceL1", 1, |ctx, node| reduce(ctx, node, 0.0, l1), "").public("axes"),
    op(
        "ReduceL2",
        1,
        |ctx, node| reduce(ctx, node, 0.0, l2),
        "private: the sum of squares is below 2^23",
    )
    .public("axes"),
    op(
        "ReduceLogSum",
        1,
        |ctx, node| reduce(ctx, node, f64::NEG_INFINITY, log_sum),
        "as Log",
    )
    .public("axes"),
    op(
        "ReduceLogSumExp",
        1,
        |ctx, node| reduce(ctx, node, f64::NEG_INFINITY, log_sum_exp),
        "",
    )
    .public("axes"),
    op(
        "ReduceMax",
        1,
        |ctx, node| {
            reduce(
                ctx,
                node,
                f64::NEG_INFINITY,
                |g, x, a| Ok(g.max_over(x, a)?),
            )
        },
        "",
    )
    .public("axes"),
    op(
        "ReduceMean",
        1,
        |ctx, node| reduce(ctx, node, f64::NAN, |g, x, a| Ok(g.mean_over(x, a)?)),
        "real numbers",
    )
    .public("axes"),
    op(
        "ReduceMin",
        1,
        |ctx, node| reduce(ctx, node, f64::INFINITY, |g, x, a| Ok(g.min_over(x, a)?)),
        "",
    )
    .public("axes"),
    op(
        "ReduceProd",
        1,
        |ctx, node| reduce(ctx, node, 1.0, product),
        "private: every partial product is below 2^26",
    )
    .public("axes"),
    op(
        "ReduceSum",
        1,
        |ctx, node| reduce(ctx, node, 0.0, |g, x, a| Ok(g.sum_over(x, a)?)),
        "",
    )
    .public("axes"),
    op(
        "ReduceSumSquare",
        1,
        |ctx, node| reduce(ctx, node, 0.0, sum_square),
        "",
    )
    .public("axes"),
];

/// What reduces axes, which stay with length 1.
type Word = fn(&mut Graph, Edge, &[usize]) -> Lowering<Edge>;

/// `empty` is the result where there is nothing to reduce.
fn reduce(ctx: &mut Ctx<'_>, node: &Node, empty: f64, word: Word) -> Lowering<Vec<Val>> {
    let shape = ctx.shape(0)?;
    let element = ctx.element(0)?;
    if element == Element::Text {
        return refuse("text is not computed with");
    }
    let axes = match given_axes(ctx, node)? {
        Some(axes) if !axes.is_empty() => ctx.axes(&axes, shape.len())?,
        _ if node.flag("noop_with_empty_axes", false)? => Vec::new(),
        _ => (0..shape.len()).collect(),
    };
    let keep = node.flag("keepdims", true)?;
    let length = |a: usize| if axes.contains(&a) { 1 } else { shape[a] };
    let reduced: Vec<usize> = (0..shape.len()).map(length).collect();
    let left: Vec<usize> = (0..shape.len())
        .filter(|a| keep || !axes.contains(a))
        .map(length)
        .collect();
    if axes.iter().any(|&a| shape[a] == 0) {
        // Of no truth values the greatest is false and the least true.
        let empty = match element {
            Element::Bool => empty.clamp(0.0, 1.0),
            _ => empty,
        };
        let value = ArrayD::from_elem(IxDyn(&left), empty);
        let value = Constant::of_numbers(element, &value);
        return Ok(vec![Val::known(
            value.ok_or_else(|| Fault::Refused("text has no sum".into()))?,
        )]);
    }
    if let Some(val) = known_extreme(ctx, node, &axes, &left)? {
        return Ok(vec![val]);
    }
    let x = ctx.edge(0)?;
    // Even over no axes the function of a single entry is applied: the root of its square, and so on.
    let edge = if reduced.contains(&0) {
        ctx.reshape_edge(x, &reduced)?
    } else {
        word(&mut ctx.g, x, &axes)?
    };
    let edge = ctx.reshape_edge(edge, &left)?;
    if element == Element::Int && node.op == "ReduceMean" {
        return refuse("the mean of integers is not supported");
    }
    Ok(vec![Val::Edge { edge, element }])
}

/// The greatest or least of known entries, which may be infinite: a graph computes it by differences.
fn known_extreme(
    ctx: &Ctx<'_>,
    node: &Node,
    axes: &[usize],
    left: &[usize],
) -> Lowering<Option<Val>> {
    let better = match node.op.as_str() {
        "ReduceMax" => f64::max,
        "ReduceMin" => f64::min,
        _ => return Ok(None),
    };
    let Some(mut x) = ctx.known_numbers(0) else {
        return Ok(None);
    };
    for &a in axes {
        let over = |lane: ndarray::ArrayView1<'_, f64>| lane.iter().copied().reduce(better);
        x = x
            .map_axis(Axis(a), |lane| over(lane).unwrap_or(f64::NAN))
            .insert_axis(Axis(a));
    }
    let x = x.to_shape(left).map_err(|e| Fault::Shape(e.to_string()))?;
    let value = Constant::of_numbers(ctx.element(0)?, &x.to_owned());
    let value = value.ok_or_else(|| Fault::Refused("text has no order here".into()))?;
    Ok(Some(Val::Known {
        value: Arc::new(value),
        secret: ctx.is_secret(0),
    }))
}

fn l1(g: &mut Graph, x: Edge, axes: &[usize]) -> Lowering<Edge> {
    let magnitude = g.abs(x)?;
    Ok(g.sum_over(magnitude, axes)?)
}

fn sum_square(g: &mut Graph, x: Edge, axes: &[usize]) -> Lowering<Edge> {
    let square = g.mul(x, x)?;
    Ok(g.sum_over(square, axes)?)
}

fn l2(g: &mut Graph, x: Edge, axes: &[usize]) -> Lowering<Edge> {
    let sum = sum_square(g, x, axes)?;
    Ok(g.sqrt(sum)?)
}

fn log_sum(g: &mut Graph, x: Edge, axes: &[usize]) -> Lowering<Edge> {
    let sum = g.sum_over(x, axes)?;
    Ok(g.log(sum)?)
}

/// max + ln Σ e^(x - max): no exponential exceeds 1.
fn log_sum_exp(g: &mut Graph, x: Edge, axes: &[usize]) -> Lowering<Edge> {
    let most = g.max_over(x, axes)?;
    let below = g.sub(x, most)?;
    let exponentials = g.exp_negative(below)?;
    let sum = g.sum_over(exponentials, axes)?;
    let logarithm = g.log(sum)?;
    Ok(g.add(most, logarithm)?)
}

/// Halves against halves, so that few products follow each other.
fn product(g: &mut Graph, x: Edge, axes: &[usize]) -> Lowering<Edge> {
    let mut x = x;
    for &axis in axes {
        loop {
            let n = g.shape(x)?[axis];
            if n <= 1 {
                break;
            }
            let (left, right) = (
                g.slice(x, axis, 0..n / 2)?,
                g.slice(x, axis, n / 2..n / 2 * 2)?,
            );
            let pairs = g.mul(left, right)?;
            x = if n % 2 == 1 {
                let last = g.slice(x, axis, n - 1..n)?;
                g.concat(axis, &[pairs, last])?
            } else {
                pairs
            };
        }
    }
    Ok(x)
}
