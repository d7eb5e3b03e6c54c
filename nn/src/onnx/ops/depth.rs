//! Entries moved between channels and space.

use crate::layers::depth::{self, Order};
use crate::onnx::{
    context::{Ctx, Val},
    error::{Fault, Lowering},
    node::Node,
    registry::{OpSpec, op},
};

pub(super) const OPS: &[OpSpec] = &[
    op("DepthToSpace", 1, depth_to_space, ""),
    op("SpaceToDepth", 1, space_to_depth, ""),
];

fn block(node: &Node) -> Lowering<(usize, Order)> {
    let n = node.required("blocksize", node.int("blocksize")?)?;
    let block =
        usize::try_from(n).map_err(|_| Fault::Attribute("blocksize".into(), format!("is {n}")))?;
    match node.text_or("mode", "DCR")? {
        "DCR" => Ok((block, Order::BlockFirst)),
        "CRD" => Ok((block, Order::ChannelFirst)),
        other => Err(Fault::Attribute("mode".into(), format!("is {other}"))),
    }
}

fn depth_to_space(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let (block, order) = block(node)?;
    let x = ctx.edge(0)?;
    Ok(vec![Val::Edge {
        edge: depth::depth_to_space(&mut ctx.g, x, block, order)?,
        element: ctx.element(0)?,
    }])
}

fn space_to_depth(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let (block, order) = block(node)?;
    let x = ctx.edge(0)?;
    Ok(vec![Val::Edge {
        edge: depth::space_to_depth(&mut ctx.g, x, block, order)?,
        element: ctx.element(0)?,
    }])
}
