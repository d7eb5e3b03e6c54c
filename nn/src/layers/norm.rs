//! Normalisation by moments of the input.

use super::pool::mean;
use super::{count, invalid, pad_axis, weigh_by};
use crate::{Edge, Graph, Layout, Result};

/// Squares that are added up before they are rounded, at most: their sum must stay below 2^26.
const CHUNK: usize = 256;

/// The mean and the deviations from it.
pub(super) struct Moments {
    pub(super) mean: Edge,
    pub(super) deviation: Edge,
    /// The mean square of the deviations.
    pub(super) variance: Edge,
}

/// Over the given axes, which stay with length 1. Deviations of 512 on average are the most.
pub(super) fn moments(g: &mut Graph, x: Edge, axes: &[usize]) -> Result<Moments> {
    let n = count(g, x, axes)?;
    let mean = mean(g, x, axes)?;
    let deviation = g.sub(x, mean)?;
    let variance = squares(g, deviation, axes, 1.0 / n as f64)?;
    Ok(Moments {
        mean,
        deviation,
        variance,
    })
}

/// weight·Σ x² over some axes, which stay with length 1. The products of up to [`CHUNK`] entries are rounded together, as an
/// inner product; rounding each square would cost as much as that many sums.
fn squares(g: &mut Graph, x: Edge, axes: &[usize], weight: f64) -> Result<Edge> {
    let shape = g.shape(x)?.to_vec();
    let n = count(g, x, axes)?;
    let mut order: Vec<usize> = (0..shape.len()).filter(|a| !axes.contains(a)).collect();
    let rows: usize = order.iter().map(|&a| shape[a]).product();
    order.extend(axes);
    let x = if order.iter().copied().eq(0..shape.len()) {
        x
    } else {
        g.layout(Layout::Transpose(order), x)?
    };
    let x = g.reshape(x, &[rows, n])?;
    let chunks = n.div_ceil(CHUNK);
    let length = n.div_ceil(chunks);
    let x = pad_axis(g, x, 1, 0, chunks * length - n)?;
    let row = g.reshape(x, &[rows * chunks, 1, length])?;
    let column = g.reshape(x, &[rows * chunks, length, 1])?;
    let sum = g.matmul(row, column)?;
    // What can be divided by a power of two costs nothing.
    let free = if weight < 1.0 {
        2f64.powi(-(length.ilog2() as i32))
    } else {
        1.0
    };
    let sum = g.scale(sum, free)?;
    let sum = g.reshape(sum, &[rows, chunks])?;
    let sum = g.sum(sum, 1)?;
    let sum = weigh_by(g, sum, weight / free)?;
    let kept: Vec<usize> = (0..shape.len())
        .map(|a| if axes.contains(&a) { 1 } else { shape[a] })
        .collect();
    g.reshape(sum, &kept)
}

/// 1/√(x + epsilon).
pub(super) fn inverse_root(g: &mut Graph, x: Edge, epsilon: f64) -> Result<Edge> {
    let x = g.linear(&[(1, x)], epsilon)?;
    g.rsqrt_of(x)
}

/// A normalised tensor with the moments it was normalised by.
#[derive(Clone, Copy, Debug)]
pub struct Normalised {
    /// The result.
    pub y: Edge,
    /// The mean.
    pub mean: Edge,
    /// One over the standard deviation.
    pub inverse_deviation: Edge,
}

/// LayerNormalization: moments over `axis` and all that follow; `scale` and `bias` broadcast to `x`. The moments keep their
/// axes with length 1.
///
/// # Errors
/// Shapes that do not fit.
pub fn layer_norm(
    g: &mut Graph,
    x: Edge,
    scale: Edge,
    bias: Option<Edge>,
    axis: usize,
    epsilon: f64,
) -> Result<Normalised> {
    let axes: Vec<usize> = (axis..g.shape(x)?.len()).collect();
    let m = moments(g, x, &axes)?;
    let inverse_deviation = inverse_root(g, m.variance, epsilon)?;
    let y = g.mul(m.deviation, inverse_deviation)?;
    let y = g.mul(y, scale)?;
    Ok(Normalised {
        y: bias.map_or(Ok(y), |bias| g.add(y, bias))?,
        mean: m.mean,
        inverse_deviation,
    })
}

/// RMSNormalization: x/√(mean square + epsilon)·scale, the mean square over `axis` and all that follow.
///
/// # Errors
/// Shapes that do not fit.
pub fn rms_norm(g: &mut Graph, x: Edge, scale: Edge, axis: usize, epsilon: f64) -> Result<Edge> {
    let axes: Vec<usize> = (axis..g.shape(x)?.len()).collect();
    let n = count(g, x, &axes)?;
    let mean = squares(g, x, &axes, 1.0 / n as f64)?;
    let inverse = inverse_root(g, mean, epsilon)?;
    let y = g.mul(x, inverse)?;
    g.mul(y, scale)
}

