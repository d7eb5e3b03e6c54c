//! A one-way function of blocks of 128 bits: x ↦ E(K, x) ⊕ x, E = AES-128 under a public key K.
//!
//! This is the Matyas–Meyer–Oseas function with a fixed key (Black, Rogaway, Shrimpton, CRYPTO 2002). With E an ideal cipher it is
//! correlation robust (Guo, Katz, Wang, Yu, IEEE S&P 2020), so that x ↦ H(x ‖ 0) ‖ H(x ‖ 1) is a pseudo-random generator for
//! uniform x. The permutation itself, where somebody needs that, is x ↦ H(x) ⊕ x: the same cipher serves both. An adversary who sees many values under one K may look for all their arguments at once; a key for each gate
//! ([`crate::Strand::hash`]) keeps them few (Guo et al., CRYPTO 2020). Time depends on the number of blocks alone.

use aes::Aes128;
use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};
use bytemuck::cast_slice_mut;

#[cfg(target_arch = "x86_64")]
use crate::kernels::aes::RoundKeys;

/// Blocks encrypted at once by the library: 4 kB.
const BLOCKS: usize = 256;

/// x ↦ E(K, x) ⊕ x for one K. A block is the 16 bytes of a word, least significant first.
pub struct Hash {
    cipher: Aes128,
    /// The same for vectors, where the processor has them.
    #[cfg(target_arch = "x86_64")]
    vectors: Option<RoundKeys>,
}

impl std::fmt::Debug for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hash").finish_non_exhaustive()
    }
}

impl Hash {
    /// The function of a public key.
    #[must_use]
    pub fn new(key: &[u8; 16]) -> Self {
        Self {
            cipher: Aes128::new(&Array::from(*key)),
            #[cfg(target_arch = "x86_64")]
            vectors: RoundKeys::new(key),
        }
    }

    /// x ← H(x) for every block.
    pub fn apply(&self, blocks: &mut [u128]) {
        #[cfg(target_arch = "x86_64")]
        let blocks = {
            let done = self.vectors.as_ref().map_or(0, |v| v.compress(blocks));
            &mut blocks[done..]
        };
        let mut encrypted = [0u128; BLOCKS];
        for group in blocks.chunks_mut(BLOCKS) {
            let encrypted = &mut encrypted[..group.len()];
            encrypted
                .iter_mut()
                .zip(&*group)
                .for_each(|(e, x)| *e = x.to_le());
            let bytes: &mut [[u8; 16]] = cast_slice_mut(encrypted);
            self.cipher
                .encrypt_blocks(Array::cast_slice_from_core_mut(bytes));
            group
                .iter_mut()
                .zip(&*encrypted)
                .for_each(|(x, e)| *x ^= u128::from_le(*e));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// FIPS 197, appendix C.1: the cipher is AES-128, and the block is added to what it gives.
    #[test]
    fn a_block_is_encrypted_and_added() {
        let hash = Hash::new(&std::array::from_fn(|i| i as u8));
        let text: [u8; 16] = std::array::from_fn(|i| 0x11 * i as u8);
        let cipher = [
            0x69, 0xc4, 0xe0, 0xd8, 0x6a, 0x7b, 0x04, 0x30, 0xd8, 0xcd, 0xb7, 0x80, 0x70, 0xb4,
            0xc5, 0x5a,
        ];
        let x = u128::from_le_bytes(text);
        let mut blocks = [x; 301];
        hash.apply(&mut blocks);
        assert!(blocks.iter().all(|&y| y == x ^ u128::from_le_bytes(cipher)));
    }

    proptest! {
        /// The vectors and the library, block by block.
        #[test]
        fn many_blocks_are_hashed_as_one_by_one(key: [u8; 16], blocks in prop::collection::vec(any::<u128>(), 0..200)) {
            let hash = Hash::new(&key);
            let mut all = blocks.clone();
            hash.apply(&mut all);
            for (x, y) in blocks.into_iter().zip(all) {
                let mut one = [x];
                hash.apply(&mut one);
                prop_assert_eq!(one[0], y);
            }
        }
    }
}
