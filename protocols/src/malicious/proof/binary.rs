//! GF(2^64) = GF(2)[X] / (X^64 + X^4 + X^3 + X + 1).

use super::field::Field;
#[cfg(target_arch = "x86_64")]
use super::vectors;

/// The field. Addition is exclusive or; the i-th point is the polynomial with the bits of i.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Binary;

/// A sum of products before the reduction.
#[derive(Clone, Copy, Default)]
pub(crate) struct BinarySum(u128);

impl BinarySum {
    /// Adds a product.
    pub(super) fn add(&mut self, product: u128) {
        self.0 ^= product;
    }
}

impl Binary {
    /// x ← x·y, element by element.
    pub(super) fn scale(self, x: &mut [u64], y: &[u64]) {
        #[cfg(target_arch = "x86_64")]
        let (x, y) = if vectors::found() {
            // SAFETY: the features were found.
            let done = unsafe { vectors::scale(x, y) };
            (&mut x[done..], &y[done..])
        } else {
            (x, y)
        };
        x.iter_mut().zip(y).for_each(|(x, &y)| *x = self.mul(*x, y));
    }
}

/// How polynomials over GF(2) are multiplied.
trait Polynomials: Copy {
    /// Whether this is the processor's instruction.
    const INSTRUCTION: bool;

    /// The product of two polynomials.
    fn carryless(x: u64, y: u64) -> u128;
}

/// Bit by bit, in the same time for all.
impl Polynomials for Binary {
    const INSTRUCTION: bool = false;

    #[inline(always)]
    fn carryless(x: u64, y: u64) -> u128 {
        (0..64).fold(0, |product, i| {
            let mask = 0u128.wrapping_sub(u128::from(y >> i & 1));
            product ^ (u128::from(x) << i & mask)
        })
    }
}

impl<P: Polynomials> Field for P {
    type Sum = BinarySum;

    #[inline(always)]
    fn add(self, x: u64, y: u64) -> u64 {
        x ^ y
    }

    #[inline(always)]
    fn sub(self, x: u64, y: u64) -> u64 {
        x ^ y
    }

    #[inline(always)]
    fn mul(self, x: u64, y: u64) -> u64 {
        reduce(P::carryless(x, y))
    }

    #[inline(always)]
    fn accumulate(self, sum: &mut BinarySum, x: u64, y: u64) {
        sum.0 ^= P::carryless(x, y);
    }

    #[inline(always)]
    fn accumulate_sums(self, sum: &mut BinarySum, x: [u64; 2], y: [u64; 2]) {
        sum.0 ^= P::carryless(x[0] ^ x[1], y[0] ^ y[1]);
    }

    #[inline(always)]
    fn reduce(self, sum: BinarySum) -> u64 {
        reduce(sum.0)
    }

    fn point(self, i: usize) -> u64 {
        i as u64
    }

    fn uniform(self, bits: [u64; 2]) -> u64 {
        bits[0]
    }

    fn decode(self, word: u64) -> Option<u64> {
        Some(word)
    }

    /// x^(2^64 - 2).
    fn inverse(self, x: u64) -> u64 {
        let (mut square, mut product) = (x, 1);
        for _ in 1..64 {
            square = self.mul(square, square);
            product = self.mul(product, square);
        }
        product
    }

    #[cfg(target_arch = "x86_64")]
    fn gram(self, u: &[u64], v: &[u64], k: usize, out: &mut [BinarySum]) {
        if (k == 8 || k == 16) && vectors::found() {
            // SAFETY: the features were found.
            return match k {
                8 => unsafe { vectors::gram_of_eight(u, v, out) },
                _ => unsafe { vectors::gram_of_sixteen(u, v, out) },
            };
        }
        if !P::INSTRUCTION && x86::found() {
            // SAFETY: the feature was found.
            return unsafe { x86::gram(u, v, k, out) };
        }
        super::kernels::gram(self, u, v, k, out);
    }

    #[cfg(target_arch = "x86_64")]
    fn combine(self, blocks: &[u64], coefficients: &[u64], out: &mut Vec<u64>) {
        if let Ok(coefficients) = coefficients.try_into()
            && vectors::found()
        {
            let blocks = blocks.as_chunks().0;
            // SAFETY: the features were found.
            return unsafe { vectors::combine_eight(blocks, coefficients, out) };
        }
        if let Ok(coefficients) = coefficients.try_into()
            && vectors::found()
        {
            let blocks = blocks.as_chunks().0;
            // SAFETY: the features were found.
            return unsafe { vectors::combine_sixteen(blocks, coefficients, out) };
        }
        if !P::INSTRUCTION && x86::found() {
            // SAFETY: the feature was found.
            return unsafe { x86::combine(blocks, coefficients, out) };
        }
        super::kernels::combine(self, blocks, coefficients, out);
    }
}

