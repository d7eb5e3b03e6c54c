//! Neural networks as graphs: one graph, many engines.

pub mod engine;
pub mod layout;
pub mod program;

pub use engine::{Engine, Error, Result};
pub use layout::Layout;
pub use program::Program;
