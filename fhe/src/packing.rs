//! Many results in one GLWE ciphertext, so that they share its mask.
//!
//! Chen, Dai, Kim, Song, "Efficient homomorphic conversion between (ring) LWE ciphertexts", ACNS 2021: an LWE ciphertext
//! is a GLWE ciphertext whose constant coefficient alone means something; sums with its images under the automorphisms
//! X -> X^(2^j + 1) keep what should stay and cancel the rest. Two ciphertexts with results at multiples of X^(2s) become
//! one with results at multiples of X^s:  (e + X^s·o) + σ(e - X^s·o).
//!
//! **Deviation.** The sums multiply what they keep by N. The paper divides by N first, which an odd modulus allows. Here
//! the modulus is 2^64, so an LWE ciphertext is first rounded to 2^64/N and its integers are then read modulo 2^64: what
//! is unknown about its phase is a multiple of 2^64/N, and N times that is nothing. So the result comes out at the scale
//! that it went in with. The rounding is counted (`Params::packing_variance`).
//!
//! An image under an automorphism is encrypted under the key's image, and is switched back: digits of its mask times
//! encryptions of that image, exact products (see `ring.rs`).

use tacit_mpc::Kernels;
use tacit_mpc::kernels::Factors;
use zeroize::Zeroizing;

use crate::params::{Gadget, Params};
use crate::ring::{add, add_monomial, extract_constant, factors};

/// The digits of masks.
pub(crate) const GADGET: Gadget = Gadget {
    base_log: 12,
    levels: 3,
};
/// How many leading bits of each body of the packing key travel.
pub(crate) const KEY_BITS: u32 = 48;

/// How many GLWE ciphertexts a packing key is: for every automorphism, polynomial of the key, and digit.
pub(crate) fn rows(params: &Params) -> usize {
    params.polynomial_size().ilog2() as usize * params.glwe_dimension() * GADGET.levels as usize
}

/// What the rows encrypt: σ_j(s_i)·2^(64 - 12·level), N coefficients each.
pub(crate) fn plaintexts(key: &[u64], params: &Params) -> Vec<u64> {
    let size = params.polynomial_size();
    let mut all = Vec::with_capacity(rows(params) * size);
    for j in 1..=size.ilog2() {
        for polynomial in key.chunks_exact(size) {
            let image = Zeroizing::new(automorphism(polynomial, j));
            for level in 1..=GADGET.levels {
                all.extend(image.iter().map(|s| s << (64 - GADGET.base_log * level)));
            }
        }
    }
    all
}

/// The packing key, transformed: by automorphism, polynomial of the key, digit (leading first), k+1 polynomials.
pub(crate) struct PackingKey {
    polynomials: Box<dyn Factors>,
    size: usize,
    /// k+1.
    columns: usize,
    /// Rows of one automorphism.
    each: usize,
}

/// GLWE ciphertexts whose images are computed together.
pub(crate) const TOGETHER: usize = 16;

impl PackingKey {
    /// Of GLWE ciphertexts, (k+1)·N words each, one after another.
    ///
    /// # Errors
    /// The device failed that keeps them.
    pub(crate) fn new(
        ciphertexts: &[u64],
        params: &Params,
        kernels: &dyn Kernels,
    ) -> tacit_mpc::Result<Self> {
        let size = params.polynomial_size();
        Ok(Self {
            polynomials: factors(kernels, size, ciphertexts)?,
            size,
            columns: params.glwe_dimension() + 1,
            each: params.glwe_dimension() * GADGET.levels as usize,
        })
    }