/// GroupNormalization of `x` \[n, channels, …\] by the moments of each of `groups` groups of channels of a sample; `scale` and
/// `bias` hold one number a channel, or one a group (as operator set 18 had it).
///
/// # Errors
/// Shapes that do not fit.
pub fn group_norm(
    g: &mut Graph,
    x: Edge,
    scale: Edge,
    bias: Edge,
    groups: usize,
    epsilon: f64,
) -> Result<Edge> {
    let shape = g.shape(x)?.to_vec();
    let [n, channels, ref spatial @ ..] = shape[..] else {
        return Err(invalid(format!(
            "a tensor of shape {shape:?} has no channels"
        )));
    };
    if groups == 0 || channels % groups != 0 {
        return Err(invalid(format!(
            "{channels} channels do not fall into {groups} groups"
        )));
    }
    let each = channels / groups;
    let places: usize = spatial.iter().product();
    let split = g.reshape(x, &[n, groups, each, places])?;
    let m = moments(g, split, &[2, 3])?;
    let inverse = inverse_root(g, m.variance, epsilon)?;
    // One factor a channel and sample, so that entries are multiplied once.
    let of_group = |g: &mut Graph, v: Edge| match *g.shape(v)? {
        [k] if k == channels => g.reshape(v, &[groups, each, 1]),
        [k] if k == groups => g.reshape(v, &[groups, 1, 1]),
        ref other => Err(invalid(format!(
            "one number for each of {channels} channels is expected, not a tensor of shape {other:?}"
        ))),
    };
    let (scale, bias) = (of_group(g, scale)?, of_group(g, bias)?);
    let factor = g.mul(inverse, scale)?;
    let y = g.mul(m.deviation, factor)?;
    let y = g.add(y, bias)?;
    g.reshape(y, &shape)
}

/// InstanceNormalization: every channel of a sample by its own moments.
///
/// # Errors
/// Shapes that do not fit.
pub fn instance_norm(
    g: &mut Graph,
    x: Edge,
    scale: Edge,
    bias: Edge,
    epsilon: f64,
) -> Result<Edge> {
    let channels = g.shape(x)?.get(1).copied().unwrap_or(0);
    group_norm(g, x, scale, bias, channels, epsilon)
}

/// MeanVarianceNormalization: by the moments over some axes.
///
/// # Errors
/// Axes that are not there.
pub fn mean_variance_norm(g: &mut Graph, x: Edge, axes: &[usize]) -> Result<Edge> {
    let m = moments(g, x, axes)?;
    let inverse = inverse_root(g, m.variance, 1e-9)?;
    g.mul(m.deviation, inverse)
}

/// LpNormalization: x over its 1- or 2-norm along an axis; 0 where that is 0.
///
/// # Errors
/// Other norms, and an axis that is not there.
pub fn lp_norm(g: &mut Graph, x: Edge, axis: usize, p: usize) -> Result<Edge> {
    count(g, x, &[axis])?;
    let inverse = match p {
        1 => {
            let size = g.abs(x)?;
            let sum = g.sum(size, axis)?;
            g.reciprocal_of(sum)?
        }
        2 => {
            let sum = squares(g, x, &[axis], 1.0)?;
            g.rsqrt_of(sum)?
        }
        _ => {
            return Err(invalid(format!(
                "LpNormalization with p = {p}: 1 and 2 are supported"
            )));
        }
    };
    g.mul(x, inverse)
}

/// LRN: x/(bias + alpha/size·Σ x²)^beta, the sum over `size` neighbouring channels.
///
/// # Errors
/// A tensor without channels, and size 0.
pub fn local_response_norm(
    g: &mut Graph,
    x: Edge,
    size: usize,
    (alpha, beta, bias): (f64, f64, f64),
) -> Result<Edge> {
    let channels = count(g, x, &[1])?;
    if size == 0 || size >= 1 << 31 {
        return Err(invalid(format!("LRN over {size} channels")));
    }
    let square = g.mul(x, x)?;
    // Neighbours that are there for no channel add nothing.
    let before = ((size - 1) / 2).min(channels);
    let after = (size - 1).div_ceil(2).min(channels);
    let padded = pad_axis(g, square, 1, before, after)?;
    let terms = (0..=before + after)
        .map(|k| Ok((1, g.slice(padded, 1, k..k + channels)?)))
        .collect::<Result<Vec<_>>>()?;
    let sum = g.linear(&terms, 0.0)?;
    let sum = g.scale_exact(sum, alpha / size as f64)?;
    let base = g.linear(&[(1, sum)], bias)?;
    let factor = g.pow(base, -beta)?;
    g.mul(x, factor)
}

#[cfg(test)]
mod tests;