/// Modulo X^64 + X^4 + X^3 + X + 1: X^64 = X^4 + X^3 + X + 1, applied to the upper half and to the four bits that overflow.
#[inline(always)]
fn reduce(x: u128) -> u64 {
    let (low, high) = (x as u64, (x >> 64) as u64);
    let overflow = high >> 63 ^ high >> 61 ^ high >> 60;
    let fold = |h: u64| h ^ h << 1 ^ h << 3 ^ h << 4;
    low ^ fold(high) ^ fold(overflow)
}

/// The same field where the processor multiplies polynomials.
#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{_mm_clmulepi64_si128, _mm_set_epi64x, _mm_storeu_si128};

    use super::super::kernels;
    use super::{BinarySum, Polynomials};

    /// Only made where the instruction was found.
    #[derive(Clone, Copy)]
    struct Instruction;

    impl Polynomials for Instruction {
        const INSTRUCTION: bool = true;

        #[inline(always)]
        fn carryless(x: u64, y: u64) -> u128 {
            let mut product = 0u128;
            // SAFETY: an `Instruction` exists only below functions that were entered after the feature was found; the store
            // goes to sixteen bytes of our own.
            unsafe {
                let (x, y) = (_mm_set_epi64x(0, x as i64), _mm_set_epi64x(0, y as i64));
                _mm_storeu_si128((&raw mut product).cast(), _mm_clmulepi64_si128::<0>(x, y));
            }
            product
        }
    }

    /// Whether the processor has the instruction.
    pub(super) fn found() -> bool {
        is_x86_feature_detected!("pclmulqdq")
    }

    #[target_feature(enable = "pclmulqdq")]
    pub(super) fn gram(u: &[u64], v: &[u64], k: usize, out: &mut [BinarySum]) {
        kernels::gram(Instruction, u, v, k, out);
    }

    #[target_feature(enable = "pclmulqdq")]
    pub(super) fn combine(blocks: &[u64], coefficients: &[u64], out: &mut Vec<u64>) {
        kernels::combine(Instruction, blocks, coefficients, out);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::field::check_field;
    use super::super::kernels;
    use super::*;

    #[test]
    fn it_is_a_field() {
        check_field(
            Binary,
            &[0, 1, 2, 3, 0x1B, 1 << 63, u64::MAX, 0x0123_4567_89AB_CDEF],
        );
    }

    /// X^63·X = X^4 + X^3 + X + 1, and a product that overflows twice: X^63·X^63 = X^62·X^64.
    #[test]
    fn the_modulus_is_the_stated_one() {
        assert_eq!(Binary.mul(1 << 63, 2), 0x1B);
        let by_steps = (0..63).fold(1u64 << 63, |x, _| (x << 1) ^ ((x >> 63) * 0x1B));
        assert_eq!(Binary.mul(1 << 63, 1 << 63), by_steps);
    }

    proptest! {
        #[test]
        fn every_instruction_gives_what_the_definition_gives(
            u in prop::collection::vec(prop_oneof![any::<u64>(), Just(u64::MAX)], 0..20 * 16),
            c in prop::collection::vec(any::<u64>(), 16),
        ) {
            for k in [4, 8, 16] {
                let u = &u[..u.len() / k * k];
                let v: Vec<u64> = u.iter().rev().map(|x| x.rotate_left(9)).collect();
                let (mut fast, mut plain) = (vec![BinarySum::default(); k * k], vec![BinarySum::default(); k * k]);
                Binary.gram(u, &v, k, &mut fast);
                kernels::gram(Binary, u, &v, k, &mut plain);
                let (fast, plain) = (kernels::symmetric(Binary, fast, k), kernels::symmetric(Binary, plain, k));
                prop_assert_eq!(fast, &plain[..]);
                let m = |j: usize, l: usize| {
                    let blocks = u.chunks(k).zip(v.chunks(k));
                    blocks.fold(0, |s, (u, v)| s ^ Binary.mul(u[j], v[l]))
                };
                for (j, l) in (0..k).flat_map(|j| (0..k).map(move |l| (j, l))) {
                    let want = [m(j, l), m(j, l) ^ m(l, j), 0][usize::from(j != l) + usize::from(j > l)];
                    prop_assert_eq!(plain[k * j + l], want);
                }
                let (mut fast, mut plain) = (vec![7], vec![7]);
                Binary.combine(u, &c[..k], &mut fast);
                kernels::combine(Binary, u, &c[..k], &mut plain);
                prop_assert_eq!(fast, plain);
                let (mut fast, mut plain) = (u.to_vec(), u.to_vec());
                Binary.scale(&mut fast, &v);
                plain.iter_mut().zip(&v).for_each(|(x, &y)| *x = Binary.mul(*x, y));
                prop_assert_eq!(fast, plain);
            }
            let n = u.len().min(13);
            let mut odd = u[..n].to_vec();
            Binary.scale(&mut odd, &c[..n]);
            let want: Vec<u64> = u.iter().zip(&c).take(n).map(|(&u, &c)| Binary.mul(u, c)).collect();
            prop_assert_eq!(odd, want);
        }
    }
}
