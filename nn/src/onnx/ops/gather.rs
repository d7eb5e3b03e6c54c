//! Entries at public positions.

use ndarray::{ArrayD, IxDyn};

use super::layout::lengths;
use crate::{
    Layout,
    onnx::{
        context::{Ctx, Val},
        error::{Fault, Lowering, refuse},
        node::Node,
        registry::{OpSpec, op},
    },
};

pub(super) const OPS: &[OpSpec] = &[
    op("Compress", 9, compress, "").public("condition"),
    op("Gather", 1, gather, "").public("indices"),
    op("GatherElements", 11, gather_elements, "").public("indices"),
    op("GatherND", 11, gather_nd, "").public("indices"),
    op("ReverseSequence", 10, reverse_sequence, "").public("sequence_lens"),
    op("ScatterElements", 11, scatter_elements, "without reduction").public("indices"),
    op("ScatterND", 11, scatter_nd, "without reduction").public("indices"),
    op("Slice", 1, slice, "").public("starts, ends, axes, steps"),
];

/// A position that may count from the end.
fn position(i: i64, length: usize) -> Lowering<usize> {
    let from_start = if i < 0 {
        i.saturating_add(length as i64)
    } else {
        i
    };
    let position = usize::try_from(from_start).ok().filter(|&k| k < length);
    position.ok_or_else(|| Fault::Shape(format!("index {i} of an axis of length {length}")))
}

/// The integers of operand i with their shape, which must be known.
fn indices(ctx: &Ctx<'_>, i: usize) -> Lowering<ArrayD<i64>> {
    let indices = ctx.must_know(i, "the index")?.integers();
    indices.ok_or_else(|| Fault::Shape("the index must be integers".into()))
}

/// All entries on one axis.
fn flat(ctx: &mut Ctx<'_>, val: &Val) -> Lowering<Val> {
    let n = ctx.shape_of(val)?.unwrap_or_default().iter().product();
    ctx.reshape(val, &[n])
}

/// The row-major position of an index.
fn offset(at: impl IntoIterator<Item = usize>, shape: &[usize]) -> usize {
    at.into_iter().zip(shape).fold(0, |sum, (i, n)| sum * n + i)
}

fn gather(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let shape = ctx.shape(0)?;
    let axis = ctx.axis(node.int_or("axis", 0)?, shape.len())?;
    let at = indices(ctx, 1)?;
    let index = at
        .iter()
        .map(|&i| position(i, shape[axis]))
        .collect::<Lowering<Vec<usize>>>()?;
    let target = [&shape[..axis], at.shape(), &shape[axis + 1..]].concat();
    ctx.check_size(&target)?;
    let x = ctx.val(0).clone();
    let whole = index.len() == shape[axis] && index.iter().enumerate().all(|(k, &i)| k == i);
    let taken = if whole {
        x
    } else {
        ctx.layout(&x, Layout::Gather { axis, index })?
    };
    Ok(vec![ctx.reshape(&taken, &target)?])
}

fn gather_elements(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let shape = ctx.shape(0)?;
    let axis = ctx.axis(node.int_or("axis", 0)?, shape.len())?;
    let at = indices(ctx, 1)?;
    let index = elements(&at, &shape, axis)?;
    let x = ctx.val(0).clone();
    let x = flat(ctx, &x)?;
    let taken = ctx.layout(&x, Layout::Gather { axis: 0, index })?;
    Ok(vec![ctx.reshape(&taken, at.shape())?])
}

/// For each entry of `at` the position in a tensor of `shape` that it names along the axis.
fn elements(at: &ArrayD<i64>, shape: &[usize], axis: usize) -> Lowering<Vec<usize>> {
    let fits = at.ndim() == shape.len()
        && (0..shape.len()).all(|a| a == axis || at.shape()[a] <= shape[a]);
    if !fits {
        return Err(Fault::Shape(format!(
            "indices of shape {:?} for a tensor of shape {shape:?}",
            at.shape()
        )));
    }
    at.indexed_iter()
        .map(|(here, &i)| {
            let i = position(i, shape[axis])?;
            Ok(offset(
                (0..shape.len()).map(|a| if a == axis { i } else { here[a] }),
                shape,
            ))
        })
        .collect()
}

