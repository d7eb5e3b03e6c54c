//! Words on the wire: k-bit words packed to k bits, n of them to ceil(nk/8) bytes, and bits of planes one after the other.

use std::num::Wrapping;

use bytemuck::{cast_slice, cast_slice_mut};
use bytes::BytesMut;

use crate::R64;
#[cfg(target_arch = "x86_64")]
use crate::kernels::bitfields as by_vectors;

/// Nothing is done ahead where there are no vectors for it.
#[cfg(not(target_arch = "x86_64"))]
mod by_vectors {
    use crate::R64;

    pub(super) fn pack(_: &[R64], _: usize, _: &mut [u8]) -> usize {
        0
    }

    pub(super) fn unpack(_: &[u8], _: usize, _: &mut [R64]) -> usize {
        0
    }
}

/// Bytes that n words of k bits take.
#[must_use]
pub fn packed_len(n: usize, bits: usize) -> usize {
    (n * bits).div_ceil(8)
}

/// The low `bits` bits, 1 <= bits <= 64.
fn mask(bits: u32) -> u64 {
    u64::MAX >> (64 - bits)
}

/// Packs the low `bits` bits of each word, 1 <= bits <= 64, into `out` of [`packed_len`] bytes.
///
/// # Panics
/// Where `out` has another length.
pub fn pack(words: &[R64], bits: u32, out: &mut [u8]) {
    assert_eq!(out.len(), packed_len(words.len(), bits as usize));
    if bits == 64 && cfg!(target_endian = "little") {
        out.copy_from_slice(cast_slice(words));
        return;
    }
    let done = by_vectors::pack(words, bits as usize, out);
    let (words, out) = (&words[done..], &mut out[done * bits as usize / 8..]);
    if bits <= 56 {
        // What is carried from word to word is below 8 bits, so that one store holds it and the word.
        let (mut carry, mut filled, mut at) = (0u64, 0, 0);
        for (k, w) in words.iter().enumerate() {
            carry |= (w.0 & mask(bits)) << filled;
            filled += bits;
            if let Some(room) = out.get_mut(at..at + 8) {
                room.copy_from_slice(&carry.to_le_bytes());
            } else {
                let room = &mut out[at..];
                let len = room.len();
                room.copy_from_slice(&carry.to_le_bytes()[..len]);
            }
            // The last store may be short of nothing: its bytes are all there.
            let whole = filled / 8;
            if k + 1 < words.len() {
                at += whole as usize;
                carry = carry.unbounded_shr(8 * whole);
                filled %= 8;
            }
        }
    } else {
        let mut bit = 0;
        out.fill(0);
        words.iter().for_each(|w| put(out, &mut bit, w.0, bits));
    }
}

/// Appends what [`pack`] makes of the words.
pub fn append(words: &[R64], bits: u32, out: &mut BytesMut) {
    if bits == 64 && cfg!(target_endian = "little") {
        return out.extend_from_slice(cast_slice(words));
    }
    let start = out.len();
    out.resize(start + packed_len(words.len(), bits as usize), 0);
    pack(words, bits, &mut out[start..]);
}

/// The words that [`pack`] made `bytes` of.
///
/// # Panics
/// Where `bytes` has another length than [`packed_len`] of `n`.
#[must_use]
pub fn unpacked(bytes: &[u8], bits: u32, n: usize) -> Vec<R64> {
    if bits == 64 && cfg!(target_endian = "little") {
        assert_eq!(bytes.len(), packed_len(n, 64));
        let words = bytes.as_chunks::<8>().0.iter();
        return words.map(|w| Wrapping(u64::from_le_bytes(*w))).collect();
    }
    let mut words = vec![R64::default(); n];
    unpack(bytes, bits, &mut words);
    words
}

/// The inverse of [`pack`]: fills `words`.
///
/// # Panics
/// Where `bytes` has another length than [`packed_len`] of them.
pub fn unpack(bytes: &[u8], bits: u32, words: &mut [R64]) {
    assert_eq!(bytes.len(), packed_len(words.len(), bits as usize));
    if bits == 64 && cfg!(target_endian = "little") {
        cast_slice_mut(words).copy_from_slice(bytes);
        return;
    }
    let done = by_vectors::unpack(bytes, bits as usize, words);
    let (words, bytes) = (&mut words[done..], &bytes[done * bits as usize / 8..]);
    let mut bit = 0;
    // As long as a load of eight bytes holds the whole word and stays inside.
    let easy = if bits <= 56 {
        (bytes.len().saturating_sub(8) * 8 / bits as usize).min(words.len())
    } else {
        0
    };
    let (front, rest) = words.split_at_mut(easy);
    for w in front {
        let eight: [u8; 8] = std::array::from_fn(|k| bytes[bit / 8 + k]);
        *w = Wrapping(u64::from_le_bytes(eight) >> (bit % 8) & mask(bits));
        bit += bits as usize;
    }
    for w in rest {
        *w = Wrapping(get(bytes, &mut bit, bits));
    }
}

