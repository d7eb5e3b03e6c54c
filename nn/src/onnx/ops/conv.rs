//! Convolutions, and the windows that they share with pooling.

use super::layout::lengths;
use crate::layers::{
    conv::{self, Transposed},
    window::{Padding, Window},
};
use crate::onnx::{
    context::{Ctx, Val},
    error::{Fault, Lowering},
    node::Node,
    registry::{OpSpec, op},
};

pub(super) const OPS: &[OpSpec] = &[
    op("Conv", 1, convolution, "one to three spatial axes"),
    op("ConvTranspose", 1, transposed, "one to three spatial axes"),
];

fn convolution(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let (x, w, bias) = (ctx.edge(0)?, ctx.edge(1)?, ctx.optional_edge(2)?);
    let window = window(node, kernel_of(ctx, node)?)?;
    let y = conv::conv(&mut ctx.g, x, w, bias, &window, groups(node)?)?;
    Ok(vec![Val::float(y)])
}

fn transposed(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let (x, w, bias) = (ctx.edge(0)?, ctx.edge(1)?, ctx.optional_edge(2)?);
    let kernel = kernel_of(ctx, node)?;
    let several = |name: &str| node.ints(name)?.map(|v| lengths(v, name)).transpose();
    let output_padding = several("output_padding")?.unwrap_or_else(|| vec![0; kernel.len()]);
    // Some exporters name batch and channels too.
    let output_shape = several("output_shape")?
        .map(|shape| shape[shape.len().saturating_sub(kernel.len())..].to_vec());
    if let Some(shape) = &output_shape {
        ctx.check_size(shape)?;
    }
    let spec = Transposed {
        window: window(node, kernel)?,
        output_padding,
        output_shape,
        groups: groups(node)?,
    };
    let y = conv::conv_transpose(&mut ctx.g, x, w, bias, &spec)?;
    Ok(vec![Val::float(y)])
}

/// The extents of the kernel, which the attribute must repeat if it is there.
fn kernel_of(ctx: &Ctx<'_>, node: &Node) -> Lowering<Vec<usize>> {
    let shape = ctx.shape(1)?;
    let kernel = shape.get(2..).unwrap_or_default().to_vec();
    match node.ints("kernel_shape")? {
        Some(named) if lengths(named, "the kernel")? != kernel => Err(Fault::Attribute(
            "kernel_shape".into(),
            format!("is {named:?} for a kernel of shape {shape:?}"),
        )),
        _ => Ok(kernel),
    }
}

fn groups(node: &Node) -> Lowering<usize> {
    let groups = node.int_or("group", 1)?;
    usize::try_from(groups)
        .ok()
        .filter(|&n| n > 0)
        .ok_or_else(|| Fault::Attribute("group".into(), format!("is {groups}")))
}

/// The windows that the attributes of a node describe.
pub(super) fn window(node: &Node, kernel: Vec<usize>) -> Lowering<Window> {
    let rank = kernel.len();
    let several = |name: &str, default: usize, n: usize| match node.ints(name)? {
        None => Ok(vec![default; n]),
        Some(v) if v.len() == n => lengths(v, name),
        Some(v) => Err(Fault::Attribute(
            name.into(),
            format!("has {} numbers for {rank} spatial axes", v.len()),
        )),
    };
    let padding = match node.text_or("auto_pad", "NOTSET")? {
        "NOTSET" | "" => {
            let mut begin = several("pads", 0, 2 * rank)?;
            let end = begin.split_off(rank);
            Padding::Explicit { begin, end }
        }
        "SAME_UPPER" => Padding::SameUpper,
        "SAME_LOWER" => Padding::SameLower,
        "VALID" => Padding::Valid,
        other => {
            return Err(Fault::Attribute("auto_pad".into(), format!("is {other}")));
        }
    };
    Ok(Window {
        stride: several("strides", 1, rank)?,
        dilation: several("dilations", 1, rank)?,
        kernel,
        padding,
        ceil: node.flag("ceil_mode", false)?,
    })
}
