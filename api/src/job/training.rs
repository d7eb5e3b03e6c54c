//! How the network of a job is trained.

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{number, perhaps};

/// How the network is trained.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainingSpec {
    /// How often every training row is used.
    pub epochs: usize,
    /// Rows a step.
    pub batch: usize,
    /// What is made small; the cross-entropy for classes and the mean square for numbers, where the file does not say.
    pub loss: Option<Loss>,
    /// What becomes of gradients.
    pub optimizer: Optimizer,
    /// The step size; 0.1 for gradient descent and 0.001 for the others, where the file does not say.
    #[serde(deserialize_with = "perhaps")]
    pub learning_rate: Option<f64>,
    /// How the step size changes.
    pub schedule: Schedule,
    /// The first so many steps rise evenly to the step size.
    pub warmup_steps: usize,
    /// How much of the last step gradient descent keeps; 0.9 where the file does not say.
    #[serde(deserialize_with = "perhaps")]
    pub momentum: Option<f64>,
    /// Whether gradient descent looks ahead.
    pub nesterov: bool,
    /// Adam's decay of the mean of gradients, 0.9 where the file does not say.
    #[serde(deserialize_with = "perhaps")]
    pub beta1: Option<f64>,
    /// Adam's decay of the mean of squares, 0.999 where the file does not say.
    #[serde(deserialize_with = "perhaps")]
    pub beta2: Option<f64>,
    /// What keeps Adam's steps small where gradients are, 2^-15 where the file does not say.
    #[serde(deserialize_with = "perhaps")]
    pub epsilon: Option<f64>,
    /// The part of a parameter that is added to its gradient; with `adamw` it shrinks the parameter by itself.
    #[serde(deserialize_with = "number")]
    pub weight_decay: f64,
    /// The greatest norm of the gradient; longer ones are shortened.
    #[serde(deserialize_with = "perhaps")]
    pub clip_norm: Option<f64>,
    /// The tensors of a model file that are trained, by name or by what their names begin with; all weights, where it is
    /// empty.
    pub train: Vec<String>,
    /// The share of the rows that is held out and on which metrics are computed.
    #[serde(deserialize_with = "number")]
    pub test_fraction: f64,
    /// Any text; it decides the initial weights of a perceptron and what is dropped, which are public. Which rows train is
    /// decided by a coin that the computing parties toss, so that no submitter can choose them.
    pub seed: String,
    /// Fractional bits of the fixed-point numbers.
    pub fraction_bits: u32,
}

/// What is made small.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Loss {
    /// The cross-entropy of a sigmoid (one logit a class, two classes having one together) or of a softmax.
    CrossEntropy,
    /// The mean square.
    Mse,
    /// The mean absolute difference.
    L1,
    /// The square near zero, a line beyond (Huber).
    Huber {
        /// Where the line begins.
        #[serde(deserialize_with = "number")]
        delta: f64,
    },
}

/// What becomes of gradients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Optimizer {
    /// Stochastic gradient descent with momentum.
    #[default]
    Sgd,
    /// Adam.
    Adam,
    /// Adam, dividing by the greatest mean of squares so far.
    AmsGrad,
    /// Adam with weight decay apart from the gradient.
    AdamW,
}

/// How the step size changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Schedule {
    /// Not at all.
    #[default]
    Constant,
    /// Times `factor` after every `epochs` epochs.
    Step {
        /// Epochs between two changes.
        epochs: usize,
        /// In (0, 1].
        factor: f64,
    },
    /// Times `factor` after every epoch.
    Exponential {
        /// In (0, 1].
        factor: f64,
    },
    /// Along half a cosine to nothing.
    Cosine {},
}

impl Default for TrainingSpec {
    fn default() -> Self {
        Self {
            epochs: 10,
            batch: 32,
            loss: None,
            optimizer: Optimizer::Sgd,
            learning_rate: None,
            schedule: Schedule::Constant,
            warmup_steps: 0,
            momentum: None,
            nesterov: false,
            beta1: None,
            beta2: None,
            epsilon: None,
            weight_decay: 0.0,
            clip_norm: None,
            train: Vec::new(),
            test_fraction: 0.25,
            seed: "tacit".into(),
            fraction_bits: 18,
        }
    }
}

impl TrainingSpec {
    /// The seed text as 32 bytes.
    pub fn seed_bytes(&self) -> [u8; 32] {
        Sha256::digest(self.seed.as_bytes()).into()
    }

    /// The step size.
    pub fn step_size(&self) -> f64 {
        let usual = if self.optimizer == Optimizer::Sgd {
            0.1
        } else {
            0.001
        };
        self.learning_rate.unwrap_or(usual)
    }
}
