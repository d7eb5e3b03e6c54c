//! Words packed to fewer bits than they have, eight at a time: eight words of k bits are k bytes.

use std::arch::x86_64::{
    __m512i, _mm512_and_si512, _mm512_loadu_si512, _mm512_maskz_permutexvar_epi8, _mm512_or_si512,
    _mm512_permutexvar_epi8, _mm512_set1_epi64, _mm512_sllv_epi64, _mm512_srlv_epi64,
    _mm512_storeu_si512,
};

use super::x86::has_avx512;
use crate::R64;

/// Words of a vector.
const LANES: usize = 8;
/// Bytes of a vector.
const BYTES: usize = 64;
/// Widths that are handled: a word and its shift below 8 fit into 64 bits, and a byte holds bits of two words at most.
const WIDTHS: std::ops::RangeInclusive<usize> = 8..=56;

fn able(bits: usize) -> bool {
    WIDTHS.contains(&bits) && has_avx512() && is_x86_feature_detected!("avx512vbmi")
}

/// Where word j of a group begins: byte, and bit of that byte.
fn place(j: usize, bits: usize) -> (usize, usize) {
    (j * bits / 8, j * bits % 8)
}

/// Packs the low `bits` bits of the first words into `out` as far as whole vectors can be stored; how many words. What lies
/// behind them in `out` is undefined.
pub(crate) fn pack(words: &[R64], bits: usize, out: &mut [u8]) -> usize {
    if !able(bits) || out.len() < BYTES {
        return 0;
    }
    let groups = (words.len() / LANES).min((out.len() - BYTES) / bits + 1);
    // SAFETY: the processor has just been found to have the instructions. The last store begins at most 64 bytes before the
    // end of `out`, the last load eight words before the end of `words` or earlier.
    unsafe { pack_groups(words.as_ptr().cast(), bits, out.as_mut_ptr(), groups) };
    groups * LANES
}

/// The inverse: fills the first words as far as whole vectors can be loaded; how many.
pub(crate) fn unpack(bytes: &[u8], bits: usize, words: &mut [R64]) -> usize {
    if !able(bits) || bytes.len() < BYTES {
        return 0;
    }
    let groups = (words.len() / LANES).min((bytes.len() - BYTES) / bits + 1);
    // SAFETY: as in `pack`, with loads and stores exchanged.
    unsafe { unpack_groups(bytes.as_ptr(), bits, words.as_mut_ptr().cast(), groups) };
    groups * LANES
}

fn load<T>(array: &[T]) -> __m512i {
    assert_eq!(size_of_val(array), BYTES);
    // SAFETY: the array has the 64 bytes that are loaded, and only processors with the instruction come here.
    unsafe { _mm512_loadu_si512(array.as_ptr().cast()) }
}

fn shifts(bits: usize) -> [u64; LANES] {
    std::array::from_fn(|j| place(j, bits).1 as u64)
}

/// # Safety
/// Eight words a group can be read at `words`, and `bits` bytes a group and the rest of 64 written at `out`.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
unsafe fn pack_groups(words: *const u64, bits: usize, out: *mut u8, groups: usize) {
    // Byte b of the group comes from the last word of each parity that has begun there, unless that has ended.
    let mut order = [[0u8; BYTES]; 2];
    let mut present = [0u64; 2];
    for parity in 0..2 {
        for j in (parity..LANES).step_by(2) {
            let (start, _) = place(j, bits);
            for k in 0..8 {
                order[parity][start + k] = (8 * j + k) as u8;
                present[parity] |= 1 << (start + k);
            }
        }
    }
    let (even, odd) = (load(&order[0]), load(&order[1]));
    let (shift, low) = (
        load(&shifts(bits)),
        _mm512_set1_epi64((u64::MAX >> (64 - bits)) as i64),
    );
    for g in 0..groups {
        // SAFETY: the caller's.
        let word = unsafe { _mm512_loadu_si512(words.add(g * LANES).cast()) };
        let word = _mm512_sllv_epi64(_mm512_and_si512(word, low), shift);
        let packed = _mm512_or_si512(
            _mm512_maskz_permutexvar_epi8(present[0], even, word),
            _mm512_maskz_permutexvar_epi8(present[1], odd, word),
        );
        // SAFETY: the caller's.
        unsafe { _mm512_storeu_si512(out.add(g * bits).cast(), packed) };
    }
}

/// # Safety
/// `bits` bytes a group and the rest of 64 can be read at `bytes`, and eight words a group written at `words`.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
unsafe fn unpack_groups(bytes: *const u8, bits: usize, words: *mut u64, groups: usize) {
    let order: [u8; BYTES] = std::array::from_fn(|k| (place(k / 8, bits).0 + k % 8) as u8);
    let (order, shift) = (load(&order), load(&shifts(bits)));
    let low = _mm512_set1_epi64((u64::MAX >> (64 - bits)) as i64);
    for g in 0..groups {
        // SAFETY: the caller's.
        let packed = unsafe { _mm512_loadu_si512(bytes.add(g * bits).cast()) };
        let word = _mm512_srlv_epi64(_mm512_permutexvar_epi8(order, packed), shift);
        // SAFETY: the caller's.
        unsafe { _mm512_storeu_si512(words.add(g * LANES).cast(), _mm512_and_si512(word, low)) };
    }
}
