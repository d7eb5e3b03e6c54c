//! Recurrent layers.

use super::layout::lengths;
use crate::layers::recurrent::{Activation, Kind, Recurrent, Weights, recurrent};
use crate::onnx::{
    context::{Ctx, Val},
    error::{Fault, Lowering},
    node::Node,
    registry::{OpSpec, op},
};
use crate::{Edge, Layout};

pub(super) const OPS: &[OpSpec] = &[
    op("GRU", 7, gru, "unrolled").public("sequence_lens"),
    op("LSTM", 7, lstm, "unrolled").public("sequence_lens"),
    op("RNN", 7, rnn, "unrolled").public("sequence_lens"),
];

fn rnn(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    layer(ctx, node, Kind::Rnn)
}

fn gru(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let linear_before_reset = node.flag("linear_before_reset", false)?;
    let kind = Kind::Gru {
        linear_before_reset,
    };
    layer(ctx, node, kind)
}

fn lstm(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let input_forget = node.flag("input_forget", false)?;
    layer(ctx, node, Kind::Lstm { input_forget })
}

fn layer(ctx: &mut Ctx<'_>, node: &Node, kind: Kind) -> Lowering<Vec<Val>> {
    let reverse = match node.text_or("direction", "forward")? {
        "forward" => vec![false],
        "reverse" => vec![true],
        "bidirectional" => vec![false, true],
        other => {
            return Err(Fault::Attribute("direction".into(), format!("is {other}")));
        }
    };
    let batch_first = match node.int_or("layout", 0)? {
        0 => false,
        1 => true,
        other => {
            return Err(Fault::Attribute("layout".into(), format!("is {other}")));
        }
    };
    let turned = |ctx: &mut Ctx<'_>, i: usize| -> Lowering<Option<Edge>> {
        // A state of zeros is none, which saves its products; a weight is not looked at.
        let zero = |x: ndarray::ArrayD<f64>| x.iter().all(|&v| v == 0.0);
        if i > 0 && !ctx.is_secret(i) && ctx.known_numbers(i).is_some_and(zero) {
            return Ok(None);
        }
        let edge = ctx.optional_edge(i)?;
        edge.map(|x| turn(ctx, x, batch_first, &[1, 0, 2]))
            .transpose()
    };
    let x = turned(ctx, 0)?.ok_or_else(|| Fault::Shape("there is no input".into()))?;
    let (h, c) = match kind {
        Kind::Lstm { .. } => (turned(ctx, 5)?, turned(ctx, 6)?),
        _ => (turned(ctx, 5)?, None),
    };
    let sequence_lens = ctx.optional_ints(4, "the lengths of the sequences")?;
    let weights = Weights {
        w: ctx.edge(1)?,
        r: ctx.edge(2)?,
        bias: ctx.optional_edge(3)?,
        h,
        c,
        peepholes: match kind {
            Kind::Lstm { .. } => ctx.optional_edge(7)?,
            _ => None,
        },
    };
    let clip = node.float("clip")?;
    if clip.is_some_and(|c| c <= 0.0) {
        return Err(Fault::Attribute("clip".into(), "must be positive".into()));
    }
    let how = Recurrent {
        activations: activations(node, kind, reverse.len())?,
        lengths: sequence_lens
            .map(|l| lengths(&l, "sequence_lens"))
            .transpose()?,
        kind,
        reverse,
        clip,
    };
    let s = recurrent(&mut ctx.g, x, &weights, &how)?;
    let mut made = vec![turn(ctx, s.y, batch_first, &[2, 0, 1, 3])?];
    for state in [Some(s.h), s.c].into_iter().flatten() {
        made.push(turn(ctx, state, batch_first, &[1, 0, 2])?);
    }
    Ok(made.into_iter().map(Val::float).collect())
}

/// The axes in another order if the batch comes first.
fn turn(ctx: &mut Ctx<'_>, x: Edge, batch_first: bool, axes: &[usize]) -> Lowering<Edge> {
    Ok(if batch_first {
        ctx.g.layout(Layout::Transpose(axes.to_vec()), x)?
    } else {
        x
    })
}

/// The activations of all directions. Constants are dealt out in order to those that take them.
fn activations(node: &Node, kind: Kind, directions: usize) -> Lowering<Vec<Activation>> {
    let Some(names) = node.texts("activations")? else {
        return Ok(kind.activations().repeat(directions));
    };
    let mut alphas = node
        .floats("activation_alpha")?
        .unwrap_or_default()
        .iter()
        .copied();
    let mut betas = node
        .floats("activation_beta")?
        .unwrap_or_default()
        .iter()
        .copied();
    names
        .iter()
        .map(|name| {
            let (alpha, beta) = Activation::named(name, None, None)?.takes();
            let alpha = if alpha { alphas.next() } else { None };
            let beta = if beta { betas.next() } else { None };
            Ok(Activation::named(name, alpha, beta)?)
        })
        .collect()
}
