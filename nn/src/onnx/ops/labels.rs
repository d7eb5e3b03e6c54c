//! Tables of labels: entries of a known list at a private index, and private values matched against known keys.

use std::sync::Arc;

use ndarray::{Array1, ArrayD};

use crate::{
    Edge, Layout,
    onnx::{
        Constant, Element,
        context::{Ctx, Val},
        error::{Fault, Lowering, refuse},
        node::Node,
        registry::{OpSpec, ml},
    },
};

pub(super) const OPS: &[OpSpec] = &[
    ml(
        "ArrayFeatureExtractor",
        1,
        extract,
        "a private index only into a known list of one axis",
    ),
    ml(
        "LabelEncoder",
        1,
        encode,
        "private numbers and labels; text that comes out is the index of a word",
    ),
];

/// The entry of a known list at each private index from 0 on. A list with a name is a weight.
pub(super) fn entry(
    ctx: &mut Ctx<'_>,
    index: Edge,
    values: &[f64],
    weight: Option<&str>,
) -> Lowering<Edge> {
    let (&first, rest) = values
        .split_first()
        .ok_or_else(|| Fault::Refused("a list of no labels".into()))?;
    let step = rest.first().map_or(0.0, |v| v - first);
    // Labels that count up by a fixed step need no comparison.
    let regular = |(k, &v): (usize, &f64)| v == first + step * k as f64;
    if weight.is_none()
        && values.iter().enumerate().all(regular)
        && step.fract() == 0.0
        && step.abs() < 1e9
    {
        return Ok(ctx.g.linear(&[(step as i64, index)], first)?);
    }
    let shape = ctx.g.shape(index)?.to_vec();
    let last = shape.len();
    let wide = ctx.reshape_edge(index, &[&shape[..], &[1]].concat())?;
    let positions = ctx
        .g
        .public(Array1::from_iter((0..values.len()).map(|k| k as f64)).into_dyn());
    let hit = ctx.g.equal(wide, positions)?;
    let values = Array1::from_vec(values.to_vec()).into_dyn();
    let values = list(ctx, values, weight)?;
    let chosen = ctx.g.mul(hit, values)?;
    let sum = ctx.g.sum(chosen, last)?;
    ctx.reshape_edge(sum, &shape)
}

/// A list in the graph: public, or a weight where it has a name.
fn list(ctx: &mut Ctx<'_>, values: ArrayD<f64>, weight: Option<&str>) -> Lowering<Edge> {
    let val = Val::Known {
        value: Arc::new(Constant::Float(values)),
        secret: weight.is_some(),
    };
    ctx.edge_of(&val, weight.unwrap_or(""))
}

fn extract(ctx: &mut Ctx<'_>, _: &Node) -> Lowering<Vec<Val>> {
    let shape = ctx.shape(0)?;
    let axis = ctx.axis(-1, shape.len())?;
    let count = ctx.shape(1)?.iter().product::<usize>();
    let target = if shape.len() == 1 {
        vec![1, count]
    } else {
        [&shape[..axis], &[count]].concat()
    };
    if ctx.known(1).is_some() {
        let at = ctx.ints(1, "the index")?;
        let place = |i: i64| usize::try_from(i).ok().filter(|&k| k < shape[axis]);
        let index = at.iter().map(|&i| place(i)).collect::<Option<Vec<usize>>>();
        let index = index
            .ok_or_else(|| Fault::Shape(format!("the indices {at:?} do not fit {shape:?}")))?;
        let x = ctx.val(0).clone();
        let taken = ctx.layout(&x, Layout::Gather { axis, index })?;
        return Ok(vec![ctx.reshape(&taken, &target)?]);
    }
    let name = format!("entries of {}", ctx.names.first().map_or("", |name| name));
    let weight = ctx.is_secret(0).then_some(&name[..]);
    let Some(list) = ctx.known(0).cloned() else {
        return refuse("a private index into a private tensor is not supported");
    };
    if shape.iter().product::<usize>() != shape[axis] {
        return refuse("a private index into a tensor of more than one row is not supported");
    }
    let index = ctx.edge(1)?;
    let index = ctx.reshape_edge(index, &target)?;
    Ok(vec![match &list {
        Constant::Text(words) => ctx.text(index, words.iter().cloned().collect()),
        numbers => {
            let values: Vec<f64> = numbers.numbers().unwrap_or_default().into_iter().collect();
            let edge = entry(ctx, index, &values, weight)?;
            Val::Edge {
                edge,
                element: list.element(),
            }
        }
    }])
}

/// A list in any of the attributes that may hold it: the tensor, or `<name>_strings`, `<name>_int64s`, `<name>_floats`.
fn listed(node: &Node, name: &str) -> Lowering<Option<Constant>> {
    if let Some(tensor) = node.tensor(&format!("{name}_tensor"))? {
        return Ok(Some(tensor.clone()));
    }
    if let Some(v) = node.texts(&format!("{name}_strings"))? {
        return Ok(Some(Constant::Text(
            Array1::from_vec(v.to_vec()).into_dyn(),
        )));
    }
    if let Some(v) = node.ints(&format!("{name}_int64s"))? {
        return Ok(Some(Constant::ints(v.iter().copied())));
    }
    let floats = node.floats(&format!("{name}_floats"))?;
    Ok(floats.map(|v| Constant::Float(Array1::from_vec(v.to_vec()).into_dyn())))
}

