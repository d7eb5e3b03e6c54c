//! Binary combinations: σ random bits a relation, and what is computed with them by tables over their bytes.

#[cfg(target_arch = "x86_64")]
use super::combination_vectors;
use super::field::Field;
use super::prime::Prime;
use super::strength::SIGMA;

/// Bytes of them.
const BYTES: usize = SIGMA / 8;

/// S_c = Σ_g τ_{g,c}·w_g for all c: each w_g is added once for each byte of τ_g, not once a bit.
pub(super) struct Buckets {
    /// By the bytes of τ.
    bytes: Vec<[u128; 256]>,
    /// By its bits: of small numbers.
    bits: [u64; 64],
}

impl Buckets {
    pub(super) fn new() -> Self {
        Self {
            bytes: vec![[0; 256]; BYTES],
            bits: [0; 64],
        }
    }

    /// Adds numbers below 4, of fewer than 2^62 relations.
    pub(super) fn add_small(&mut self, tau: &[u64], w: &[u64]) {
        #[cfg(target_arch = "x86_64")]
        if combination_vectors::add(tau, w, &mut self.bits) {
            return;
        }
        let terms = tau.iter().zip(w);
        terms.for_each(|(&tau, &w)| self.add(tau, w.into()));
    }

    /// Adds w with the combinations of the low bits of τ.
    #[inline]
    pub(super) fn add(&mut self, tau: u64, w: u128) {
        for (bucket, byte) in self.bytes.iter_mut().zip(tau.to_le_bytes()) {
            let sum = &mut bucket[usize::from(byte)];
            *sum = sum.wrapping_add(w);
        }
    }

    /// The sums.
    pub(super) fn sums(&self) -> [u128; SIGMA] {
        std::array::from_fn(|c| {
            let bucket = &self.bytes[c / 8];
            (0..256)
                .filter(|byte| byte >> (c % 8) & 1 == 1)
                .fold(u128::from(self.bits[c]), |s, byte| {
                    s.wrapping_add(bucket[byte])
                })
        })
    }
}

/// λ = Σ_c θ_c·τ_c mod p by twelve look-ups.
pub(super) struct Lambda {
    f: Prime,
    tables: [[u64; 16]; SIGMA / 4],
}

impl Lambda {
    pub(super) fn new(f: Prime, theta: &[u64]) -> Self {
        let table = |k: usize| {
            let sums = subset_sums(&theta[4 * k..][..4], |x, y| f.add(x, y));
            std::array::from_fn(|nibble| sums[nibble])
        };
        Self {
            f,
            tables: std::array::from_fn(table),
        }
    }

    /// The weights of relations, in the place of their combinations.
    pub(super) fn of(&self, mut tau: Vec<u64>) -> Vec<u64> {
        self.f.nibbles(&self.tables, &mut tau);
        tau
    }
}

/// For every byte the sum of those of up to eight values whose bit is set.
pub(super) fn subset_sums(values: &[u64], add: impl Fn(u64, u64) -> u64) -> [u64; 256] {
    let mut sums = [0; 256];
    for (bit, &value) in values.iter().enumerate() {
        for byte in 0..1 << bit {
            sums[byte | 1 << bit] = add(sums[byte], value);
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_give_the_sums_of_the_definition() {
        let f = Prime::from_seed(&[3; 32]);
        let theta: Vec<u64> = (0..SIGMA as u64)
            .map(|i| f.uniform([i.wrapping_mul(0x9E37_79B9_7F4A_7C15), i]))
            .collect();
        let lambda = Lambda::new(f, &theta);
        let mut buckets = Buckets::new();
        let relations: Vec<(u64, u128)> = (1..500u64)
            .map(|g| {
                let tau = g.wrapping_mul(0xD1B5_4A32_D192_ED03) & ((1 << SIGMA) - 1);
                (tau, u128::from(g) << 60 | u128::from(tau))
            })
            .collect();
        let mut weights = Vec::new();
        for &(tau, w) in &relations {
            buckets.add(tau, w);
            let want = (0..SIGMA)
                .filter(|c| tau >> c & 1 == 1)
                .fold(0, |s, c| f.add(s, theta[c]));
            weights.push(want);
        }
        let taus = relations.iter().map(|r| r.0).collect();
        assert_eq!(lambda.of(taus), weights);
        let small: Vec<u64> = relations.iter().map(|(tau, _)| tau >> 7 & 3).collect();
        let taus: Vec<u64> = relations.iter().map(|r| r.0).collect();
        buckets.add_small(&taus, &small);
        let largest = vec![3; 1000];
        buckets.add_small(&[1 << 5; 1000], &largest);
        for (c, sum) in buckets.sums().into_iter().enumerate() {
            let want: u128 = relations
                .iter()
                .filter(|(tau, _)| tau >> c & 1 == 1)
                .map(|r| r.1 + u128::from(r.0 >> 7 & 3))
                .sum();
            assert_eq!(sum, want + if c == 5 { 3000 } else { 0 });
        }
    }
}
