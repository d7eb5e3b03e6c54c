//! Pooling.

use super::{conv::window, layout::lengths};
use crate::Edge;
use crate::layers::{max_pool, pool, window::Window};
use crate::onnx::{
    context::{Ctx, Val},
    error::{Fault, Lowering},
    node::Node,
    registry::{OpSpec, op},
};

pub(super) const OPS: &[OpSpec] = &[
    op("AveragePool", 7, average_pool, ""),
    op("GlobalAveragePool", 1, global_average_pool, ""),
    op("GlobalLpPool", 2, global_lp_pool, ""),
    op("GlobalMaxPool", 1, global_max_pool, ""),
    op("LpPool", 2, lp_pool, ""),
    op("MaxPool", 1, max_pool_op, "every window sees an entry"),
];

/// A result of the kind of the first operand.
fn alike(ctx: &Ctx<'_>, edge: Edge) -> Lowering<Val> {
    Ok(Val::Edge {
        edge,
        element: ctx.element(0)?,
    })
}

/// The windows of a node, whose kernel is an attribute.
fn windows(node: &Node) -> Lowering<Window> {
    let kernel = node.required("kernel_shape", node.ints("kernel_shape")?)?;
    window(node, lengths(kernel, "kernel_shape")?)
}

/// The axes after batch and channels; none is refused.
fn spatial(ctx: &Ctx<'_>) -> Lowering<Vec<usize>> {
    let shape = ctx.shape(0)?;
    if shape.len() < 3 {
        return Err(Fault::Shape(format!(
            "pooling needs spatial axes after batch and channels; the shape is {shape:?}"
        )));
    }
    Ok((2..shape.len()).collect())
}

fn max_pool_op(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let x = ctx.edge(0)?;
    let window = windows(node)?;
    if node.wants(1) {
        let columns_first = node.flag("storage_order", false)?;
        let g = &mut ctx.g;
        let (y, indices) = max_pool::max_pool_with_indices(g, x, &window, columns_first)?;
        return Ok(vec![alike(ctx, y)?, Val::int(indices)]);
    }
    let y = max_pool::max_pool(&mut ctx.g, x, &window)?;
    Ok(vec![alike(ctx, y)?])
}

fn average_pool(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let x = ctx.edge(0)?;
    let count_pad = node.flag("count_include_pad", false)?;
    let y = pool::average_pool(&mut ctx.g, x, &windows(node)?, count_pad)?;
    Ok(vec![Val::float(y)])
}

/// The order of a norm.
fn order(node: &Node) -> Lowering<usize> {
    let p = node.int_or("p", 2)?;
    usize::try_from(p).map_err(|_| Fault::Attribute("p".into(), format!("is {p}")))
}

fn lp_pool(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let x = ctx.edge(0)?;
    let y = pool::lp_pool(&mut ctx.g, x, &windows(node)?, order(node)?)?;
    Ok(vec![Val::float(y)])
}

fn global_lp_pool(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let x = ctx.edge(0)?;
    spatial(ctx)?;
    let all = Window::new(&ctx.shape(0)?[2..]);
    let y = pool::lp_pool(&mut ctx.g, x, &all, order(node)?)?;
    Ok(vec![Val::float(y)])
}

fn global_average_pool(ctx: &mut Ctx<'_>, _: &Node) -> Lowering<Vec<Val>> {
    let (x, axes) = (ctx.edge(0)?, spatial(ctx)?);
    Ok(vec![Val::float(pool::mean(&mut ctx.g, x, &axes)?)])
}

fn global_max_pool(ctx: &mut Ctx<'_>, _: &Node) -> Lowering<Vec<Val>> {
    let (x, axes) = (ctx.edge(0)?, spatial(ctx)?);
    let y = ctx.g.max_over(x, &axes)?;
    Ok(vec![alike(ctx, y)?])
}
