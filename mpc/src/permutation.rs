//! AES-128 under a key that everybody knows: a permutation of blocks that is modelled as a random one.

use aes::Aes128;
use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};
use bytemuck::cast_slice_mut;

/// 128 bits, least significant word first.
pub type Block = [u64; 2];

/// A permutation of [`Block`]s. On little-endian processors the words are the bytes of the cipher's block in order.
pub struct Permutation(Aes128);

impl std::fmt::Debug for Permutation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Permutation").finish_non_exhaustive()
    }
}

impl Permutation {
    /// The permutation of a key.
    #[must_use]
    pub fn new(key: &[u8; 16]) -> Self {
        Self(Aes128::new(&Array::from(*key)))
    }

    /// Replaces each block by its image.
    pub fn apply(&self, blocks: &mut [Block]) {
        let swap = |blocks: &mut [Block]| {
            // The same bytes on every processor.
            if cfg!(target_endian = "big") {
                let words = blocks.as_flattened_mut().iter_mut();
                words.for_each(|w| *w = w.swap_bytes());
            }
        };
        swap(blocks);
        let bytes: &mut [[u8; 16]] = cast_slice_mut(blocks);
        self.0
            .encrypt_blocks(Array::cast_slice_from_core_mut(bytes));
        swap(blocks);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FIPS 197, appendix C.1.
    #[test]
    fn it_is_aes_128() {
        let permutation = Permutation::new(&std::array::from_fn(|i| i as u8));
        let bytes: [u8; 16] = std::array::from_fn(|i| 0x11 * i as u8);
        let word = |half: &[u8]| half.iter().rev().fold(0, |w, b| w << 8 | u64::from(*b));
        let mut blocks = [[word(&bytes[..8]), word(&bytes[8..])]; 3];
        permutation.apply(&mut blocks);
        let want = [
            0x69, 0xc4, 0xe0, 0xd8, 0x6a, 0x7b, 0x04, 0x30, 0xd8, 0xcd, 0xb7, 0x80, 0x70, 0xb4,
            0xc5, 0x5a,
        ];
        assert_eq!(blocks, [[word(&want[..8]), word(&want[8..])]; 3]);
    }
}
