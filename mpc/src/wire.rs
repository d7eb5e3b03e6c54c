//! Words on the wire: k-bit words packed to k bits, n of them to ceil(nk/8) bytes.

use bytes::Bytes;

use crate::R64;

/// Packs words of different widths one after the other.
#[derive(Debug, Default)]
pub struct Packer {
    out: Vec<u8>,
    carry: u64,
    carry_bits: u32,
}

impl Packer {
    /// With room for `bits` bits.
    #[must_use]
    pub fn with_capacity(bits: usize) -> Self {
        Self {
            out: Vec::with_capacity(bits.div_ceil(8) + 8),
            carry: 0,
            carry_bits: 0,
        }
    }

    /// Appends the low `bits` bits of each word, 1 <= bits <= 64.
    pub fn push(&mut self, words: &[R64], bits: u32) {
        debug_assert!((1..=64).contains(&bits));
        if bits == 64 && self.carry_bits == 0 {
            words
                .iter()
                .for_each(|w| self.out.extend_from_slice(&w.0.to_le_bytes()));
            return;
        }
        let mask = u64::MAX >> (64 - bits);
        for w in words {
            let w = w.0 & mask;
            self.carry |= w << self.carry_bits;
            let filled = self.carry_bits + bits;
            if filled >= 64 {
                self.out.extend_from_slice(&self.carry.to_le_bytes());
                self.carry_bits = filled - 64;
                // What did not fit: the upper carry_bits bits of w.
                self.carry = if self.carry_bits == 0 {
                    0
                } else {
                    w >> (bits - self.carry_bits)
                };
            } else {
                self.carry_bits = filled;
            }
        }
    }

    /// Appends `len` bits given as a plane of 64-bit words, least significant first.
    pub fn push_plane(&mut self, words: &[u64], len: usize) {
        let (full, rest) = words.split_at(len / 64);
        full.iter()
            .for_each(|&w| self.push(&[std::num::Wrapping(w)], 64));
        if !len.is_multiple_of(64) {
            self.push(&[std::num::Wrapping(rest[0])], (len % 64) as u32);
        }
    }

    /// The bytes.
    #[must_use]
    pub fn finish(mut self) -> Bytes {
        let rest = self.carry_bits.div_ceil(8) as usize;
        self.out
            .extend_from_slice(&self.carry.to_le_bytes()[..rest]);
        self.out.into()
    }
}

/// Reads back what a [`Packer`] wrote. Reading past the end gives zeros: callers check the length first.
#[derive(Debug)]
pub struct Unpacker<'a> {
    bytes: &'a [u8],
    bit: usize,
}

impl<'a> Unpacker<'a> {
    /// Reads from the first bit of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, bit: 0 }
    }

    fn word(&mut self, bits: u32) -> u64 {
        let (byte, shift) = (self.bit / 8, (self.bit % 8) as u32);
        self.bit += bits as usize;
        let mut buffer = [0u8; 16];
        let available = self.bytes.get(byte..).unwrap_or_default();
        let n = available.len().min(9);
        buffer[..n].copy_from_slice(&available[..n]);
        ((u128::from_le_bytes(buffer) >> shift) as u64) & (u64::MAX >> (64 - bits))
    }

    /// The next `n` words of `bits` bits, 1 <= bits <= 64.
    pub fn words(&mut self, n: usize, bits: u32) -> Vec<R64> {
        if bits == 64 && self.bit.is_multiple_of(8) {
            let start = (self.bit / 8).min(self.bytes.len());
            self.bit += 64 * n;
            let mut out: Vec<R64> = self.bytes[start..]
                .as_chunks::<8>()
                .0
                .iter()
                .take(n)
                .map(|b| std::num::Wrapping(u64::from_le_bytes(*b)))
                .collect();
            out.resize(n, R64::default());
            return out;
        }
        (0..n)
            .map(|_| std::num::Wrapping(self.word(bits)))
            .collect()
    }

    /// The next `len` bits as a plane of 64-bit words.
    pub fn plane(&mut self, len: usize) -> Vec<u64> {
        (0..len.div_ceil(64))
            .map(|w| self.word((len - 64 * w).min(64) as u32))
            .collect()
    }
}

/// Bytes that n words of k bits take.
#[must_use]
pub fn packed_len(n: usize, bits: usize) -> usize {
    (n * bits).div_ceil(8)
}

#[cfg(test)]
mod tests {
    use std::num::Wrapping;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn packs_and_unpacks(parts in prop::collection::vec((1u32..=64, prop::collection::vec(any::<u64>(), 0..40)), 0..8)) {
            let mut p = Packer::default();
            let mut bits = 0;
            for (k, words) in &parts {
                let words: Vec<R64> = words.iter().map(|&w| Wrapping(w)).collect();
                p.push(&words, *k);
                bits += words.len() * *k as usize;
            }
            let bytes = p.finish();
            prop_assert_eq!(bytes.len(), bits.div_ceil(8));
            let mut u = Unpacker::new(&bytes);
            for (k, words) in &parts {
                let want: Vec<R64> = words.iter().map(|&w| Wrapping(w & (u64::MAX >> (64 - k)))).collect();
                prop_assert_eq!(u.words(words.len(), *k), want);
            }
        }

        #[test]
        fn planes_pack_to_their_bits(words in prop::collection::vec(any::<u64>(), 5), a in 1usize..320, b in 1usize..320) {
            let mut p = Packer::default();
            p.push_plane(&words, a);
            p.push_plane(&words, b);
            let bytes = p.finish();
            prop_assert_eq!(bytes.len(), (a + b).div_ceil(8));
            let mut u = Unpacker::new(&bytes);
            for len in [a, b] {
                let plane = u.plane(len);
                for i in 0..len {
                    prop_assert_eq!(plane[i / 64] >> (i % 64) & 1, words[i / 64] >> (i % 64) & 1);
                }
            }
        }
    }
}
