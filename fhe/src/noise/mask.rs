//! Which values are one ciphertext but for a bias, however their sums are written: *twins*.
//!
//! A rotation turns by the mask of what is looked up. The noise that it adds to one of two values of equal masks is
//! nearly that of the other, whatever their bodies: it adds up, instead of averaging out. So masks are computed along with
//! the program, as fingerprints: linear, since masks are. What enters (inputs, and each box of a rotation's table) gets
//! a number that looks random, sums are sums. Equal masks have equal fingerprints. Others do not, but with
//! probability 2^-64 a pair, and then noise is told too large, never too small.
//!
//! Multiples by powers of two turn alike at their common boxes, and count as twins too, as do negatives.

use std::hash::{DefaultHasher, Hash, Hasher};

/// The fingerprint of a mask, modulo 2^128.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mask(u128);

impl Mask {
    /// That of something that enters. The hash is not keyed: who writes a program to make two of its values look like
    /// twins is told more noise than there is.
    pub(super) fn drawn(what: &impl Hash) -> Self {
        let half = |salt: u8| {
            let mut hasher = DefaultHasher::new();
            (salt, what).hash(&mut hasher);
            u128::from(hasher.finish())
        };
        Self(half(0) << 64 | half(1))
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self(self.0.wrapping_add(other.0))
    }

    fn times(self, weight: i64) -> Self {
        Self(self.0.wrapping_mul(i128::from(weight) as u128))
    }

    /// Σ weight · mask.
    pub(super) fn sum(terms: impl Iterator<Item = (Self, i64)>) -> Self {
        terms.fold(Self::default(), |sum, (mask, weight)| {
            sum.plus(mask.times(weight))
        })
    }

    /// What is read off a rotation by a value of this mask: linear in the table, as that is.
    pub(super) fn read(self, boxes: u64, out: u64, table: &[i64]) -> Self {
        let entries = table.iter().enumerate();
        Self::sum(entries.map(|(b, &entry)| (Self::drawn(&(self.key(), boxes, out, b)), entry)))
    }

    /// The same for multiples by powers of two, and by -1.
    pub(super) fn key(self) -> u64 {
        let odd = |x: u128| (x >> x.trailing_zeros().min(127)) as u64;
        odd(self.0).min(odd(self.0.wrapping_neg()))
    }
}

#[cfg(test)]
mod tests {
    use super::Mask;

    #[test]
    fn one_sum_has_one_mask_however_it_is_written() {
        let [x, y] = [0, 1].map(|k| Mask::drawn(&k));
        let sum = |terms: &[(Mask, i64)]| Mask::sum(terms.iter().copied());
        let once = sum(&[(x, 6), (y, -3)]);
        assert_eq!(once, sum(&[(y, -3), (x, 1), (x, 5)]));
        assert_eq!(once, sum(&[(sum(&[(x, 2), (y, -1)]), 3)]));
        for same in [
            sum(&[(x, 12), (y, -6)]),
            sum(&[(x, -6), (y, 3)]),
            sum(&[(once, 1 << 20)]),
        ] {
            assert_eq!(same.key(), once.key());
        }
        for other in [
            sum(&[(x, 6), (y, 3)]),
            sum(&[(x, 6)]),
            sum(&[(x, 18), (y, -6)]),
        ] {
            assert_ne!(other.key(), once.key());
        }
    }

    #[test]
    fn tables_of_one_rotation_are_told_apart_and_add_up() {
        let [x, y] = [0, 1].map(|k| Mask::drawn(&k));
        let (a, b) = (x.read(8, 16, &[1, 2, 3, 4]), x.read(8, 16, &[0, 0, 1, -4]));
        assert_eq!(a.plus(b), x.read(8, 16, &[1, 2, 4, 0]));
        assert_ne!(a.key(), b.key());
        assert_ne!(a.key(), y.read(8, 16, &[1, 2, 3, 4]).key());
        // A value and its double turn alike.
        assert_eq!(a, x.plus(x).read(8, 16, &[1, 2, 3, 4]));
    }
}
