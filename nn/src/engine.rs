//! The trait behind which a graph runs: in plaintext, in the ring, as a cost estimate, or on secret shares.

use ndarray::ArrayD;
use tacit_mpc::Bilinear;

use crate::{Layout, Program};

/// What can go wrong while a graph is built or run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Operand shapes do not fit the operation.
    #[error("{op}: shapes {left:?} and {right:?} do not fit")]
    Shape {
        /// The operation.
        op: &'static str,
        /// Shape of the first operand.
        left: Vec<usize>,
        /// Shape of the second operand.
        right: Vec<usize>,
    },
    /// The engine or the differentiation has no rule for this.
    #[error("node {node}: {op} is not supported here")]
    Unsupported {
        /// Index of the node in its graph.
        node: usize,
        /// The operation.
        op: String,
    },
    /// A number outside what the fixed-point encoding or a function's range allows.
    #[error("{what}: {value} lies outside {range}")]
    Range {
        /// What was being encoded or computed.
        what: String,
        /// The offending value.
        value: f64,
        /// The range allowed.
        range: String,
    },
    /// A specification that cannot be built, with the reason.
    #[error("{0}")]
    Invalid(String),
    /// The protocol under the engine failed: the network, a peer, a check. The message is that of the protocol's own error.
    #[error(transparent)]
    Protocol(Box<dyn std::error::Error + Send + Sync>),
}

/// Result of building or running a graph.
pub type Result<T> = std::result::Result<T, Error>;

/// coefficient·f(x, y): one term of a sum of products.
#[derive(Clone, Copy, Debug)]
pub struct Product<'a, V> {
    /// The map.
    pub f: Bilinear,
    /// A small integer factor.
    pub coefficient: i64,
    /// The first operand.
    pub x: &'a V,
    /// The second operand.
    pub y: &'a V,
}

/// What a graph runs on.
///
/// A value is a tensor of real numbers (however represented) or, where a [`Program`] says so, of bits. Nine methods are
/// enough: everything nonlinear is a [`Program`] over them, written once for all engines.
pub trait Engine {
    /// A tensor on this engine.
    type Value: Clone;

    /// Starts a new run of a graph, so that addresses drawn from node numbers never repeat.
    fn begin_run(&mut self) -> Result<()> {
        Ok(())
    }

    /// Announces the node about to be run.
    fn begin_node(&mut self, _node: usize) {}

    /// A constant that everybody knows.
    fn public(&mut self, x: &ArrayD<f64>) -> Result<Self::Value>;

    /// The shape of a value.
    fn shape(&self, x: &Self::Value) -> Vec<usize>;

    /// A local rearrangement or sum of entries.
    fn layout(&mut self, layout: &Layout, x: &Self::Value) -> Result<Self::Value>;

    /// Joins values of equal shape, except along `axis`. Local.
    fn concat(&mut self, axis: usize, xs: &[&Self::Value]) -> Result<Self::Value>;

    /// Σ cᵢ·xᵢ + bias with small integer cᵢ, for values of one shape. Local and exact.
    fn linear(&mut self, terms: &[(i64, &Self::Value)], bias: f64) -> Result<Self::Value>;

    /// scale·Σ coefficient·f(x, y) over products of one shape, at least one, rounded to the working precision once.
    fn products(&mut self, terms: &[Product<'_, Self::Value>], scale: f64) -> Result<Self::Value>;

    /// Σ coefficient·f(x, y) as [`Self::round`] takes it, after local rearrangements, maxima and [`Self::linear`] without bias
    /// with [`Self::unrounded`] terms. An engine whose roundings cost nothing to speak of rounds it here.
    fn products_unrounded(&mut self, terms: &[Product<'_, Self::Value>]) -> Result<Self::Value> {
        self.products(terms, 1.0)
    }

    /// A value, to be added to [`Self::products_unrounded`]: at its scale.
    fn unrounded(&mut self, x: &Self::Value) -> Result<Self::Value> {
        Ok(x.clone())
    }

    /// What [`Self::products_unrounded`] began, rounded to the working precision once.
    fn round(&mut self, x: Self::Value) -> Result<Self::Value> {
        Ok(x)
    }

    /// scale·f(x, y), rounded to the working precision once.
    fn bilinear(
        &mut self,
        f: Bilinear,
        x: &Self::Value,
        y: &Self::Value,
        scale: f64,
    ) -> Result<Self::Value> {
        let coefficient = 1;
        self.products(
            &[Product {
                f,
                coefficient,
                x,
                y,
            }],
            scale,
        )
    }

    /// Runs an elementwise program on values of one shape; one value for each of its outputs.
    fn map(&mut self, program: &Program, inputs: &[&Self::Value]) -> Result<Vec<Self::Value>>;
}
