//! One-time truth tables: what A and B look up at a block of bits that both know, in a table that D deals.
//!
//! D deals the unit vector of its own block b, one row a value v: \[b = v\]. Every function of (v, b) is a sum of rows chosen
//! by v, so A and B get shares of it without another message (Beaver 1998; TinyTable, Damgård et al., CRYPTO 2017). 2^m - 1
//! bits for a block of m bits: row 0 is one minus the others.

use super::bits::{Plane, and, not, xor_into};

/// Cuts `bits` bits into `count` blocks of nearly even size, least significant first: (first bit, bits).
pub(super) fn blocks(bits: u32, count: u32) -> Vec<(u32, u32)> {
    let bound = |i: u32| i * bits / count;
    (0..count)
        .map(|i| (bound(i), bound(i + 1) - bound(i)))
        .collect()
}

/// The planes of a block.
pub(super) fn cut(planes: &[Plane], (first, m): (u32, u32)) -> &[Plane] {
    &planes[first as usize..(first + m) as usize]
}

/// Rows \[b = v\], v = 0 .. 2^m - 1, for the m-bit value whose planes are `b`, at least one.
pub(super) fn unit_vector(b: &[Plane]) -> Vec<Plane> {
    let mut rows: Vec<Plane> = Vec::new();
    for plane in b {
        let clear = not(plane);
        if rows.is_empty() {
            rows = vec![clear, plane.clone()];
        } else {
            let high: Vec<Plane> = rows.iter().map(|r| and(r, plane)).collect();
            rows.iter_mut().for_each(|r| *r = and(r, &clear));
            rows.extend(high);
        }
    }
    rows
}

/// All rows from the dealt ones: row 0 is `total` plus the others, where `total` is this party's share of their sum.
pub(super) fn complete(total: Plane, dealt: &[Plane]) -> Vec<Plane> {
    let mut zero = total;
    dealt.iter().for_each(|row| xor_into(&mut zero, row));
    std::iter::once(zero).chain(dealt.iter().cloned()).collect()
}

/// A's or B's share of the constant one, for `n` values.
pub(super) fn one(is_a: bool, n: usize) -> Plane {
    vec![if is_a { u64::MAX } else { 0 }; n.div_ceil(64)]
}

#[cfg(test)]
mod tests {
    use std::num::Wrapping;

    use super::super::bits::{look_up, to_planes};
    use super::*;

    #[test]
    fn a_unit_vector_has_one_row_set_and_is_completed_from_the_others() {
        let values: Vec<_> = (0..64u64).map(|i| Wrapping(i * 5 % 16)).collect();
        let planes = to_planes(&values, 4);
        let rows = unit_vector(&planes);
        assert_eq!(rows.len(), 16);
        for (i, v) in values.iter().enumerate() {
            for (r, row) in rows.iter().enumerate() {
                assert_eq!(row[0] >> i & 1, u64::from(r as u64 == v.0));
            }
        }
        assert_eq!(complete(one(true, 64), &rows[1..]), rows);
        assert_eq!(look_up(rows, &planes), vec![u64::MAX]);
    }

    #[test]
    fn blocks_cover_all_bits() {
        for (bits, count) in [(64, 27), (64, 20), (32, 10), (7, 3)] {
            let b = blocks(bits, count);
            assert!(b.windows(2).all(|w| w[0].0 + w[0].1 == w[1].0));
            assert_eq!(
                (b.len() as u32, b[b.len() - 1].0 + b[b.len() - 1].1),
                (count, bits)
            );
        }
    }
}
