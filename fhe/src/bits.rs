//! Torus elements cut to their leading bits, packed without gaps.

/// How many bytes `count` elements of `bits` bits take.
pub(crate) const fn packed_len(count: usize, bits: u32) -> usize {
    (count * bits as usize).div_ceil(8)
}

/// The nearest multiple of 2^(64 - bits).
pub(crate) const fn round(value: u64, bits: u32) -> u64 {
    let cut = 64 - bits;
    if cut == 0 {
        return value;
    }
    value.wrapping_add(1 << (cut - 1)) >> cut << cut
}

/// Rounds each to its leading `bits` (1 to 64) and packs them, least significant bit first.
pub(crate) fn pack(values: impl IntoIterator<Item = u64>, bits: u32, to: &mut Vec<u8>) {
    let (mut held, mut filled) = (0_u128, 0);
    for value in values {
        held |= u128::from(round(value, bits) >> (64 - bits)) << filled;
        filled += bits;
        while filled >= 8 {
            to.push(held as u8);
            held >>= 8;
            filled -= 8;
        }
    }
    if filled > 0 {
        to.push(held as u8);
    }
}

/// The reverse; the cut bits are zero. `bytes` are as long as [`packed_len`] says.
pub(crate) fn unpack(bytes: &[u8], count: usize, bits: u32) -> Vec<u64> {
    debug_assert_eq!(bytes.len(), packed_len(count, bits));
    let (mut held, mut filled) = (0_u128, 0);
    let mut bytes = bytes.iter();
    let next = |_| {
        while filled < bits {
            held |= u128::from(bytes.next().copied().unwrap_or(0)) << filled;
            filled += 8;
        }
        let value = (held as u64) << (64 - bits);
        held >>= bits;
        filled -= bits;
        value
    };
    (0..count).map(next).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_packed_comes_back_rounded(
            values in prop::collection::vec(any::<u64>(), 0..40), bits in 1..=64_u32,
        ) {
            let mut bytes = Vec::new();
            super::pack(values.iter().copied(), bits, &mut bytes);
            prop_assert_eq!(bytes.len(), super::packed_len(values.len(), bits));
            let back = super::unpack(&bytes, values.len(), bits);
            for (a, b) in values.iter().zip(&back) {
                let off = a.wrapping_sub(*b) as i64;
                let half = (1_u128 << 63 >> bits) as i128;
                prop_assert!(i128::from(off).abs() <= half, "{a} {b}");
            }
        }
    }
}
