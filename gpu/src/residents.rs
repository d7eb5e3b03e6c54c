//! Tensors of which a device keeps copies.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ndarray::ArrayD;
use tacit_mpc::Tensor;

use crate::budget::Held;

/// Which tensor: where its entries lie, and its shape. As long as somebody holds it, nothing else lies there.
type Key = (usize, Vec<usize>);

/// Copies of tensors, each as long as somebody holds it.
pub(crate) struct Residents<M>(Mutex<HashMap<Key, Copied<M>>>);

struct Copied<M> {
    memory: Arc<M>,
    _held: Held,
    /// How many hold it.
    holders: usize,
}

impl<M> Default for Residents<M> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<M> Residents<M> {
    /// The copy of a tensor. It stays there as long as it is used, whoever lets go of it meanwhile.
    pub(crate) fn find<T>(&self, x: &ArrayD<T>) -> Option<Arc<M>> {
        let copies = self.copies();
        copies.get(&key(x)).map(|copy| Arc::clone(&copy.memory))
    }

    /// One more holds a tensor of which there is a copy.
    pub(crate) fn join(&self, x: &Tensor) -> bool {
        let mut copies = self.copies();
        let copy = copies.get_mut(&key(x));
        copy.is_some_and(|copy| {
            copy.holders += 1;
            true
        })
    }

    /// The first who holds it brings the copy.
    pub(crate) fn insert(&self, x: &Tensor, memory: M, held: Held) {
        let copy = Copied {
            memory: Arc::new(memory),
            _held: held,
            holders: 1,
        };
        self.copies().insert(key(x), copy);
    }

    /// One less holds it.
    pub(crate) fn leave(&self, x: &Tensor) {
        let mut copies = self.copies();
        if let Some(copy) = copies.get_mut(&key(x)) {
            copy.holders -= 1;
            if copy.holders == 0 {
                copies.remove(&key(x));
            }
        }
    }

    fn copies(&self) -> MutexGuard<'_, HashMap<Key, Copied<M>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key<T>(x: &ArrayD<T>) -> Key {
    (x.as_ptr().addr(), x.shape().to_vec())
}
