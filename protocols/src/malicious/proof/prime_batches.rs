//! What is done with many numbers modulo a prime at once: by vectors where there are any, one by one elsewhere and at the ends.

use bytemuck::cast_slice;
use tacit_mpc::R64;

use super::field::Field;
use super::kernels;
use super::prime::Prime;
#[cfg(target_arch = "x86_64")]
use super::prime_products::Modulus;
use super::prime_sum::{PrimeSum, integer_dot};
#[cfg(target_arch = "x86_64")]
use super::strength::PRIME_BITS;

impl Prime {
    /// For vectors, which do not know the small primes of tests.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn vectors(self) -> Option<Modulus> {
        let modulus = Modulus {
            p: self.p,
            inverse: self.inverse,
        };
        (self.bits == PRIME_BITS).then_some(modulus)
    }

    /// Appends ring elements as integers, mod p.
    pub(super) fn lift_all(self, words: &[R64], out: &mut Vec<u64>) {
        #[cfg(target_arch = "x86_64")]
        let done = self.vectors().map_or(0, |m| m.lift(cast_slice(words), out));
        #[cfg(not(target_arch = "x86_64"))]
        let done = 0;
        out.extend(words[done..].iter().map(|w| self.lift(w.0)));
    }

    /// Appends x·y / 2^104 for ring elements as integers and reduced numbers: what eight products at a time are reduced to.
    pub(super) fn weigh(self, x: &[R64], y: &[u64], out: &mut Vec<u64>) {
        #[cfg(target_arch = "x86_64")]
        let done = self.vectors().map_or(0, |m| m.weigh(cast_slice(x), y, out));
        #[cfg(not(target_arch = "x86_64"))]
        let done = 0;
        let rest = x[done..].iter().zip(&y[done..]);
        out.extend(rest.map(|(x, &y)| self.mul(self.mul(self.lift(x.0), y), self.radix[1])));
    }

    /// Σ_j x_ij·y_jl / 2^104 for a matrix of reduced numbers and one of ring elements as integers, of rows of `inner`.
    pub(super) fn weigh_rows(self, x: &[u64], y: &[R64], inner: usize) -> Vec<u64> {
        let columns = y.len() / inner.max(1);
        let mut out = vec![0; x.len() / columns.max(1) * inner];
        #[cfg(target_arch = "x86_64")]
        let done = self
            .vectors()
            .map_or(0, |m| m.matrix(x, cast_slice(y), inner, &mut out));
        #[cfg(not(target_arch = "x86_64"))]
        let done = 0;
        for (x, out) in x.chunks(columns.max(1)).zip(out.chunks_mut(inner.max(1))) {
            let mut sums = vec![PrimeSum::default(); inner - done];
            for (&x, y) in x.iter().zip(y.chunks(inner)) {
                let terms = sums.iter_mut().zip(&y[done..]);
                terms.for_each(|(s, y)| self.accumulate(s, x, y.0));
            }
            for (out, sum) in out[done..].iter_mut().zip(sums) {
                *out = self.mul(self.reduce(sum), self.radix[1]);
            }
        }
        out
    }

    /// Σ x·y for ring elements as integers and reduced numbers.
    pub(super) fn dot_words(self, x: &[R64], y: &[u64]) -> u64 {
        self.reduce(integer_dot(cast_slice(x), y))
    }

    /// Replaces words of twelve nibbles by the sums of their entries in tables of reduced numbers.
    pub(super) fn nibbles(self, tables: &[[u64; 16]; 12], x: &mut [u64]) {
        #[cfg(target_arch = "x86_64")]
        let done = self.vectors().map_or(0, |m| m.nibbles(tables, x));
        #[cfg(not(target_arch = "x86_64"))]
        let done = 0;
        for x in &mut x[done..] {
            let entries = tables.iter().enumerate();
            let entries = entries.map(|(k, table)| table[(*x >> (4 * k)) as usize & 15]);
            *x = self.word(entries.map(u128::from).sum());
        }
    }

    /// Appends Σ c_j·x_j for every block of K elements, K at most 16.
    fn combine_of<const K: usize>(self, blocks: &[u64], c: &[u64], out: &mut Vec<u64>) {
        out.extend(blocks.as_chunks::<K>().0.iter().map(|block| {
            // Below K·2^122.
            let products = block.iter().zip(c);
            let sum = products.map(|(&x, &c)| u128::from(x) * u128::from(c)).sum();
            if K <= 4 {
                self.word(sum)
            } else {
                self.wide(sum)
            }
        }));
    }

    /// [`Field::combine`].
    pub(super) fn combine_blocks(
        self,
        mut blocks: &[u64],
        coefficients: &[u64],
        out: &mut Vec<u64>,
    ) {
        #[cfg(target_arch = "x86_64")]
        if let Some(m) = self.vectors() {
            let c: Vec<u64> = coefficients
                .iter()
                .map(|&c| self.mul(c, self.radix[0]))
                .collect();
            blocks = &blocks[m.combine(blocks, &c, out)..];
        }
        match coefficients.len() {
            4 => self.combine_of::<4>(blocks, coefficients, out),
            8 => self.combine_of::<8>(blocks, coefficients, out),
            16 => self.combine_of::<16>(blocks, coefficients, out),
            _ => kernels::combine(self, blocks, coefficients, out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sums over blocks and folds of blocks by vectors against those of the definition, for the largest elements, more blocks
    /// than go through together and numbers that are no multiples.
    #[test]
    fn vectors_give_what_the_definition_gives() {
        let f = Prime::from_seed(&[9; 32]);
        let p = f.modulus();
        for n in [0, 1, 3, 1023, 2051] {
            for k in [4, 8, 16] {
                let draw = |i: usize, from: u64| match i % 5 {
                    0 => p - 1,
                    1 => 0,
                    _ => f.uniform([i as u64 ^ from, from.wrapping_mul(i as u64 + 1)]),
                };
                let column =
                    |from: u64| -> Vec<u64> { (0..n * k).map(|i| draw(i, from)).collect() };
                let (u, v) = (column(0x9E37_79B9_7F4A_7C15), column(0xBF58_476D_1CE4_E5B9));
                let (mut fast, mut plain) = (
                    vec![PrimeSum::default(); k * k],
                    vec![PrimeSum::default(); k * k],
                );
                f.gram(&u, &v, k, &mut fast);
                kernels::gram(f, &u, &v, k, &mut plain);
                let (fast, plain) = (
                    kernels::symmetric(f, fast, k),
                    kernels::symmetric(f, plain, k),
                );
                assert_eq!(fast, plain);
                let m = |j: usize, l: usize| {
                    let blocks = u.chunks(k).zip(v.chunks(k));
                    f.dot(blocks.clone().map(|(u, _)| u[j]), blocks.map(|(_, v)| v[l]))
                };
                assert_eq!((plain[0], plain[k + 1]), (m(0, 0), m(1, 1)));
                assert_eq!(plain[k + 3], f.add(m(1, 3), m(3, 1)));
                let (mut fast, mut plain) = (vec![5], vec![5]);
                for c in [
                    vec![p - 1; k],
                    v.iter().copied().chain(0..).take(k).collect(),
                ] {
                    f.combine(&u, &c, &mut fast);
                    kernels::combine(f, &u, &c, &mut plain);
                }
                assert_eq!(fast, plain);
            }
        }
    }

    #[test]
    fn all_words_are_lifted_alike() {
        for f in [
            Prime::of((1 << 61) - 1),
            Prime::of((1 << 60) + 33),
            Prime::of(2039),
        ] {
            let p = f.modulus();
            let words = (0..16).flat_map(|q: u64| {
                [
                    q.wrapping_mul(p),
                    q.wrapping_mul(p).wrapping_sub(1),
                    u64::MAX - q,
                ]
            });
            let words: Vec<R64> = words.map(std::num::Wrapping).collect();
            let mut lifted = vec![3];
            f.lift_all(&words, &mut lifted);
            let want: Vec<u64> = [3]
                .into_iter()
                .chain(words.iter().map(|w| w.0 % p))
                .collect();
            assert_eq!(lifted, want);
        }
    }

    /// Words at the ends and between, and reduced numbers alike.
    fn draw(f: Prime, n: usize, seed: u64) -> (Vec<R64>, Vec<u64>) {
        let word = |i: u64| {
            i.wrapping_mul(0x9E37_79B9_7F4A_7C15)
                .wrapping_add(seed << 50)
                ^ i << 60
        };
        let words = (0..n as u64).map(|i| match i % 5 {
            0 => u64::MAX,
            1 => (1 << 52) - i,
            _ => word(i),
        });
        let reduced = (0..n as u64).map(|i| match i % 3 {
            0 => f.p - 1,
            1 => i % 7 / 6,
            _ => f.lift(word(i + 1)),
        });
        (words.map(std::num::Wrapping).collect(), reduced.collect())
    }

    /// Primes of which the smallest has no vectors.
    fn primes() -> [Prime; 4] {
        let seeded = Prime::from_seed(&[4; 32]).p;
        [(1 << 61) - 1, (1 << 60) + 33, seeded, 2039].map(Prime::of)
    }

    #[test]
    fn weighted_words_are_products_over_the_radix() {
        for f in primes() {
            let radix = f.power_of_two(104);
            for n in [0, 7, 8, 1003] {
                let (x, y) = draw(f, n, 1);
                let mut got = vec![9];
                f.weigh(&x, &y, &mut got);
                let got: Vec<u64> = got[1..].iter().map(|&g| f.mul(g, radix)).collect();
                let terms = || x.iter().zip(&y);
                let want: Vec<u64> = terms().map(|(x, &y)| f.mul(f.lift(x.0), y)).collect();
                assert_eq!(got, want);
                let sum = want.iter().fold(0, |s, &w| f.add(s, w));
                assert_eq!(f.dot_words(&x, &y), sum);
            }
        }
    }

    #[test]
    fn weighted_rows_are_a_product_of_matrices_over_the_radix() {
        for f in primes() {
            for (rows, columns, inner) in [(1, 1, 1), (5, 3, 8), (48, 48, 29), (7, 1, 40)] {
                let ((_, x), (y, _)) = (draw(f, rows * columns, 2), draw(f, columns * inner, 3));
                let got = f.weigh_rows(&x, &y, inner);
                assert_eq!(got.len(), rows * inner);
                for (at, got) in got.into_iter().enumerate() {
                    let (i, l) = (at / inner, at % inner);
                    let term = |j: usize| f.mul(x[i * columns + j], f.lift(y[j * inner + l].0));
                    let want = (0..columns).fold(0, |s, j| f.add(s, term(j)));
                    assert_eq!(f.mul(got, f.radix()), want);
                }
            }
        }
    }

    /// 2^64 - 1 everywhere, more terms than a vector's limbs hold.
    #[test]
    fn integer_sums_of_the_largest_words() {
        for n in [0, 3, 64, 100_003] {
            let x = vec![u64::MAX; n];
            let sum = integer_dot(&x, &x).limbs();
            // (2^64 - 1)² = 2^128 - 2^65 + 1.
            let n = n as u128;
            let (low, high) = (n.wrapping_sub(n << 65), n - u128::from(n > 0));
            assert_eq!(sum, [low as u64, (low >> 64) as u64, high as u64]);
        }
    }

    #[test]
    fn nibbles_are_looked_up() {
        for f in primes() {
            let (_, entries) = draw(f, 16 * 12, 4);
            let tables: [[u64; 16]; 12] =
                std::array::from_fn(|k| std::array::from_fn(|j| entries[16 * k + j]));
            let worst = [[f.p - 1; 16]; 12];
            for tables in [tables, worst] {
                let (words, _) = draw(f, 1003, 5);
                let mut x: Vec<u64> = words.iter().map(|w| w.0 >> 16).collect();
                let of = |x: &u64| {
                    let entry = |k: usize| tables[k][(x >> (4 * k)) as usize & 15];
                    (0..12).fold(0, |s, k| f.add(s, entry(k)))
                };
                let want: Vec<u64> = x.iter().map(of).collect();
                f.nibbles(&tables, &mut x);
                assert_eq!(x, want);
            }
        }
    }
}
