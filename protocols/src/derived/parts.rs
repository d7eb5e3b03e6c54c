//! Sharings of tensors, put together from their chunks.

use std::collections::BTreeMap;

use ndarray::{ArrayD, IxDyn};
use tacit_mpc::ring::row_major;
use tacit_mpc::{Chunk, Error, R64, Result, Session, Strand, Tensor};

use super::share::{Shared, Words};

/// Runs `gate` for every chunk of a tensor of this shape and puts together what it gives, one word an element.
///
/// # Errors
/// The first error of a chunk, a failed link, or a peer out of step.
pub fn share_chunks<'s>(
    s: &'s Session,
    shape: &[usize],
    components: usize,
    gate: impl AsyncFn(Strand<'s>) -> Result<Words>,
) -> Result<Shared<Tensor>> {
    let mut x = Parts::new(shape, components);
    s.for_each_chunk(shape.iter().product(), gate, |chunk, words| {
        x.put(chunk, words);
        Ok(())
    })?;
    x.finish()
}

/// A sharing that grows by chunks, whatever their order.
pub(super) struct Parts {
    shape: Vec<usize>,
    parts: Vec<Vec<R64>>,
    /// Chunks before which others are missing.
    early: BTreeMap<usize, Words>,
}

impl Parts {
    /// Nothing of this shape yet.
    pub(super) fn new(shape: &[usize], components: usize) -> Self {
        let n = shape.iter().product();
        Self {
            shape: shape.to_vec(),
            parts: (0..components).map(|_| Vec::with_capacity(n)).collect(),
            early: BTreeMap::new(),
        }
    }

    fn len(&self) -> usize {
        self.parts.first().map_or(0, Vec::len)
    }

    /// A chunk's components, one word an element.
    pub(super) fn put(&mut self, chunk: Chunk, words: Words) {
        self.early.insert(chunk.start, words);
        while let Some(words) = self.early.remove(&self.len()) {
            let parts = self.parts.iter_mut().zip(words.parts());
            parts.for_each(|(all, part)| all.extend_from_slice(part));
        }
    }

    /// The sharing.
    pub(super) fn finish(self) -> Result<Shared<Tensor>> {
        let tensor = |words: Vec<R64>| {
            let len = words.len();
            ArrayD::from_shape_vec(IxDyn(&self.shape), words).map_err(|_| Error::Shape {
                op: "assemble",
                left: vec![len],
                right: self.shape.clone(),
            })
        };
        let parts: Result<_> = self.parts.into_iter().map(tensor).collect();
        Ok(Shared::new(parts?))
    }
}

/// The words of a chunk of a tensor. One that does not lie in row-major order is copied whole: see [`standard`].
pub(super) fn part(x: &Shared<Tensor>, chunk: Chunk) -> Words {
    x.each(|x| row_major(x)[chunk.start..chunk.end].to_vec())
}

/// The tensor in row-major order, before its chunks are cut.
pub(super) fn standard(x: &Shared<Tensor>) -> Shared<Tensor> {
    if x.parts().iter().all(|x| x.is_standard_layout()) {
        return x.clone();
    }
    x.each(|x| x.as_standard_layout().into_owned())
}
