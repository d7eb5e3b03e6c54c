//! Eight elements of GF(2^64) a vector: products of polynomials (VPCLMULQDQ) and sums of them over blocks.

use std::arch::x86_64::{
    __m512i, _mm512_alignr_epi64, _mm512_clmulepi64_epi128, _mm512_setzero_si512,
    _mm512_shuffle_i64x2, _mm512_slli_epi64, _mm512_srli_epi64, _mm512_unpackhi_epi64,
    _mm512_unpacklo_epi64, _mm512_xor_si512,
};

use super::binary::BinarySum;
use super::kernels;

/// Elements of a vector.
const LANES: usize = 8;

/// Whether the processor has the instructions.
pub(super) fn found() -> bool {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("vpclmulqdq")
}

pub(super) fn vector<T: bytemuck::Pod>(words: &T) -> __m512i {
    const { assert!(size_of::<T>() == 64) };
    let bytes: [u64; 8] = bytemuck::pod_read_unaligned(bytemuck::bytes_of(words));
    // SAFETY: both are 64 bytes of which every value is valid.
    unsafe { std::mem::transmute(bytes) }
}

pub(super) fn words(v: __m512i) -> [u64; 8] {
    // SAFETY: both are 64 bytes of which every value is valid.
    unsafe { std::mem::transmute(v) }
}

/// low + X^64·high in the field.
#[target_feature(enable = "avx512f")]
#[inline]
fn reduced(low: __m512i, high: __m512i) -> __m512i {
    let xor3 = |a, b, c| _mm512_xor_si512(a, _mm512_xor_si512(b, c));
    let overflow = xor3(
        _mm512_srli_epi64::<63>(high),
        _mm512_srli_epi64::<61>(high),
        _mm512_srli_epi64::<60>(high),
    );
    let h = _mm512_xor_si512(high, overflow);
    let folded = xor3(h, _mm512_slli_epi64::<1>(h), _mm512_slli_epi64::<3>(h));
    xor3(low, folded, _mm512_slli_epi64::<4>(h))
}

/// The products of four pairs, of the even and of the odd elements.
#[target_feature(enable = "avx512f,vpclmulqdq")]
#[inline]
fn products(u: __m512i, v: __m512i) -> [__m512i; 2] {
    [
        _mm512_clmulepi64_epi128::<0x00>(u, v),
        _mm512_clmulepi64_epi128::<0x11>(u, v),
    ]
}

/// Lane v: Σ c_j·(element j) of vector v, before the reduction.
#[target_feature(enable = "avx512f,vpclmulqdq")]
#[inline]
fn dots(vectors: [__m512i; 4], c: __m512i) -> __m512i {
    let [x, y, z, w] = vectors.map(|v| {
        let [even, odd] = products(v, c);
        _mm512_xor_si512(even, odd)
    });
    let halves = |u, v| {
        _mm512_xor_si512(
            _mm512_shuffle_i64x2::<0x44>(u, v),
            _mm512_shuffle_i64x2::<0xEE>(u, v),
        )
    };
    let (xy, zw) = (halves(x, y), halves(z, w));
    _mm512_xor_si512(
        _mm512_shuffle_i64x2::<0x88>(xy, zw),
        _mm512_shuffle_i64x2::<0xDD>(xy, zw),
    )
}

/// Sums of products of element j of one vector by element j + d of another, by d: those of even j, those of odd j.
type Sums<const D: usize = 5> = [[__m512i; 2]; D];

/// No products.
#[target_feature(enable = "avx512f")]
#[inline]
fn none<const D: usize>() -> Sums<D> {
    [[_mm512_setzero_si512(); 2]; D]
}

#[target_feature(enable = "avx512f,vpclmulqdq")]
#[inline]
fn add(sums: &mut [__m512i; 2], u: __m512i, v: __m512i) {
    let products = products(u, v);
    sums[0] = _mm512_xor_si512(sums[0], products[0]);
    sums[1] = _mm512_xor_si512(sums[1], products[1]);
}

/// Element j + D for element j, around.
#[target_feature(enable = "avx512f")]
#[inline]
fn turned<const D: i32>(x: __m512i) -> __m512i {
    _mm512_alignr_epi64::<D>(x, x)
}

/// The products u_j·v_j, and (u_j + u_l)·(v_j + v_l) for l = j + d, d = 1, …, 4.
#[target_feature(enable = "avx512f,vpclmulqdq")]
#[inline]
fn within(sums: &mut Sums, u: __m512i, v: __m512i) {
    let with = _mm512_xor_si512;
    add(&mut sums[0], u, v);
    add(
        &mut sums[1],
        with(u, turned::<1>(u)),
        with(v, turned::<1>(v)),
    );
    add(
        &mut sums[2],
        with(u, turned::<2>(u)),
        with(v, turned::<2>(v)),
    );
    add(
        &mut sums[3],
        with(u, turned::<3>(u)),
        with(v, turned::<3>(v)),
    );
    add(
        &mut sums[4],
        with(u, turned::<4>(u)),
        with(v, turned::<4>(v)),
    );
}

/// The products (u_j + u'_l)·(v_j + v'_l) for l = j + d, d = 0, …, 7.
#[target_feature(enable = "avx512f,vpclmulqdq")]
#[inline]
fn across(sums: &mut Sums<LANES>, u: [__m512i; 2], v: [__m512i; 2]) {
    let with = _mm512_xor_si512;
    macro_rules! at {
        ($($d:literal)*) => {$(
            add(
                &mut sums[$d],
                with(u[0], turned::<$d>(u[1])),
                with(v[0], turned::<$d>(v[1])),
            );
        )*};
    }
    at!(0 1 2 3 4 5 6 7);
}

