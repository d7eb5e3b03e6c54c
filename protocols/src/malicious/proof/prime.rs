//! A field of a random prime below 2^61.

use sha2::{Digest, Sha256};

use super::challenge::Coin;
use super::field::Field;
use super::kernels;
use super::prime_sum::PrimeSum;
#[cfg(target_arch = "x86_64")]
use super::prime_vectors;
use super::quotients::Quotients;
use super::strength::{PRIME_BITS, prime_bits};

/// F_p for a prime 2^60 < p < 2^61 (of fewer bits in tests).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prime {
    pub(super) p: u64,
    /// Bits of p.
    pub(super) bits: u32,
    /// ⌊2^(63 + bits) / p⌋, below 2^64.
    reciprocal: u64,
    /// 2^64 mod p.
    word: u64,
    /// 2^104 mod p, and what it is divided by.
    pub(super) radix: [u64; 2],
    /// -1/p mod 2^52.
    pub(super) inverse: u64,
}

impl Prime {
    /// The field of a prime.
    pub(super) fn of(p: u64) -> Self {
        let bits = 64 - p.leading_zeros();
        debug_assert!(cfg!(test) || bits == PRIME_BITS);
        // Newton's iteration doubles the bits that are right.
        let inverse = (0..6).fold(p, |x, _| {
            x.wrapping_mul(2u64.wrapping_sub(p.wrapping_mul(x)))
        });
        let mut f = Self {
            p,
            bits,
            reciprocal: ((1u128 << (63 + bits)) / u128::from(p)) as u64,
            word: ((1u128 << 64) % u128::from(p)) as u64,
            radix: [0; 2],
            inverse: inverse.wrapping_neg() & ((1 << 52) - 1),
        };
        let radix = f.power_of_two(104);
        f.radix = [radix, f.inverse(radix)];
        f
    }

    /// 2^104 mod p.
    pub(super) fn radix(self) -> u64 {
        self.radix[0]
    }

    /// A uniform prime of 61 bits, by rejection on a public stream. There are 2^54.57 of them.
    pub(super) fn random(coin: &Coin<Quotients>) -> Self {
        #[cfg(test)]
        if let Some(known) = super::strength::weakness().known_prime {
            return Self::of(known);
        }
        Self::from_seed(&coin.seed("prime", 0))
    }

    /// The prime of a seed.
    pub(super) fn from_seed(seed: &[u8; 32]) -> Self {
        let candidate = |i: u32| {
            let digest = Sha256::new()
                .chain_update(b"tacit prime v1")
                .chain_update(seed)
                .chain_update(i.to_le_bytes())
                .finalize();
            let word = u64::from_le_bytes(std::array::from_fn(|k| digest[k]));
            let top = prime_bits() - 1;
            word >> (64 - top) | 1 << top
        };
        let p = (0..)
            .map(candidate)
            .find(|&n| is_prime(n))
            .expect("every 42nd candidate is a prime");
        Self::of(p)
    }

    /// The prime.
    #[cfg(test)]
    pub(crate) fn modulus(self) -> u64 {
        self.p
    }

    /// x mod p for x < 2^(63 + bits) (Barrett, with an estimate that is low by at most 2).
    #[inline(always)]
    fn barrett(self, x: u128) -> u64 {
        let bits = if cfg!(test) { self.bits } else { PRIME_BITS };
        let estimate =
            ((u128::from((x >> (bits - 1)) as u64) * u128::from(self.reciprocal)) >> 64) as u64;
        let mut r = (x as u64).wrapping_sub(estimate.wrapping_mul(self.p));
        r = r.min(r.wrapping_sub(self.p));
        r = r.min(r.wrapping_sub(self.p));
        r.min(r.wrapping_sub(self.p))
    }

    /// x mod p for any 128 bits.
    #[inline(always)]
    pub(crate) fn wide(self, x: u128) -> u64 {
        let high = self.word(((x >> 64) as u64).into());
        self.barrett(u128::from(high) * u128::from(self.word) + u128::from(x as u64))
    }

    /// x mod p for a word.
    #[inline(always)]
    pub(crate) fn word(self, x: u128) -> u64 {
        self.barrett(x)
    }

    /// A ring element as an integer, mod p.
    #[inline(always)]
    pub(crate) fn lift(self, x: u64) -> u64 {
        self.barrett(u128::from(x))
    }

    /// 2^e mod p.
    pub(crate) fn power_of_two(self, e: u32) -> u64 {
        (0..e).fold(1, |x, _| self.add(x, x))
    }
}

impl Field for Prime {
    type Sum = PrimeSum;

    #[inline(always)]
    fn add(self, x: u64, y: u64) -> u64 {
        let s = x + y;
        s.min(s.wrapping_sub(self.p))
    }

    #[inline(always)]
    fn sub(self, x: u64, y: u64) -> u64 {
        let d = x.wrapping_sub(y);
        d.min(d.wrapping_add(self.p))
    }

    #[inline(always)]
    fn mul(self, x: u64, y: u64) -> u64 {
        self.barrett(u128::from(x) * u128::from(y))
    }

    /// For factors of any 64 bits.
    #[inline(always)]
    fn accumulate(self, sum: &mut PrimeSum, x: u64, y: u64) {
        sum.add_product(x, y);
    }

    /// Sums of two reduced numbers fit a word.
    #[inline(always)]
    fn accumulate_sums(self, sum: &mut PrimeSum, x: [u64; 2], y: [u64; 2]) {
        self.accumulate(sum, x[0] + x[1], y[0] + y[1]);
    }

