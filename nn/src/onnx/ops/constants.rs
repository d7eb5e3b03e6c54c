//! Constants, and what depends on shapes alone: known while the graph is made.

use std::sync::Arc;

use ndarray::{ArrayD, IxDyn};

use crate::onnx::{
    Constant, Element,
    context::{Ctx, Val},
    error::{Fault, Lowering, refuse},
    format::tensor_proto::DataType,
    node::{Attribute, Node},
    registry::{OpSpec, op},
    tensor,
};

pub(super) const OPS: &[OpSpec] = &[
    op("Constant", 1, constant, "dense values only"),
    op("ConstantOfShape", 9, constant_of_shape, "").public("shape"),
    op("EyeLike", 9, eye_like, ""),
    op("Identity", 1, identity, "tensors only"),
    op("NonZero", 9, non_zero, "").public("X"),
    op("Range", 11, range, "").public("all"),
    op("Shape", 1, shape, "of a private value too: shapes are public"),
    op("Size", 1, size, "of a private value too"),
    op("Cast", 6, cast, "private numbers: to integers they are truncated toward zero, to bool compared with 0; widths of integers and floats do not matter; text only where it is known").public("text"),
    op("CastLike", 15, cast_like, "as Cast").public("text"),
];

fn constant(_: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let mut values = node
        .attributes
        .iter()
        .filter(|(name, _)| name.starts_with("value"));
    let (Some((name, value)), None) = (values.next(), values.next()) else {
        return Err(Fault::Attribute(
            "value".into(),
            "must be there once".into(),
        ));
    };
    let value = match value {
        Attribute::Tensor(value) => value.clone(),
        Attribute::Int(v) => Constant::int(*v),
        Attribute::Float(v) => Constant::Float(ndarray::arr0(*v).into_dyn()),
        Attribute::Text(v) => Constant::Text(ndarray::arr0(v.clone()).into_dyn()),
        Attribute::Ints(v) => Constant::ints(v.iter().copied()),
        Attribute::Floats(v) => Constant::Float(ndarray::arr1(v).into_dyn()),
        Attribute::Texts(v) => Constant::Text(ndarray::Array1::from_vec(v.clone()).into_dyn()),
    };
    let fits = matches!(
        (name.as_str(), value.element()),
        ("value", _)
            | ("value_int" | "value_ints", Element::Int)
            | ("value_float" | "value_floats", Element::Float)
            | ("value_string" | "value_strings", Element::Text)
    );
    if !fits {
        return Err(Fault::Attribute(
            name.clone(),
            "is of the wrong type".into(),
        ));
    }
    // A table is a weight like an initializer; a single number is a literal of the program.
    let secret = matches!(&value, Constant::Float(x) if x.len() > 1);
    Ok(vec![Val::Known {
        value: Arc::new(value),
        secret,
    }])
}

fn constant_of_shape(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let dims = ctx.ints(0, "the shape")?;
    let shape = tensor::shape_of(&dims)
        .ok_or_else(|| Fault::Shape(format!("{dims:?} is no shape, or too large")))?;
    let value = match node.tensor("value")? {
        None => Constant::Float(ArrayD::zeros(IxDyn(&shape))),
        Some(one) if one.shape().iter().product::<usize>() == 1 => {
            let flat = one.layout(&crate::Layout::Reshape(vec![]))?;
            flat.layout(&crate::Layout::Broadcast(shape))?
        }
        Some(other) => {
            return Err(Fault::Attribute(
                "value".into(),
                format!("has shape {:?} and not one entry", other.shape()),
            ));
        }
    };
    Ok(vec![Val::known(value)])
}