/// For each index in the rows of `at` the positions of the part of a tensor of `shape` that it names.
fn parts(at: &ArrayD<i64>, shape: &[usize]) -> Lowering<(Vec<usize>, Vec<usize>)> {
    let Some((&depth, rows)) = at.shape().split_last() else {
        return refuse("its indices have no axes");
    };
    if depth > shape.len() {
        return Err(Fault::Shape(format!(
            "indices of {depth} axes for a tensor of shape {shape:?}"
        )));
    }
    let (named, rest) = shape.split_at(depth);
    let size: usize = rest.iter().product();
    let count: usize = rows.iter().product();
    if crate::onnx::tensor::entries(&[count, size]).is_none() {
        return Err(Fault::Shape("too many entries are gathered".into()));
    }
    let flat: Vec<i64> = at.iter().copied().collect();
    let mut index = Vec::with_capacity(count * size);
    for k in 0..count {
        let here = flat[k * depth..][..depth].iter().zip(named);
        let here = here
            .map(|(&i, &n)| position(i, n))
            .collect::<Lowering<Vec<usize>>>()?;
        let start = offset(here, named) * size;
        index.extend(start..start + size);
    }
    Ok((index, [rows, rest].concat()))
}

fn gather_nd(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let (at, shape) = (indices(ctx, 1)?, ctx.shape(0)?);
    let batch = usize::try_from(node.int_or("batch_dims", 0)?).unwrap_or(usize::MAX);
    if batch >= at.ndim().max(1) || batch > shape.len() || at.shape()[..batch] != shape[..batch] {
        return Err(Fault::Shape(format!(
            "indices of shape {:?} for a tensor of shape {shape:?} do not have {batch} axes of a batch in common",
            at.shape()
        )));
    }
    // Every entry of the batch by itself, at its place among all.
    let (outer, inner) = shape.split_at(batch);
    let (count, size): (usize, usize) = (outer.iter().product(), inner.iter().product());
    let rows = at
        .to_shape([&[count], &at.shape()[batch..]].concat())
        .map_err(|e| Fault::Shape(e.to_string()))?;
    let (mut index, mut target) = (Vec::new(), outer.to_vec());
    for (k, row) in rows.outer_iter().enumerate() {
        let (here, shape) = parts(&row.to_owned(), inner)?;
        index.extend(here.into_iter().map(|i| k * size + i));
        target.truncate(batch);
        target.extend(shape);
        ctx.check_size(&target)?;
    }
    let x = ctx.val(0).clone();
    let x = flat(ctx, &x)?;
    let taken = ctx.layout(&x, Layout::Gather { axis: 0, index })?;
    Ok(vec![ctx.reshape(&taken, &target)?])
}

/// Operand 0 with the entries of operand 2 at `index`; of several at one place the last stays.
fn replaced(ctx: &mut Ctx<'_>, node: &Node, index: &[usize]) -> Lowering<Vec<Val>> {
    if node.text_or("reduction", "none")? != "none" {
        return refuse("reduction is not supported");
    }
    let shape = ctx.shape(0)?;
    let (x, updates) = (ctx.val(0).clone(), ctx.val(2).clone());
    let (x, updates) = (flat(ctx, &x)?, flat(ctx, &updates)?);
    if ctx.shape_of(&updates)? != Some(vec![index.len()]) {
        return Err(Fault::Shape(
            "there are not as many updates as indices".into(),
        ));
    }
    let n = shape.iter().product();
    let mut from: Vec<usize> = (0..n).collect();
    for (k, &at) in index.iter().enumerate() {
        from[at] = n + k;
    }
    let both = ctx.concat(0, &[x, updates])?;
    let taken = ctx.layout(
        &both,
        Layout::Gather {
            axis: 0,
            index: from,
        },
    )?;
    Ok(vec![ctx.reshape(&taken, &shape)?])
}