/// Sum number j of those at a distance.
fn sum(sums: &[__m512i; 2], j: usize) -> u128 {
    let lanes = words(sums[j % 2]);
    let at = j / 2 * 2;
    u128::from(lanes[at]) | u128::from(lanes[at + 1]) << 64
}

/// Adds the sums of [`within`] to those of [`kernels::gram`] with blocks of k, for the elements from `first` on.
fn finish(sums: &Sums, k: usize, first: usize, out: &mut [BinarySum]) {
    for (d, sums) in sums.iter().enumerate() {
        // At distance four every pair comes twice.
        let count = if d == 4 { LANES / 2 } else { LANES };
        for j in 0..count {
            let pair = kernels::pair(first + j, first + (j + d) % LANES, k);
            out[pair].add(sum(sums, j));
        }
    }
}

/// [`kernels::gram`] for blocks of eight.
#[target_feature(enable = "avx512f,vpclmulqdq")]
pub(super) fn gram_of_eight(u: &[u64], v: &[u64], out: &mut [BinarySum]) {
    let mut sums = none();
    for (u, v) in u.as_chunks::<LANES>().0.iter().zip(v.as_chunks().0) {
        within(&mut sums, vector(u), vector::<[u64; LANES]>(v));
    }
    finish(&sums, LANES, 0, out);
}

/// [`kernels::gram`] for blocks of sixteen.
#[target_feature(enable = "avx512f,vpclmulqdq")]
pub(super) fn gram_of_sixteen(u: &[u64], v: &[u64], out: &mut [BinarySum]) {
    const BLOCK: usize = 2 * LANES;
    // Blocks that are read three times: what stays in the first-level cache.
    const PART: usize = 64;
    let (mut low, mut high, mut both) = (none(), none(), none());
    let [u, v] = [u, v].map(|x| x.as_chunks::<BLOCK>().0);
    for (u, v) in u.chunks(PART).zip(v.chunks(PART)) {
        let halves = |x: &[u64; BLOCK]| {
            let halves: &[[u64; LANES]; 2] = bytemuck::cast_ref(x);
            [vector(&halves[0]), vector(&halves[1])]
        };
        for (u, v) in u.iter().zip(v) {
            within(&mut low, halves(u)[0], halves(v)[0]);
        }
        for (u, v) in u.iter().zip(v) {
            within(&mut high, halves(u)[1], halves(v)[1]);
        }
        for (u, v) in u.iter().zip(v) {
            across(&mut both, halves(u), halves(v));
        }
    }
    finish(&low, BLOCK, 0, out);
    finish(&high, BLOCK, LANES, out);
    for (d, sums) in both.iter().enumerate() {
        for j in 0..LANES {
            let pair = kernels::pair(j, LANES + (j + d) % LANES, BLOCK);
            out[pair].add(sum(sums, j));
        }
    }
}

/// [`kernels::combine`] for eight coefficients.
#[target_feature(enable = "avx512f,vpclmulqdq")]
pub(super) fn combine_eight(blocks: &[[u64; LANES]], c: &[u64; LANES], out: &mut Vec<u64>) {
    let (c, zero) = (vector(c), [0; LANES]);
    for group in blocks.chunks(LANES) {
        let dots = [0, 4].map(|first| {
            let block = |k: usize| vector(group.get(first + k).unwrap_or(&zero));
            dots([block(0), block(1), block(2), block(3)], c)
        });
        append(dots, group.len(), out);
    }
}

/// Appends so many sums of products: lane v those of block v and of block v + 4.
#[target_feature(enable = "avx512f")]
#[inline]
fn append(dots: [__m512i; 2], count: usize, out: &mut Vec<u64>) {
    let result = words(reduced(
        _mm512_unpacklo_epi64(dots[0], dots[1]),
        _mm512_unpackhi_epi64(dots[0], dots[1]),
    ));
    out.extend((0..count).map(|k| result[k % 4 * 2 + k / 4]));
}

/// x ← x·y for whole vectors of elements; how many.
#[target_feature(enable = "avx512f,vpclmulqdq")]
pub(super) fn scale(x: &mut [u64], y: &[u64]) -> usize {
    let x = x.as_chunks_mut::<LANES>().0;
    for (x, y) in x.iter_mut().zip(y.as_chunks::<LANES>().0) {
        let [even, odd] = products(vector(x), vector(y));
        *x = words(reduced(
            _mm512_unpacklo_epi64(even, odd),
            _mm512_unpackhi_epi64(even, odd),
        ));
    }
    LANES * x.len()
}

/// [`kernels::combine`] for sixteen coefficients.
#[target_feature(enable = "avx512f,vpclmulqdq")]
pub(super) fn combine_sixteen(
    blocks: &[[u64; 2 * LANES]],
    c: &[u64; 2 * LANES],
    out: &mut Vec<u64>,
) {
    let c: &[[u64; LANES]; 2] = bytemuck::cast_ref(c);
    let c = [vector(&c[0]), vector(&c[1])];
    let zero = [0; 2 * LANES];
    for group in blocks.chunks(LANES) {
        // Lane v: the dot product of block v and of block v + 4.
        let dots = [0, 4].map(|first| {
            let halves = [0, 1].map(|half| {
                let vectors = [0, 1, 2, 3].map(|k| {
                    let block = group.get(first + k).unwrap_or(&zero);
                    let halves: &[[u64; LANES]; 2] = bytemuck::cast_ref(block);
                    vector(&halves[half])
                });
                dots(vectors, c[half])
            });
            _mm512_xor_si512(halves[0], halves[1])
        });
        append(dots, group.len(), out);
    }
}
