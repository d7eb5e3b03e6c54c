//! Padding, cumulative sums, triangles and unit vectors.

use std::sync::Arc;

use ndarray::{ArrayD, IxDyn};

use crate::{
    Layout,
    onnx::{
        Constant, Element,
        context::{Ctx, Val},
        error::{Fault, Lowering, refuse},
        node::Node,
        registry::{OpSpec, op},
    },
};

pub(super) const OPS: &[OpSpec] = &[
    op("CumSum", 11, cum_sum, "").public("axis"),
    op("OneHot", 9, one_hot, "").public("depth, values"),
    op("Pad", 2, pad, "constant, reflect, edge and wrap").public("pads, constant_value, axes"),
    op("Trilu", 14, trilu, "").public("k"),
];

fn pad(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let shape = ctx.shape(0)?;
    let pads = match ctx.optional_ints(1, "the pads")? {
        Some(pads) => pads,
        None => node.required("pads", node.ints("pads")?)?.to_vec(),
    };
    let axes = match ctx.optional_ints(3, "the axes")? {
        Some(axes) => axes
            .iter()
            .map(|&a| ctx.axis(a, shape.len()))
            .collect::<Lowering<Vec<usize>>>()?,
        None => (0..shape.len()).collect(),
    };
    if pads.len() != 2 * axes.len() {
        return Err(Fault::Shape(format!(
            "{} pads for {} axes",
            pads.len(),
            axes.len()
        )));
    }
    let mode = node.text_or("mode", "constant")?;
    let fill = if ctx.has(2) {
        let value = ctx.must_know(2, "the constant value")?.clone();
        value.layout(&Layout::Reshape(vec![]))?
    } else {
        let zero = ArrayD::from_elem(IxDyn(&[]), node.float_or("value", 0.0)?);
        let fill = Constant::of_numbers(ctx.element(0)?, &zero);
        fill.ok_or_else(|| Fault::Refused("text needs a constant value".into()))?
    };
    let mut x = ctx.val(0).clone();
    for (k, &axis) in axes.iter().enumerate() {
        let (before, after) = (pads[k], pads[k + axes.len()]);
        x = padded(ctx, &x, axis, (before, after), mode, &fill)?;
    }
    Ok(vec![x])
}

/// One axis with `pads.0` entries put before it and `pads.1` after it; negative ones are cut off.
fn padded(
    ctx: &mut Ctx<'_>,
    x: &Val,
    axis: usize,
    pads: (i64, i64),
    mode: &str,
    fill: &Constant,
) -> Lowering<Val> {
    let mut shape = ctx.shape_of(x)?.unwrap_or_default();
    let n = shape[axis] as i64;
    if [pads.0, pads.1].iter().any(|p| p.unsigned_abs() > 1 << 40) {
        return Err(Fault::Shape(format!(
            "pads {pads:?} of an axis of length {n}"
        )));
    }
    if pads == (0, 0) {
        return Ok(x.clone());
    }
    let length = n.saturating_add(pads.0).saturating_add(pads.1);
    shape[axis] = usize::try_from(length)
        .map_err(|_| Fault::Shape(format!("pads {pads:?} of an axis of length {n}")))?;
    ctx.check_size(&shape)?;
    if mode == "constant" {
        let (start, end) = ((-pads.0).clamp(0, n), n - (-pads.1).clamp(0, n));
        let (start, end) = (start as usize, end.max(start) as usize);
        let middle = ctx.layout(x, Layout::Slice { axis, start, end })?;
        let block = |count: i64| -> Lowering<Option<Val>> {
            let mut shape = shape.clone();
            shape[axis] = count.max(0) as usize;
            Ok(if count > 0 {
                Some(Val::known(fill.layout(&Layout::Broadcast(shape))?))
            } else {
                None
            })
        };
        let parts = [block(pads.0)?, Some(middle), block(pads.1)?];
        let parts: Vec<Val> = parts.into_iter().flatten().collect();
        return ctx.concat(axis, &parts);
    }
    if n == 0 {
        return Err(Fault::Shape(
            "an axis without entries has nothing to repeat".into(),
        ));
    }
    let place = |k: i64| match mode {
        "edge" => Ok(k.clamp(0, n - 1)),
        "wrap" => Ok(k.rem_euclid(n)),
        "reflect" if n == 1 => Ok(0),
        "reflect" => {
            let period = 2 * (n - 1);
            let k = k.rem_euclid(period);
            Ok(k.min(period - k))
        }
        _ => Err(Fault::Attribute(
            "mode".into(),
            format!("is {mode:?}; constant, reflect, edge and wrap exist"),
        )),
    };
    let index = (-pads.0..n + pads.1)
        .map(|k| Ok(place(k)? as usize))
        .collect::<Lowering<Vec<usize>>>()?;
    ctx.layout(x, Layout::Gather { axis, index })
}

