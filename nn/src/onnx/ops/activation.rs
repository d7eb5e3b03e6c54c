//! Functions of one number. What is known is computed in double precision by the definition; the rest is a word of the graph.

use std::sync::Arc;

use crate::{
    Edge, Graph, Result,
    onnx::{
        Constant, Element,
        context::{Ctx, Val},
        error::{Fault, Lowering, refuse},
        node::Node,
        registry::{OpSpec, op},
    },
};

pub(super) const OPS: &[OpSpec] = &[
    op("Abs", 6, |ctx, _| unary(ctx, f64::abs, Graph::abs), ""),
    op("Ceil", 6, |ctx, _| unary(ctx, f64::ceil, Graph::ceil), ""),
    op("Celu", 12, celu, ""),
    op("Clip", 6, clip, "").public("min, max"),
    op("Elu", 6, elu, ""),
    op("Erf", 9, |ctx, _| by_clear(ctx, Graph::erf), ""),
    op(
        "Exp",
        6,
        |ctx, _| unary(ctx, f64::exp, Graph::exp),
        "private: stays at e^12 for larger x",
    ),
    op(
        "Floor",
        6,
        |ctx, _| unary(ctx, f64::floor, Graph::floor),
        "",
    ),
    op("Gelu", 20, gelu, "both forms"),
    op("HardSigmoid", 6, hard_sigmoid, ""),
    op(
        "HardSwish",
        14,
        |ctx, _| by_clear(ctx, Graph::hard_swish),
        "",
    ),
    op("IsInf", 10, never, "private: no value is infinite"),
    op("IsNaN", 9, never, "private: every value is a number"),
    op("LeakyRelu", 6, leaky_relu, ""),
    op(
        "Log",
        6,
        |ctx, _| unary(ctx, f64::ln, Graph::log),
        "private: below 2^-17 it stays at -11.8",
    ),
    op("Mish", 18, |ctx, _| by_clear(ctx, Graph::mish), ""),
    op("Neg", 6, |ctx, _| unary(ctx, |x| -x, Graph::neg), ""),
    op(
        "Reciprocal",
        6,
        |ctx, _| unary(ctx, f64::recip, Graph::reciprocal_of),
        "private: |x| < 2^-14 counts as 2^-14",
    ),
    op(
        "Relu",
        6,
        |ctx, _| unary(ctx, |x| x.max(0.0), Graph::relu),
        "",
    ),
    op(
        "Round",
        11,
        |ctx, _| unary(ctx, f64::round_ties_even, Graph::round),
        "",
    ),
    op("Selu", 6, selu, ""),
    op("Sigmoid", 6, |ctx, _| by_clear(ctx, Graph::sigmoid), ""),
    op("Sign", 9, |ctx, _| unary(ctx, sign, Graph::sign), ""),
    op("Softplus", 1, |ctx, _| by_clear(ctx, Graph::softplus), ""),
    op("Softsign", 1, |ctx, _| by_clear(ctx, Graph::softsign), ""),
    op(
        "Sqrt",
        6,
        |ctx, _| unary(ctx, f64::sqrt, Graph::sqrt),
        "private: 0 for negative x, at most 2^11.5",
    ),
    op("Swish", 24, swish, ""),
    op("Tanh", 6, |ctx, _| unary(ctx, f64::tanh, Graph::tanh), ""),
    op("ThresholdedRelu", 10, thresholded_relu, ""),
];

/// `exact` of a known operand, else `word` of the graph. The result is of the operand's kind.
fn unary(
    ctx: &mut Ctx<'_>,
    exact: impl Fn(f64) -> f64,
    word: impl FnOnce(&mut Graph, Edge) -> Result<Edge>,
) -> Lowering<Vec<Val>> {
    let element = ctx.element(0)?;
    if let Val::Known { value, secret } = ctx.val(0) {
        let text = || Fault::Refused("text is not computed with".into());
        let x = value.numbers().ok_or_else(text)?.mapv(exact);
        return Ok(vec![Val::Known {
            value: Arc::new(Constant::of_numbers(element, &x).ok_or_else(text)?),
            secret: *secret,
        }]);
    }
    if element == Element::Text {
        return refuse("text is not computed with");
    }
    let x = ctx.edge(0)?;
    Ok(vec![Val::Edge {
        edge: word(&mut ctx.g, x)?,
        element,
    }])
}

