//! Classical machine learning, as scikit-learn's exporter writes it (domain ai.onnx.ml). Coefficients in attributes are
//! weights: private where weights are private.

use std::sync::Arc;

use ndarray::{ArrayD, IxDyn};

use super::{
    arithmetic::zip,
    factors::{product_with_known, times_known},
};
use crate::{
    Edge,
    onnx::{
        Constant, Element,
        context::{Ctx, Val},
        error::{Fault, Lowering, refuse},
        node::{Attribute, Node},
        registry::{OpSpec, ml},
    },
};

pub(super) const OPS: &[OpSpec] = &[
    ml("Binarizer", 1, binarizer, ""),
    ml(
        "Imputer",
        1,
        imputer,
        "private: no value is missing where NaN stands for missing ones",
    ),
    ml(
        "LinearClassifier",
        1,
        classifier,
        "post transforms NONE, LOGISTIC, SOFTMAX, SOFTMAX_ZERO; labels that are text come out as the index of a word",
    ),
    ml(
        "LinearRegressor",
        1,
        regressor,
        "post transforms NONE, LOGISTIC, SOFTMAX, SOFTMAX_ZERO",
    ),
    ml(
        "Normalizer",
        1,
        normalizer,
        "private norms of 2^-14 and more",
    ),
    ml("Scaler", 1, scaler, ""),
    ml(
        "ZipMap",
        1,
        |ctx, _| Ok(vec![ctx.val(0).clone()]),
        "gives the tensor of probabilities, one column a class in the order of its labels, and no sequence of maps",
    ),
];

/// An attribute's numbers as a tensor.
fn numbers(values: &[f64], shape: &[usize], what: &str) -> Lowering<ArrayD<f64>> {
    let misfit = |_| {
        Fault::Attribute(
            what.into(),
            format!(
                "holds {} numbers, which do not make up {shape:?}",
                values.len()
            ),
        )
    };
    ArrayD::from_shape_vec(IxDyn(shape), values.to_vec()).map_err(misfit)
}

/// An attribute's numbers as a weight of the node.
fn weight(values: &[f64], shape: &[usize], what: &str) -> Lowering<Val> {
    Ok(Val::Known {
        value: Arc::new(Constant::Float(numbers(values, shape, what)?)),
        secret: true,
    })
}

/// Operand 0 as rows of features.
fn rows(ctx: &mut Ctx<'_>) -> Lowering<(Edge, usize, usize)> {
    let shape = ctx.shape(0)?;
    let (n, features) = match shape[..] {
        [features] => (1, features),
        [n, features] => (n, features),
        _ => {
            return Err(Fault::Shape(format!(
                "its operand has shape {shape:?}, not rows of features"
            )));
        }
    };
    let x = ctx.edge(0)?;
    Ok((ctx.reshape_edge(x, &[n, features])?, n, features))
}

/// Numbers for each feature, of which one stands for all.
fn per_feature(values: &[f64], features: usize, what: &str) -> Lowering<Vec<f64>> {
    match values {
        [one] => Ok(vec![*one; features]),
        many if many.len() == features => Ok(many.to_vec()),
        many => Err(Fault::Attribute(
            what.into(),
            format!("holds {} numbers for {features} features", many.len()),
        )),
    }
}

fn scaler(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let shape = ctx.shape(0)?;
    let features = *shape
        .last()
        .ok_or_else(|| Fault::Shape("its operand has no axes".into()))?;
    let mut x = ctx.edge(0)?;
    if let Some(offset) = node.floats("offset")? {
        let offset = weight(
            &per_feature(offset, features, "offset")?,
            &[features],
            "offset",
        )?;
        let offset = ctx.edge_of(&offset, &format!("{}.offset", node.label))?;
        x = ctx.g.sub(x, offset)?;
    }
    if let Some(scale) = node.floats("scale")? {
        let scale = numbers(
            &per_feature(scale, features, "scale")?,
            &[features],
            "scale",
        )?;
        x = times_known(ctx, x, &scale, true, &format!("{}.scale", node.label))?;
    }
    Ok(vec![Val::float(x)])
}

