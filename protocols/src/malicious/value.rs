//! Tensors of the malicious engine.

use std::sync::atomic::{AtomicU64, Ordering};

use tacit_mpc::{Chunk, Tensor};
use tacit_nn::{Error, Result};

use super::bilinear::Operand;
use super::pair::Bits;
use super::shared::Shared;

/// An engine, and with it a session and a log: what a value belongs to. No two of a process are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EngineId(u64);

impl EngineId {
    pub(super) fn fresh() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// A value of this engine.
    pub(super) fn value(self, kind: Kind) -> Value {
        Value { kind, engine: self }
    }
}

/// A value of one engine was given to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a value of another engine: what this one proves says nothing about it. Share it with this engine"
)]
pub struct ForeignValue;

/// A tensor on an engine, and on no other: every gate and opening refuses a value of another engine with
/// [`ForeignValue`]. What it holds comes out by [`Proved`](super::Proved) alone.
#[derive(Clone)]
pub struct Value {
    kind: Kind,
    engine: EngineId,
}

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
        match &self.kind {
            Kind::Numbers(x) => x.shape(),
            Kind::Public(x) => x.shape(),
            Kind::Bits(shape, _) => shape,
        }
    }

    /// What it holds, for the engine that it belongs to: the only way there.
    pub(super) fn kind(&self, engine: EngineId) -> Result<&Kind> {
        if self.engine == engine {
            Ok(&self.kind)
        } else {
            Err(Error::Protocol(Box::new(ForeignValue)))
        }
    }

    /// The tensors of numbers that a product takes of it.
    pub(super) fn tensors(&self, engine: EngineId) -> Result<Vec<&Tensor>> {
        Ok(match self.kind(engine)? {
            Kind::Numbers(x) => vec![&*x.own, &*x.next],
            Kind::Public(x) => vec![x],
            Kind::Bits(..) => Vec::new(),
        })
    }

    pub(super) fn operand(&self, engine: EngineId) -> Result<Operand<'_>> {
        match self.kind(engine)? {
            Kind::Numbers(x) => Ok(Operand::Shared(x)),
            Kind::Public(x) => Ok(Operand::Public(x)),
            Kind::Bits(..) => Err(not_numbers()),
        }
    }

    /// The sharing of numbers; that of a public tensor is trivial.
    pub(super) fn shared(&self, engine: EngineId, me: usize) -> Result<Shared> {
        match self.kind(engine)? {
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
