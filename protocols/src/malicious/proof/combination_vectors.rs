//! Binary combinations of small numbers by vectors (AVX-512): a byte for each of them, the combinations' bits being a mask.

use std::arch::x86_64::{__m512i, _mm512_mask_add_epi8, _mm512_set1_epi8, _mm512_setzero_si512};

/// Relations whose numbers below 4 fit a byte together.
const ROOM: usize = 255 / 3;

/// Adds numbers below 4 to the sums of the bits that are set in τ: whether the processor has the instructions for it.
pub(super) fn add(tau: &[u64], small: &[u64], sums: &mut [u64; 64]) -> bool {
    let found = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw");
    if found {
        // SAFETY: the features were found.
        unsafe { add_by_vectors(tau, small, sums) }
    }
    found
}

#[target_feature(enable = "avx512f,avx512bw")]
fn add_by_vectors(tau: &[u64], small: &[u64], sums: &mut [u64; 64]) {
    for (tau, small) in tau.chunks(ROOM).zip(small.chunks(ROOM)) {
        let mut bytes = _mm512_setzero_si512();
        for (&tau, &w) in tau.iter().zip(small) {
            bytes = _mm512_mask_add_epi8(bytes, tau, bytes, _mm512_set1_epi8(w as i8));
        }
        let added = sums.iter_mut().zip(bytes_of(bytes));
        added.for_each(|(sum, byte)| *sum += u64::from(byte));
    }
}

fn bytes_of(v: __m512i) -> [u8; 64] {
    // SAFETY: both are 64 bytes of which every value is valid.
    unsafe { std::mem::transmute(v) }
}