    /// Packs at most N values (k·N + 1 words each): value i is coefficient i·[`stride`] of the ciphertext.
    ///
    /// # Errors
    /// The device failed that keeps the key.
    pub(crate) fn pack(&self, values: &[Vec<u64>]) -> tacit_mpc::Result<Vec<u64>> {
        let size = self.size;
        let merged = values.len().max(1).next_power_of_two().ilog2();
        let embed = |value: &Vec<u64>| {
            let long = value.len() - 1;
            let down = size.ilog2();
            let half = 1_u64 << (down - 1);
            let mut glwe: Vec<u64> = value.iter().map(|a| a.wrapping_add(half) >> down).collect();
            // Its own inverse.
            extract_constant(&mut glwe[..long], size);
            glwe.resize(long + size, 0);
            glwe
        };
        // Beyond those that are there, all are zero.
        let mut level: Vec<Vec<u64>> = values.iter().map(embed).collect();
        // Ciphertext i of a level and the one half a level further are the even and odd ones that meet.
        for j in 1..=merged {
            let odd = level.split_off(level.len().min(1 << (merged - j)));
            let (stride, mut odd) = (size >> j, odd.into_iter());
            let mut differences = level.clone();
            for (sum, difference) in level.iter_mut().zip(&mut differences) {
                let Some(odd) = odd.next() else { break };
                let both = sum
                    .chunks_exact_mut(size)
                    .zip(difference.chunks_exact_mut(size));
                for ((sum, difference), odd) in both.zip(odd.chunks_exact(size)) {
                    add_monomial(sum, stride, 1, odd);
                    add_monomial(difference, stride, u64::MAX, odd);
                }
            }
            self.add_images(&mut level, &differences, j)?;
        }
        for j in merged + 1..=size.ilog2() {
            let all = level.clone();
            self.add_images(&mut level, &all, j)?;
        }
        Ok(level.pop().unwrap_or_default())
    }

    /// `to` += σ_j of what `glwes` encrypt, under the same key.
    fn add_images(&self, to: &mut [Vec<u64>], glwes: &[Vec<u64>], j: u32) -> tacit_mpc::Result<()> {
        let (size, columns, each) = (self.size, self.columns, self.each);
        let first = (j as usize - 1) * each;
        for (to, glwes) in to.chunks_mut(TOGETHER).zip(glwes.chunks(TOGETHER)) {
            let masks = glwes
                .iter()
                .flat_map(|glwe| glwe.chunks_exact(size).take(columns - 1));
            let digits: Vec<u64> = masks
                .flat_map(|mask| digits(&automorphism(mask, j)))
                .collect();
            let column = |i: usize| -> Vec<(u32, u32)> {
                let (glwe, column) = (i / columns, i % columns);
                let pair = |row| (glwe * each + row, (first + row) * columns + column);
                let pairs = (0..each).map(pair);
                pairs.map(|(digit, at)| (digit as u32, at as u32)).collect()
            };
            let sums: Vec<_> = (0..glwes.len() * columns).map(column).collect();
            self.polynomials.sums(&digits, &sums, &mut |i, sum| {
                let to = &mut to[i / columns][i % columns * size..][..size];
                to.iter_mut()
                    .zip(sum)
                    .for_each(|(to, x)| *to = to.wrapping_sub(*x));
            })?;
            for (to, glwe) in to.iter_mut().zip(glwes) {
                let body = (columns - 1) * size;
                add(&mut to[body..], &automorphism(&glwe[body..], j));
            }
        }
        Ok(())
    }
}

/// How far apart `count` values are.
pub(crate) fn stride(count: usize, size: usize) -> usize {
    size / count.max(1).next_power_of_two()
}

/// The polynomial at X^(2^j + 1).
fn automorphism(polynomial: &[u64], j: u32) -> Vec<u64> {
    let size = polynomial.len();
    let mut image = vec![0; size];
    for (i, &x) in polynomial.iter().enumerate() {
        let power = i * ((1 << j) + 1) % (2 * size);
        if power < size {
            image[power] = x;
        } else {
            image[power - size] = x.wrapping_neg();
        }
    }
    image
}

/// Signed digits, a polynomial of the leading ones first; see `external` for how they come without carries.
fn digits(polynomial: &[u64]) -> Vec<u64> {
    let Gadget { base_log, levels } = GADGET;
    let half = 1_u64 << (base_log - 1);
    let shift = |level: u32| 64 - base_log * level;
    let rounding = 1 << (63 - base_log * levels);
    let offset = (1..=levels).fold(rounding, |sum: u64, level| sum + (half << shift(level)));
    let mask = (1 << base_log) - 1;
    let digits = (1..=levels).flat_map(|level| {
        polynomial
            .iter()
            .map(move |x| (x.wrapping_add(offset) >> shift(level) & mask).wrapping_sub(half))
    });
    digits.collect()
}
