//! Products modulo a prime of 61 bits, eight a vector (AVX-512 IFMA): factors in limbs of 52 bits, reduction by Montgomery
//! (Mathematics of Computation, 1985) with the radix 2^104.
//!
//! Each function does what fills vectors and says how much that is: nothing without the instructions.

use std::arch::x86_64::{
    __m512i, _mm512_add_epi64, _mm512_madd52hi_epu64, _mm512_madd52lo_epu64, _mm512_min_epu64,
    _mm512_permutex2var_epi64, _mm512_reduce_add_epi64, _mm512_set1_epi64, _mm512_setr_epi64,
    _mm512_setzero_si512, _mm512_shuffle_i64x2, _mm512_slli_epi64, _mm512_srli_epi64,
    _mm512_sub_epi64,
};

use super::prime_sum::PrimeSum;
use super::prime_vectors::{LANES, PART, Sum, add, found};
use super::vectors::{vector, words};

/// Sums that do not wait for each other.
const WIDE: usize = 4;

/// Vectors of which the sums of limbs do not overflow when their lanes are added up.
const DOT: usize = PART / LANES;

/// A prime of 61 bits.
#[derive(Clone, Copy)]
pub(super) struct Modulus {
    pub(super) p: u64,
    /// -1/p modulo 2^52.
    pub(super) inverse: u64,
}

impl Modulus {
    /// Appends words as integers, reduced.
    pub(super) fn lift(self, x: &[u64], out: &mut Vec<u64>) -> usize {
        if !found() {
            return 0;
        }
        // SAFETY: the features were found.
        unsafe { lift(&Vectors::new(self), x, out) }
        x.len() / LANES * LANES
    }

    /// Appends x·y / 2^104 for any words x and reduced y.
    pub(super) fn weigh(self, x: &[u64], y: &[u64], out: &mut Vec<u64>) -> usize {
        if !found() {
            return 0;
        }
        // SAFETY: the features were found.
        unsafe { weigh(&Vectors::new(self), x, y, out) }
        x.len() / LANES * LANES
    }

    /// Appends Σ c_j·x_j / 2^104 for blocks of 4, 8 or 16 words and reduced coefficients.
    pub(super) fn combine(self, blocks: &[u64], c: &[u64], out: &mut Vec<u64>) -> usize {
        if !found() || ![4, 8, 16].contains(&c.len()) {
            return 0;
        }
        // SAFETY: the features were found.
        unsafe { combine(&Vectors::new(self), blocks, c, out) }
        let group = LANES * c.len();
        blocks.len() / group * group
    }

    /// Writes the product, divided by 2^104, of a matrix of reduced numbers by one of words with at most 1024 rows of `inner`: of its
    /// columns as many as are said.
    pub(super) fn matrix(self, x: &[u64], y: &[u64], inner: usize, out: &mut [u64]) -> usize {
        if !found() || inner == 0 || y.len() > PART * inner {
            return 0;
        }
        // SAFETY: the features were found.
        unsafe { matrix(&Vectors::new(self), x, y, inner, out) }
        inner / LANES * LANES
    }

    /// Replaces words of twelve nibbles by the sums of their entries in tables of reduced numbers.
    pub(super) fn nibbles(self, tables: &[[u64; 16]; 12], x: &mut [u64]) -> usize {
        if !found() {
            return 0;
        }
        // SAFETY: the features were found.
        unsafe { nibbles(&Vectors::new(self), tables, x) }
        x.len() / LANES * LANES
    }
}

/// What a reduction needs.
pub(super) struct Vectors {
    p: __m512i,
    high: __m512i,
    inverse: __m512i,
}

#[target_feature(enable = "avx512f,avx512ifma")]
#[inline]
fn each(x: u64) -> __m512i {
    _mm512_set1_epi64(x as i64)
}

impl Vectors {
    #[target_feature(enable = "avx512f,avx512ifma")]
    #[inline]
    pub(super) fn new(m: Modulus) -> Self {
        Self {
            p: each(m.p),
            high: each(m.p >> 52),
            inverse: each(m.inverse),
        }
    }

