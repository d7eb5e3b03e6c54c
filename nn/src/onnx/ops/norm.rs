//! Normalisation.

use std::sync::Arc;

use ndarray::{ArrayD, Zip};

use super::factors::times_known;
use crate::layers::{batch_norm as batch, norm};
use crate::onnx::{
    Constant, Weights,
    context::{Ctx, Val},
    error::{Fault, Lowering, refuse},
    node::Node,
    registry::{OpSpec, op},
};

pub(super) const OPS: &[OpSpec] = &[
    op(
        "BatchNormalization",
        7,
        batch_norm,
        "spatial; in training by the moments of the batch",
    ),
    op("GroupNormalization", 18, group_norm, ""),
    op("InstanceNormalization", 1, instance_norm, ""),
    op("LayerNormalization", 17, layer_norm, ""),
    op("LpNormalization", 1, lp_norm, ""),
    op("LRN", 1, local_response_norm, ""),
    op("MeanVarianceNormalization", 9, mean_variance_norm, ""),
    op("RMSNormalization", 23, rms_norm, ""),
];

fn epsilon(node: &Node) -> Lowering<f64> {
    node.float_or("epsilon", 1e-5)
}

/// The first axis of those that are normalised over.
fn first_axis(ctx: &Ctx<'_>, node: &Node) -> Lowering<usize> {
    ctx.axis(node.int_or("axis", -1)?, ctx.shape(0)?.len())
}

fn size(node: &Node, name: &str) -> Lowering<usize> {
    let n = node.required(name, node.int(name)?)?;
    usize::try_from(n).map_err(|_| Fault::Attribute(name.into(), format!("is {n}")))
}

fn batch_norm(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    if !node.flag("spatial", true)? {
        return refuse("BatchNormalization of each place by itself (spatial = 0) is not supported");
    }
    let epsilon = epsilon(node)?;
    // Until operator set 14, a node that gives the moments is one for training.
    let training = if node.opset >= 14 {
        node.flag("training_mode", false)?
    } else {
        node.wants(1)
    };
    let shape = ctx.shape(0)?;
    if !training && !ctx.training() {
        if let Some(y) = by_known_moments(ctx, node, epsilon)? {
            return Ok(vec![y]);
        }
        let [x, scale, bias, mean, variance] = operands(ctx)?;
        let moments = (mean, variance);
        let y = batch::batch_norm(&mut ctx.g, x, (scale, bias), moments, epsilon)?;
        return Ok(vec![Val::float(y)]);
    }
    if shape.len() < 2 {
        return Err(Fault::Shape(format!(
            "a batch of shape {shape:?} has no channels"
        )));
    }
    let momentum = node.float_or("momentum", 0.9)?;
    let [x, scale, bias, mean, variance] = operands(ctx)?;
    let affine = (scale, bias);
    let g = &mut ctx.g;
    let t = batch::batch_norm_training(g, x, affine, (mean, variance), epsilon, momentum)?;
    if ctx.training() {
        ctx.update(3, t.mean);
        ctx.update(4, t.variance);
    }
    Ok([t.y, t.mean, t.variance].map(Val::float).to_vec())
}

fn operands(ctx: &mut Ctx<'_>) -> Lowering<[crate::Edge; 5]> {
    Ok([
        ctx.edge(0)?,
        ctx.edge(1)?,
        ctx.edge(2)?,
        ctx.edge(3)?,
        ctx.edge(4)?,
    ])
}

