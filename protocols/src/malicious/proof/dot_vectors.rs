//! The rows of [`super::dot_rows`] of eight words at a time (AVX-512 IFMA): look-ups of nibbles in tables of sixteen.
//!
//! Each function does what fills vectors and says how many words that is: none without the instructions.

use std::arch::x86_64::{
    __m512i, _mm512_add_epi64, _mm512_permutex2var_epi64, _mm512_setr_epi64, _mm512_setzero_si512,
    _mm512_srli_epi64,
};

use super::dot_rows::{HALF, NIBBLES, ROWS, Weighing};
use super::kernels;
use super::prime_products::{Modulus, Vectors};
use super::prime_sum::PrimeSum;
use super::prime_vectors::{self, LANES, Sum, add, finish, found};
use super::vectors::{vector, words};

/// Words whose rows are written down together: what stays in the first-level cache.
const PART: usize = 128;
/// Words of which the sums of limbs do not overflow: a vector has one half of eight.
const SUM: usize = prime_vectors::PART * LANES / 2;

impl Modulus {
    /// Adds the sums of [`kernels::gram`] over both halves of every word: of the entries of β's nibbles with the weighted ones of
    /// γ's, whose tables are multiplied by 2^104.
    pub(super) fn dot_gram(
        self,
        table: &[u64; NIBBLES],
        relations: &[Weighing<'_>],
        [beta, gamma]: [&[u64]; 2],
        out: &mut [PrimeSum],
    ) -> usize {
        if !found() {
            return 0;
        }
        // SAFETY: the features were found.
        unsafe { gram(&Vectors::new(self), table, relations, beta, gamma, out) }
        beta.len() / LANES * LANES
    }

    /// Appends, for both halves of every word, the sums of the entries of its nibbles.
    pub(super) fn dot_fold(
        self,
        tables: &[[u64; NIBBLES]; ROWS],
        x: &[u64],
        out: &mut Vec<u64>,
    ) -> usize {
        if !found() {
            return 0;
        }
        // SAFETY: the features were found.
        unsafe { fold(&Vectors::new(self), tables, x, out) }
        x.len() / LANES * LANES
    }

    /// The same, weighted and summed over the relations, whose tables are multiplied by 2^104.
    pub(super) fn dot_fold_weighted(
        self,
        relations: &[Weighing<'_>],
        x: &[u64],
        out: &mut Vec<u64>,
    ) -> usize {
        if !found() {
            return 0;
        }
        // SAFETY: the features were found.
        unsafe { fold_weighted(&Vectors::new(self), relations, x, out) }
        x.len() / LANES * LANES
    }
}

/// The entries of the lowest nibbles, which are all that the instruction reads.
#[target_feature(enable = "avx512f")]
#[inline]
fn look_up(table: &[u64; NIBBLES], x: __m512i) -> __m512i {
    let halves: &[[u64; LANES]; 2] = bytemuck::cast_ref(table);
    _mm512_permutex2var_epi64(vector(&halves[0]), x, vector(&halves[1]))
}

/// The elements from `at` on.
#[inline(always)]
fn eight(x: &[u64], at: usize) -> __m512i {
    let x: &[u64; LANES] = x[at..].first_chunk().unwrap_or(&[0; LANES]);
    vector(x)
}

/// Row by row, an element a word.
type Columns = [[u64; PART]; ROWS];

#[target_feature(enable = "avx512f,avx512ifma")]
fn gram(
    m: &Vectors,
    table: &[u64; NIBBLES],
    relations: &[Weighing<'_>],
    beta: &[u64],
    gamma: &[u64],
    out: &mut [PrimeSum],
) {
    let (mut c, mut d): (Columns, Columns) = ([[0; PART]; ROWS], [[0; PART]; ROWS]);
    let whole = beta.len() / LANES * LANES;
    for sum in (0..whole).step_by(SUM) {
        let mut sums = [[[_mm512_setzero_si512(); 3]; HALF]; HALF];
        let until = whole.min(sum + SUM);
        for start in (sum..until).step_by(PART) {
            let n = PART.min(until - start);
            for at in (0..n).step_by(LANES) {
                let (mut b, mut g) = (eight(beta, start + at), eight(gamma, start + at));
                for (row, (c, d)) in c.iter_mut().zip(&mut d).enumerate() {
                    c[at..at + LANES].copy_from_slice(&words(look_up(table, b)));
                    let mut weighted = [_mm512_setzero_si512(); 3];
                    for r in relations.iter().filter(|r| r.first <= row) {
                        let lambda = eight(r.lambda, start + at);
                        add(&mut weighted, look_up(&r.tables[row], g), lambda);
                    }
                    d[at..at + LANES].copy_from_slice(&words(m.reduced(weighted)));
                    b = _mm512_srli_epi64::<4>(b);
                    g = _mm512_srli_epi64::<4>(g);
                }
            }
            for half in [0, HALF] {
                let [c, d]: [&[[u64; PART]]; 2] = [&c[half..][..HALF], &d[half..][..HALF]];
                pairs(c, d, n, &mut sums);
            }
        }
        for (j, sums) in sums.iter().enumerate() {
            for (l, sum) in sums.iter().enumerate().skip(j) {
                let pair = &mut out[kernels::pair(j, l, HALF)];
                (0..LANES).for_each(|lane| finish(sum, lane, pair));
            }
        }
    }
}

/// Adds Σ c_j·d_j and Σ (c_j + c_l)·(d_j + d_l), j < l, over `n` words.
#[target_feature(enable = "avx512f,avx512ifma")]
#[inline]
fn pairs(c: &[[u64; PART]], d: &[[u64; PART]], n: usize, sums: &mut [[Sum; HALF]; HALF]) {
    /// Sums that do not wait for each other.
    const WIDE: usize = 4;
    for (j, sums) in sums.iter_mut().enumerate() {
        let of = |x: &[[u64; PART]], l: usize, at: usize| {
            let (own, other) = (eight(&x[j], at), eight(&x[l], at));
            if l == j {
                own
            } else {
                _mm512_add_epi64(own, other)
            }
        };
        for first in (j..HALF).step_by(WIDE) {
            let count = WIDE.min(HALF - first);
            let mut local = [[_mm512_setzero_si512(); 3]; WIDE];
            local[..count].copy_from_slice(&sums[first..][..count]);
            for at in (0..n).step_by(LANES) {
                for (k, sum) in local.iter_mut().enumerate() {
                    let l = (first + k).min(HALF - 1);
                    if k < count {
                        add(sum, of(c, l, at), of(d, l, at));
                    }
                }
            }
            sums[first..][..count].copy_from_slice(&local[..count]);
        }
    }
}

/// Both sums of the entries of eight nibbles, below 2^64.
#[target_feature(enable = "avx512f")]
#[inline]
fn halves(tables: &[[u64; NIBBLES]; ROWS], mut x: __m512i, first: usize) -> [__m512i; 2] {
    let mut sums = [_mm512_setzero_si512(); 2];
    for (row, table) in tables.iter().enumerate() {
        if row >= first {
            sums[row / HALF] = _mm512_add_epi64(sums[row / HALF], look_up(table, x));
        }
        x = _mm512_srli_epi64::<4>(x);
    }
    sums
}

/// Appends the elements of two vectors in turn.
#[target_feature(enable = "avx512f")]
#[inline]
fn append([x, y]: [__m512i; 2], out: &mut Vec<u64>) {
    let low = _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11);
    let high = _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15);
    for order in [low, high] {
        out.extend_from_slice(&words(_mm512_permutex2var_epi64(x, order, y)));
    }
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn fold(m: &Vectors, tables: &[[u64; NIBBLES]; ROWS], x: &[u64], out: &mut Vec<u64>) {
    for x in x.as_chunks::<LANES>().0 {
        let [low, high] = halves(tables, vector(x), 0);
        append([m.lifted(low), m.lifted(high)], out);
    }
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn fold_weighted(m: &Vectors, relations: &[Weighing<'_>], x: &[u64], out: &mut Vec<u64>) {
    for (k, x) in x.as_chunks::<LANES>().0.iter().enumerate() {
        let mut sums = [[_mm512_setzero_si512(); 3]; 2];
        for r in relations {
            let lambda = eight(r.lambda, k * LANES);
            let halves = halves(&r.tables, vector(x), r.first);
            for (sum, half) in sums.iter_mut().zip(halves) {
                add(sum, half, lambda);
            }
        }
        let [low, high] = sums;
        append([m.reduced(low), m.reduced(high)], out);
    }
}
