//! From values to rotated test polynomials: keyswitch, centred modulus switch, blind rotation.
//!
//! Chillotti, Gama, Georgieva, Izabachène, "TFHE", J. Cryptology 2020, in the order keyswitch first. The modulus switch
//! adds half of the rounding errors of the mask to the body, for key bits are ½ on average, which halves its deviation;
//! and half a position, so that position p stands for phases from p to p + 1 and boxes part where no position is.

use tfhe::core_crypto::algorithms::modulus_switch::ModulusSwitchedLweCiphertext;
use tfhe::core_crypto::fft_impl::fft64::crypto::bootstrap::batch_blind_rotate_assign_scratch;
use tfhe::core_crypto::prelude::{
    CiphertextCount, CiphertextModulus, CiphertextModulusLog, ComputationBuffers,
    GlweCiphertextList, GlweSize, LweDimension, PolynomialSize,
};

use crate::keys::ServerKey;

/// A value under the small key, modulo 2N.
struct Switched {
    log_modulus: usize,
    mask: Vec<usize>,
    body: usize,
}

impl ModulusSwitchedLweCiphertext<usize> for Switched {
    fn log_modulus(&self) -> CiphertextModulusLog {
        CiphertextModulusLog(self.log_modulus)
    }
    fn lwe_dimension(&self) -> LweDimension {
        LweDimension(self.mask.len())
    }
    fn body(&self) -> usize {
        self.body
    }
    fn mask(&self) -> impl ExactSizeIterator<Item = usize> + '_ {
        self.mask.iter().copied()
    }
}

/// The centred switch of a value (n + 1 words) to the modulus 2^`log_modulus`.
fn switch_modulus(value: &[u32], log_modulus: u32) -> Switched {
    let cut = 32 - log_modulus;
    let half = 1_u32 << (cut - 1);
    let round = |a: u32| a.wrapping_add(half) >> cut;
    let (mask, body) = value.split_at(value.len() - 1);
    let error = |&a: &u32| i64::from((round(a) << cut).wrapping_sub(a) as i32);
    let errors: i64 = mask.iter().map(error).sum();
    let body = body[0].wrapping_add((errors / 2) as u32).wrapping_sub(half);
    Switched {
        log_modulus: log_modulus as usize,
        mask: mask.iter().map(|&a| round(a) as usize).collect(),
        body: round(body) as usize,
    }
}

/// Rotates each test polynomial (N words) by its value (k·N + 1 words): GLWE ciphertexts of (k + 1)·N words, body last,
/// in one vector. All in one pass over the keys.
pub(crate) fn rotate(key: &ServerKey, values: &[Vec<u64>], tests: &[Vec<u64>]) -> Vec<u64> {
    debug_assert_eq!(values.len(), tests.len());
    let params = key.params;
    let (k, size) = (params.glwe_dimension(), params.polynomial_size());
    let log_modulus = (2 * size).ilog2();
    let switched = key.keyswitch.switch(values);
    let switched: Vec<_> = switched
        .iter()
        .map(|value| switch_modulus(value, log_modulus))
        .collect();
    let mut rotated = Vec::with_capacity(tests.len() * (k + 1) * size);
    for test in tests {
        rotated.resize(rotated.len() + k * size, 0);
        rotated.extend_from_slice(test);
    }
    let (glwe, polynomial) = (GlweSize(k + 1), PolynomialSize(size));
    let fft = key.fft.as_view();
    let mut buffers = ComputationBuffers::new();
    let scratch = batch_blind_rotate_assign_scratch::<u64>(
        glwe,
        polynomial,
        CiphertextCount(tests.len()),
        fft,
    );
    buffers.resize(scratch.unaligned_bytes_required());
    let native = CiphertextModulus::new_native();
    let list = GlweCiphertextList::from_container(rotated.as_mut_slice(), glwe, polynomial, native);
    key.bootstrap
        .as_view()
        .batch_blind_rotate_assign(list, &switched, fft, buffers.stack());
    rotated
}
