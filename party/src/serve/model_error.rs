//! Why a model cannot be served.

use tacit_nn::onnx;

use super::model::{MOST_GRAPHS, MOST_NUMBERS};
use crate::net::MAX_FRAME;

/// Why a model cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The importer refuses it.
    #[error(transparent)]
    Onnx(#[from] onnx::Error),
    /// Its graph does not run.
    #[error(transparent)]
    Graph(tacit_nn::Error),
    /// An input or output has no first axis that counts rows.
    #[error(
        "{port} of shape {shape:?} has no first axis that counts rows: only such models are served"
    )]
    NoRows {
        /// The input or output.
        port: String,
        /// Its shape.
        shape: Vec<usize>,
    },
    /// An output does not depend on what clients share.
    #[error("output {0} is constant: take it out of the model")]
    Constant(String),
    /// Training and random masks have no place in a service.
    #[error("the model draws masks as in training: export it for inference")]
    Masks,
    /// The weights differ between sizes of batches.
    #[error("the model has other weights for {rows} rows than for fewer: fix its batch size")]
    Weights {
        /// For this size.
        rows: usize,
    },
    /// It does not lower for a number of rows that may be asked for.
    #[error(
        "the model has no graph for {rows} rows, and {max} may be asked for (service.max_rows): {source}"
    )]
    Size {
        /// The number of rows.
        rows: usize,
        /// The most.
        max: usize,
        /// Why.
        source: Box<Self>,
    },
    /// A tensor for a batch would be too large.
    #[error(
        "for {rows} rows a tensor of the model has {found} numbers, at most {MOST_NUMBERS} are possible: lower \
         service.max_rows"
    )]
    Large {
        /// The number of rows.
        rows: usize,
        /// Numbers of the tensor.
        found: usize,
    },
    /// A question or answer would not fit into a frame.
    #[error(
        "{rows} rows take a message of {found} bytes, a link carries {MAX_FRAME}: lower service.max_rows"
    )]
    Frame {
        /// Rows of a question at most.
        rows: usize,
        /// Bytes of the message.
        found: usize,
    },
    /// Questions of every number of rows have a graph of their own.
    #[error(
        "rows of the model see each other, so that every number of rows has a graph of its own: {max} may be asked for, \
         at most {MOST_GRAPHS} are possible (service.max_rows)"
    )]
    Graphs {
        /// Rows of a question at most.
        max: usize,
    },
    /// Bounds for another number of inputs.
    #[error("the model has {inputs} inputs, service.bounds gives bounds of {given}")]
    Bounds {
        /// Inputs of the model.
        inputs: usize,
        /// Bounds that are given.
        given: usize,
    },
    /// Bounds of an input of integers without one between them.
    #[error("input {input} takes integers, and service.bounds has none between {lo} and {hi}")]
    NoInteger {
        /// The input.
        input: String,
        /// Its lower bound.
        lo: f64,
        /// Its upper bound.
        hi: f64,
    },
    /// The secure engine refuses what a node computes.
    #[error(
        "the engine on shares does not run the model ({at}, {rows} rows): {source}: change this node, or the bounds that its \
         function is stated for"
    )]
    Program {
        /// The number of rows.
        rows: usize,
        /// The node.
        at: String,
        /// Why.
        source: tacit_nn::Error,
    },
    /// A batch takes more of the keys than they give between two renewals.
    #[error("a batch of {rows} rows takes more randomness than keys give: lower service.max_rows")]
    Keys {
        /// The number of rows.
        rows: usize,
    },
    /// No graph was made for this number of rows.
    #[error("no graph was made for {rows} rows")]
    Unprepared {
        /// The number of rows.
        rows: usize,
    },
}