/// x·factor + shift, where both follow from what is known.
fn by_known_moments(ctx: &mut Ctx<'_>, node: &Node, epsilon: f64) -> Lowering<Option<Val>> {
    let known: Vec<ArrayD<f64>> = (1..5).filter_map(|i| ctx.known_numbers(i)).collect();
    let [scale, bias, mean, variance] = &known[..] else {
        return Ok(None);
    };
    if [bias, mean, variance]
        .iter()
        .any(|v| v.shape() != scale.shape())
    {
        return Err(Fault::Shape(
            "scale, bias, mean and variance have different shapes".into(),
        ));
    }
    let factor = Zip::from(scale)
        .and(variance)
        .map_collect(|s, v| s / (v + epsilon).sqrt());
    let shift = Zip::from(bias)
        .and(mean)
        .and(&factor)
        .map_collect(|b, m, f| b - m * f);
    let secret = (1..5).any(|i| ctx.is_secret(i));
    // One number a channel, broadcast over what follows axis 1.
    let mut shape = vec![1; ctx.shape(0)?.len().max(2) - 1];
    shape[0] = factor.len();
    let placed = |value: ArrayD<f64>| {
        value
            .into_shape_with_order(shape.as_slice())
            .map_err(|e| Fault::Shape(e.to_string()))
    };
    let (factor, shift) = (placed(factor)?, placed(shift)?);
    let x = ctx.edge(0)?;
    let name = |what: &str| format!("{what} of {}", node.label);
    let private = secret && *ctx.weights == Weights::Private;
    let place = |ctx: &mut Ctx<'_>, value, what: &str| {
        let value = Arc::new(Constant::Float(value));
        ctx.edge_of(&Val::Known { value, secret }, &name(what))
    };
    let shift = place(ctx, shift, "shift")?;
    // Private factors are near 1 in a network that trains; a finer product would be another private one.
    let y = if private {
        let factor = place(ctx, factor, "factor")?;
        ctx.g.mul(x, factor)?
    } else {
        times_known(ctx, x, &factor, secret, &name("factor"))?
    };
    Ok(Some(Val::float(ctx.g.add(y, shift)?)))
}

fn layer_norm(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let axis = first_axis(ctx, node)?;
    let (x, scale, bias) = (ctx.edge(0)?, ctx.edge(1)?, ctx.optional_edge(2)?);
    let n = norm::layer_norm(&mut ctx.g, x, scale, bias, axis, epsilon(node)?)?;
    Ok([n.y, n.mean, n.inverse_deviation].map(Val::float).to_vec())
}

fn rms_norm(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let axis = first_axis(ctx, node)?;
    let (x, scale) = (ctx.edge(0)?, ctx.edge(1)?);
    let y = norm::rms_norm(&mut ctx.g, x, scale, axis, epsilon(node)?)?;
    Ok(vec![Val::float(y)])
}

fn group_norm(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let groups = size(node, "num_groups")?;
    let (x, scale, bias) = (ctx.edge(0)?, ctx.edge(1)?, ctx.edge(2)?);
    let y = norm::group_norm(&mut ctx.g, x, scale, bias, groups, epsilon(node)?)?;
    Ok(vec![Val::float(y)])
}

fn instance_norm(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let (x, scale, bias) = (ctx.edge(0)?, ctx.edge(1)?, ctx.edge(2)?);
    let y = norm::instance_norm(&mut ctx.g, x, scale, bias, epsilon(node)?)?;
    Ok(vec![Val::float(y)])
}

fn lp_norm(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let axis = first_axis(ctx, node)?;
    let p = node.int_or("p", 2)?;
    let p = usize::try_from(p).map_err(|_| Fault::Attribute("p".into(), format!("is {p}")))?;
    let x = ctx.edge(0)?;
    Ok(vec![Val::float(norm::lp_norm(&mut ctx.g, x, axis, p)?)])
}

fn local_response_norm(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let size = size(node, "size")?;
    let constants = (
        node.float_or("alpha", 1e-4)?,
        node.float_or("beta", 0.75)?,
        node.float_or("bias", 1.0)?,
    );
    let x = ctx.edge(0)?;
    let y = norm::local_response_norm(&mut ctx.g, x, size, constants)?;
    Ok(vec![Val::float(y)])
}

fn mean_variance_norm(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let axes = node.ints("axes")?.unwrap_or(&[0, 2, 3]);
    let axes = ctx.axes(axes, ctx.shape(0)?.len())?;
    let x = ctx.edge(0)?;
    Ok(vec![Val::float(norm::mean_variance_norm(
        &mut ctx.g, x, &axes,
    )?)])
}
