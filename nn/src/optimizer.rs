//! Optimizers as graph nodes, over one flat vector that holds all parameters.
//!
//! Parameters are kept times 2^8 ("master" here), so that steps far below the last place of a weight add up instead of
//! being rounded away; the network sees them rounded. Gradients are asked for at a scale of the optimizer's choice
//! ([`Optimizer::loss_scale`]), which costs nothing: differentiation carries real factors along and applies them with a
//! rounding that is due anyway. All numbers that change from step to step are public inputs of the graph, so that one graph
//! serves all steps.

mod adam;
mod clip;
mod schedule;
mod sgd;
#[cfg(test)]
mod tests;

use ndarray::ArrayD;

pub use schedule::{Clock, LearningRate, Schedule};

use crate::{Edge, Error, Graph, Result, fixed};

/// Parameters are carried times this.
pub const MASTER_SCALE: i64 = 1 << 8;

/// What becomes of a gradient.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// Gradient descent: v ← µ·v + dw, w ← w - lr·v.
    Sgd {
        /// The part µ of the last step that is added to the next, in [0, 1).
        momentum: f64,
        /// Whether the step looks ahead: dw + µ·v instead of v (Nesterov).
        nesterov: bool,
    },
    /// Steps of about equal size in every direction: see the documentation of the module `adam` for the formula and for
    /// how it differs from that of floating point.
    Adam {
        /// Decay of the mean of gradients, in [0, 1).
        beta1: f64,
        /// Decay of the mean of their squares, in [0.5, 0.9995].
        beta2: f64,
        /// What keeps small gradients small.
        epsilon: f64,
        /// Whether to divide by the greatest mean of squares so far (AMSGrad).
        amsgrad: bool,
        /// Whether weight decay acts on the parameters by itself (AdamW) and not through the gradient.
        decoupled: bool,
    },
}

/// How parameters follow from gradients.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Optimizer {
    /// The rule.
    pub rule: Rule,
    /// The step sizes.
    pub rate: LearningRate,
    /// λ: what is added to the gradient is λ·w.
    pub weight_decay: f64,
    /// The greatest norm that the gradient of all parameters together may have; longer ones are shortened to it. It is
    /// the gradient of the loss alone, without weight decay, that is clipped.
    pub clip_norm: Option<f64>,
}

/// The inputs of a step.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// The parameters times [`MASTER_SCALE`], \[n\].
    pub master: Edge,
    /// What the optimizer remembers, [`Optimizer::slots`] vectors \[n\], at first 0.
    pub slots: &'a [Edge],
    /// [`Optimizer::factors`] of this step, each \[1\].
    pub factors: &'a [Edge],
}

impl Optimizer {
    /// Gradient descent with a constant step size.
    #[must_use]
    pub fn sgd(learning_rate: f64, momentum: f64) -> Self {
        Self {
            rule: Rule::Sgd {
                momentum,
                nesterov: false,
            },
            rate: LearningRate::constant(learning_rate),
            weight_decay: 0.0,
            clip_norm: None,
        }
    }

    /// Adam with the usual constants, except for ε, which is 2^-15.
    #[must_use]
    pub fn adam(learning_rate: f64) -> Self {
        Self {
            rule: Rule::Adam {
                beta1: 0.9,
                beta2: 0.999,
                epsilon: 2f64.powi(-15),
                amsgrad: false,
                decoupled: false,
            },
            ..Self::sgd(learning_rate, 0.0)
        }
    }

    /// Checks every field.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the first that is out of range.
    pub fn validate(&self) -> Result<()> {
        self.rate.validate()?;
        let within = |name: &str, value: f64, low: f64, high: f64| {
            if value >= low && value <= high {
                Ok(())
            } else {
                let range = format!("{name} must lie in [{low}, {high}]");
                Err(Error::Invalid(range))
            }
        };
        match self.rule {
            Rule::Sgd { momentum, nesterov } => {
                if !(0.0..1.0).contains(&momentum) {
                    return Err(Error::Invalid("momentum must lie in [0, 1)".into()));
                }
                small("momentum", momentum)?;
                if nesterov && momentum == 0.0 {
                    return Err(Error::Invalid("nesterov needs a momentum above 0".into()));
                }
            }
            Rule::Adam {
                beta1,
                beta2,
                epsilon,
                ..
            } => {
                within("beta1", beta1, 0.0, 0.99)?;
                within("beta2", beta2, 0.5, 0.9995)?;
                small("beta1", beta1)?;
                within("epsilon", epsilon, adam::least_epsilon(beta2), 1.0)?;
            }
        }
        within("weight_decay", self.weight_decay, 0.0, 10.0)?;
        small("weight_decay", self.decay())?;
        if let Some(norm) = self.clip_norm {
            within("clip_norm", norm, 1e-3, 1000.0)?;
            // The factor by which the clipped gradient comes to its own scale.
            small(
                "learning_rate",
                self.wanted_scale() / clip::loss_scale(norm),
            )?;
        }
        small("learning_rate", self.loss_scale())?;
        small("learning_rate", MASTER_SCALE as f64 * self.rate.base)
    }