    fn reduce(self, sum: PrimeSum) -> u64 {
        // 2^128 = word² mod p.
        let carries = self.mul(self.lift(sum.high), self.mul(self.word, self.word));
        self.add(self.wide(sum.low), carries)
    }

    fn point(self, i: usize) -> u64 {
        i as u64
    }

    fn uniform(self, bits: [u64; 2]) -> u64 {
        self.wide(u128::from(bits[1]) << 64 | u128::from(bits[0]))
    }

    fn decode(self, word: u64) -> Option<u64> {
        (word < self.p).then_some(word)
    }

    fn inverse(self, x: u64) -> u64 {
        power(x, self.p - 2, |x, y| self.mul(x, y))
    }

    #[cfg(target_arch = "x86_64")]
    fn gram(self, u: &[u64], v: &[u64], k: usize, out: &mut [PrimeSum]) {
        let mut done = 0;
        if (k == 4 || k == 8) && prime_vectors::found() {
            // SAFETY: the features were found.
            done = unsafe { prime_vectors::gram(u, v, k, out) };
        }
        kernels::gram(self, &u[done..], &v[done..], k, out);
    }

    fn combine(self, blocks: &[u64], coefficients: &[u64], out: &mut Vec<u64>) {
        self.combine_blocks(blocks, coefficients, out);
    }
}

/// x^e by squaring.
fn power(x: u64, e: u64, mul: impl Fn(u64, u64) -> u64) -> u64 {
    (0..64 - e.leading_zeros()).rev().fold(1, |y, bit| {
        let y = mul(y, y);
        if e >> bit & 1 == 1 { mul(y, x) } else { y }
    })
}

/// Miller and Rabin with the first twelve primes, which no composite below 3.3·10^24 passes (Sorenson, Webster, 2015).
fn is_prime(n: u64) -> bool {
    const BASES: [u64; 12] = [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37];
    if n < 2 {
        return false;
    }
    if let Some(&q) = BASES.iter().find(|&&q| n.is_multiple_of(q)) {
        return n == q;
    }
    let mul = |x: u64, y: u64| (u128::from(x) * u128::from(y) % u128::from(n)) as u64;
    let twos = (n - 1).trailing_zeros();
    BASES.iter().all(|&a| {
        let mut x = power(a, (n - 1) >> twos, mul);
        if x == 1 || x == n - 1 {
            return true;
        }
        (1..twos).any(|_| {
            x = mul(x, x);
            x == n - 1
        })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::field::check_field;
    use super::*;

    #[test]
    fn small_primes_and_known_traps() {
        let sieve: Vec<u64> = (2..2000)
            .filter(|n| (2..*n).take_while(|d| d * d <= *n).all(|d| n % d != 0))
            .collect();
        assert_eq!(
            (0..2000).filter(|&n| is_prime(n)).collect::<Vec<_>>(),
            sieve
        );
        // Carmichael numbers, strong pseudoprimes to many bases, squares of primes; the largest primes of 60 and 61 bits.
        for composite in [
            561,
            3_215_031_751,
            3_825_123_056_546_413_051,
            2_147_483_647 * 2_147_483_647,
            1_152_921_504_606_846_883 * 13,
        ] {
            assert!(!is_prime(composite), "{composite}");
        }
        for prime in [(1 << 61) - 1, (1 << 60) - 93, 18_446_744_073_709_551_557] {
            assert!(is_prime(prime), "{prime}");
        }
    }

    #[test]
    fn random_primes_have_61_bits_and_depend_on_the_seed() {
        let primes: Vec<u64> = (0..50)
            .map(|i| Prime::from_seed(&[i; 32]).modulus())
            .collect();
        assert!(primes.iter().all(|&p| p >> 60 == 1 && is_prime(p)));
        let mut distinct = primes.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), 50);
    }

    #[test]
    fn it_is_a_field() {
        for f in [
            Prime::of((1 << 61) - 1),
            Prime::from_seed(&[7; 32]),
            Prime::of((1 << 60) + 33),
        ] {
            assert!(is_prime(f.modulus()), "{}", f.modulus());
            let p = f.modulus();
            check_field(
                f,
                &[
                    0,
                    1,
                    2,
                    p - 1,
                    p - 2,
                    p / 2,
                    1 << 60,
                    0x0123_4567_89AB_CDEF % p,
                ],
            );
            assert_eq!((f.decode(p), f.decode(u64::MAX)), (None, None));
        }
    }

    proptest! {
        /// Reduction against division, up to the largest words.
        #[test]
        fn reductions_are_remainders(x: u128, seed: u8, words in prop::collection::vec(any::<u64>(), 0..200)) {
            let f = Prime::from_seed(&[seed; 32]);
            let p = u128::from(f.modulus());
            prop_assert_eq!(u128::from(f.wide(x)), x % p);
            prop_assert_eq!(u128::from(f.lift(x as u64)), u128::from(x as u64) % p);
            let mut sum = PrimeSum::default();
            for &w in &words {
                f.accumulate(&mut sum, w, u64::MAX);
            }
            let want = words.iter().fold(0, |s, &w| (s + u128::from(w) * u128::from(u64::MAX) % p) % p);
            prop_assert_eq!(u128::from(f.reduce(sum)), want);
        }
    }

    #[test]
    fn the_largest_words_are_reduced() {
        for p in [(1 << 61) - 1, (1 << 60) + 33] {
            let f = Prime::of(p);
            for x in [
                u128::MAX,
                u128::MAX - 1,
                1 << 127,
                u128::from(u64::MAX) << 64,
            ] {
                assert_eq!(u128::from(f.wide(x)), x % u128::from(p));
            }
            assert_eq!(f.lift(u64::MAX), u64::MAX % p);
        }
    }
}