fn eye_like(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let shape = ctx.shape(0)?;
    let [rows, columns] = shape[..] else {
        return Err(Fault::Shape(format!(
            "its operand has shape {shape:?}, not two axes"
        )));
    };
    let k = node.int_or("k", 0)?;
    let on = |i: usize, j: usize| {
        i64::try_from(j)
            .ok()
            .zip(i64::try_from(i).ok())
            .is_some_and(|(j, i)| j.checked_sub(i) == Some(k))
    };
    let eye =
        ndarray::Array2::from_shape_fn((rows, columns), |(i, j)| f64::from(u8::from(on(i, j))));
    let element = match node.int("dtype")? {
        Some(to) => element_of(to, "dtype")?,
        None => ctx.element(0)?,
    };
    let value = Constant::of_numbers(element, &eye.into_dyn());
    Ok(vec![Val::known(value.ok_or_else(|| {
        Fault::Refused("text has no unit".into())
    })?)])
}

fn identity(ctx: &mut Ctx<'_>, _: &Node) -> Lowering<Vec<Val>> {
    Ok(vec![ctx.val(0).clone()])
}

fn shape(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let shape = ctx.shape(0)?;
    let rank = shape.len() as i64;
    let clamp = |v: i64| (if v < 0 { v.saturating_add(rank) } else { v }).clamp(0, rank) as usize;
    let start = clamp(node.int_or("start", 0)?);
    let end = clamp(node.int_or("end", rank)?).max(start);
    Ok(vec![Val::known(Constant::ints(
        shape[start..end].iter().map(|&n| n as i64),
    ))])
}

fn size(ctx: &mut Ctx<'_>, _: &Node) -> Lowering<Vec<Val>> {
    let n = ctx.shape(0)?.iter().product::<usize>();
    Ok(vec![Val::known(Constant::int(n as i64))])
}

fn non_zero(ctx: &mut Ctx<'_>, _: &Node) -> Lowering<Vec<Val>> {
    let x = ctx.must_know(0, "the tensor whose entries are counted")?;
    let Some(x) = x.numbers() else {
        return refuse("text is never zero");
    };
    let rank = x.ndim();
    let found: Vec<Vec<usize>> = x
        .indexed_iter()
        .filter(|(_, v)| **v != 0.0)
        .map(|(at, _)| (0..rank).map(|a| at[a]).collect())
        .collect();
    let table = ndarray::Array2::from_shape_fn((rank, found.len()), |(a, k)| found[k][a] as i64);
    Ok(vec![Val::known(Constant::Int(table.into_dyn()))])
}

fn range(ctx: &mut Ctx<'_>, _: &Node) -> Lowering<Vec<Val>> {
    let mut ends = [0.0; 3];
    for (i, end) in ends.iter_mut().enumerate() {
        *end = ctx.float(i, ["the start", "the limit", "the step"][i])?;
    }
    let [start, limit, step] = ends;
    let count = ((limit - start) / step).ceil().max(0.0);
    if !count.is_finite() || count > tensor::MAX_ENTRIES as f64 {
        return Err(Fault::Shape(format!(
            "from {start} to {limit} by {step} there are too many numbers"
        )));
    }
    let count = count as usize;
    let element = ctx.element(0)?;
    Ok(vec![Val::known(if element == Element::Int {
        let (start, step) = (ctx.int(0, "the start")?, ctx.int(2, "the step")?);
        Constant::ints((0..count as i64).map(|k| start.wrapping_add(step.wrapping_mul(k))))
    } else {
        Constant::Float(
            ndarray::Array1::from_iter((0..count).map(|k| start + step * k as f64)).into_dyn(),
        )
    })])
}

fn element_of(data_type: i64, attribute: &str) -> Lowering<Element> {
    let data_type = i32::try_from(data_type).unwrap_or(-1);
    tensor::element(data_type).ok_or_else(|| {
        let name = tensor::type_name(data_type);
        Fault::Attribute(
            attribute.into(),
            format!("asks for {name}, which is not supported"),
        )
    })
}

fn cast(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let to = node.required("to", node.int("to")?)?;
    let element = element_of(to, "to")?;
    Ok(vec![convert(ctx, element, Some(to))?])
}

fn cast_like(ctx: &mut Ctx<'_>, _: &Node) -> Lowering<Vec<Val>> {
    let element = ctx.element(1)?;
    Ok(vec![convert(ctx, element, None)?])
}