/// Doubling steps of shift and add: local, and exact.
fn cum_sum(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let shape = ctx.shape(0)?;
    let axis = ctx.axis(ctx.int(1, "the axis")?, shape.len())?;
    let (reverse, exclusive) = (node.flag("reverse", false)?, node.flag("exclusive", false)?);
    let element = ctx.element(0)?;
    let n = shape[axis];
    let mut x = ctx.edge(0)?;
    if n == 0 {
        return Ok(vec![ctx.val(0).clone()]);
    }
    let backwards: Vec<usize> = (0..n).rev().collect();
    if reverse {
        x = ctx.g.gather(x, axis, &backwards)?;
    }
    let shifted = |ctx: &mut Ctx<'_>, x, by: usize| -> Lowering<_> {
        let mut shape = shape.clone();
        shape[axis] = by;
        let zeros = ctx.g.fill(&shape, 0.0);
        let rest = ctx.g.slice(x, axis, 0..n - by)?;
        Ok(ctx.g.concat(axis, &[zeros, rest])?)
    };
    if exclusive {
        x = shifted(ctx, x, 1)?;
    }
    let mut by = 1;
    while by < n {
        let moved = shifted(ctx, x, by)?;
        x = ctx.g.add(x, moved)?;
        by *= 2;
    }
    if reverse {
        x = ctx.g.gather(x, axis, &backwards)?;
    }
    Ok(vec![Val::Edge { edge: x, element }])
}

fn one_hot(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let shape = ctx.shape(0)?;
    let depth = ctx.float(1, "the depth")?;
    let depth = if depth.fract() == 0.0 && (1.0..=1e9).contains(&depth) {
        depth as usize
    } else {
        return refuse(format!("the depth is {depth}"));
    };
    let element = ctx.element(2)?;
    let values = ctx.floats(2, "the two values")?;
    let [off, on] = values[..] else {
        return refuse("its values must be two");
    };
    let axis = ctx.axis(node.int_or("axis", -1)?, shape.len() + 1)?;
    let mut wide = shape.clone();
    wide.insert(axis, 1);
    let mut target = wide.clone();
    target[axis] = depth;
    ctx.check_size(&target)?;
    let at = ctx.edge(0)?;
    let at = ctx.reshape_edge(at, &wide)?;
    // A negative index counts from the end.
    let negative = ctx.g.negative(at)?;
    let at = ctx.g.linear(&[(1, at), (depth as i64, negative)], 0.0)?;
    let mut along = vec![1; wide.len()];
    along[axis] = depth;
    let positions = ndarray::Array1::from_iter((0..depth).map(|k| k as f64)).into_dyn();
    let positions = ctx.g.public(positions);
    let positions = ctx.reshape_edge(positions, &along)?;
    let hot = ctx.g.equal(positions, at)?;
    let hot = ctx.g.broadcast(hot, &target)?;
    let hot = ctx.g.scale_exact(hot, on - off)?;
    let edge = ctx.g.linear(&[(1, hot)], off)?;
    Ok(vec![Val::Edge { edge, element }])
}

fn trilu(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let shape = ctx.shape(0)?;
    let [.., rows, columns] = shape[..] else {
        return Err(Fault::Shape(format!(
            "a tensor of shape {shape:?} has no last two axes"
        )));
    };
    let k = if ctx.has(1) { ctx.int(1, "k")? } else { 0 };
    let upper = node.flag("upper", true)?;
    let kept = |i: usize, j: usize| {
        let above = (j as i64 - i as i64).saturating_sub(k);
        if upper { above >= 0 } else { above <= 0 }
    };
    if let Some(Val::Known { value, secret }) = ctx.inputs.first() {
        let element = value.element();
        let rank = shape.len();
        let masked = value.numbers().map(|mut x| {
            for (at, v) in x.indexed_iter_mut() {
                if !kept(at[rank - 2], at[rank - 1]) {
                    *v = 0.0;
                }
            }
            x
        });
        let value = masked.and_then(|x| Constant::of_numbers(element, &x));
        let value = Arc::new(value.ok_or_else(|| Fault::Refused("text has no zero".into()))?);
        return Ok(vec![Val::Known {
            value,
            secret: *secret,
        }]);
    }
    let element = ctx.element(0)?;
    if element == Element::Text {
        return refuse("text has no zero");
    }
    let mask = ArrayD::from_shape_fn(IxDyn(&[rows, columns]), |at| {
        f64::from(u8::from(kept(at[0], at[1])))
    });
    let (x, mask) = (ctx.edge(0)?, ctx.g.public(mask));
    let edge = ctx.g.mul(x, mask)?;
    Ok(vec![Val::Edge { edge, element }])
}
