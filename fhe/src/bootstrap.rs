//! From values to rotated test polynomials: keyswitch, centred modulus switch, blind rotation.
//!
//! Chillotti, Gama, Georgieva, Izabachène, "TFHE", J. Cryptology 2020, in the order keyswitch first. The modulus switch
//! adds half of the rounding errors of the mask to the body, for key bits are ½ on average, which halves its deviation;
//! and half a position, so that position p stands for phases from p to p + 1 and boxes part where no position is.

use crate::external::Steps;
use crate::keys::ServerKey;
use crate::run::Part;

/// A value under the small key, modulo 2N.
pub(crate) struct Switched {
    pub(crate) mask: Vec<usize>,
    pub(crate) body: usize,
}

/// The centred switch of a value (n + 1 words) to the modulus 2^`log_modulus`.
pub(crate) fn switch_modulus(value: &[u32], log_modulus: u32) -> Switched {
    let cut = 32 - log_modulus;
    let half = 1_u32 << (cut - 1);
    let round = |a: u32| a.wrapping_add(half) >> cut;
    let (mask, body) = value.split_at(value.len() - 1);
    let error = |&a: &u32| i64::from((round(a) << cut).wrapping_sub(a) as i32);
    let errors: i64 = mask.iter().map(error).sum();
    let body = body[0].wrapping_add((errors / 2) as u32).wrapping_sub(half);
    Switched {
        mask: mask.iter().map(|&a| round(a) as usize).collect(),
        body: round(body) as usize,
    }
}

/// Rotates each test polynomial (N words) by its value (k·N + 1 words): GLWE ciphertexts of (k + 1)·N words, body last,
/// in one vector. All in one pass over the keys. `entering` is told what begins.
pub(crate) fn rotate(
    key: &ServerKey,
    values: &[Vec<u64>],
    tests: &[Vec<u64>],
    entering: &dyn Fn(Part),
) -> Vec<u64> {
    debug_assert_eq!(values.len(), tests.len());
    let params = key.params;
    let (k, size) = (params.glwe_dimension(), params.polynomial_size());
    let log_modulus = (2 * size).ilog2();
    entering(Part::Keyswitch);
    let switched = key.keyswitch.switch(values);
    let switched: Vec<_> = switched
        .iter()
        .map(|value| switch_modulus(value, log_modulus))
        .collect();
    entering(Part::Rotation);
    let mut rotated = vec![0; tests.len() * (k + 1) * size];
    for ((glwe, test), value) in rotated
        .chunks_exact_mut((k + 1) * size)
        .zip(tests)
        .zip(&switched)
    {
        divide(&mut glwe[k * size..], test, value.body);
    }
    let mut steps = Steps::new(params, key.fft.as_view());
    let rows = key.bootstrap.as_view().data();
    for (i, ggsw) in rows
        .chunks_exact(rows.len() / params.lwe_dimension())
        .enumerate()
    {
        for (glwe, value) in rotated.chunks_exact_mut((k + 1) * size).zip(&switched) {
            if value.mask[i] != 0 {
                steps.step(glwe, value.mask[i], ggsw);
            }
        }
    }
    rotated
}

/// `to` = X^-`power` · polynomial, 0 <= power < 2N.
fn divide(to: &mut [u64], polynomial: &[u64], power: usize) {
    let size = polynomial.len();
    let (turn, negative) = (power % size, power >= size);
    let (low, high) = polynomial.split_at(turn);
    to[..size - turn].copy_from_slice(high);
    to[size - turn..].copy_from_slice(low);
    let negate = |words: &mut [u64]| words.iter_mut().for_each(|x| *x = x.wrapping_neg());
    negate(if negative {
        &mut to[..size - turn]
    } else {
        &mut to[size - turn..]
    });
}
