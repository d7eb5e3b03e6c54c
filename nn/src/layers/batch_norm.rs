//! BatchNormalization: by given moments, or by those of the batch.

use super::norm::{inverse_root, moments};
use super::{add_per_channel, per_channel, weigh_by};
use crate::{Edge, Graph, Result};

/// BatchNormalization by given moments, one number a channel each.
///
/// # Errors
/// Shapes that do not fit.
pub fn batch_norm(
    g: &mut Graph,
    x: Edge,
    (scale, bias): (Edge, Edge),
    (mean, variance): (Edge, Edge),
    epsilon: f64,
) -> Result<Edge> {
    let rank = g.shape(x)?.len();
    let inverse = inverse_root(g, variance, epsilon)?;
    let factor = g.mul(scale, inverse)?;
    let (mean, factor) = (per_channel(g, mean, rank)?, per_channel(g, factor, rank)?);
    let deviation = g.sub(x, mean)?;
    let y = g.mul(deviation, factor)?;
    add_per_channel(g, y, bias)
}

/// What BatchNormalization gives in training.
#[derive(Clone, Copy, Debug)]
pub struct Trained {
    /// The result.
    pub y: Edge,
    /// The new running mean.
    pub mean: Edge,
    /// The new running variance, of the population.
    pub variance: Edge,
}

/// BatchNormalization by the moments of the batch; the running ones become momentum·old + (1 - momentum)·batch.
///
/// # Errors
/// Shapes that do not fit.
pub fn batch_norm_training(
    g: &mut Graph,
    x: Edge,
    (scale, bias): (Edge, Edge),
    (mean, variance): (Edge, Edge),
    epsilon: f64,
    momentum: f64,
) -> Result<Trained> {
    let rank = g.shape(x)?.len();
    let axes: Vec<usize> = (0..rank).filter(|&a| a != 1).collect();
    let m = moments(g, x, &axes)?;
    let inverse = inverse_root(g, m.variance, epsilon)?;
    let scale = per_channel(g, scale, rank)?;
    let factor = g.mul(inverse, scale)?;
    let y = g.mul(m.deviation, factor)?;
    let y = add_per_channel(g, y, bias)?;
    let mut running = |old: Edge, new: Edge| {
        let shape = g.shape(old)?.to_vec();
        let new = g.reshape(new, &shape)?;
        // old + (1 - momentum)·(new - old).
        let change = g.sub(new, old)?;
        let change = weigh_by(g, change, 1.0 - momentum)?;
        g.add(old, change)
    };
    Ok(Trained {
        y,
        mean: running(mean, m.mean)?,
        variance: running(variance, m.variance)?,
    })
}
