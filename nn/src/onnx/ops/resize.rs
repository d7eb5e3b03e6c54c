//! Resizing.

use crate::layers::resize::{Coordinates, Interpolation, Nearest, Resize, Resized, resize};
use crate::onnx::{
    context::{Ctx, Val},
    error::{Fault, Lowering, refuse},
    node::Node,
    registry::{OpSpec, op},
};

use super::layout::lengths;

pub(super) const OPS: &[OpSpec] = &[
    op("Resize", 10, resize_op, "").public("roi, scales, sizes"),
    op("Upsample", 7, upsample, "").public("scales"),
];

fn attribute<T>(name: &str, got: &str) -> Lowering<T> {
    Err(Fault::Attribute(name.into(), format!("is {got}")))
}

/// As Upsample and the first Resize did it: by x/scale, the nearest below.
fn simple(node: &Node) -> Lowering<Resize> {
    let interpolation = match node.text_or("mode", "nearest")? {
        "nearest" => Interpolation::Nearest(Nearest::Floor),
        "linear" | "bilinear" => Interpolation::Linear,
        other => return attribute("mode", other),
    };
    Ok(Resize {
        interpolation,
        coordinates: Coordinates::Asymmetric,
        exclude_outside: false,
        antialias: false,
        extrapolation: 0.0,
    })
}

fn full(node: &Node) -> Lowering<Resize> {
    let nearest = match node.text_or("nearest_mode", "round_prefer_floor")? {
        "round_prefer_floor" => Nearest::PreferFloor,
        "round_prefer_ceil" => Nearest::PreferCeil,
        "floor" => Nearest::Floor,
        "ceil" => Nearest::Ceil,
        other => return attribute("nearest_mode", other),
    };
    let interpolation = match node.text_or("mode", "nearest")? {
        "nearest" => Interpolation::Nearest(nearest),
        "linear" => Interpolation::Linear,
        "cubic" => Interpolation::Cubic {
            a: node.float_or("cubic_coeff_a", -0.75)?,
        },
        other => return attribute("mode", other),
    };
    let coordinates = match node.text_or("coordinate_transformation_mode", "half_pixel")? {
        "half_pixel" => Coordinates::HalfPixel,
        "half_pixel_symmetric" => Coordinates::HalfPixelSymmetric,
        "pytorch_half_pixel" => Coordinates::PytorchHalfPixel,
        "align_corners" => Coordinates::AlignCorners,
        "asymmetric" => Coordinates::Asymmetric,
        "tf_half_pixel_for_nn" => Coordinates::TfHalfPixelForNn,
        "tf_crop_and_resize" => Coordinates::TfCropAndResize,
        other => return attribute("coordinate_transformation_mode", other),
    };
    Ok(Resize {
        interpolation,
        coordinates,
        exclude_outside: node.flag("exclude_outside", false)?,
        antialias: node.flag("antialias", false)?,
        extrapolation: node.float_or("extrapolation_value", 0.0)?,
    })
}

fn upsample(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let scales = match node.floats("scales")? {
        Some(scales) => scales.to_vec(),
        None => ctx.floats(1, "the scales")?,
    };
    let axes: Vec<usize> = (0..ctx.shape(0)?.len()).collect();
    by_scales(ctx, &simple(node)?, &axes, &scales, None)
}

fn resize_op(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let shape = ctx.shape(0)?;
    if node.opset < 11 {
        let axes: Vec<usize> = (0..shape.len()).collect();
        let scales = ctx.floats(1, "the scales")?;
        return by_scales(ctx, &simple(node)?, &axes, &scales, None);
    }
    let how = full(node)?;
    let axes: Vec<usize> = match node.ints("axes")? {
        None => (0..shape.len()).collect(),
        Some(axes) => axes
            .iter()
            .map(|&a| ctx.axis(a, shape.len()))
            .collect::<Lowering<_>>()?,
    };
    // An operand of no entries is one that was left out.
    let given = |i: usize, role: &str| -> Lowering<Option<Vec<f64>>> {
        if !ctx.has(i) || ctx.shape(i)?.contains(&0) {
            return Ok(None);
        }
        ctx.floats(i, role).map(Some)
    };
    let region = if how.coordinates == Coordinates::TfCropAndResize {
        given(1, "the region")?
    } else {
        None
    };
    let scales = given(2, "the scales")?;
    let sizes = given(3, "the sizes")?;
    match (scales, sizes) {
        (Some(scales), None) => by_scales(ctx, &how, &axes, &scales, region.as_deref()),
        (None, Some(_)) => {
            let sizes = lengths(&ctx.ints(3, "the sizes")?, "the sizes")?;
            by_sizes(ctx, node, &how, &axes, &sizes, region.as_deref())
        }
        _ => refuse("either scales or sizes must be given"),
    }
}

