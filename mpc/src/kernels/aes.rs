//! AES-128, four blocks a vector, where the processor has VAES: the pseudo-random stream in counter mode, and the one-way
//! function of `hash.rs`.
//!
//! The library's cipher takes blocks from memory and puts them back; here counters are made and encrypted in registers. Keys are
//! expanded as FIPS 197, section 5.2, says, by the instruction for it. Time depends on the length alone.

use std::arch::x86_64::{
    __m128i, __m512i, _mm_aeskeygenassist_si128, _mm_loadu_si128, _mm_set_epi8, _mm_setzero_si128,
    _mm_shuffle_epi32, _mm_slli_si128, _mm_storeu_si128, _mm_xor_si128, _mm512_add_epi64,
    _mm512_aesenc_epi128, _mm512_aesenclast_epi128, _mm512_broadcast_i32x4, _mm512_loadu_si512,
    _mm512_set_epi64, _mm512_shuffle_epi8, _mm512_storeu_si512, _mm512_xor_si512,
};

use zeroize::Zeroize;

/// Words that are encrypted together: eight vectors.
const WORDS: usize = 64;
/// The blocks in them.
const BLOCKS: usize = WORDS / 2;
const ROUNDS: usize = 10;

/// The round keys of a key, in memory that is wiped.
pub(crate) struct RoundKeys([[u8; 16]; ROUNDS + 1]);

impl Drop for RoundKeys {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl RoundKeys {
    /// The round keys, where the processor has the instructions.
    pub(crate) fn new(key: &[u8; 16]) -> Option<Self> {
        let able = super::x86::has_avx512()
            && is_x86_feature_detected!("vaes")
            && is_x86_feature_detected!("aes");
        // SAFETY: the processor has just been found to have the instructions.
        able.then(|| unsafe { expand(key) })
    }