/// Operand 0 with entries of another kind; `data_type` bounds integers that are known.
fn convert(ctx: &mut Ctx<'_>, to: Element, data_type: Option<i64>) -> Lowering<Val> {
    let from = ctx.element(0)?;
    if let Val::Known { value, secret } = ctx.val(0) {
        return Ok(Val::Known {
            value: Arc::new(converted(value, to, data_type)?),
            secret: *secret,
        });
    }
    let edge = ctx.edge(0)?;
    let edge = match (from, to) {
        (from, to) if from == to => return Ok(ctx.val(0).clone()),
        (Element::Float, Element::Int) => {
            // Toward zero: the floor of the magnitude, with the sign.
            let (sign, magnitude) = (ctx.g.sign(edge)?, ctx.g.abs(edge)?);
            let whole = ctx.g.floor(magnitude)?;
            ctx.g.mul(sign, whole)?
        }
        (Element::Float | Element::Int, Element::Bool) => {
            let zero = ctx.g.fill(&[], 0.0);
            let is_zero = ctx.g.equal(edge, zero)?;
            ctx.g.not(is_zero)?
        }
        (Element::Bool | Element::Int, Element::Int | Element::Float) => edge,
        (from, to) => return refuse(format!("a private {from} is not converted to {to}")),
    };
    Ok(Val::Edge { edge, element: to })
}

fn converted(x: &Constant, to: Element, data_type: Option<i64>) -> Lowering<Constant> {
    let bad = |word: &str| Fault::Refused(format!("{word:?} is not a number"));
    Ok(match (x, to) {
        (Constant::Text(words), Element::Float) => {
            Constant::Float(parsed(words, |w| w.trim().parse().ok()).map_err(|w| bad(&w))?)
        }
        (Constant::Text(words), Element::Int) => {
            Constant::Int(parsed(words, |w| w.trim().parse().ok()).map_err(|w| bad(&w))?)
        }
        (Constant::Text(_), Element::Bool) => return refuse("text is not a truth value"),
        (Constant::Text(_), Element::Text) => x.clone(),
        (Constant::Float(x), Element::Text) => Constant::Text(x.mapv(|v| (v as f32).to_string())),
        (Constant::Int(x), Element::Text) => Constant::Text(x.mapv(|v| v.to_string())),
        (Constant::Bool(x), Element::Text) => Constant::Text(x.mapv(|v| u8::from(v).to_string())),
        (Constant::Float(x), Element::Int) => {
            Constant::Int(x.mapv(|v| wrap(v.trunc() as i64, data_type)))
        }
        (Constant::Int(x), Element::Int) => Constant::Int(x.mapv(|v| wrap(v, data_type))),
        (Constant::Int(x), Element::Bool) => Constant::Bool(x.mapv(|v| v != 0)),
        (x, to) => {
            let numbers = x.numbers().unwrap_or_default();
            Constant::of_numbers(to, &numbers)
                .ok_or_else(|| Fault::Refused("text is not computed".into()))?
        }
    })
}

/// Every word read; the first that cannot be.
fn parsed<T: Clone>(
    words: &ArrayD<String>,
    read: impl Fn(&str) -> Option<T>,
) -> Result<ArrayD<T>, String> {
    let values = words.iter().map(|w| read(w).ok_or_else(|| w.clone()));
    let values = values.collect::<Result<Vec<T>, String>>()?;
    ArrayD::from_shape_vec(words.raw_dim(), values).map_err(|e| e.to_string())
}

/// An integer in the width of its type, modulo 2^width.
fn wrap(v: i64, data_type: Option<i64>) -> i64 {
    let known = data_type.and_then(|t| DataType::try_from(i32::try_from(t).ok()?).ok());
    match known {
        Some(DataType::Int8) => i64::from(v as i8),
        Some(DataType::Uint8) => i64::from(v as u8),
        Some(DataType::Int16) => i64::from(v as i16),
        Some(DataType::Uint16) => i64::from(v as u16),
        Some(DataType::Int32) => i64::from(v as i32),
        Some(DataType::Uint32) => i64::from(v as u32),
        _ => v,
    }
}
