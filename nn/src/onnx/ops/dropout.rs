//! Dropout: nothing in inference, a random mask in training.

use ndarray::{ArrayD, IxDyn};

use crate::onnx::{
    Constant,
    context::{Ctx, Val},
    error::{Fault, Lowering},
    node::Node,
    registry::{OpSpec, op},
};

pub(super) const OPS: &[OpSpec] = &[op(
    "Dropout",
    7,
    dropout,
    "the identity in inference, also where the file asks for training mode; in training the masks are drawn anew each step, unless the file sets training_mode to false",
)
.public("ratio, training_mode")];

fn dropout(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let ratio = if ctx.has(1) {
        ctx.float(1, "the ratio")?
    } else {
        node.float_or("ratio", 0.5)?
    };
    if !(0.0..1.0).contains(&ratio) {
        return Err(Fault::Attribute(
            "ratio".into(),
            format!("is {ratio}; it must be from 0 up to 1"),
        ));
    }
    let off = ctx.has(2) && ctx.ints(2, "the training mode")?.iter().all(|&v| v == 0);
    let shape = ctx.shape(0)?;
    if !ctx.training() || off || ratio == 0.0 {
        let mask = Constant::Bool(ArrayD::from_elem(IxDyn(&shape), true));
        return Ok(vec![ctx.val(0).clone(), Val::known(mask)]);
    }
    let x = ctx.edge(0)?;
    let mask = ctx.mask(&shape, 1.0 - ratio)?;
    let kept = ctx.g.mul(x, mask)?;
    let edge = ctx.g.scale_exact(kept, (1.0 - ratio).recip())?;
    Ok(vec![Val::float(edge), Val::bool(mask)])
}