    /// Fills whole groups of 64 words with the encrypted blocks `counter`, `counter` + 1, … (big-endian, of which the lower
    /// half does not overflow), words least significant byte first; the number of words filled.
    pub(crate) fn fill(&self, counter: u128, out: &mut [u64]) -> usize {
        let groups = out.as_chunks_mut::<WORDS>().0;
        // SAFETY: `new` has checked for the instructions.
        unsafe { fill(&self.0, counter, groups) };
        groups.len() * WORDS
    }
}

impl RoundKeys {
    /// x ← E(x) ⊕ x for whole groups of 32 blocks (words least significant byte first); the number of blocks done.
    pub(crate) fn compress(&self, blocks: &mut [u128]) -> usize {
        let groups = blocks.as_chunks_mut::<BLOCKS>().0;
        // SAFETY: `new` has checked for the instructions.
        unsafe { compress(&self.0, groups) };
        groups.len() * BLOCKS
    }
}

#[target_feature(enable = "aes")]
fn expand(key: &[u8; 16]) -> RoundKeys {
    let mut keys = [[0; 16]; ROUNDS + 1];
    // SAFETY: the array has the 16 bytes that are loaded.
    let mut k = unsafe { _mm_loadu_si128(key.as_ptr().cast()) };
    keys[0] = *key;
    let mut round = 1;
    let mut next = |k: &mut __m128i, assist: __m128i| {
        *k = step(*k, assist);
        // SAFETY: a round key has the 16 bytes that are stored.
        unsafe { _mm_storeu_si128(keys[round].as_mut_ptr().cast(), *k) };
        round += 1;
    };
    let a = _mm_aeskeygenassist_si128::<0x01>(k);
    next(&mut k, a);
    let a = _mm_aeskeygenassist_si128::<0x02>(k);
    next(&mut k, a);
    let a = _mm_aeskeygenassist_si128::<0x04>(k);
    next(&mut k, a);
    let a = _mm_aeskeygenassist_si128::<0x08>(k);
    next(&mut k, a);
    let a = _mm_aeskeygenassist_si128::<0x10>(k);
    next(&mut k, a);
    let a = _mm_aeskeygenassist_si128::<0x20>(k);
    next(&mut k, a);
    let a = _mm_aeskeygenassist_si128::<0x40>(k);
    next(&mut k, a);
    let a = _mm_aeskeygenassist_si128::<0x80>(k);
    next(&mut k, a);
    let a = _mm_aeskeygenassist_si128::<0x1B>(k);
    next(&mut k, a);
    let a = _mm_aeskeygenassist_si128::<0x36>(k);
    next(&mut k, a);
    RoundKeys(keys)
}

/// The round key after k: each word of it is added to all later ones, then the substituted last word to all.
#[inline]
#[target_feature(enable = "aes")]
fn step(mut k: __m128i, assist: __m128i) -> __m128i {
    let mut shifted = k;
    for _ in 0..3 {
        shifted = _mm_slli_si128::<4>(shifted);
        k = _mm_xor_si128(k, shifted);
    }
    _mm_xor_si128(k, _mm_shuffle_epi32::<0xFF>(assist))
}

#[target_feature(enable = "avx512f,avx512bw,vaes")]
fn fill(keys: &[[u8; 16]; ROUNDS + 1], counter: u128, out: &mut [[u64; WORDS]]) {
    let k = broadcast(keys);
    // A lane holds the lower half of its counter above and the upper half below, and is reversed byte by byte within halves.
    let high = ((counter >> 64) as u64) as i64;
    let low = counter as u64;
    let at = |n: u64| low.wrapping_add(n) as i64;
    let mut counters = _mm512_set_epi64(at(3), high, at(2), high, at(1), high, at(0), high);
    let four = _mm512_set_epi64(4, 0, 4, 0, 4, 0, 4, 0);
    let big_endian = _mm512_broadcast_i32x4(_mm_set_epi8(
        8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7,
    ));
    for group in out {
        let mut blocks: [__m512i; WORDS / 8] = [k[0]; WORDS / 8];
        for block in &mut blocks {
            *block = _mm512_xor_si512(*block, _mm512_shuffle_epi8(counters, big_endian));
            counters = _mm512_add_epi64(counters, four);
        }
        for key in &k[1..ROUNDS] {
            for block in &mut blocks {
                *block = _mm512_aesenc_epi128(*block, *key);
            }
        }
        for (block, words) in blocks.iter().zip(group.as_chunks_mut::<8>().0) {
            let block = _mm512_aesenclast_epi128(*block, k[ROUNDS]);
            // SAFETY: eight words have the 64 bytes that are stored.
            unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), block) };
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,vaes")]
fn compress(keys: &[[u8; 16]; ROUNDS + 1], groups: &mut [[u128; BLOCKS]]) {
    let k = broadcast(keys);
    for group in groups {
        let words = group.as_chunks_mut::<4>().0;
        let mut texts = [k[0]; BLOCKS / 4];
        for (text, words) in texts.iter_mut().zip(&*words) {
            // SAFETY: four blocks have the 64 bytes that are loaded.
            *text = unsafe { _mm512_loadu_si512(words.as_ptr().cast()) };
        }
        let mut blocks = texts;
        for block in &mut blocks {
            *block = _mm512_xor_si512(*block, k[0]);
        }
        for key in &k[1..ROUNDS] {
            for block in &mut blocks {
                *block = _mm512_aesenc_epi128(*block, *key);
            }
        }
        for ((block, text), words) in blocks.iter().zip(texts).zip(words) {
            let block = _mm512_aesenclast_epi128(*block, k[ROUNDS]);
            // SAFETY: four blocks have the 64 bytes that are stored.
            unsafe {
                _mm512_storeu_si512(words.as_mut_ptr().cast(), _mm512_xor_si512(block, text));
            }
        }
    }
}

/// Each round key in all lanes.
#[inline]
#[target_feature(enable = "avx512f")]
fn broadcast(keys: &[[u8; 16]; ROUNDS + 1]) -> [__m512i; ROUNDS + 1] {
    let mut k = [_mm512_broadcast_i32x4(_mm_setzero_si128()); ROUNDS + 1];
    for (k, key) in k.iter_mut().zip(keys) {
        // SAFETY: a round key has the 16 bytes that are loaded.
        *k = _mm512_broadcast_i32x4(unsafe { _mm_loadu_si128(key.as_ptr().cast()) });
    }
    k
}

#[cfg(test)]
mod tests {
    use aes::Aes128;
    use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_stream_is_that_of_the_library(key: [u8; 16], high: u64, low in 0..1u64 << 62, groups in 0usize..5, rest in 0usize..64) {
            let Some(keys) = RoundKeys::new(&key) else {
                println!("no VAES on this processor: nothing to compare");
                return Ok(());
            };
            let counter = u128::from(high) << 64 | u128::from(low);
            let mut words = vec![7; 64 * groups + rest];
            prop_assert_eq!(keys.fill(counter, &mut words), 64 * groups);
            let cipher = Aes128::new(&Array::from(key));
            for (k, pair) in words[..64 * groups].chunks(2).enumerate() {
                let mut block = Array::from((counter + k as u128).to_be_bytes());
                cipher.encrypt_block(&mut block);
                let bytes: Vec<u8> = pair.iter().flat_map(|w| w.to_le_bytes()).collect();
                prop_assert_eq!(&bytes[..], &block[..]);
            }
            prop_assert!(words[64 * groups..].iter().all(|&w| w == 7));
        }
    }
}
