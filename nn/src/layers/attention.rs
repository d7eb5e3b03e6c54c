//! Scaled dot-product attention (Vaswani et al., arXiv 1706.03762), with fewer heads of keys than of queries where asked for
//! (arXiv 2305.13245). Which keys a query sees is public wherever it can be.

mod mask;

pub use mask::{PublicMask, Visible};

use ndarray::{ArrayD, IxDyn};

use super::invalid;
use crate::{Edge, Graph, Result, fixed};

/// What is added to the score of a key that must not be seen: a masked entry of [`Graph::softmax`].
const HIDDEN: f64 = -((1u64 << 30) as f64);

/// Public parameters of attention.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Attention {
    /// The factor of the scores; 1/√(size of a head) if not given.
    pub scale: Option<f64>,
    /// Scores s become cap·tanh(s/cap); 0 for no cap.
    pub softcap: f64,
}

/// Keys that a private mask hides or weighs.
#[derive(Clone, Copy, Debug)]
pub enum PrivateMask {
    /// Added to the scores.
    Bias(Edge),
    /// 1 where the key is seen, 0 where it is not.
    Seen(Edge),
}

/// The result and what led to it, each \[batch, heads, queries, …\].
#[derive(Clone, Copy, Debug)]
pub struct Attended {
    /// The mixed values \[batch, query heads, queries, value size\].
    pub y: Edge,
    /// The scores \[…, keys\], scaled, before the cap.
    pub scores: Edge,
    /// After the cap.
    pub capped: Edge,
    /// After the masks.
    pub masked: Edge,
    /// The weights: rows that see no key are 0.
    pub weights: Edge,
}

/// Attention of queries \[batch, heads, queries, size\] to keys \[batch, key heads, keys, size\] with values \[batch, key heads,
/// keys, value size\]; heads a multiple of key heads, of which each serves a block of them. `visible` says which keys are seen
/// and what is added to their scores; `mask` is private and broadcasts to \[batch, heads, queries, keys\].
///
/// # Errors
/// Shapes that do not fit.
pub fn attention(
    g: &mut Graph,
    (q, k, v): (Edge, Edge, Edge),
    visible: &Visible,
    mask: Option<PrivateMask>,
    how: &Attention,
) -> Result<Attended> {
    let [qs, ks, vs] = [q, k, v].map(|x| g.shape(x).map(<[usize]>::to_vec));
    let (qs, ks, vs) = (qs?, ks?, vs?);
    let (
        &[batch, heads, queries, size],
        &[kb, key_heads, keys, key_size],
        &[vb, value_heads, values, value_size],
    ) = (&qs[..], &ks[..], &vs[..])
    else {
        return Err(misfit(&qs, &ks, &vs));
    };
    let alike = (kb, vb, key_size, values, value_heads) == (batch, batch, size, keys, key_heads);
    if !alike || key_heads == 0 || heads % key_heads != 0 || keys == 0 || size == 0 {
        return Err(misfit(&qs, &ks, &vs));
    }
    let full = [batch, heads, queries, keys];
    // The heads that share keys are further rows of one product.
    let rows = heads / key_heads * queries;
    let scale = how.scale.unwrap_or_else(|| 1.0 / (size as f64).sqrt());
    let cap = if how.softcap > 0.0 { how.softcap } else { 1.0 };
    let (q, factor) = scaled(g, q, scale / cap)?;
    let q = g.reshape(q, &[batch, key_heads, rows, size])?;
    let kt = g.swap_last(k)?;
    let product = g.matmul(q, kt)?;
    let over = g.scale(product, factor)?;
    let over = g.reshape(over, &full)?;
    let scores = g.scale_exact(over, cap)?;
    let capped = if how.softcap > 0.0 {
        let bounded = g.tanh(over)?;
        g.scale_exact(bounded, cap)?
    } else {
        scores
    };
    let mut masked = capped;
    if let Some(bias) = visible.bias(&full)? {
        let bias = g.public(bias);
        masked = g.add(masked, bias)?;
    }
    match mask {
        Some(PrivateMask::Bias(bias)) => masked = g.add(masked, bias)?,
        Some(PrivateMask::Seen(seen)) => {
            // -2^20 hides any score that fixed point can multiply, and 2^20·seen stays in range.
            let far = 1 << 20;
            let bias = g.linear(&[(far, seen)], -(far as f64))?;
            masked = g.add(masked, bias)?;
        }
        None => {}
    }
    let mut weights = g.softmax(masked, 3)?;
    if let Some(PrivateMask::Seen(seen)) = mask {
        // A row that sees nothing has equal weights so far.
        weights = g.mul(weights, seen)?;
    }
    weights = without_blind_rows(g, weights, &visible.blind(&full)?)?;
    let p = g.reshape(weights, &[batch, key_heads, rows, keys])?;
    let y = g.matmul(p, v)?;
    Ok(Attended {
        y: g.reshape(y, &[batch, heads, queries, value_size])?,
        scores,
        capped,
        masked,
        weights,
    })
}

fn misfit(q: &[usize], k: &[usize], v: &[usize]) -> crate::Error {
    invalid(format!(
        "queries {q:?}, keys {k:?} and values {v:?} do not fit: each is [batch, heads, length, size], with as many heads of \
         queries as of keys, or a multiple"
    ))
}

/// x and a factor, together c·x: the factor where twelve bits hold it, which costs no rounding after a product.
fn scaled(g: &mut Graph, x: Edge, c: f64) -> Result<(Edge, f64)> {
    if c == 0.0 {
        return Ok((x, c));
    }
    let (factor, shift) = fixed::scale_factor(c)?;
    let held = factor as f64 * 2f64.powi(-(shift as i32));
    // An error in the last place of scores up to 16.
    if (held / c - 1.0).abs() < 2f64.powi(-20) {
        return Ok((x, c));
    }
    // The rest of the factor, in [1, 2), is worth a rounding of the shorter operand.
    let power = 2f64.powi(c.abs().log2().floor() as i32);
    let rest = g.public(ArrayD::from_elem(IxDyn(&[1]), c / power));
    Ok((g.mul(x, rest)?, power))
}

/// The given rows of all but the last axis replaced by zeros.
fn without_blind_rows(g: &mut Graph, x: Edge, blind: &[bool]) -> Result<Edge> {
    if !blind.contains(&true) {
        return Ok(x);
    }
    let shape = g.shape(x)?.to_vec();
    let keys = shape[shape.len() - 1];
    let flat = g.reshape(x, &[blind.len(), keys])?;
    let zero = g.fill(&[1, keys], 0.0);
    let more = g.concat(0, &[flat, zero])?;
    let nothing = blind.len();
    let index: Vec<usize> = blind
        .iter()
        .enumerate()
        .map(|(row, &blind)| if blind { nothing } else { row })
        .collect();
    let y = g.gather(more, 0, &index)?;
    g.reshape(y, &shape)
}

#[cfg(test)]
mod tests;