/// A word of the graph, which also folds what is known.
fn by_clear(
    ctx: &mut Ctx<'_>,
    word: impl FnOnce(&mut Graph, Edge) -> Result<Edge>,
) -> Lowering<Vec<Val>> {
    let x = ctx.edge(0)?;
    Ok(vec![Val::float(word(&mut ctx.g, x)?)])
}

fn sign(x: f64) -> f64 {
    if x == 0.0 { 0.0 } else { x.signum() }
}

fn never(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let answer = match ctx.known_numbers(0) {
        Some(x) if node.op == "IsNaN" => x.mapv(f64::is_nan),
        Some(x) => {
            let (below, above) = (
                node.flag("detect_negative", true)?,
                node.flag("detect_positive", true)?,
            );
            x.mapv(|v| v == f64::INFINITY && above || v == f64::NEG_INFINITY && below)
        }
        None => ndarray::ArrayD::from_elem(ctx.shape(0)?, false),
    };
    Ok(vec![Val::known(Constant::Bool(answer))])
}

fn celu(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let a = node.float_or("alpha", 1.0)?;
    if a == 0.0 {
        return Err(Fault::Attribute("alpha".into(), "must not be 0".into()));
    }
    by_clear(ctx, |g, x| g.celu(x, a))
}

fn elu(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let a = node.float_or("alpha", 1.0)?;
    by_clear(ctx, |g, x| g.elu(x, a))
}

fn selu(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    // The defaults are those of the operator's specification, in single precision.
    let a = node.float_or("alpha", f64::from(1.673_263_2_f32))?;
    let g = node.float_or("gamma", f64::from(1.050_701_f32))?;
    by_clear(ctx, |graph, x| graph.selu(x, a, g))
}

fn leaky_relu(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let a = node.float_or("alpha", f64::from(0.01f32))?;
    by_clear(ctx, |g, x| g.leaky_relu(x, a))
}

fn hard_sigmoid(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let a = node.float_or("alpha", f64::from(0.2f32))?;
    let b = node.float_or("beta", 0.5)?;
    by_clear(ctx, |g, x| g.hard_sigmoid(x, a, b))
}

fn thresholded_relu(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let a = node.float_or("alpha", 1.0)?;
    by_clear(ctx, |g, x| g.thresholded_relu(x, a))
}

fn swish(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let a = node.float_or("alpha", 1.0)?;
    by_clear(ctx, |g, x| g.swish(x, a))
}

fn gelu(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    match node.text_or("approximate", "none")? {
        "none" => by_clear(ctx, Graph::gelu),
        "tanh" => by_clear(ctx, Graph::gelu_tanh),
        other => Err(Fault::Attribute(
            "approximate".into(),
            format!("is {other:?}; none and tanh exist"),
        )),
    }
}

fn clip(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let bound = |i: usize, name: &str| -> Lowering<Option<f64>> {
        if ctx.has(i) {
            return Ok(Some(ctx.float(i, &format!("the bound {name}"))?));
        }
        node.float(name)
    };
    let (lo, hi) = (bound(1, "min")?, bound(2, "max")?);
    // The lower bound is applied first: where it is above the upper, everything is the upper.
    let exact = |x: f64| x.max(lo.unwrap_or(f64::MIN)).min(hi.unwrap_or(f64::MAX));
    if let (Some(low), Some(high)) = (lo, hi)
        && low > high
    {
        let word = |g: &mut Graph, x: Edge| {
            let shape = g.shape(x)?.to_vec();
            Ok(g.fill(&shape, high))
        };
        return unary(ctx, exact, word);
    }
    unary(ctx, exact, |g, x| g.clip(x, lo, hi))
}
