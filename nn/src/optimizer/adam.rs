//! Adam (Kingma, Ba, ICLR 2015), AMSGrad (Reddi, Kale, Kumar, ICLR 2018) and AdamW (Loshchilov, Hutter, ICLR 2019).
//!
//! ```text
//! m ← β₁·m + (1-β₁)·g     v ← β₂·v + (1-β₂)·g²     w ← w - lr·(m/(1-β₁ᵗ)) / (√(v/(1-β₂ᵗ)) + ε)
//! ```
//! In fixed point the averages are carried as sums, M = m/(1-β₁) and U = v/(1-β₂), of the gradient times 2^8: multiplied by
//! (1-β₂) = 0.001 a small square would vanish. What is left of the averaging and of the correction of the bias is one public
//! factor a step, lr·(1-β₁)/(1-β₁ᵗ)·√((1-β₂ᵗ)/(1-β₂)), and w ← w - factor·M/√(U + ε'). So ε is added under the root, to the
//! sum, with ε' = (2^8·ε)²/(1-β₂): gradients well below ε move a parameter less than they do in floating point, where ε is
//! 1e-8 as a rule. It must be at least [`least_epsilon`], so that the root keeps some bits of the smallest sum; and the
//! root of the mean square of the gradient of a parameter must stay below 2^4.

use super::{Clock, MASTER_SCALE, Step, times};
use crate::{Edge, Function, Graph, Result, fixed, program::Scaled};

/// Sums of squares are at least 2^LOG2_LEAST with what ε adds.
const LOG2_LEAST: i32 = -6;
/// … and below this: more binades do not fit into 64 bits.
const LOG2_MOST: i32 = 34;

/// The factor of the loss.
pub(super) const LOSS_SCALE: f64 = MASTER_SCALE as f64;

/// The fields of [`super::Rule::Adam`].
#[derive(Clone, Copy)]
pub(super) struct Adam {
    pub(super) beta1: f64,
    pub(super) beta2: f64,
    pub(super) epsilon: f64,
    pub(super) amsgrad: bool,
}

/// The least ε that fixed point resolves for this β₂.
pub(super) fn least_epsilon(beta2: f64) -> f64 {
    (2f64.powi(LOG2_LEAST + 1) * (1.0 - beta2)).sqrt() / LOSS_SCALE
}

/// What a step is multiplied by besides the step size, where `clock.step` others went before.
pub(super) fn correction(beta1: f64, beta2: f64, clock: Clock) -> Result<f64> {
    let t = (clock.step + 1) as f64;
    let bias = |beta: f64| (1.0 - beta.powf(t)) / (1.0 - beta);
    Ok(bias(decay(beta2)?).sqrt() / bias(decay(beta1)?))
}

/// The decay with as many bits as a factor in fixed point has: 1 - 2^-10 for 0.999. Sums and correction must agree about it.
fn decay(beta: f64) -> Result<f64> {
    let (c, shift) = fixed::scale_factor(beta)?;
    Ok(c as f64 * 2f64.powi(-(shift as i32)))
}

pub(super) fn step(
    g: &mut Graph,
    step: &Step<'_>,
    gradient: Edge,
    learning_rate: f64,
    adam: Adam,
) -> Result<(Edge, Vec<Edge>)> {
    let beta2 = decay(adam.beta2)?;
    let kept = g.scale(step.slots[0], decay(adam.beta1)?)?;
    let first = g.add(kept, gradient)?;
    let kept = g.scale(step.slots[1], beta2)?;
    let square = g.mul(gradient, gradient)?;
    let second = g.add(kept, square)?;
    let mut slots = vec![first, second];
    let greatest = if adam.amsgrad {
        let greatest = g.max(step.slots[2], second)?;
        slots.push(greatest);
        greatest
    } else {
        second
    };
    let least = (LOSS_SCALE * adam.epsilon).powi(2) / (1.0 - beta2);
    let under = g.linear(&[(1, greatest)], least)?;
    let root = Function::Scaled(Scaled::InverseRoot, LOG2_LEAST, LOG2_MOST);
    let inverse = g.map(root, &[under])?;
    let change = g.mul(first, inverse)?;
    let scale = MASTER_SCALE as f64 * learning_rate;
    let change = times(g, change, step.factors.first(), scale)?;
    Ok((g.sub(step.master, change)?, slots))
}