/// x·coefficientsᵀ + intercepts, for one row of coefficients a target.
fn scores(ctx: &mut Ctx<'_>, node: &Node, targets: Option<usize>) -> Lowering<(Edge, usize)> {
    let (x, _, features) = rows(ctx)?;
    let coefficients = node.required("coefficients", node.floats("coefficients")?)?;
    let targets = targets.unwrap_or_else(|| coefficients.len() / features.max(1));
    let matrix = numbers(coefficients, &[targets, features], "coefficients")?
        .reversed_axes()
        .as_standard_layout()
        .into_owned();
    let name = format!("{}.coefficients", node.label);
    let mut z = product_with_known(ctx, &matrix, true, &name, |g, m| g.matmul(x, m))?;
    if let Some(intercepts) = node.floats("intercepts")?.filter(|v| !v.is_empty()) {
        let intercepts = weight(intercepts, &[targets], "intercepts")?;
        let intercepts = ctx.edge_of(&intercepts, &format!("{}.intercepts", node.label))?;
        z = ctx.g.add(z, intercepts)?;
    }
    Ok((z, targets))
}

fn post_transform(ctx: &mut Ctx<'_>, node: &Node, z: Edge) -> Lowering<Edge> {
    match node.text_or("post_transform", "NONE")? {
        "NONE" => Ok(z),
        "LOGISTIC" => Ok(ctx.g.sigmoid(z)?),
        "SOFTMAX" => Ok(ctx.g.softmax(z, 1)?),
        // Scores of zero stay zero.
        "SOFTMAX_ZERO" => {
            let zero = ctx.g.fill(&[], 0.0);
            let hit = ctx.g.equal(z, zero)?;
            let rest = ctx.g.linear(&[(1, z), (-(1 << 20), hit)], 0.0)?;
            Ok(ctx.g.softmax(rest, 1)?)
        }
        other => Err(Fault::Attribute(
            "post_transform".into(),
            format!("is {other}; NONE, LOGISTIC, SOFTMAX and SOFTMAX_ZERO are supported"),
        )),
    }
}

fn regressor(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let targets = usize::try_from(node.int_or("targets", 1)?).unwrap_or(0);
    let (z, _) = scores(ctx, node, Some(targets))?;
    Ok(vec![Val::float(post_transform(ctx, node, z)?)])
}

fn classifier(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let ints = node.ints("classlabels_ints")?.filter(|v| !v.is_empty());
    let words = node.texts("classlabels_strings")?.filter(|v| !v.is_empty());
    let classes = ints.map_or_else(|| words.map_or(0, <[String]>::len), <[i64]>::len);
    let (z, targets) = scores(ctx, node, None)?;
    let n = ctx.g.shape(z)?[0];
    // One score stands for the second of two classes.
    let (index, probabilities) = if targets == 1 && classes == 2 {
        let minus = ctx.g.neg(z)?;
        let index = ctx.g.negative(minus)?;
        // The exporters' runtime takes no softmax of a single score.
        let p = match node.text_or("post_transform", "NONE")? {
            "SOFTMAX" | "SOFTMAX_ZERO" => z,
            _ => post_transform(ctx, node, z)?,
        };
        let rest = ctx.g.linear(&[(-1, p)], 1.0)?;
        (index, ctx.g.concat(1, &[rest, p])?)
    } else if targets == classes {
        (ctx.g.argmax(z, 1, false)?, post_transform(ctx, node, z)?)
    } else {
        return Err(Fault::Attribute(
            "coefficients".into(),
            format!("give {targets} scores for {classes} class labels"),
        ));
    };
    let label = if node.wants(0) {
        let index = ctx.reshape_edge(index, &[n])?;
        match (ints, words) {
            (Some(labels), _) => {
                let labels: Vec<f64> = labels.iter().map(|&v| v as f64).collect();
                Val::int(super::labels::entry(ctx, index, &labels, None)?)
            }
            (None, Some(words)) => ctx.text(index, words.to_vec()),
            (None, None) => return refuse("it has no class labels"),
        }
    } else {
        Val::Absent
    };
    Ok(vec![label, Val::float(probabilities)])
}