/// Packs `len` bits of each plane, whose words are `len.div_ceil(64)`, into `out`.
///
/// # Panics
/// Where `out` is shorter than the planes' bits.
pub fn pack_planes(planes: &[u64], len: usize, out: &mut [u8]) {
    if len.is_multiple_of(64) && cfg!(target_endian = "little") {
        out.copy_from_slice(cast_slice(planes));
        return;
    }
    let mut bit = 0;
    out.fill(0);
    for plane in planes.chunks_exact(len.div_ceil(64)) {
        for (k, &w) in plane.iter().enumerate() {
            put(out, &mut bit, w, (len - 64 * k).min(64) as u32);
        }
    }
}

/// Appends what [`pack_planes`] makes of `count` planes.
pub fn append_planes(planes: &[u64], count: usize, len: usize, out: &mut BytesMut) {
    if len.is_multiple_of(64) && cfg!(target_endian = "little") {
        return out.extend_from_slice(cast_slice(planes));
    }
    let start = out.len();
    out.resize(start + packed_len(count, len), 0);
    pack_planes(planes, len, &mut out[start..]);
}

/// The inverse of [`pack_planes`].
///
/// # Panics
/// Where `bytes` is shorter than the planes' bits.
pub fn unpack_planes(bytes: &[u8], len: usize, planes: &mut [u64]) {
    if len.is_multiple_of(64) && cfg!(target_endian = "little") {
        cast_slice_mut(planes).copy_from_slice(bytes);
        return;
    }
    let mut bit = 0;
    for plane in planes.chunks_exact_mut(len.div_ceil(64)) {
        for (k, w) in plane.iter_mut().enumerate() {
            *w = get(bytes, &mut bit, (len - 64 * k).min(64) as u32);
        }
    }
}

/// Adds the low `bits` bits of a word to bytes that are still zero, from position `bit`.
fn put(out: &mut [u8], bit: &mut usize, word: u64, bits: u32) {
    let shifted = u128::from(word & mask(bits)) << (*bit % 8);
    let bytes = (*bit % 8 + bits as usize).div_ceil(8);
    out[*bit / 8..][..bytes]
        .iter_mut()
        .zip(shifted.to_le_bytes())
        .for_each(|(o, b)| *o |= b);
    *bit += bits as usize;
}

/// The word of `bits` bits at position `bit`.
fn get(bytes: &[u8], bit: &mut usize, bits: u32) -> u64 {
    let count = (*bit % 8 + bits as usize).div_ceil(8);
    let mut buffer = [0u8; 16];
    buffer[..count].copy_from_slice(&bytes[*bit / 8..][..count]);
    let word = (u128::from_le_bytes(buffer) >> (*bit % 8)) as u64 & mask(bits);
    *bit += bits as usize;
    word
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Bit `k` of packed bytes.
    fn bit(bytes: &[u8], k: usize) -> u64 {
        u64::from(bytes[k / 8] >> (k % 8) & 1)
    }

    proptest! {
        #[test]
        fn words_pack_to_their_bits(bits in 1u32..=64, words in prop::collection::vec(any::<u64>(), 0..200)) {
            let words: Vec<R64> = words.into_iter().map(Wrapping).collect();
            let mut bytes = vec![0xA5; packed_len(words.len(), bits as usize)];
            pack(&words, bits, &mut bytes);
            for (i, w) in words.iter().enumerate() {
                for j in 0..bits as usize {
                    prop_assert_eq!(bit(&bytes, i * bits as usize + j), w.0 >> j & 1);
                }
            }
            for k in words.len() * bits as usize..8 * bytes.len() {
                prop_assert_eq!(bit(&bytes, k), 0);
            }
            let mut back = vec![Wrapping(1); words.len()];
            unpack(&bytes, bits, &mut back);
            let want: Vec<R64> = words.iter().map(|w| w & Wrapping(mask(bits))).collect();
            prop_assert_eq!(&back, &want);
            prop_assert_eq!(unpacked(&bytes, bits, words.len()), want);
            let mut behind = BytesMut::from(&[9][..]);
            append(&words, bits, &mut behind);
            prop_assert_eq!(&behind[1..], &bytes[..]);
        }

        #[test]
        fn planes_pack_to_their_bits(words in prop::collection::vec(any::<u64>(), 15), count in 0usize..4, len in 1usize..320) {
            let planes = &words[..count * len.div_ceil(64)];
            let mut bytes = vec![0xA5; packed_len(count, len)];
            pack_planes(planes, len, &mut bytes);
            let mut behind = BytesMut::from(&[9][..]);
            append_planes(planes, count, len, &mut behind);
            prop_assert_eq!(&behind[1..], &bytes[..]);
            let mut back = vec![1; planes.len()];
            unpack_planes(&bytes, len, &mut back);
            for p in 0..count {
                for i in 0..len {
                    let at = p * len.div_ceil(64) + i / 64;
                    prop_assert_eq!(bit(&bytes, p * len + i), planes[at] >> (i % 64) & 1);
                    prop_assert_eq!(back[at] >> (i % 64) & 1, planes[at] >> (i % 64) & 1);
                }
            }
        }
    }
}
