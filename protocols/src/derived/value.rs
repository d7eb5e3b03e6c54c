//! Tensors of a derived engine.

use tacit_mpc::{Chunk, Tensor};
use tacit_nn::{Error, Result};

use super::share::{Bits, Shared};

/// A tensor on this engine.
#[derive(Clone)]
pub struct Value(pub(super) Kind);

#[derive(Clone)]
pub(super) enum Kind {
    /// Shared numbers.
    Numbers(Shared<Tensor>),
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

/// An operand of a product.
#[derive(Clone, Copy)]
pub(super) enum Operand<'a> {
    Public(&'a Tensor),
    Shared(&'a Shared<Tensor>),
}

impl Value {
    pub(super) fn numbers(x: Shared<Tensor>) -> Self {
        Self(Kind::Numbers(x))
    }

    pub(super) fn public(x: Tensor) -> Self {
        Self(Kind::Public(x))
    }

    /// Its shape.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        match &self.0 {
            Kind::Numbers(x) => shape(x),
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

    /// The sharing of numbers; that of a public tensor is the tensor where `one` says so.
    pub(super) fn shared(&self, one: &[bool]) -> Result<Shared<Tensor>> {
        Ok(match self.operand()? {
            Operand::Shared(x) => x.clone(),
            Operand::Public(x) => public(one, x),
        })
    }
}

/// The sharing of a tensor that everybody knows.
pub(super) fn public(one: &[bool], x: &Tensor) -> Shared<Tensor> {
    let part = |&one: &bool| {
        if one {
            x.clone()
        } else {
            Tensor::from_elem(x.raw_dim(), Default::default())
        }
    };
    Shared::new(one.iter().map(part).collect())
}

/// The shape of a shared tensor.
pub(super) fn shape(x: &Shared<Tensor>) -> &[usize] {
    x.parts().first().map_or(&[], |x| x.shape())
}

fn not_numbers() -> Error {
    Error::Invalid(
        "a value of bits stands where numbers are needed: convert it by a program".into(),
    )
}
