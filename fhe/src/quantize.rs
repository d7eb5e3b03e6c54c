//! From a float model to an integer program, after training: `tacit quantize`.
//!
//! 1. A [`Source`] is the model's graph as what ciphertexts can do: sums of numbers by known factors, and functions of
//!    one sum each, which take a lookup. Batch normalisation, pooling by averages, residual sums and the like are
//!    factors; whatever is computed from one sum entry by entry is one function, however many operations it takes.
//! 2. For a [`Plan`] (how many levels, how wide sums may be), factors are rounded to integers layer by layer, each fitted to
//!    what the layers before it say in integers on a sample; then tables, to what the model says there. The sample decides
//!    how *good* a program is, never whether it is *safe*: ranges of sums are those of the worst inputs, and what lies
//!    outside the sample saturates where a table says so.
//! 3. Plans are tried on one half of the sample and judged on the other; the cheapest that is near enough is taken.

mod build;
mod column;
mod cost;
mod curve;
mod emit;
mod ends;
mod fit;
mod gram;
mod level;
mod maxima;
mod measure;
mod network;
mod plan;
mod products;
mod round;
mod sample;
mod search;
mod source;
mod table;
#[cfg(test)]
mod tests;
mod walk;

pub use cost::Cost;
pub use measure::{Nearness, Target};
pub use plan::{Layer, Plan};
pub use search::{Quantized, Request, Trial};
pub use source::Source;

use crate::program::ProgramError;

/// Why no program was made of a model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QuantizeError {
    /// The model was not lowered to a graph.
    #[error(transparent)]
    Model(#[from] tacit_nn::onnx::Error),
    /// The graph cannot be computed.
    #[error(transparent)]
    Graph(#[from] tacit_nn::Error),
    /// The model has other than one input.
    #[error(
        "a client encrypts one row of numbers, and the model has {0} inputs: make it take one, and cut it up inside"
    )]
    Inputs(usize),
    /// The model does not have one output of numbers.
    #[error(
        "the model has {0} outputs of numbers that depend on its input: leave one, or join them into one"
    )]
    Outputs(usize),
    /// A node cannot be computed on ciphertexts.
    #[error(
        "{node} cannot be computed on ciphertexts: {why}. Leave it to the client where it is the last, or train the model \
         without it"
    )]
    Node {
        /// The node, as the file names it,
        node: String,
        /// and what is wrong with it.
        why: String,
    },
    /// The sample is not one.
    #[error("the sample {0}")]
    Sample(String),
    /// A number overflows.
    #[error("the model computes numbers that are infinite or not numbers for rows of the sample")]
    NotFinite,
    /// The class is wanted, and there is but one result.
    #[error("the model has one result, whose sign is its class: ask for the result")]
    NoClass,
    /// No program is near enough.
    #[error(
        "no program that was tried reaches the target: the best has {what} {:.2} %. Ask for less, or train the model for \
         coarse numbers", 100.0 * best
    )]
    Missed {
        /// Agreement or accuracy: the best
        best: f64,
        /// of this.
        what: &'static str,
    },
    /// What is near enough cannot be run.
    #[error(
        "programs that reach the target ({:.2} %) go wrong too often on every parameter set: ask for less, or train the \
         model for coarse numbers", 100.0 * .0
    )]
    TooNoisy(f64),
    /// What was made is not a program.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// What was read of the graph is not what it computes.
    #[error(
        "what was read of the model differs from what it computes by {0:.1e}: please report this model"
    )]
    Differs(f64),
}
