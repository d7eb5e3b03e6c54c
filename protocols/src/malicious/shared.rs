//! Shared tensors.

use ndarray::ArrayD;
use tacit_mpc::ring::row_major;
use tacit_mpc::{Chunk, PartyId, R64, Result, Session, Tensor};

use super::circuit::{Circuit, for_each_chunk};
use super::log::Log;
use super::pair::{Pair, Words};
use crate::rep3::share::Parts;

/// The two shares that a party holds of a tensor.
pub(crate) type Shared = Pair<Tensor>;

impl Shared {
    /// Its shape.
    pub(crate) fn shape(&self) -> &[usize] {
        self.own.shape()
    }

    /// A tensor that all parties know, at index 0.
    pub(crate) fn public(me: PartyId, x: &Tensor) -> Self {
        let zero = || ArrayD::from_elem(x.raw_dim(), R64::default());
        match me {
            0 => Self::new(x.clone(), zero()),
            2 => Self::new(zero(), x.clone()),
            _ => Self::new(zero(), zero()),
        }
    }

    /// The same fallible local map on both.
    pub(crate) fn try_each<E>(
        &self,
        f: impl Fn(&Tensor) -> std::result::Result<Tensor, E>,
    ) -> std::result::Result<Self, E> {
        Ok(Self::new(f(&self.own)?, f(&self.next)?))
    }

    /// The part of one chunk, in row-major order.
    pub(crate) fn cut(&self, chunk: Chunk) -> Words {
        let range = chunk.start..chunk.end;
        self.each(|t| match t.as_slice() {
            Some(words) => words[range.clone()].to_vec(),
            None => row_major(t)[range.clone()].to_vec(),
        })
    }
}

/// Runs `gate` for every chunk of a tensor of this shape and puts the shares that it gives together.
///
/// # Errors
/// The first error of a chunk, a failed link, or a peer out of step.
pub(crate) fn share_chunks(
    session: &Session,
    log: &Log,
    shape: &[usize],
    gate: impl AsyncFn(&Circuit<'_>) -> Result<Words>,
) -> Result<Shared> {
    let mut parts = Parts::new(shape);
    for_each_chunk(
        session,
        log,
        shape.iter().product(),
        gate,
        |chunk, words| {
            put(&mut parts, chunk, words);
            Ok(())
        },
    )?;
    shared(parts)
}

/// The sharing that was put together.
///
/// # Errors
/// As for [`Parts::finish`].
pub(crate) fn shared(parts: Parts) -> Result<Shared> {
    let x = parts.finish()?;
    Ok(Shared::new(x.a, x.b))
}

/// Puts a chunk of a sharing in its place.
pub(crate) fn put(parts: &mut Parts, chunk: Chunk, words: Words) {
    let (own, next) = words.into_parts();
    parts.put(chunk, own, next);
}
