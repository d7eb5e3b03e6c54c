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
//! encryptions of that image, exact products (see [`Ring`]).

use zeroize::Zeroizing;

use crate::params::{Gadget, Params};
use crate::ring::{Ring, Spectrum, add_monomial, extract_constant};

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
    ring: Ring,
    rows: Vec<Vec<Spectrum>>,
    /// Rows of one automorphism.
    each: usize,
}

impl PackingKey {
    /// Of GLWE ciphertexts, (k+1)·N words each, one after another.
    pub(crate) fn new(ciphertexts: &[u64], params: &Params) -> Self {
        let size = params.polynomial_size();
        let ring = Ring::new(size);
        let row = |row: &[u64]| row.chunks_exact(size).map(|p| ring.forward(p)).collect();
        let width = (params.glwe_dimension() + 1) * size;
        Self {
            rows: ciphertexts.chunks_exact(width).map(row).collect(),
            ring,
            each: params.glwe_dimension() * GADGET.levels as usize,
        }
    }

    /// Packs at most N values (k·N + 1 words each): value i is coefficient i·[`stride`] of the ciphertext.
    pub(crate) fn pack(&self, values: &[Vec<u64>], params: &Params) -> Vec<u64> {
        let size = params.polynomial_size();
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
        let mut level: Vec<Option<Vec<u64>>> =
            values.iter().map(|value| Some(embed(value))).collect();
        level.resize(1 << merged, None);
        // Ciphertext i of a level and the one half a level further are the even and odd ones that meet.
        for j in 1..=merged {
            let half = level.len() / 2;
            let odd = level.split_off(half);
            let stride = size >> j;
            let merge = |(even, odd)| self.merge(even, odd, stride, j);
            level = level.into_iter().zip(odd).map(merge).collect();
        }
        let mut packed = level.pop().flatten().unwrap_or_default();
        for j in merged + 1..=size.ilog2() {
            let image = self.image(&packed, j);
            add(&mut packed, &image);
        }
        packed
    }

    /// (e + X^stride·o) + σ_j(e - X^stride·o), where one that is none is zero.
    fn merge(
        &self,
        even: Option<Vec<u64>>,
        odd: Option<Vec<u64>>,
        stride: usize,
        j: u32,
    ) -> Option<Vec<u64>> {
        let mut sum = even?;
        let mut difference = sum.clone();
        if let Some(odd) = odd {
            let size = self.size(&odd);
            let both = sum
                .chunks_exact_mut(size)
                .zip(difference.chunks_exact_mut(size));
            for ((sum, difference), odd) in both.zip(odd.chunks_exact(size)) {
                add_monomial(sum, stride, 1, odd);
                add_monomial(difference, stride, u64::MAX, odd);
            }
        }
        let image = self.image(&difference, j);
        add(&mut sum, &image);
        Some(sum)
    }

    /// σ_j of what `glwe` encrypts, under the same key.
    fn image(&self, glwe: &[u64], j: u32) -> Vec<u64> {
        let size = self.size(glwe);
        let (masks, body) = glwe.split_at(glwe.len() - size);
        let mut product = vec![0; glwe.len()];
        let mut rows = self.rows[(j as usize - 1) * self.each..][..self.each].iter();
        for mask in masks.chunks_exact(size) {
            for digits in digits(&automorphism(mask, j)) {
                let digits = self.ring.forward(&digits);
                let row = rows.next().map(Vec::as_slice).unwrap_or_default();
                for (to, row) in product.chunks_exact_mut(size).zip(row) {
                    self.ring.add_product(to, &digits, row);
                }
            }
        }
        product.iter_mut().for_each(|x| *x = x.wrapping_neg());
        let at = masks.len();
        add(&mut product[at..], &automorphism(body, j));
        product
    }

    fn size(&self, glwe: &[u64]) -> usize {
        let columns = self.rows.first().map_or(2, Vec::len);
        glwe.len() / columns
    }
}

/// How far apart `count` values are.
pub(crate) fn stride(count: usize, size: usize) -> usize {
    size / count.max(1).next_power_of_two()
}

fn add(to: &mut [u64], other: &[u64]) {
    to.iter_mut()
        .zip(other)
        .for_each(|(to, x)| *to = to.wrapping_add(*x));
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

/// Signed digits, the leading first; see `external` for how they come without carries.
fn digits(polynomial: &[u64]) -> Vec<Vec<u64>> {
    let Gadget { base_log, levels } = GADGET;
    let half = 1_u64 << (base_log - 1);
    let shift = |level: u32| 64 - base_log * level;
    let rounding = 1 << (63 - base_log * levels);
    let offset = (1..=levels).fold(rounding, |sum: u64, level| sum + (half << shift(level)));
    let mask = (1 << base_log) - 1;
    let digit = |level: u32| {
        let digits = polynomial
            .iter()
            .map(|x| (x.wrapping_add(offset) >> shift(level) & mask).wrapping_sub(half));
        digits.collect()
    };
    (1..=levels).map(digit).collect()
}