fn normalizer(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let rank = ctx.shape(0)?.len();
    let axis = ctx.axis(-1, rank)?;
    let x = ctx.edge(0)?;
    let norm = match node.text_or("norm", "MAX")? {
        "MAX" => ctx.g.max_over(x, &[axis])?,
        "L1" => {
            let magnitude = ctx.g.abs(x)?;
            ctx.g.sum_over(magnitude, &[axis])?
        }
        "L2" => {
            let square = ctx.g.mul(x, x)?;
            let sum = ctx.g.sum_over(square, &[axis])?;
            ctx.g.sqrt(sum)?
        }
        other => {
            return Err(Fault::Attribute(
                "norm".into(),
                format!("is {other}; MAX, L1 and L2 exist"),
            ));
        }
    };
    let inverse = ctx.g.reciprocal_of(norm)?;
    Ok(vec![Val::float(ctx.g.mul(x, inverse)?)])
}

/// Puts a number in the place of every missing value, for each feature.
fn imputer(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let shape = ctx.shape(0)?;
    let features = *shape
        .last()
        .ok_or_else(|| Fault::Shape("its operand has no axes".into()))?;
    let element = ctx.element(0)?;
    let missing = match (node.attributes.get("replaced_value_float"), element) {
        // Not a number, usually.
        (Some(Attribute::Float(v)), Element::Float) => *v,
        (_, Element::Text) => return refuse("text is not missing here"),
        (_, Element::Float) => 0.0,
        _ => node.int_or("replaced_value_int64", 0)? as f64,
    };
    let (name, imputed) = match node.floats("imputed_value_floats")? {
        Some(v) => ("imputed_value_floats", v.to_vec()),
        None => {
            let v = node.ints("imputed_value_int64s")?;
            let v = node.required("imputed_value_floats", v)?;
            (
                "imputed_value_int64s",
                v.iter().map(|&v| v as f64).collect(),
            )
        }
    };
    let imputed = numbers(&per_feature(&imputed, features, name)?, &[features], name)?;
    if let Some(x) = ctx.known_numbers(0) {
        let same = |v: f64| v == missing || v.is_nan() && missing.is_nan();
        let filled = zip(&x, &imputed, &shape, |v, w| if same(v) { w } else { v })?;
        let value = Constant::of_numbers(element, &filled);
        return Ok(vec![Val::Known {
            value: Arc::new(value.unwrap_or(Constant::Float(filled))),
            secret: true,
        }]);
    }
    if missing.is_nan() {
        return Ok(vec![ctx.val(0).clone()]);
    }
    let x = ctx.edge(0)?;
    let imputed = Val::Known {
        value: Arc::new(Constant::Float(imputed)),
        secret: true,
    };
    let imputed = ctx.edge_of(&imputed, &format!("{}.{name}", node.label))?;
    let missing = ctx.g.fill(&[], missing);
    let hit = ctx.g.equal(x, missing)?;
    let edge = ctx.g.select(hit, imputed, x)?;
    Ok(vec![Val::Edge { edge, element }])
}

fn binarizer(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let threshold = node.float_or("threshold", 0.0)?;
    let x = ctx.edge(0)?;
    let below = ctx.g.linear(&[(-1, x)], threshold)?;
    let edge = ctx.g.negative(below)?;
    let element = match ctx.element(0)? {
        Element::Text => return refuse("text is not compared with numbers"),
        element => element,
    };
    Ok(vec![Val::Edge { edge, element }])
}
