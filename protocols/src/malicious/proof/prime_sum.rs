//! Sums of products that are reduced once, at the end.

#[cfg(target_arch = "x86_64")]
use super::prime_products;

/// A sum of products: an integer below 2^192, to be reduced.
#[derive(Clone, Copy, Default)]
pub(crate) struct PrimeSum {
    pub(super) low: u128,
    pub(super) high: u64,
}

/// Σ x·y over the integers.
pub(super) fn integer_dot(x: &[u64], y: &[u64]) -> PrimeSum {
    let mut sum = PrimeSum::default();
    sum.add_dot(x, y);
    sum
}

impl PrimeSum {
    /// Adds Σ x·y.
    pub(super) fn add_dot(&mut self, x: &[u64], y: &[u64]) {
        #[cfg(target_arch = "x86_64")]
        let done = prime_products::dot(x, y, self);
        #[cfg(not(target_arch = "x86_64"))]
        let done = 0;
        let rest = x[done..].iter().zip(&y[done..]);
        rest.for_each(|(&x, &y)| self.add_product(x, y));
    }

    /// Adds x·y. Carries out of 128 bits are counted in `high`, so a sum may have 2^64 terms.
    #[inline(always)]
    pub(super) fn add_product(&mut self, x: u64, y: u64) {
        let (low, carry) = self.low.overflowing_add(u128::from(x) * u128::from(y));
        self.low = low;
        self.high += u64::from(carry);
    }

    /// The sum, by limbs of 64 bits.
    pub(super) fn limbs(self) -> [u64; 3] {
        [self.low as u64, (self.low >> 64) as u64, self.high]
    }

    /// Adds x_0 + 2^52·x_1 + 2^104·x_2.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn add_limbs(&mut self, x: [u64; 3]) {
        let low = u128::from(x[0]) + (u128::from(x[1]) << 52);
        for part in [low, u128::from(x[2]) << 104] {
            let (sum, carry) = self.low.overflowing_add(part);
            self.low = sum;
            self.high += u64::from(carry);
        }
        self.high += x[2] >> 24;
    }
}
