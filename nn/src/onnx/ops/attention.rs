//! Attention and rotary embeddings.

use super::layout::lengths;
use crate::layers::{
    attention::{Attention, PrivateMask, PublicMask, Visible, attention},
    rotary::rotary_embedding,
};
use crate::onnx::{
    Constant, Element,
    context::{Ctx, Val},
    error::{Fault, Lowering, refuse},
    node::Node,
    registry::{OpSpec, op},
};
use crate::{Edge, Layout};

pub(super) const OPS: &[OpSpec] = &[
    op(
        "Attention",
        23,
        attend,
        "a mask may be private; a public one costs nothing and is best given as such",
    )
    .public("nonpad_kv_seqlen"),
    op("RotaryEmbedding", 23, rotary, "").public("position_ids"),
];

/// \[batch, length, heads·size\] as \[batch, heads, length, size\].
fn into_heads(ctx: &mut Ctx<'_>, x: Edge, heads: i64) -> Lowering<Edge> {
    let shape = ctx.g.shape(x)?.to_vec();
    let heads = usize::try_from(heads).unwrap_or(0);
    let [batch, length, width] = shape[..] else {
        return Err(Fault::Shape(format!(
            "{shape:?} is not [batch, length, width]"
        )));
    };
    if heads == 0 || width % heads != 0 {
        return Err(Fault::Shape(format!(
            "a width of {width} is not cut into {heads} heads"
        )));
    }
    let x = ctx.g.reshape(x, &[batch, length, heads, width / heads])?;
    Ok(ctx.g.layout(Layout::Transpose(vec![0, 2, 1, 3]), x)?)
}

/// The inverse.
fn out_of_heads(ctx: &mut Ctx<'_>, x: Edge) -> Lowering<Edge> {
    let shape = ctx.g.shape(x)?.to_vec();
    let x = ctx.g.layout(Layout::Transpose(vec![0, 2, 1, 3]), x)?;
    let [batch, heads, length, size] = shape[..] else {
        return Err(Fault::Shape(format!("{shape:?} has no heads")));
    };
    Ok(ctx.g.reshape(x, &[batch, length, heads * size])?)
}

fn attend(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let flat = ctx.shape(0)?.len() == 3;
    let head = |ctx: &mut Ctx<'_>, i: usize, attribute: &str| {
        let x = ctx.edge(i)?;
        if flat {
            let heads = node.required(attribute, node.int(attribute)?)?;
            into_heads(ctx, x, heads)
        } else {
            Ok(x)
        }
    };
    let q = head(ctx, 0, "q_num_heads")?;
    let mut k = head(ctx, 1, "kv_num_heads")?;
    let mut v = head(ctx, 2, "kv_num_heads")?;
    let mut past = 0;
    match (ctx.optional_edge(4)?, ctx.optional_edge(5)?) {
        (Some(keys), Some(values)) => {
            past = ctx.shape(4)?.get(2).copied().unwrap_or(0);
            k = ctx.g.concat(2, &[keys, k])?;
            v = ctx.g.concat(2, &[values, v])?;
        }
        (None, None) => {}
        _ => return refuse("past_key and past_value must be given together"),
    }
    let lens = ctx.optional_ints(6, "the number of keys that are no padding")?;
    if lens.is_some() && past > 0 {
        return refuse("nonpad_kv_seqlen cannot be combined with past keys");
    }
    let bound = |name: &str| match node.int_or(name, -1)? {
        -1 => Ok(None),
        n => usize::try_from(n)
            .map(Some)
            .map_err(|_| Fault::Attribute(name.into(), format!("is {n}"))),
    };
    let (mask, private) = masks(ctx)?;
    let visible = Visible {
        causal: node.flag("is_causal", false)?,
        window: (bound("left_window_size")?, bound("right_window_size")?),
        past,
        lengths: lens.map(|l| lengths(&l, "nonpad_kv_seqlen")).transpose()?,
        mask,
    };
    let how = Attention {
        scale: node.float("scale")?,
        softcap: node.float_or("softcap", 0.0)?,
    };
    let private = match private {
        Some(mask) => Some(padded(ctx, mask, k)?),
        None => None,
    };
    let a = attention(&mut ctx.g, (q, k, v), &visible, private, &how)?;
    let y = if flat { out_of_heads(ctx, a.y)? } else { a.y };
    let inner = match node.int_or("qk_matmul_output_mode", 0)? {
        0 => a.scores,
        1 => a.capped,
        2 => a.masked,
        3 => a.weights,
        other => {
            let why = format!("is {other}, not 0 to 3");
            return Err(Fault::Attribute("qk_matmul_output_mode".into(), why));
        }
    };
    Ok([y, k, v, inner].map(Val::float).to_vec())
}

