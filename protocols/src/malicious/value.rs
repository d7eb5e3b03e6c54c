//! Tensors of the malicious engine.

use tacit_mpc::{Chunk, Tensor};
use tacit_nn::{Error, Result};

use super::bilinear::Operand;
use super::pair::Bits;
use super::shared::Shared;

/// A tensor on this engine. What it holds comes out by [`Proved`](super::Proved) alone.
#[derive(Clone)]
pub struct Value(pub(super) Kind);

#[derive(Clone)]
pub(super) enum Kind {
    /// Shared numbers.
    Numbers(Shared),
    /// Numbers that all parties know.
    Public(Tensor),
    /// Shared bits, as a program gave them out, one plane a chunk.
    Bits(Vec<usize>, Vec<(Chunk, Bits)>),
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Value")
            .field("shape", &self.shape())
            .finish_non_exhaustive()
    }
}

impl Value {
    pub(super) fn shape(&self) -> &[usize] {
        match &self.0 {
            Kind::Numbers(x) => x.shape(),
            Kind::Public(x) => x.shape(),
            Kind::Bits(shape, _) => shape,
        }
    }

    pub(super) fn operand(&self) -> Result<Operand<'_>> {
        match &self.0 {
            Kind::Numbers(x) => Ok(Operand::Shared(x)),
            Kind::Public(x) => Ok(Operand::Public(x)),
            Kind::Bits(..) => Err(not_numbers()),
        }
    }

    /// The sharing of numbers; that of a public tensor is trivial.
    pub(super) fn shared(&self, me: usize) -> Result<Shared> {
        match &self.0 {
            Kind::Numbers(x) => Ok(x.clone()),
            Kind::Public(x) => Ok(Shared::public(me, x)),
            Kind::Bits(..) => Err(not_numbers()),
        }
    }
}

pub(super) fn not_numbers() -> Error {
    Error::Invalid(
        "a value of bits stands where numbers are needed: convert it by a program".into(),
    )
}

pub(super) fn failed(e: tacit_mpc::Error) -> Error {
    Error::Protocol(Box::new(e))
}
