//! Fresh inputs for each run.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::num::Wrapping;

use ndarray::{ArrayD, IxDyn};
use tacit_gpu::TensorOf;
use tacit_mpc::Tensor;

/// Numbers that a run has not had before: nothing here is secret.
pub(crate) fn words(count: usize) -> Vec<u64> {
    let mut state = RandomState::new().build_hasher().finish() | 1;
    let next = || {
        // SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    };
    std::iter::repeat_with(next).take(count).collect()
}

pub(crate) fn tensor(shape: &[usize]) -> Tensor {
    let mut all = words(shape.iter().product()).into_iter();
    ArrayD::from_shape_fn(IxDyn(shape), |_| Wrapping(all.next().unwrap_or_default()))
}

/// Modulo 2^32.
pub(crate) fn narrow(x: &Tensor) -> TensorOf<u32> {
    x.mapv(|word| Wrapping(word.0 as u32))
}
