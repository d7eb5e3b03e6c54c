//! Primes that transforms compute modulo, and their roots of unity.

/// a·b modulo p.
pub(crate) fn times(a: u64, b: u64, p: u64) -> u64 {
    (u128::from(a) * u128::from(b) % u128::from(p)) as u64
}

/// a^e modulo p.
pub(crate) fn power(mut a: u64, mut e: u64, p: u64) -> u64 {
    let mut result = 1 % p;
    while e > 0 {
        if e & 1 == 1 {
            result = times(result, a, p);
        }
        a = times(a, a, p);
        e >>= 1;
    }
    result
}

/// 1/a modulo a prime.
pub(crate) fn inverse(a: u64, p: u64) -> u64 {
    power(a % p, p - 2, p)
}

/// Whether p is prime: the test of Miller and Rabin with bases that leave no exception below 2^64 (Sorenson, Webster, "Strong
/// pseudoprimes to twelve prime bases", 2015).
pub(crate) fn is_prime(p: u64) -> bool {
    const BASES: [u64; 12] = [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37];
    if p < 2 || BASES.iter().any(|&b| p != b && p.is_multiple_of(b)) {
        return false;
    }
    let twos = (p - 1).trailing_zeros();
    let passes = |&base: &u64| {
        let mut x = power(base, (p - 1) >> twos, p);
        if base % p == 0 || x == 1 || x == p - 1 {
            return true;
        }
        (1..twos).any(|_| {
            x = times(x, x, p);
            x == p - 1
        })
    };
    BASES.iter().all(passes)
}

/// The largest `count` primes below 2^`bits` that are 1 modulo 2^`log_order`, so that they have roots of unity of that order.
///
/// # Panics
/// For more than 62 bits, or orders that leave none.
#[must_use]
pub fn primes(bits: u32, log_order: u32, count: usize) -> Vec<u64> {
    assert!(
        log_order < bits && bits <= 62,
        "primes of {bits} bits, 1 modulo 2^{log_order}"
    );
    let step = 1_u64 << log_order;
    let candidates = (1..1_u64 << (bits - log_order)).rev().map(|k| k * step + 1);
    let found: Vec<u64> = candidates.filter(|&p| is_prime(p)).take(count).collect();
    assert_eq!(found.len(), count, "so many primes of {bits} bits");
    found
}

/// A root of unity of order exactly 2^`log_order` modulo p.
pub(crate) fn root(p: u64, log_order: u32) -> Option<u64> {
    let order = 1_u64 << log_order;
    let candidates = (2..1000).map(|g| power(g, (p - 1) / order, p));
    let found = |&r: &u64| power(r, order / 2, p) == p - 1;
    (p - 1)
        .is_multiple_of(order)
        .then(|| candidates.into_iter().find(found))
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::{power, primes, root};

    #[test]
    fn primes_have_roots_of_their_order() {
        for bits in [30, 47, 62] {
            for p in primes(bits, 17, 3) {
                assert!(p < 1 << bits && p > 1 << (bits - 1));
                let small = (3..100_000).step_by(2).find(|&d| p % d == 0);
                assert_eq!(small, None, "{p}");
                let root = root(p, 17).unwrap_or_default();
                assert_eq!(power(root, 1 << 16, p), p - 1);
            }
        }
    }

    #[test]
    fn what_is_not_prime_is_not_taken() {
        // Carmichael numbers, and a product of two large primes.
        for n in [561, 41_041, 825_265, 4_294_967_291 * 4_294_967_279] {
            assert!(!super::is_prime(n), "{n}");
        }
        assert!(super::is_prime(2) && super::is_prime(37) && super::is_prime(4_294_967_291));
    }
}