fn scatter_elements(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let shape = ctx.shape(0)?;
    let axis = ctx.axis(node.int_or("axis", 0)?, shape.len())?;
    let index = elements(&indices(ctx, 1)?, &shape, axis)?;
    replaced(ctx, node, &index)
}

fn scatter_nd(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let (index, _) = parts(&indices(ctx, 1)?, &ctx.shape(0)?)?;
    replaced(ctx, node, &index)
}

fn compress(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let mut x = ctx.val(0).clone();
    let axis = match node.int("axis")? {
        Some(axis) => ctx.axis(axis, ctx.shape(0)?.len())?,
        None => {
            x = flat(ctx, &x)?;
            0
        }
    };
    let length = ctx
        .shape_of(&x)?
        .and_then(|s| s.get(axis).copied())
        .unwrap_or(0);
    let keep = ctx.ints(1, "the condition")?;
    let index: Vec<usize> = (0..length.min(keep.len()))
        .filter(|&k| keep[k] != 0)
        .collect();
    Ok(vec![ctx.layout(&x, Layout::Gather { axis, index })?])
}

fn reverse_sequence(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let shape = ctx.shape(0)?;
    let (batch, time) = (node.int_or("batch_axis", 1)?, node.int_or("time_axis", 0)?);
    let (batch, time) = (ctx.axis(batch, shape.len())?, ctx.axis(time, shape.len())?);
    let ends = lengths(&ctx.ints(1, "the lengths")?, "the lengths")?;
    if ends.len() != shape[batch] || ends.iter().any(|&n| n > shape[time]) {
        return Err(Fault::Shape(format!(
            "the lengths {ends:?} do not fit the shape {shape:?}"
        )));
    }
    let index = ndarray::indices(IxDyn(&shape)).into_iter().map(|at| {
        let end = ends[at[batch]];
        let t = if at[time] < end {
            end - 1 - at[time]
        } else {
            at[time]
        };
        offset(
            (0..shape.len()).map(|a| if a == time { t } else { at[a] }),
            &shape,
        )
    });
    let index = index.collect();
    let x = ctx.val(0).clone();
    let x = flat(ctx, &x)?;
    let taken = ctx.layout(&x, Layout::Gather { axis: 0, index })?;
    Ok(vec![ctx.reshape(&taken, &shape)?])
}

fn slice(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let shape = ctx.shape(0)?;
    let given = |i: usize, name: &str| -> Lowering<Option<Vec<i64>>> {
        match ctx.optional_ints(i, name)? {
            Some(values) => Ok(Some(values)),
            None => Ok(node.ints(name)?.map(<[i64]>::to_vec)),
        }
    };
    let starts = node.required("starts", given(1, "starts")?)?;
    let ends = node.required("ends", given(2, "ends")?)?;
    let axes = given(3, "axes")?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = given(4, "steps")?.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
        return Err(Fault::Shape(
            "starts, ends, axes and steps are not equally many".into(),
        ));
    }
    ctx.axes(&axes, shape.len())?;
    let mut x = ctx.val(0).clone();
    for (((&start, &end), &axis), &step) in starts.iter().zip(&ends).zip(&axes).zip(&steps) {
        let axis = ctx.axis(axis, shape.len())?;
        let n = shape[axis] as i64;
        let from_start = |v: i64| if v < 0 { v.saturating_add(n) } else { v };
        let layout = match step {
            0 => return refuse("a step is 0"),
            1 => {
                let (start, end) = (from_start(start).clamp(0, n), from_start(end).clamp(0, n));
                let (start, end) = (start as usize, end.max(start) as usize);
                Layout::Slice { axis, start, end }
            }
            step => {
                let (low, high) = if step > 0 { (0, n) } else { (-1, n - 1) };
                let (mut at, end) = (
                    from_start(start).clamp(low, high),
                    from_start(end).clamp(low, high),
                );
                let mut index = Vec::new();
                while if step > 0 { at < end } else { at > end } {
                    index.push(at as usize);
                    at = at.saturating_add(step);
                }
                Layout::Gather { axis, index }
            }
        };
        x = ctx.layout(&x, layout)?;
    }
    Ok(vec![x])
}
