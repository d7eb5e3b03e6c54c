//! Einsum.

use crate::layers::einsum::einsum;
use crate::onnx::{
    context::{Ctx, Val},
    error::Lowering,
    node::Node,
    registry::{OpSpec, op},
};

pub(super) const OPS: &[OpSpec] = &[op(
    "Einsum",
    12,
    einsum_op,
    "operands are multiplied from left to right",
)];

fn einsum_op(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let equation = node.required("equation", node.text("equation")?)?;
    let edges = (0..ctx.len())
        .map(|i| ctx.edge(i))
        .collect::<Lowering<Vec<_>>>()?;
    Ok(vec![Val::Edge {
        edge: einsum(&mut ctx.g, equation, &edges)?,
        element: ctx.element(0)?,
    }])
}
