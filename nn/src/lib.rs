//! Neural networks as graphs: one graph, many engines.

pub mod engine;
pub mod fixed;
pub mod layout;
pub mod program;
pub mod table;

pub use engine::{Engine, Error, Result};
pub use layout::Layout;
pub use program::Program;
pub use table::Table;
