//! Neural networks as graphs: one graph, many engines.

pub mod autodiff;
mod composite;
pub mod engine;
pub mod evaluate;
pub mod fixed;
pub mod function;
pub mod graph;
pub mod layers;
pub mod layout;
pub mod loss;
pub mod mean;
pub mod metrics;
pub mod model;
pub mod model_file;
pub mod network;
pub mod onnx;
pub mod optimizer;
pub mod plain;
pub mod program;
pub mod provenance;
pub mod random;
pub mod ranges;
pub mod ring;
pub mod run;
pub mod spec;
pub mod standardise;
pub mod table;
pub mod train;

pub use autodiff::gradients;
pub use engine::{Engine, Error, Product, Result};
pub use function::Function;
pub use graph::{Edge, Graph};
pub use layout::Layout;
pub use loss::Loss;
pub use metrics::Metric;
pub use model_file::Model;
pub use network::Network;
pub use optimizer::Optimizer;
pub use plain::{Clear, Plain};
pub use program::Program;
pub use ring::Ring;
pub use run::{Observer, run, run_in_order, run_observed, run_on};
pub use table::Table;
pub use train::{
    Data, Recipe, Released, Split, TrainSpec, released_shapes, released_shapes_of, train,
    train_network,
};
