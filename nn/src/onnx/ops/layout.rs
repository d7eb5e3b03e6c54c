//! What moves entries without computing: the axes, shapes and positions are public, the entries may be of any kind.

use crate::Layout;
use crate::onnx::{
    context::{Ctx, Val},
    error::{Fault, Lowering, refuse},
    node::Node,
    registry::{OpSpec, op},
};

pub(super) const OPS: &[OpSpec] = &[
    op("Concat", 4, concat, ""),
    op("Expand", 8, expand, "").public("shape"),
    op("Flatten", 1, flatten, ""),
    op("Reshape", 5, reshape, "").public("shape"),
    op("Split", 2, split, "").public("split"),
    op("Squeeze", 1, squeeze, "").public("axes"),
    op("Tile", 6, tile, "").public("repeats"),
    op("Transpose", 1, transpose, ""),
    op("Unsqueeze", 1, unsqueeze, "").public("axes"),
];

fn concat(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let rank = ctx.shape(0)?.len();
    let axis = ctx.axis(node.required("axis", node.int("axis")?)?, rank)?;
    let vals = ctx.inputs.clone();
    Ok(vec![ctx.concat(axis, &vals)?])
}

/// The shape to which numpy broadcasts both.
pub(super) fn common_shape(x: &[usize], y: &[usize]) -> Lowering<Vec<usize>> {
    let rank = x.len().max(y.len());
    let length = |s: &[usize], a: usize| (a + s.len()).checked_sub(rank).map_or(1, |a| s[a]);
    (0..rank)
        .map(|a| match (length(x, a), length(y, a)) {
            (n, m) if n == m || m == 1 => Ok(n),
            (1, m) => Ok(m),
            _ => Err(Fault::Shape(format!(
                "the shapes {x:?} and {y:?} do not broadcast"
            ))),
        })
        .collect()
}

/// A shape from integers of the file.
pub(super) fn lengths(dims: &[i64], what: &str) -> Lowering<Vec<usize>> {
    let length = |&n| usize::try_from(n);
    let shape = dims.iter().map(length).collect::<Result<Vec<usize>, _>>();
    shape.map_err(|_| Fault::Shape(format!("{what} {dims:?} has a negative number")))
}

fn expand(ctx: &mut Ctx<'_>, _: &Node) -> Lowering<Vec<Val>> {
    let asked = lengths(&ctx.ints(1, "the shape")?, "the shape")?;
    let shape = common_shape(&ctx.shape(0)?, &asked)?;
    let x = ctx.val(0).clone();
    Ok(vec![ctx.layout(&x, Layout::Broadcast(shape))?])
}

fn flatten(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let shape = ctx.shape(0)?;
    let axis = node.int_or("axis", 1)?;
    // Unlike other axes this one may be one past the last.
    let axis = if axis == shape.len() as i64 {
        shape.len()
    } else {
        ctx.axis(axis, shape.len())?
    };
    let (rows, columns) = shape.split_at(axis);
    let flat = [rows.iter().product(), columns.iter().product()];
    let x = ctx.val(0).clone();
    Ok(vec![ctx.reshape(&x, &flat)?])
}

fn reshape(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let shape = ctx.shape(0)?;
    let dims = ctx.ints(1, "the shape")?;
    let keep_zero = node.flag("allowzero", false)?;
    let mut open = None;
    let mut target = Vec::with_capacity(dims.len());
    for (a, &n) in dims.iter().enumerate() {
        target.push(match n {
            0 if !keep_zero => *shape.get(a).ok_or_else(|| {
                Fault::Shape(format!("it keeps axis {a}, which {shape:?} does not have"))
            })?,
            -1 if open.is_none() => {
                open = Some(a);
                1
            }
            n => usize::try_from(n).map_err(|_| Fault::Shape(format!("{dims:?} is no shape")))?,
        });
    }
    ctx.check_size(&target)?;
    if let Some(a) = open {
        let (all, rest) = (
            shape.iter().product::<usize>(),
            target.iter().product::<usize>(),
        );
        target[a] = all.checked_div(rest).unwrap_or(0);
    }
    if target.iter().product::<usize>() != shape.iter().product::<usize>() {
        return Err(Fault::Shape(format!(
            "a tensor of shape {shape:?} has not the shape {dims:?}"
        )));
    }
    let x = ctx.val(0).clone();
    Ok(vec![ctx.reshape(&x, &target)?])
}

