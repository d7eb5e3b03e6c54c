//! Sums of products modulo a prime, eight elements a vector (AVX-512 IFMA): factors in limbs of 52 bits, sums by their weight.

use std::arch::x86_64::{
    __m512i, _mm512_add_epi64, _mm512_alignr_epi64, _mm512_madd52hi_epu64, _mm512_madd52lo_epu64,
    _mm512_permutex_epi64, _mm512_setzero_si512, _mm512_srli_epi64,
};

use super::kernels;
use super::prime_sum::PrimeSum;
use super::vectors::{vector, words};

/// Elements of a vector.
pub(super) const LANES: usize = 8;
/// Vectors of which the sums of limbs do not overflow: three summands of 52 bits each.
pub(super) const PART: usize = 1024;

/// Whether the processor has the instructions.
pub(super) fn found() -> bool {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512ifma")
}

/// Sums of limbs of the weights 1, 2^52 and 2^104.
pub(super) type Sum = [__m512i; 3];

/// sum += u·v for any words.
#[target_feature(enable = "avx512f,avx512ifma")]
#[inline]
pub(super) fn add(sum: &mut Sum, u: __m512i, v: __m512i) {
    // The instructions read the lower 52 bits.
    let (u_high, v_high) = (_mm512_srli_epi64::<52>(u), _mm512_srli_epi64::<52>(v));
    sum[0] = _mm512_madd52lo_epu64(sum[0], u, v);
    sum[1] = _mm512_madd52hi_epu64(sum[1], u, v);
    sum[1] = _mm512_madd52lo_epu64(sum[1], u, v_high);
    sum[1] = _mm512_madd52lo_epu64(sum[1], u_high, v);
    sum[2] = _mm512_madd52hi_epu64(sum[2], u, v_high);
    sum[2] = _mm512_madd52hi_epu64(sum[2], u_high, v);
    sum[2] = _mm512_madd52lo_epu64(sum[2], u_high, v_high);
}

/// Adds lane `from` to the sum of a pair.
pub(super) fn finish(sum: &Sum, from: usize, out: &mut PrimeSum) {
    out.add_limbs(sum.map(|limb| words(limb)[from]));
}

/// [`kernels::gram`] for blocks of four or eight of elements below 2^61, as far as they fill vectors: how many elements that is.
#[target_feature(enable = "avx512f,avx512ifma")]
pub(super) fn gram(u: &[u64], v: &[u64], k: usize, out: &mut [PrimeSum]) -> usize {
    match k {
        4 => gram_of_four(u, v, out),
        8 => gram_of_eight(u, v, out),
        _ => return 0,
    }
    u.len() / LANES * LANES
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn gram_of_eight(u: &[u64], v: &[u64], out: &mut [PrimeSum]) {
    let [u, v] = [u, v].map(|x| x.as_chunks::<LANES>().0);
    let with = _mm512_add_epi64;
    for (u, v) in u.chunks(PART).zip(v.chunks(PART)) {
        // By the distance of the two elements.
        let mut sums = [[_mm512_setzero_si512(); 3]; 5];
        for (u, v) in u.iter().zip(v) {
            let (u, v) = (vector(u), vector(v));
            add(&mut sums[0], u, v);
            macro_rules! at {
                ($($d:literal)*) => {$(
                    add(
                        &mut sums[$d],
                        with(u, _mm512_alignr_epi64::<$d>(u, u)),
                        with(v, _mm512_alignr_epi64::<$d>(v, v)),
                    );
                )*};
            }
            at!(1 2 3 4);
        }
        for (d, sum) in sums.iter().enumerate() {
            // At distance four every pair comes twice.
            for j in 0..if d == 4 { LANES / 2 } else { LANES } {
                let pair = kernels::pair(j, (j + d) % LANES, LANES);
                finish(sum, j, &mut out[pair]);
            }
        }
    }
}

/// A vector has two blocks.
#[target_feature(enable = "avx512f,avx512ifma")]
fn gram_of_four(u: &[u64], v: &[u64], out: &mut [PrimeSum]) {
    const K: usize = LANES / 2;
    let [u, v] = [u, v].map(|x| x.as_chunks::<LANES>().0);
    let with = _mm512_add_epi64;
    for (u, v) in u.chunks(PART).zip(v.chunks(PART)) {
        let mut sums = [[_mm512_setzero_si512(); 3]; 3];
        for (u, v) in u.iter().zip(v) {
            let (u, v) = (vector(u), vector(v));
            add(&mut sums[0], u, v);
            // Element j + 1 and j + 2 for element j of a block, around.
            let next = |x| _mm512_permutex_epi64::<0b00_11_10_01>(x);
            add(&mut sums[1], with(u, next(u)), with(v, next(v)));
            let second = |x| _mm512_permutex_epi64::<0b01_00_11_10>(x);
            add(&mut sums[2], with(u, second(u)), with(v, second(v)));
        }
        for (d, sum) in sums.iter().enumerate() {
            for j in 0..if d == 2 { K / 2 } else { K } {
                let pair = kernels::pair(j, (j + d) % K, K);
                finish(sum, j, &mut out[pair]);
                finish(sum, K + j, &mut out[pair]);
            }
        }
    }
}
