//! ONNX in and out: a file becomes a graph for any engine, and trained weights go back into the file that came in.
//!
//! [`Model::parse`] checks a file and refuses what is not supported, by name; [`Model::lower`] makes the graph for given
//! shapes, with everything folded that does not depend on a private value; [`Model::with_parameters`] writes the same file
//! with other weights. What is supported, and within which limits, is in `docs/onnx.md`, which [`reference_page`] makes.

pub mod conformance;
mod constant;
mod context;
mod error;
pub(crate) mod format;
mod inline;
mod lower;
mod model;
mod node;
mod ops;
mod reference;
mod registry;
mod rewrite;
mod skeleton;
mod splice;
mod tensor;
#[cfg(test)]
mod tests;
mod training;

pub use constant::{Constant, Element};
pub use error::Error;
pub use lower::{Feed, Lowered, Options, Output, Source, Value, Weights};
pub use model::{Dim, Model, Port};
pub use reference::reference_page;
pub use skeleton::{Readable, Skeleton};
pub use training::{Choice, Trainable};