fn split(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let shape = ctx.shape(0)?;
    let axis = ctx.axis(node.int_or("axis", 0)?, shape.len())?;
    let length = shape[axis];
    let sizes = match ctx.optional_ints(1, "the lengths of the parts")? {
        Some(sizes) => Some(sizes),
        None => node.ints("split")?.map(<[i64]>::to_vec),
    };
    let sizes = match sizes {
        Some(sizes) => lengths(&sizes, "the lengths of the parts")?,
        None => {
            let given = node.int("num_outputs")?;
            let parts = given.map_or(Ok(node.outputs.len()), usize::try_from);
            let parts = parts.unwrap_or(0).min(node.outputs.len());
            if parts == 0 {
                return Err(Fault::Attribute(
                    "num_outputs".into(),
                    "must be positive".into(),
                ));
            }
            // The last part takes what is left.
            let each = length.div_ceil(parts);
            (0..parts)
                .map(|k| length.saturating_sub(k * each).min(each))
                .collect()
        }
    };
    let sum = sizes.iter().try_fold(0usize, |sum, &n| sum.checked_add(n));
    if sum != Some(length) {
        return Err(Fault::Shape(format!(
            "parts of {sizes:?} do not make up axis {axis} of {shape:?}"
        )));
    }
    let x = ctx.val(0).clone();
    let mut start = 0;
    let mut parts = Vec::with_capacity(sizes.len());
    for size in sizes {
        let end = start + size;
        parts.push(ctx.layout(&x, Layout::Slice { axis, start, end })?);
        start = end;
    }
    Ok(parts)
}

/// Axes that are an attribute in old operator sets and operand 1 in new ones.
pub(super) fn given_axes(ctx: &Ctx<'_>, node: &Node) -> Lowering<Option<Vec<i64>>> {
    Ok(match ctx.optional_ints(1, "the axes")? {
        Some(axes) => Some(axes),
        None => node.ints("axes")?.map(<[i64]>::to_vec),
    })
}

fn squeeze(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let shape = ctx.shape(0)?;
    let axes = match given_axes(ctx, node)? {
        Some(axes) => ctx.axes(&axes, shape.len())?,
        None => (0..shape.len()).filter(|&a| shape[a] == 1).collect(),
    };
    if let Some(a) = axes.iter().find(|&&a| shape[a] != 1) {
        return Err(Fault::Shape(format!(
            "axis {a} of {shape:?} has not length 1"
        )));
    }
    let left: Vec<usize> = (0..shape.len())
        .filter(|a| !axes.contains(a))
        .map(|a| shape[a])
        .collect();
    let x = ctx.val(0).clone();
    Ok(vec![ctx.reshape(&x, &left)?])
}

fn unsqueeze(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let shape = ctx.shape(0)?;
    let Some(axes) = given_axes(ctx, node)? else {
        return Err(Fault::Attribute("axes".into(), "is missing".into()));
    };
    let rank = shape.len() + axes.len();
    let axes = ctx.axes(&axes, rank)?;
    let mut old = shape.iter();
    let new: Vec<usize> = (0..rank)
        .map(|a| {
            if axes.contains(&a) {
                1
            } else {
                old.next().copied().unwrap_or(1)
            }
        })
        .collect();
    let x = ctx.val(0).clone();
    Ok(vec![ctx.reshape(&x, &new)?])
}

fn tile(ctx: &mut Ctx<'_>, _: &Node) -> Lowering<Vec<Val>> {
    let shape = ctx.shape(0)?;
    let repeats = lengths(&ctx.ints(1, "the repeats")?, "the repeats")?;
    if repeats.len() != shape.len() {
        return Err(Fault::Shape(format!(
            "{} repeats for {} axes",
            repeats.len(),
            shape.len()
        )));
    }
    let target: Option<Vec<usize>> = shape
        .iter()
        .zip(&repeats)
        .map(|(&n, &r)| n.checked_mul(r))
        .collect();
    ctx.check_size(&target.unwrap_or_else(|| vec![usize::MAX]))?;
    let mut x = ctx.val(0).clone();
    for (axis, (&n, &r)) in shape
        .iter()
        .zip(&repeats)
        .enumerate()
        .filter(|(_, (_, r))| **r != 1)
    {
        let index = (0..r).flat_map(|_| 0..n).collect();
        x = ctx.layout(&x, Layout::Gather { axis, index })?;
    }
    Ok(vec![x])
}

fn transpose(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let rank = ctx.shape(0)?.len();
    let order = match node.ints("perm")? {
        Some(perm) if perm.len() == rank => perm
            .iter()
            .map(|&a| ctx.axis(a, rank))
            .collect::<Lowering<Vec<usize>>>()?,
        Some(perm) => return refuse(format!("perm {perm:?} does not order {rank} axes")),
        None => (0..rank).rev().collect(),
    };
    let x = ctx.val(0).clone();
    Ok(vec![ctx.layout(&x, Layout::Transpose(order))?])
}
