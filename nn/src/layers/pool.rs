//! Sums, means and norms of windows: one axis after the other.

use ndarray::{ArrayD, IxDyn};

use super::window::{Along, Window};
use super::{count, invalid, pad_axis, weigh, weigh_by};
use crate::{Edge, Error, Graph, Result};

/// The mean of each window of `x` \[n, channels, spatial…\]; padding counts as zeros or not at all.
///
/// # Errors
/// Shapes that do not fit, and windows that see nothing but padding that does not count.
pub fn average_pool(g: &mut Graph, x: Edge, window: &Window, count_pad: bool) -> Result<Edge> {
    let along = spatial(g, x, window)?;
    let sums = sum_windows(g, x, &along)?;
    // Entries counted in each window: a product over the axes.
    let counts: Vec<Vec<usize>> = along.iter().map(|a| counted(a, count_pad)).collect();
    if let Some(a) = counts.iter().position(|c| c.contains(&0)) {
        return Err(only_padding(&along[a]));
    }
    let alike = counts.iter().all(|c| c.windows(2).all(|w| w[0] == w[1]));
    let mut shape = vec![1; counts.len() + 2];
    if !alike {
        counts
            .iter()
            .enumerate()
            .for_each(|(a, c)| shape[a + 2] = c.len());
    }
    let weights = ArrayD::from_shape_fn(IxDyn(&shape), |at| {
        let n: usize = counts
            .iter()
            .enumerate()
            .map(|(a, c)| c[at[a + 2]])
            .product();
        1.0 / n as f64
    });
    weigh(g, sums, &weights)
}

/// The mean over some axes, which stay with length 1; rounded once.
///
/// # Errors
/// [`Error::Invalid`] where there is nothing to take the mean of.
pub fn mean(g: &mut Graph, x: Edge, axes: &[usize]) -> Result<Edge> {
    let n = count(g, x, axes)?;
    let sum = g.sum_over(x, axes)?;
    weigh_by(g, sum, 1.0 / n as f64)
}

/// (Σ |x|^p)^(1/p) over each window; padding counts as zeros.
///
/// # Errors
/// Shapes that do not fit, and p = 0.
pub fn lp_pool(g: &mut Graph, x: Edge, window: &Window, p: usize) -> Result<Edge> {
    let along = spatial(g, x, window)?;
    match p {
        0 => Err(invalid("the order of a norm is at least 1")),
        1 => {
            let x = g.abs(x)?;
            sum_windows(g, x, &along)
        }
        2 => {
            let squares = g.mul(x, x)?;
            let sums = sum_windows(g, squares, &along)?;
            g.sqrt(sums)
        }
        _ => {
            let x = g.abs(x)?;
            let powers = g.pow(x, p as f64)?;
            let sums = sum_windows(g, powers, &along)?;
            g.pow(sums, 1.0 / p as f64)
        }
    }
}

/// The exact sum of each window.
fn sum_windows(g: &mut Graph, x: Edge, along: &[Along]) -> Result<Edge> {
    let mut y = x;
    for (a, along) in along.iter().enumerate() {
        let axis = a + 2;
        let reach = along.reach();
        let after = reach.saturating_sub(along.begin + along.input);
        let padded = pad_axis(g, y, axis, along.begin, after)?;
        let terms = (0..along.kernel)
            .map(|k| {
                let index: Vec<usize> = (0..along.output).map(|o| along.place(o, k)).collect();
                Ok((1, g.gather(padded, axis, &index)?))
            })
            .collect::<Result<Vec<_>>>()?;
        y = match terms[..] {
            [(_, only)] => only,
            _ => g.linear(&terms, 0.0)?,
        };
    }
    Ok(y)
}

/// How many entries each window has, not counting what lies beyond the padding, or on it.
pub(super) fn counted(along: &Along, count_pad: bool) -> Vec<usize> {
    let range = if count_pad {
        0..along.begin + along.input + along.end
    } else {
        along.begin..along.begin + along.input
    };
    (0..along.output)
        .map(|o| {
            (0..along.kernel)
                .filter(|&k| range.contains(&along.place(o, k)))
                .count()
        })
        .collect()
}

/// The windows along each spatial axis of `x`.
pub(super) fn spatial(g: &Graph, x: Edge, window: &Window) -> Result<Vec<Along>> {
    match g.shape(x)? {
        [_, _, spatial @ ..] if !spatial.is_empty() => window.along(spatial),
        other => Err(invalid(format!(
            "pooling needs spatial axes after batch and channels; the shape is {other:?}"
        ))),
    }
}

pub(super) fn only_padding(along: &Along) -> Error {
    invalid(format!(
        "a window of {} entries, {} apart, over {} entries sees nothing but padding",
        along.kernel, along.dilation, along.input
    ))
}

#[cfg(test)]
pub(super) mod tests;
