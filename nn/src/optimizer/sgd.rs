//! Stochastic gradient descent with momentum.
//!
//! The step size is part of the scale of the gradient, where it costs no rounding, so that the velocity is subtracted from
//! the parameters as it is: v ← µ·v + lr·(dw + λ·w), w ← w - v. With a constant step size that is
//! v ← µ·v + dw, w ← w - lr·v; where a schedule changes it, the velocity is multiplied by the factor of the step.

use super::{MASTER_SCALE, Step, times};
use crate::{Edge, Graph, Result};

/// The factor of the loss.
pub(super) fn loss_scale(learning_rate: f64) -> f64 {
    MASTER_SCALE as f64 * learning_rate
}

pub(super) fn step(
    g: &mut Graph,
    step: &Step<'_>,
    gradient: Edge,
    decay: f64,
    momentum: f64,
    nesterov: bool,
) -> Result<(Edge, Vec<Edge>)> {
    let mut gradient = gradient;
    if decay > 0.0 {
        let decayed = g.scale(step.master, decay)?;
        gradient = g.add(gradient, decayed)?;
    }
    let (mut change, mut slots) = (gradient, vec![]);
    if momentum > 0.0 {
        let kept = g.scale(step.slots[0], momentum)?;
        change = g.add(kept, gradient)?;
        slots.push(change);
        if nesterov {
            let ahead = g.scale(change, momentum)?;
            change = g.add(gradient, ahead)?;
        }
    }
    let change = times(g, change, step.factors.first(), 1.0)?;
    Ok((g.sub(step.master, change)?, slots))
}
