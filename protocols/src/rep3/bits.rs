//! Bit planes: one bit of many values packed into 64-bit words, so that a Boolean gate works on 64 values at a time.

use tacit_mpc::R64;

/// One bit of each of n values; value i is bit i mod 64 of word i / 64. Bits past n are unspecified.
pub(crate) type Plane = Vec<u64>;

/// Bit j of every value, for j < `bits`.
pub(crate) fn to_planes(x: &[R64], bits: u32) -> Vec<Plane> {
    let mut planes = vec![vec![0u64; x.len().div_ceil(64)]; bits as usize];
    for (word, values) in x.chunks(64).enumerate() {
        let mut block = [0u64; 64];
        block.iter_mut().zip(values).for_each(|(b, v)| *b = v.0);
        transpose(&mut block);
        planes.iter_mut().zip(block).for_each(|(p, b)| p[word] = b);
    }
    planes
}

/// The bits of a plane as ring elements 0 and 1.
pub(crate) fn to_words(plane: &[u64], n: usize) -> Vec<R64> {
    (0..n)
        .map(|i| std::num::Wrapping(plane[i / 64] >> (i % 64) & 1))
        .collect()
}

/// Transposes a 64×64 bit matrix: bit j of row i goes to bit i of row j (recursive block swap; Warren, Hacker's Delight, 7-3).
fn transpose(m: &mut [u64; 64]) {
    let mut width = 32;
    let mut mask = u64::MAX >> 32;
    while width > 0 {
        for i in (0..64).filter(|i| i & width == 0) {
            let t = (m[i] >> width ^ m[i + width]) & mask;
            m[i] ^= t << width;
            m[i + width] ^= t;
        }
        width /= 2;
        mask ^= mask << width;
    }
}

pub(crate) fn xor(x: &[u64], y: &[u64]) -> Plane {
    x.iter().zip(y).map(|(x, y)| x ^ y).collect()
}

pub(crate) fn xor_into(x: &mut [u64], y: &[u64]) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x ^= y);
}

pub(crate) fn and(x: &[u64], y: &[u64]) -> Plane {
    x.iter().zip(y).map(|(x, y)| x & y).collect()
}

pub(crate) fn not(x: &[u64]) -> Plane {
    x.iter().map(|x| !x).collect()
}

/// The row whose index, bit by bit, is `index` (least significant first), in constant time: a tree of multiplexers over all
/// rows (requirement R13: no index by a secret into memory).
pub(crate) fn look_up(mut rows: Vec<Plane>, index: &[Plane]) -> Plane {
    for bit in index {
        rows = rows
            .chunks(2)
            .map(|pair| match pair {
                [zero, one] => zero
                    .iter()
                    .zip(one)
                    .zip(bit)
                    .map(|((z, o), b)| z ^ (b & (z ^ o)))
                    .collect(),
                _ => pair[0].clone(),
            })
            .collect();
    }
    rows.swap_remove(0)
}

#[cfg(test)]
mod tests {
    use std::num::Wrapping;

    use super::*;

    #[test]
    fn planes_hold_the_bits() {
        let x: Vec<R64> = (0..130u64)
            .map(|i| Wrapping(i.wrapping_mul(0x9E37_79B9_7F4A_7C15)))
            .collect();
        let planes = to_planes(&x, 64);
        for (i, v) in x.iter().enumerate() {
            for (j, p) in planes.iter().enumerate() {
                assert_eq!(p[i / 64] >> (i % 64) & 1, v.0 >> j & 1, "value {i} bit {j}");
            }
        }
        assert_eq!(
            to_words(&planes[3], 130),
            x.iter().map(|v| v >> 3 & Wrapping(1)).collect::<Vec<_>>()
        );
    }

    #[test]
    fn look_up_reads_the_row_of_its_index() {
        let rows: Vec<Plane> = (0..8u64)
            .map(|r| vec![r.wrapping_mul(0x0123_4567_89AB_CDEF)])
            .collect();
        let index = to_planes(&(0..64).map(|i| Wrapping(i % 8)).collect::<Vec<_>>(), 3);
        let found = look_up(rows.clone(), &index);
        for i in 0..64 {
            assert_eq!(found[0] >> i & 1, rows[i % 8][0] >> i & 1);
        }
    }
}