/// The region of the k-th of the axes.
fn region_of(region: Option<&[f64]>, k: usize, n: usize) -> Lowering<(f64, f64)> {
    match region {
        None => Ok((0.0, 1.0)),
        Some(region) if region.len() == 2 * n => Ok((region[k], region[n + k])),
        Some(region) => Err(Fault::Shape(format!(
            "a region of {} numbers for {n} axes",
            region.len()
        ))),
    }
}

fn by_scales(
    ctx: &mut Ctx<'_>,
    how: &Resize,
    axes: &[usize],
    scales: &[f64],
    region: Option<&[f64]>,
) -> Lowering<Vec<Val>> {
    let shape = ctx.shape(0)?;
    if scales.len() != axes.len() {
        return Err(Fault::Shape(format!(
            "{} scales for {} axes",
            scales.len(),
            axes.len()
        )));
    }
    let mut resized = Vec::with_capacity(axes.len());
    for (k, (&axis, &scale)) in axes.iter().zip(scales).enumerate() {
        let region = region_of(region, k, axes.len())?;
        // In single precision, as exporters computed it: 2.3·10 is 23.
        let length = (shape[axis] as f32 * (region.1 - region.0) as f32 * scale as f32).floor();
        // Written so that NaN fails it.
        if !(0.0..2e9).contains(&length) {
            return Err(Fault::Shape(format!("a scale of {scale} for axis {axis}")));
        }
        resized.push(Resized {
            axis,
            scale,
            length: length as usize,
            region,
        });
    }
    done(ctx, how, &resized)
}

fn by_sizes(
    ctx: &mut Ctx<'_>,
    node: &Node,
    how: &Resize,
    axes: &[usize],
    sizes: &[usize],
    region: Option<&[f64]>,
) -> Lowering<Vec<Val>> {
    let shape = ctx.shape(0)?;
    if sizes.len() != axes.len() || axes.iter().any(|&a| shape[a] == 0) {
        return Err(Fault::Shape(format!(
            "{} sizes for the axes {axes:?} of {shape:?}",
            sizes.len()
        )));
    }
    let ratio = |k: usize| sizes[k] as f64 / shape[axes[k]] as f64;
    let ratios = (0..axes.len()).map(ratio);
    let common = match node.text_or("keep_aspect_ratio_policy", "stretch")? {
        "stretch" => None,
        "not_larger" => ratios.reduce(f64::min),
        "not_smaller" => ratios.reduce(f64::max),
        other => return attribute("keep_aspect_ratio_policy", other),
    };
    let mut resized = Vec::with_capacity(axes.len());
    for (k, &axis) in axes.iter().enumerate() {
        let (scale, length) = match common {
            None => (ratio(k), sizes[k]),
            Some(scale) => (scale, (scale * shape[axis] as f64 + 0.5).floor() as usize),
        };
        resized.push(Resized {
            axis,
            scale,
            length,
            region: region_of(region, k, axes.len())?,
        });
    }
    done(ctx, how, &resized)
}

fn done(ctx: &mut Ctx<'_>, how: &Resize, axes: &[Resized]) -> Lowering<Vec<Val>> {
    let mut shape = ctx.shape(0)?;
    for to in axes {
        shape[to.axis] = to.length;
    }
    ctx.check_size(&shape)?;
    let x = ctx.edge(0)?;
    Ok(vec![Val::Edge {
        edge: resize(&mut ctx.g, x, how, axes)?,
        element: ctx.element(0)?,
    }])
}
