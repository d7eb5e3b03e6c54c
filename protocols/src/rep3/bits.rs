//! Bit planes: one bit of many values packed into 64-bit words, so that a Boolean gate works on 64 values at a time.

use std::ops::{BitAnd, BitXor};

use tacit_mpc::R64;
use tacit_mpc::kernels::vectorised;

/// One bit of each of n values; value i is bit i mod 64 of word i / 64. Bits past n are unspecified.
pub(crate) type Plane = Vec<u64>;

/// Words of a plane of n values.
pub(crate) fn words_of(n: usize) -> usize {
    n.div_ceil(64)
}

/// Bit j of every value, for j < `bits`.
pub(crate) fn to_planes(x: &[R64], bits: u32) -> Vec<Plane> {
    let flat = to_bits(x, bits);
    let words = words_of(x.len()).max(1);
    flat.chunks_exact(words).map(<[u64]>::to_vec).collect()
}

/// The planes of [`to_planes`] one after the other.
pub(crate) fn to_bits(x: &[R64], bits: u32) -> Vec<u64> {
    let words = words_of(x.len());
    let mut planes = vec![0u64; words * bits as usize];
    for (word, values) in x.chunks(64).enumerate() {
        let mut block = [0u64; 64];
        block.iter_mut().zip(values).for_each(|(b, v)| *b = v.0);
        vectorised(|| transpose(&mut block));
        for (plane, b) in planes.chunks_exact_mut(words).zip(block) {
            plane[word] = b;
        }
    }
    planes
}

/// The bits of a plane as ring elements 0 and 1.
pub(crate) fn to_words(plane: &[u64], n: usize) -> Vec<R64> {
    let mut words = vec![R64::default(); n];
    for (bits, words) in plane.iter().zip(words.chunks_mut(64)) {
        vectorised(|| {
            for (i, w) in words.iter_mut().enumerate() {
                w.0 = bits >> i & 1;
            }
        });
    }
    words
}

/// Transposes a 64×64 bit matrix: bit j of row i goes to bit i of row j (recursive block swap; Warren, Hacker's Delight, 7-3).
#[inline(always)]
pub(crate) fn transpose(m: &mut [u64; 64]) {
    swap_blocks::<32>(m, 0x0000_0000_FFFF_FFFF);
    swap_blocks::<16>(m, 0x0000_FFFF_0000_FFFF);
    swap_blocks::<8>(m, 0x00FF_00FF_00FF_00FF);
    swap_blocks::<4>(m, 0x0F0F_0F0F_0F0F_0F0F);
    swap_blocks::<2>(m, 0x3333_3333_3333_3333);
    swap_blocks::<1>(m, 0x5555_5555_5555_5555);
}

/// Swaps the off-diagonal blocks of side W.
#[inline(always)]
fn swap_blocks<const W: usize>(m: &mut [u64; 64], mask: u64) {
    for rows in m.chunks_exact_mut(2 * W) {
        let (upper, lower) = rows.split_at_mut(W);
        for (u, l) in upper.iter_mut().zip(lower) {
            let t = (*u >> W ^ *l) & mask;
            *u ^= t << W;
            *l ^= t;
        }
    }
}

pub(crate) fn xor(x: &[u64], y: &[u64]) -> Plane {
    vectorised(|| x.iter().zip(y).map(|(x, y)| x ^ y).collect())
}

pub(crate) fn xor_into(x: &mut [u64], y: &[u64]) {
    vectorised(|| x.iter_mut().zip(y).for_each(|(x, y)| *x ^= y));
}

pub(crate) fn and(x: &[u64], y: &[u64]) -> Plane {
    x.iter().zip(y).map(|(x, y)| x & y).collect()
}

pub(crate) fn not(x: &[u64]) -> Plane {
    x.iter().map(|x| !x).collect()
}

/// A word of which no more is known than that it can be combined bit by bit: neither an address nor a condition.
pub(crate) trait Bitwise: Copy + BitAnd<Output = Self> + BitXor<Output = Self> {}

impl<W: Copy + BitAnd<Output = W> + BitXor<Output = W>> Bitwise for W {}

/// The row whose index, bit by bit, is `index` (least significant first), in constant time: a tree of multiplexers over all
/// rows of words that cannot be an address (requirement R13).
pub(crate) fn look_up<W: Bitwise>(mut rows: Vec<Vec<W>>, index: &[Vec<W>]) -> Vec<W> {
    for bit in index {
        rows = rows
            .chunks(2)
            .map(|pair| match pair {
                [zero, one] => {
                    let mut out = zero.clone();
                    choose(&mut out, one, bit);
                    out
                }
                _ => pair[0].clone(),
            })
            .collect();
    }
    rows.swap_remove(0)
}

/// zero ← one where the bit is set.
pub(crate) fn choose<W: Bitwise>(zero: &mut [W], one: &[W], bit: &[W]) {
    vectorised(|| {
        zero.iter_mut()
            .zip(one)
            .zip(bit)
            .for_each(|((z, &o), &b)| *z = *z ^ (b & (*z ^ o)));
    });
}

/// The last levels of a lookup whose rows, each as wide as an index plane, lie one after the other: the chosen row comes to the
/// front. `index` holds as many planes as halve the rows to one.
pub(crate) fn fold_rows<'a, W: Bitwise + 'a>(rows: &mut [W], index: impl Iterator<Item = &'a [W]>) {
    let mut len = rows.len();
    for bit in index {
        let words = bit.len();
        len /= 2;
        // Row i of a level comes from rows 2i and 2i + 1, which lie at or after it.
        for start in (0..len).step_by(words) {
            let (front, pair) = rows.split_at_mut(2 * start);
            let (zero, one) = pair[..2 * words].split_at_mut(words);
            choose(zero, one, bit);
            if start > 0 {
                front[start..start + words].copy_from_slice(zero);
            }
        }
    }
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

    /// Every row is read, and in the same way, whatever the index is.
    #[test]
    fn r13_look_up_reads_the_same_way_for_every_index() {
        use super::super::select_row::traced::{Traced, trace};
        let run = |index: u64| {
            trace(|| {
                let rows: Vec<Vec<Traced>> = (0..8)
                    .map(|r| vec![Traced::new(u64::from(r == 5))])
                    .collect();
                let bits: Vec<Vec<Traced>> = (0..3)
                    .map(|j| vec![Traced::new(0u64.wrapping_sub(index >> j & 1))])
                    .collect();
                let mut flat = rows.concat();
                fold_rows(&mut flat, bits.iter().map(Vec::as_slice));
                (look_up(rows, &bits)[0].0, flat[0].0)
            })
        };
        let (_, first) = run(0);
        assert_eq!(first.iter().filter(|o| o.0 == 'n').count(), 8 + 3);
        for index in 0..8 {
            let bit = u64::from(index == 5);
            assert_eq!(run(index), ((bit, bit), first.clone()));
        }
    }
}