    /// How many vectors of the length of the parameters it remembers from step to step.
    #[must_use]
    pub fn slots(&self) -> usize {
        match self.rule {
            Rule::Sgd { momentum, .. } => usize::from(momentum > 0.0),
            Rule::Adam { amsgrad, .. } => 2 + usize::from(amsgrad),
        }
    }

    /// What the loss must be multiplied by before it is differentiated.
    #[must_use]
    pub fn loss_scale(&self) -> f64 {
        self.clip_norm
            .map_or_else(|| self.wanted_scale(), clip::loss_scale)
    }

    /// The public numbers of the step after `clock.step` others; always as many.
    ///
    /// # Errors
    /// [`Error::Range`] for a decay that [`Self::validate`] refuses.
    pub fn factors(&self, clock: Clock) -> Result<Vec<f64>> {
        let rate = self.rate.factor(clock);
        Ok(match self.rule {
            Rule::Sgd { .. } if self.rate.is_constant() => vec![],
            Rule::Sgd { .. } => vec![rate],
            Rule::Adam { beta1, beta2, .. } => {
                vec![rate * adam::correction(beta1, beta2, clock)?, rate]
            }
        })
    }

    /// The next parameters, times [`MASTER_SCALE`], and the next slots, from the gradient times [`Self::loss_scale`].
    ///
    /// # Errors
    /// [`Error::Shape`] where vectors differ in length, [`Error::Invalid`] where slots or factors are missing.
    pub fn step(
        &self,
        g: &mut Graph,
        step: &Step<'_>,
        gradient: Edge,
    ) -> Result<(Edge, Vec<Edge>)> {
        let factors = match self.rule {
            Rule::Sgd { .. } => usize::from(!self.rate.is_constant()),
            Rule::Adam { .. } => 2,
        };
        if step.slots.len() != self.slots() || step.factors.len() != factors {
            return Err(Error::Invalid(format!(
                "the optimizer takes {} slots and {factors} factors, not {} and {}",
                self.slots(),
                step.slots.len(),
                step.factors.len()
            )));
        }
        g.set_origin("optimizer");
        let gradient = match self.clip_norm {
            Some(norm) => clip::clip(g, gradient, norm, self.wanted_scale())?,
            None => gradient,
        };
        match self.rule {
            Rule::Sgd { momentum, nesterov } => {
                sgd::step(g, step, gradient, self.decay(), momentum, nesterov)
            }
            Rule::Adam {
                beta1,
                beta2,
                epsilon,
                amsgrad,
                decoupled,
            } => {
                let adam = adam::Adam {
                    beta1,
                    beta2,
                    epsilon,
                    amsgrad,
                };
                let (gradient, decayed) = match self.decay() {
                    0.0 => (gradient, None),
                    decay if decoupled => (
                        gradient,
                        Some(times(g, step.master, step.factors.get(1), decay)?),
                    ),
                    decay => {
                        let decayed = g.scale(step.master, decay)?;
                        (g.add(gradient, decayed)?, None)
                    }
                };
                let (next, slots) = adam::step(g, step, gradient, self.rate.base, adam)?;
                let next = decayed.map_or(Ok(next), |decayed| g.sub(next, decayed))?;
                Ok((next, slots))
            }
        }
    }

    /// The scale at which the rule wants its gradient.
    fn wanted_scale(&self) -> f64 {
        match self.rule {
            Rule::Sgd { .. } => sgd::loss_scale(self.rate.base),
            Rule::Adam { .. } => adam::LOSS_SCALE,
        }
    }

    /// What the master parameters are multiplied by to give the decay at the scale that the rule wants.
    fn decay(&self) -> f64 {
        match self.rule {
            Rule::Adam {
                decoupled: false, ..
            } => self.weight_decay,
            Rule::Sgd { .. } | Rule::Adam { .. } => self.weight_decay * self.rate.base,
        }
    }
}

/// What the engine is given for these parameters.
#[must_use]
pub fn master(parameters: &ArrayD<f64>) -> ArrayD<f64> {
    parameters * MASTER_SCALE as f64
}

/// The parameters as the network sees them.
///
/// # Errors
/// [`Error::Invalid`] for an edge of another graph.
pub fn parameters(g: &mut Graph, master: Edge) -> Result<Edge> {
    g.scale(master, 1.0 / MASTER_SCALE as f64)
}

/// x·factor·scale, rounded once.
fn times(g: &mut Graph, x: Edge, factor: Option<&Edge>, scale: f64) -> Result<Edge> {
    let x = factor.map_or(Ok(x), |&factor| g.mul(x, factor))?;
    g.scale(x, scale)
}

/// Whether fixed point has a factor for a number.
fn small(name: &str, value: f64) -> Result<()> {
    fixed::scale_factor(value).map(|_| ()).map_err(|_| {
        Error::Invalid(format!(
            "{name} is too small or too large for fixed point: choose another, or 0 where that means none"
        ))
    })
}