    /// The sum divided by 2^104, reduced: for limbs below 2^63, 3·2^62 and 2^60, which sums of 1024 products keep.
    #[target_feature(enable = "avx512f,avx512ifma")]
    #[inline]
    pub(super) fn reduced(&self, [low, middle, high]: Sum) -> __m512i {
        let (lo, hi) = (_mm512_madd52lo_epu64, _mm512_madd52hi_epu64);
        let zero = _mm512_setzero_si512();
        // A multiple of p makes the lowest limb zero, then the next.
        let m = lo(zero, low, self.inverse);
        let carry = _mm512_srli_epi64::<52>(lo(low, m, self.p));
        let middle = lo(hi(_mm512_add_epi64(middle, carry), m, self.p), m, self.high);
        let high = hi(high, m, self.high);
        let m = lo(zero, middle, self.inverse);
        let carry = _mm512_srli_epi64::<52>(lo(middle, m, self.p));
        let x = lo(hi(_mm512_add_epi64(high, carry), m, self.p), m, self.high);
        let x = _mm512_add_epi64(x, _mm512_slli_epi64::<52>(hi(zero, m, self.high)));
        self.below(x, 0)
    }

    /// Words below 8p, reduced.
    #[target_feature(enable = "avx512f,avx512ifma")]
    #[inline]
    pub(super) fn lifted(&self, x: __m512i) -> __m512i {
        self.below(self.below(self.below(x, 2), 1), 0)
    }

