//! Training of integer programs whose hidden neurons are periodic: one bootstrap each, nothing that can overflow.
//!
//! A hidden neuron is a sum of small integers modulo M, a_h = (b_h + Σ_j w_hj x_j) mod M. Every result, and every hidden
//! neuron behind the first layer, is a sum of tables of such values, one table an edge: o_j = b_j + Σ_h T_hj\[a_h\], where
//!
//! ```text
//! T_hj[a] = round(r · (c_hj cos(2πa/M) + s_hj sin(2πa/M)))
//! ```
//! is antiperiodic as a bootstrap is. However many tables a value goes through, it costs one bootstrap
//! ([`crate::program`]). Sines of learnt frequencies as features: Sitzmann et al., NeurIPS 2020; here the frequencies are
//! integers, and the phase wraps where the torus does.
//!
//! Weights and tables are rounded while they are learnt. Gradients go straight through every rounding (Bengio, Léonard,
//! Courville, 2013, arXiv 1308.3432): a step computes with the integers, and differentiates the network without roundings
//! at the point that the integers reached.
//!
//! [`Logistic`] is a regression that needs no bootstrap at all.

mod data;
mod descend;
mod export;
mod forward;
mod linear;
mod network;
mod step;
#[cfg(test)]
mod tests;

pub use data::{Rows, accuracy, folds};
pub use descend::{train, train_varied};
pub use linear::{Logistic, LogisticRecipe};
pub use network::{Periodic, Trained, Waves, Windows};

use crate::program::ProgramError;

/// How a network is trained.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// How often every row is seen.
    pub epochs: usize,
    /// Rows of a step.
    pub batch: usize,
    /// The step size of Adam, which falls to 0 by half a cosine.
    pub rate: f64,
    /// The part of the steps, at first, without roundings.
    pub smooth: f64,
    /// What |w| of a weight of the first layer costs: it makes them few and small.
    pub sparsity: f64,
    /// What the square of an amplitude of the last layer's tables costs.
    pub decay: f64,
    /// Steps of a table of the last layer per unit of a logit: r above. Coarse tables leave more room for noise.
    pub resolution: f32,
    /// No entry of such a table is larger than this.
    pub limit: i32,
    /// For each hidden layer.
    pub layers: Vec<Start>,
}

/// Where a hidden layer starts and how fast it moves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Start {
    /// The standard deviation of its first weights, or of its first amplitudes in steps of the modulus.
    pub spread: f32,
    /// How many times faster than logits its weights, amplitudes and biases move: they are integers.
    pub pace: f32,
}

/// Why nothing was trained.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// The network, the recipe or the rows are impossible.
    #[error("{0}")]
    Invalid(String),
    /// A step cannot be built or run.
    #[error(transparent)]
    Graph(#[from] tacit_nn::Error),
    /// What was trained is not a program.
    #[error(transparent)]
    Program(#[from] ProgramError),
}

fn invalid(what: impl Into<String>) -> TrainError {
    TrainError::Invalid(what.into())
}