/// The mask, where everybody may know it, or else as edges.
fn masks(ctx: &mut Ctx<'_>) -> Lowering<(Option<PublicMask>, Option<PrivateMask>)> {
    if !ctx.has(3) {
        return Ok((None, None));
    }
    let learned = ctx.is_secret(3) && *ctx.weights == crate::onnx::Weights::Private;
    match ctx.known(3) {
        Some(Constant::Bool(seen)) => Ok((Some(PublicMask::Seen(seen.clone())), None)),
        Some(Constant::Float(bias)) if !learned => Ok((Some(PublicMask::Bias(bias.clone())), None)),
        _ => {
            let edge = ctx.edge(3)?;
            let mask = match ctx.element(3)? {
                Element::Bool => PrivateMask::Seen(edge),
                _ => PrivateMask::Bias(edge),
            };
            Ok((None, Some(mask)))
        }
    }
}

/// A private mask for as many keys as there are: those it does not name are hidden.
fn padded(ctx: &mut Ctx<'_>, mask: PrivateMask, keys: Edge) -> Lowering<PrivateMask> {
    let wanted = ctx.g.shape(keys)?.get(2).copied().unwrap_or(0);
    let (edge, hidden) = match mask {
        PrivateMask::Seen(edge) => (edge, 0.0),
        PrivateMask::Bias(edge) => (edge, -((1u64 << 30) as f64)),
    };
    let mut shape = ctx.g.shape(edge)?.to_vec();
    let Some(last) = shape.last_mut().filter(|n| **n < wanted) else {
        return Ok(mask);
    };
    *last = wanted - *last;
    let axis = shape.len() - 1;
    let rest = ctx.g.fill(&shape, hidden);
    let edge = ctx.g.concat(axis, &[edge, rest])?;
    Ok(match mask {
        PrivateMask::Seen(_) => PrivateMask::Seen(edge),
        PrivateMask::Bias(_) => PrivateMask::Bias(edge),
    })
}

fn rotary(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let shape = ctx.shape(0)?;
    let x = ctx.edge(0)?;
    let flat = shape.len() == 3;
    let x = if flat {
        let heads = node.required("num_heads", node.int("num_heads")?)?;
        into_heads(ctx, x, heads)?
    } else {
        x
    };
    let size = ctx.g.shape(x)?.last().copied().unwrap_or(0);
    let dim = match node.int_or("rotary_embedding_dim", 0)? {
        0 => size,
        n => usize::try_from(n)
            .map_err(|_| Fault::Attribute("rotary_embedding_dim".into(), format!("is {n}")))?,
    };
    let positions = ctx.optional_ints(3, "the positions of the tokens")?;
    let (mut cos, mut sin) = (ctx.edge(1)?, ctx.edge(2)?);
    if let Some(positions) = positions {
        let places = ctx.shape(3)?;
        let rows = lengths(&positions, "the positions of the tokens")?;
        for cache in [&mut cos, &mut sin] {
            let half = ctx.g.shape(*cache)?.last().copied().unwrap_or(0);
            let taken = ctx.g.gather(*cache, 0, &rows)?;
            *cache = ctx.g.reshape(taken, &[&places[..], &[half]].concat())?;
        }
    }
    let interleaved = node.flag("interleaved", false)?;
    let y = rotary_embedding(&mut ctx.g, x, cos, sin, dim, interleaved)?;
    let y = if flat { out_of_heads(ctx, y)? } else { y };
    Ok(vec![Val::float(y)])
}
