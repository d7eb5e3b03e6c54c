//! A tensor on the engine of replicated shares.

use std::borrow::Cow;

use tacit_mpc::{Chunk, Tensor};
use tacit_nn::{Error, Result};

use super::bilinear::Operand;
use super::bits::Plane;
use super::held::Held;
use super::share::Rep3;

/// A tensor on this engine: shared or public numbers in fixed point, or shared bits.
#[derive(Clone, Debug)]
pub enum Value {
    /// Shared numbers.
    Numbers(Rep3),
    /// Numbers that all parties know.
    Public(Tensor),
    /// Bits, as a program gave them out.
    Bits(Bits),
}

/// Shared bits of a tensor, one plane a chunk.
#[derive(Clone)]
pub struct Bits {
    pub(super) shape: Vec<usize>,
    pub(super) chunks: Vec<(Chunk, Held<Plane>)>,
}

impl std::fmt::Debug for Bits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bits")
            .field("shape", &self.shape)
            .finish_non_exhaustive()
    }
}

impl Value {
    pub(super) fn shape(&self) -> &[usize] {
        match self {
            Self::Numbers(x) => x.shape(),
            Self::Public(x) => x.shape(),
            Self::Bits(b) => &b.shape,
        }
    }

    /// The sharing of numbers.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the value is public or holds bits.
    pub fn numbers(&self) -> Result<&Rep3> {
        match self {
            Self::Numbers(x) => Ok(x),
            Self::Public(_) => Err(Error::Invalid(
                "a public value stands where a shared one is needed".into(),
            )),
            Self::Bits(_) => Err(not_numbers()),
        }
    }

    /// The tensors of numbers that a product takes of it.
    pub(crate) fn tensors(&self) -> Vec<&Tensor> {
        match self {
            Self::Numbers(x) => x.both().to_vec(),
            Self::Public(x) => vec![x],
            Self::Bits(_) => Vec::new(),
        }
    }

    pub(super) fn operand(&self) -> Result<Operand<'_>> {
        match self {
            Self::Numbers(x) => Ok(Operand::Shared(x)),
            Self::Public(x) => Ok(Operand::Public(x)),
            Self::Bits(_) => Err(not_numbers()),
        }
    }

    /// The sharing of numbers; that of a public tensor is trivial.
    pub(super) fn shared(&self, me: usize) -> Result<Cow<'_, Rep3>> {
        match self {
            Self::Numbers(x) => Ok(Cow::Borrowed(x)),
            Self::Public(x) => Ok(Cow::Owned(Rep3::public(me, x))),
            Self::Bits(_) => Err(not_numbers()),
        }
    }
}

fn not_numbers() -> Error {
    Error::Invalid(
        "a value of bits stands where numbers are needed: convert it by a program".into(),
    )
}