/// What stands for a key that is not in the list, as a list of one.
fn default(node: &Node, element: Element) -> Lowering<Constant> {
    if let Some(tensor) = node.tensor("default_tensor")? {
        return Ok(tensor.layout(&Layout::Reshape(vec![1]))?);
    }
    Ok(match element {
        Element::Text => {
            let word = node.text_or("default_string", "_Unused")?.to_string();
            Constant::Text(Array1::from_vec(vec![word]).into_dyn())
        }
        Element::Float => {
            Constant::Float(Array1::from_vec(vec![node.float_or("default_float", 0.0)?]).into_dyn())
        }
        Element::Int | Element::Bool => Constant::ints([node.int_or("default_int64", -1)?]),
    })
}

/// The first operator set of the domain knows only words and their positions.
fn tables(ctx: &Ctx<'_>, node: &Node) -> Lowering<(Constant, Constant)> {
    if let Some(words) = node.texts("classes_strings")? {
        let words_list = Constant::Text(Array1::from_vec(words.to_vec()).into_dyn());
        let positions = Constant::ints(0..words.len() as i64);
        return Ok(if ctx.element(0)? == Element::Text {
            (words_list, positions)
        } else {
            (positions, words_list)
        });
    }
    let keys = node.required("keys", listed(node, "keys")?)?;
    let values = node.required("values", listed(node, "values")?)?;
    if keys.shape() != values.shape() || keys.shape().len() != 1 || keys.shape()[0] == 0 {
        return Err(Fault::Attribute(
            "values".into(),
            format!(
                "has shape {:?}, the keys {:?}",
                values.shape(),
                keys.shape()
            ),
        ));
    }
    Ok((keys, values))
}

fn encode(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let (keys, values) = tables(ctx, node)?;
    let default = default(node, values.element())?;
    let count = keys.shape()[0];
    let values = Constant::concat(0, &[&values, &default]).ok_or_else(|| {
        Fault::Attribute(
            "default_tensor".into(),
            "is of another kind than the values".into(),
        )
    })?;
    let weight = |list: &Constant, what: &str| {
        let real = matches!(list, Constant::Float(x) if x.len() > 1);
        real.then(|| format!("{}.{what}", node.label))
    };
    let (names, places) = (weight(&values, "values"), weight(&keys, "keys"));
    // A known operand is looked up directly.
    if let Val::Known { value, secret } = ctx.val(0) {
        let index = positions(&keys, value, count)?;
        let shape = index.shape().to_vec();
        let index = index.into_iter().collect();
        let taken = values.layout(&Layout::Gather { axis: 0, index })?;
        return Ok(vec![Val::Known {
            value: Arc::new(taken.layout(&Layout::Reshape(shape))?),
            secret: *secret || names.is_some() || places.is_some(),
        }]);
    }
    let x = ctx.edge(0)?;
    let (index, values) = if let Some(words) = ctx.words(x).map(<[String]>::to_vec) {
        // The words of the operand are known, only which one is not.
        let words = Constant::Text(Array1::from_vec(words).into_dyn());
        let index = positions(&keys, &words, count)?.into_iter().collect();
        (x, values.layout(&Layout::Gather { axis: 0, index })?)
    } else {
        (matched(ctx, x, &keys, count, places.as_deref())?, values)
    };
    Ok(vec![match &values {
        Constant::Text(words) => ctx.text(index, words.iter().cloned().collect()),
        numbers => {
            let list: Vec<f64> = numbers.numbers().unwrap_or_default().into_iter().collect();
            let edge = entry(ctx, index, &list, names.as_deref())?;
            Val::Edge {
                edge,
                element: values.element(),
            }
        }
    }])
}

/// The position of each known value among the keys; `count` for one that is no key.
fn positions(keys: &Constant, x: &Constant, count: usize) -> Lowering<ArrayD<usize>> {
    let of = |found: Option<usize>| found.unwrap_or(count);
    Ok(match (keys, x) {
        (Constant::Text(keys), Constant::Text(x)) => {
            x.map(|v| of(keys.iter().position(|k| k == v)))
        }
        _ => {
            let (Some(keys), Some(x)) = (keys.numbers(), x.numbers()) else {
                return refuse("its keys and its operand are of different kinds");
            };
            let same = |a: f64, b: f64| a == b || a.is_nan() && b.is_nan();
            x.map(|&v| of(keys.iter().position(|&k| same(k, v))))
        }
    })
}

/// The position of each private number among the keys; `count` for one that is no key.
fn matched(
    ctx: &mut Ctx<'_>,
    x: Edge,
    keys: &Constant,
    count: usize,
    weight: Option<&str>,
) -> Lowering<Edge> {
    let Some(keys) = keys.numbers() else {
        return refuse("its keys are text and its operand is a number");
    };
    let shape = ctx.g.shape(x)?.to_vec();
    let last = shape.len();
    let wide = ctx.reshape_edge(x, &[&shape[..], &[1]].concat())?;
    let keys = list(ctx, keys, weight)?;
    let hit = ctx.g.equal(wide, keys)?;
    // Σ (k - count)·[x = key k] + count.
    let back = Array1::from_iter((0..count).map(|k| k as f64 - count as f64)).into_dyn();
    let back = ctx.g.public(back);
    let chosen = ctx.g.mul(hit, back)?;
    let sum = ctx.g.sum(chosen, last)?;
    let index = ctx.g.linear(&[(1, sum)], count as f64)?;
    ctx.reshape_edge(index, &shape)
}