    /// x - 2^e·p, or x where that is negative.
    #[target_feature(enable = "avx512f,avx512ifma")]
    #[inline]
    fn below(&self, x: __m512i, e: u32) -> __m512i {
        let p = match e {
            0 => self.p,
            1 => _mm512_slli_epi64::<1>(self.p),
            2 => _mm512_slli_epi64::<2>(self.p),
            _ => _mm512_slli_epi64::<3>(self.p),
        };
        _mm512_min_epu64(x, _mm512_sub_epi64(x, p))
    }
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn lift(m: &Vectors, x: &[u64], out: &mut Vec<u64>) {
    for x in x.as_chunks::<LANES>().0 {
        // A word is below 16p.
        out.extend_from_slice(&words(m.lifted(m.below(vector(x), 3))));
    }
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn weigh(m: &Vectors, x: &[u64], y: &[u64], out: &mut Vec<u64>) {
    let [x, y] = [x, y].map(|x| x.as_chunks::<LANES>().0);
    for (x, y) in x.iter().zip(y) {
        let mut sum = [_mm512_setzero_si512(); 3];
        add(&mut sum, vector(x), vector(y));
        out.extend_from_slice(&words(m.reduced(sum)));
    }
}

/// Element j of eight quadruples, two a vector, in vector j.
#[target_feature(enable = "avx512f")]
#[inline]
fn transposed([x, y, z, w]: [__m512i; 4]) -> [__m512i; 4] {
    let first = _mm512_setr_epi64(0, 4, 8, 12, 1, 5, 9, 13);
    let second = _mm512_setr_epi64(2, 6, 10, 14, 3, 7, 11, 15);
    let of = |at| {
        let (xy, zw) = (
            _mm512_permutex2var_epi64(x, at, y),
            _mm512_permutex2var_epi64(z, at, w),
        );
        [
            _mm512_shuffle_i64x2::<0x44>(xy, zw),
            _mm512_shuffle_i64x2::<0xEE>(xy, zw),
        ]
    };
    let ([a, b], [c, d]) = (of(first), of(second));
    [a, b, c, d]
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn combine(m: &Vectors, blocks: &[u64], c: &[u64], out: &mut Vec<u64>) {
    match c.len() {
        4 => combine_of::<4>(m, blocks, c, out),
        8 => combine_of::<8>(m, blocks, c, out),
        _ => combine_of::<16>(m, blocks, c, out),
    }
}

#[target_feature(enable = "avx512f,avx512ifma")]
#[inline]
fn combine_of<const K: usize>(m: &Vectors, blocks: &[u64], c: &[u64], out: &mut Vec<u64>) {
    let (blocks, _) = blocks.as_chunks::<K>();
    for group in blocks.as_chunks::<LANES>().0 {
        let mut sum = [_mm512_setzero_si512(); 3];
        for quad in 0..K / 4 {
            let pair = |k: usize| {
                let (x, y) = (&group[k][4 * quad..][..4], &group[k + 1][4 * quad..][..4]);
                vector(&[x[0], x[1], x[2], x[3], y[0], y[1], y[2], y[3]])
            };
            let elements = transposed([pair(0), pair(2), pair(4), pair(6)]);
            for (x, &c) in elements.into_iter().zip(&c[4 * quad..]) {
                add(&mut sum, x, each(c));
            }
        }
        out.extend_from_slice(&words(m.reduced(sum)));
    }
}

/// sum += Σ x·y for any words, an integer.
pub(super) fn dot(x: &[u64], y: &[u64], sum: &mut PrimeSum) -> usize {
    if !found() {
        return 0;
    }
    // SAFETY: the features were found.
    unsafe { dot_by_vectors(x, y, sum) }
    x.len() / LANES * LANES
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn dot_by_vectors(x: &[u64], y: &[u64], out: &mut PrimeSum) {
    let [x, y] = [x, y].map(|x| x.as_chunks::<LANES>().0);
    for (x, y) in x.chunks(DOT).zip(y.chunks(DOT)) {
        let mut sums = [[_mm512_setzero_si512(); 3]; WIDE];
        for (x, y) in x.chunks(WIDE).zip(y.chunks(WIDE)) {
            for (sum, (x, y)) in sums.iter_mut().zip(x.iter().zip(y)) {
                add(sum, vector(x), vector(y));
            }
        }
        let [mut sum, rest @ ..] = sums;
        for other in rest {
            for (limb, other) in sum.iter_mut().zip(other) {
                *limb = _mm512_add_epi64(*limb, other);
            }
        }
        out.add_limbs(sum.map(|limb| _mm512_reduce_add_epi64(limb) as u64));
    }
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn matrix(m: &Vectors, x: &[u64], y: &[u64], inner: usize, out: &mut [u64]) {
    let columns = y.len() / inner;
    for at in (0..inner / LANES).map(|k| k * LANES) {
        for (x, out) in x.chunks(WIDE * columns).zip(out.chunks_mut(WIDE * inner)) {
            let mut sums = [[_mm512_setzero_si512(); 3]; WIDE];
            let rows = out.len() / inner;
            for (j, y) in y.chunks_exact(inner).enumerate() {
                let y: &[u64; LANES] = y[at..].first_chunk().unwrap_or(&[0; LANES]);
                let y = vector(y);
                for (i, sum) in sums.iter_mut().enumerate().take(rows) {
                    add(sum, y, each(x[i * columns + j]));
                }
            }
            for (out, sum) in out.chunks_mut(inner).zip(sums) {
                out[at..at + LANES].copy_from_slice(&words(m.reduced(sum)));
            }
        }
    }
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn nibbles(m: &Vectors, tables: &[[u64; 16]; 12], x: &mut [u64]) {
    for x in x.as_chunks_mut::<LANES>().0 {
        let (mut at, mut sum) = (vector(x), _mm512_setzero_si512());
        for half in tables.as_chunks::<6>().0 {
            for table in half {
                let table: &[[u64; LANES]; 2] = bytemuck::cast_ref(table);
                // The instruction reads the lower four bits.
                let entry = _mm512_permutex2var_epi64(vector(&table[0]), at, vector(&table[1]));
                sum = _mm512_add_epi64(sum, entry);
                at = _mm512_srli_epi64::<4>(at);
            }
            // Seven numbers below p, and 8p is below 2^64.
            sum = m.lifted(sum);
        }
        *x = words(sum);
    }
}
