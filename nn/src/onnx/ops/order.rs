//! Orders along an axis: the greatest, and the soft forms of it.

use crate::{
    Edge, Graph, Result,
    onnx::{
        Element,
        context::{Ctx, Val},
        error::{Fault, Lowering, refuse},
        node::Node,
        registry::{OpSpec, op},
    },
};

pub(super) const OPS: &[OpSpec] = &[
    op("ArgMax", 1, |ctx, node| index(ctx, node, Graph::argmax), ""),
    op("ArgMin", 1, |ctx, node| index(ctx, node, Graph::argmin), ""),
    op(
        "Hardmax",
        1,
        |ctx, node| soft(ctx, node, Graph::hardmax),
        "",
    ),
    op(
        "LogSoftmax",
        1,
        |ctx, node| soft(ctx, node, Graph::log_softmax),
        "",
    ),
    op(
        "Softmax",
        1,
        |ctx, node| soft(ctx, node, Graph::softmax),
        "",
    ),
    op(
        "TopK",
        1,
        top_k,
        "always sorted; one pass for each of the K",
    )
    .public("K"),
];

fn index(
    ctx: &mut Ctx<'_>,
    node: &Node,
    word: fn(&mut Graph, Edge, usize, bool) -> Result<Edge>,
) -> Lowering<Vec<Val>> {
    let rank = ctx.shape(0)?.len();
    let axis = ctx.axis(node.int_or("axis", 0)?, rank)?;
    let last = node.flag("select_last_index", false)?;
    let x = ctx.edge(0)?;
    let mut edge = word(&mut ctx.g, x, axis, last)?;
    if !node.flag("keepdims", true)? {
        edge = ctx.squeeze_edge(edge, &[axis])?;
    }
    Ok(vec![Val::int(edge)])
}

/// Before operator set 13 all axes from `axis` on are taken together.
fn soft(
    ctx: &mut Ctx<'_>,
    node: &Node,
    word: fn(&mut Graph, Edge, usize) -> Result<Edge>,
) -> Lowering<Vec<Val>> {
    let shape = ctx.shape(0)?;
    if shape.contains(&0) {
        return Ok(vec![ctx.val(0).clone()]);
    }
    let x = ctx.edge(0)?;
    if node.opset >= 13 {
        let axis = ctx.axis(node.int_or("axis", -1)?, shape.len())?;
        return Ok(vec![Val::float(word(&mut ctx.g, x, axis)?)]);
    }
    let axis = ctx.axis(node.int_or("axis", 1)?, shape.len())?;
    let (rows, columns) = shape.split_at(axis);
    let flat = ctx.reshape_edge(x, &[rows.iter().product(), columns.iter().product()])?;
    let y = word(&mut ctx.g, flat, 1)?;
    Ok(vec![Val::float(ctx.reshape_edge(y, &shape)?)])
}

fn top_k(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let shape = ctx.shape(0)?;
    let axis = ctx.axis(node.int_or("axis", -1)?, shape.len())?;
    let k = match node.int("k")? {
        Some(k) => k,
        None => ctx.int(1, "the number K")?,
    };
    let length = shape[axis];
    let k = usize::try_from(k).ok().filter(|&k| k <= length);
    let k = k.ok_or_else(|| {
        Fault::Shape(format!(
            "K must be from 0 to {length}, the length of the axis"
        ))
    })?;
    let element = ctx.element(0)?;
    if element == Element::Text {
        return refuse("text has no order here");
    }
    let x = ctx.edge(0)?;
    if k == 0 {
        let none = ctx.g.slice(x, axis, 0..0)?;
        return Ok(vec![
            Val::Edge {
                edge: none,
                element,
            },
            Val::int(none),
        ]);
    }
    let (values, indices) = ctx.g.top_k(x, k, axis, node.flag("largest", true)?)?;
    Ok(vec![
        Val::Edge {
            edge: values,
            element,
        },
        Val::int(indices),
    ])
}
