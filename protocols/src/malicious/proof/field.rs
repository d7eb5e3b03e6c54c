//! Fields of about 2^61 and 2^64 elements whose elements are words.

use super::kernels;

/// A field. A value of the implementing type carries the modulus; elements are words, always reduced.
pub(crate) trait Field: Copy {
    /// A sum of products that is reduced at the end.
    type Sum: Copy + Default;

    /// x + y.
    fn add(self, x: u64, y: u64) -> u64;

    /// x - y.
    fn sub(self, x: u64, y: u64) -> u64;

    /// x·y.
    fn mul(self, x: u64, y: u64) -> u64;

    /// sum += x·y.
    fn accumulate(self, sum: &mut Self::Sum, x: u64, y: u64);

    /// sum += (x_0 + x_1)·(y_0 + y_1).
    fn accumulate_sums(self, sum: &mut Self::Sum, x: [u64; 2], y: [u64; 2]);

    /// The element that a sum of products is.
    fn reduce(self, sum: Self::Sum) -> u64;

    /// The i-th evaluation point, i < 2^16; point 0 is zero.
    fn point(self, i: usize) -> u64;

    /// An element from 128 uniform bits: uniform up to 2^-67.
    fn uniform(self, bits: [u64; 2]) -> u64;

    /// An element from a message; `None` where the word is not reduced.
    fn decode(self, word: u64) -> Option<u64>;

    /// 1/x; x must not be zero.
    fn inverse(self, x: u64) -> u64;

    /// Sums of products over the blocks of k elements of two vectors ([`kernels::gram`]).
    fn gram(self, u: &[u64], v: &[u64], k: usize, out: &mut [Self::Sum]) {
        kernels::gram(self, u, v, k, out);
    }

    /// Appends Σ_j c_j·x_j for every block of as many elements as there are coefficients ([`kernels::combine`]).
    fn combine(self, blocks: &[u64], coefficients: &[u64], out: &mut Vec<u64>) {
        kernels::combine(self, blocks, coefficients, out);
    }

    /// Σ x·y.
    fn dot(self, x: impl IntoIterator<Item = u64>, y: impl IntoIterator<Item = u64>) -> u64 {
        let mut sum = Self::Sum::default();
        x.into_iter()
            .zip(y)
            .for_each(|(x, y)| self.accumulate(&mut sum, x, y));
        self.reduce(sum)
    }
}

/// The properties that every field must have, for the tests of each.
#[cfg(test)]
pub(crate) fn check_field<F: Field>(f: F, elements: &[u64]) {
    for &x in elements {
        assert_eq!(f.decode(x), Some(x));
        assert_eq!(f.sub(x, x), 0);
        assert_eq!(f.mul(x, 1), x);
        if x != 0 {
            assert_eq!(f.mul(x, f.inverse(x)), 1);
        }
        for &y in elements {
            assert_eq!(f.add(x, y), f.add(y, x));
            assert_eq!(f.sub(f.add(x, y), y), x);
            assert_eq!(f.mul(x, y), f.mul(y, x));
            let z = f.point(5);
            assert_eq!(f.mul(f.add(x, y), z), f.add(f.mul(x, z), f.mul(y, z)));
            assert_eq!(f.mul(f.mul(x, y), z), f.mul(x, f.mul(y, z)));
        }
    }
    let long: Vec<u64> = elements.iter().copied().cycle().take(5000).collect();
    let one_by_one = long
        .iter()
        .zip(long.iter().rev())
        .fold(0, |s, (&x, &y)| f.add(s, f.mul(x, y)));
    assert_eq!(
        f.dot(long.iter().copied(), long.iter().rev().copied()),
        one_by_one
    );
}
