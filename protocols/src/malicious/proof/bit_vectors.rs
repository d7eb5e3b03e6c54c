//! [`super::bit_kernels`] by products of eight by eight bits (GFNI) in vectors of 512 bits.
//!
//! The instruction gives bit i of byte k as the parity of byte 7 - i of a matrix and byte k of a vector. A matrix of eight rows and
//! a vector whose bytes have eight columns each sum over columns; a constant vector transposes the matrix.

use std::arch::x86_64::{
    __m512i, _mm512_and_si512, _mm512_gf2p8affine_epi64_epi8, _mm512_permutexvar_epi8,
    _mm512_set1_epi64, _mm512_shuffle_i64x2, _mm512_ternarylogic_epi64, _mm512_unpackhi_epi8,
    _mm512_unpackhi_epi16, _mm512_unpackhi_epi32, _mm512_unpacklo_epi8, _mm512_unpacklo_epi16,
    _mm512_unpacklo_epi32, _mm512_xor_si512,
};

use super::bit_kernels::{Block, COLUMNS, Gates, ROWS, Row};
use super::vectors::{self, vector, words};

/// Sums of eight kinds of bits: byte p, bit i of the words m has bit 8m + p of the sum of kind i, over all eight of them.
pub(super) type Raw = [Row; 8];

/// Bit 8m + p of τ, of eight columns a byte: word j of (i, m) has byte p of the columns that word j of [`turned`]'s i-th result has.
pub(super) type Weights = [[Row; 8]; 8];

/// Whether the processor has the instructions.
pub(super) fn found() -> bool {
    vectors::found()
        && is_x86_feature_detected!("gfni")
        && is_x86_feature_detected!("avx512vbmi")
        && is_x86_feature_detected!("avx512bw")
}

/// Byte k has bit k: times a matrix of bits it transposes it, the last row lowest.
const TRANSPOSING: i64 = 0x8040_2010_0804_0201u64 as i64;

/// Byte m of word 7 - j for byte j of word m.
const GATHERED: [u8; 64] = {
    let mut index = [0; 64];
    let mut k = 0;
    while k < 64 {
        index[k] = ((7 - k % 8) * 8 + k / 8) as u8;
        k += 1;
    }
    index
};

/// Which eight columns word j of [`turned`]'s i-th result has.
const fn place(i: usize, j: usize) -> usize {
    8 * (j / 2 * 2 + i / 4) + 2 * (i % 4) + j % 2
}

/// Byte by byte: the words have a byte of each of the eight rows, the last row lowest.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn turned(rows: [__m512i; 8]) -> [__m512i; 8] {
    let [r7, r6, r5, r4, r3, r2, r1, r0] = rows;
    let bytes = [
        [
            _mm512_unpacklo_epi8(r0, r1),
            _mm512_unpacklo_epi8(r2, r3),
            _mm512_unpacklo_epi8(r4, r5),
            _mm512_unpacklo_epi8(r6, r7),
        ],
        [
            _mm512_unpackhi_epi8(r0, r1),
            _mm512_unpackhi_epi8(r2, r3),
            _mm512_unpackhi_epi8(r4, r5),
            _mm512_unpackhi_epi8(r6, r7),
        ],
    ];
    let [even, odd] = bytes.map(|[a, b, c, d]| {
        let (low, high) = (_mm512_unpacklo_epi16(a, b), _mm512_unpackhi_epi16(a, b));
        let (then_low, then_high) = (_mm512_unpacklo_epi16(c, d), _mm512_unpackhi_epi16(c, d));
        [
            _mm512_unpacklo_epi32(low, then_low),
            _mm512_unpackhi_epi32(low, then_low),
            _mm512_unpacklo_epi32(high, then_high),
            _mm512_unpackhi_epi32(high, then_high),
        ]
    });
    [
        even[0], even[1], even[2], even[3], odd[0], odd[1], odd[2], odd[3],
    ]
}

/// The results of [`turned`] in order: word k of the j-th has byte k of every row's word j.
#[target_feature(enable = "avx512f")]
#[inline]
fn ordered(turned: [__m512i; 8]) -> [__m512i; 8] {
    let quarters = |a, b, c, d| {
        let low = [
            _mm512_shuffle_i64x2::<0x44>(a, b),
            _mm512_shuffle_i64x2::<0x44>(c, d),
        ];
        let high = [
            _mm512_shuffle_i64x2::<0xEE>(a, b),
            _mm512_shuffle_i64x2::<0xEE>(c, d),
        ];
        [
            _mm512_shuffle_i64x2::<0x88>(low[0], low[1]),
            _mm512_shuffle_i64x2::<0xDD>(low[0], low[1]),
            _mm512_shuffle_i64x2::<0x88>(high[0], high[1]),
            _mm512_shuffle_i64x2::<0xDD>(high[0], high[1]),
        ]
    };
    let [a, b, c, d, e, f, g, h] = turned;
    let ([a, b, c, d], [e, f, g, h]) = (quarters(a, b, c, d), quarters(e, f, g, h));
    [a, e, b, f, c, g, d, h]
}

/// x + y + z.
#[target_feature(enable = "avx512f")]
#[inline]
fn sum(x: __m512i, y: __m512i, z: __m512i) -> __m512i {
    _mm512_ternarylogic_epi64::<0x96>(x, y, z)
}

/// τ as [`add`] needs it.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,gfni")]
pub(super) fn weights(tau: &[u64; COLUMNS]) -> Box<Weights> {
    let mut weights = Box::new([[Row::default(); 8]; 8]);
    let eights = tau.as_chunks::<8>().0;
    for (i, weights) in weights.iter_mut().enumerate() {
        for j in 0..8 {
            let bytes = _mm512_permutexvar_epi8(vector(&GATHERED), vector(&eights[place(i, j)]));
            let columns = _mm512_gf2p8affine_epi64_epi8::<0>(_mm512_set1_epi64(TRANSPOSING), bytes);
            let columns = words(columns);
            weights
                .iter_mut()
                .zip(columns)
                .for_each(|(w, c)| w.0[j] = c);
        }
    }
    weights
}

/// Adds Σ τ·bit for each of eight rows.
#[target_feature(enable = "avx512f,avx512bw,gfni")]
#[inline]
fn add(rows: [__m512i; 8], weights: &Weights, raw: &mut Raw) {
    let matrices = turned(rows);
    for (m, raw) in raw.iter_mut().enumerate() {
        let product =
            |i: usize| _mm512_gf2p8affine_epi64_epi8::<0>(vector(&weights[i][m].0), matrices[i]);
        let low = sum(product(0), product(1), product(2));
        let high = sum(product(3), product(4), product(5));
        let rest = sum(product(6), product(7), vector(&raw.0));
        *raw = Row(words(sum(low, high, rest)));
    }
}

/// Adds Σ τ·bit for every row.
#[target_feature(enable = "avx512f,avx512bw,gfni")]
pub(super) fn rows(rows: &[Row], weights: &Weights, raw: &mut [Raw]) {
    for (rows, raw) in rows.as_chunks::<8>().0.iter().zip(raw) {
        add(std::array::from_fn(|k| vector(&rows[k].0)), weights, raw);
    }
}

/// The sums of eight kinds.
pub(super) fn sums(raw: &Raw) -> [u64; 8] {
    let octets = raw.map(|row| row.0.into_iter().fold(0, |s, w| s ^ w).to_le_bytes());
    let bits = octets.as_flattened().iter().enumerate();
    std::array::from_fn(|kind| {
        bits.clone()
            .fold(0, |s, (at, byte)| s | u64::from(byte >> kind & 1) << at)
    })
}

/// Four rows, of two variables, at a point of {0, 1, ∞}^2.
#[target_feature(enable = "avx512f")]
#[inline]
fn at<const E: usize>(row: impl Fn(usize) -> __m512i) -> __m512i {
    let pair = |a, b| _mm512_xor_si512(row(a), row(b));
    match E {
        0 => row(0),
        1 => row(1),
        2 => pair(0, 1),
        3 => row(2),
        4 => row(3),
        5 => pair(2, 3),
        6 => pair(0, 2),
        7 => pair(1, 3),
        _ => _mm512_xor_si512(pair(0, 1), pair(2, 3)),
    }
}

/// A statement for every point of {0, 1, ∞}^2.
macro_rules! at_every_point {
    ($of:ident, $($rest:expr),*) => {
        $of::<0>($($rest),*);
        $of::<1>($($rest),*);
        $of::<2>($($rest),*);
        $of::<3>($($rest),*);
        $of::<4>($($rest),*);
        $of::<5>($($rest),*);
        $of::<6>($($rest),*);
        $of::<7>($($rest),*);
        $of::<8>($($rest),*);
    };
}

/// x_e·y'_e + x'_e·y_e for every point e of {0, 1, ∞}^6.
#[target_feature(enable = "avx512f")]
pub(super) fn cubes(gates: &Gates<'_>, out: &mut [Row]) {
    let ([x, next], [y, y_next]) = (gates.x, gates.y);
    let out = out.as_chunks_mut::<81>().0;
    at_every_point!(sixteen, [x, next, y, y_next], out);
}

/// The same at the points whose highest variables are at E.
#[target_feature(enable = "avx512f")]
fn sixteen<const E: usize>(blocks: [&Block; 4], out: &mut [[Row; 81]]) {
    let rows = blocks.map(|block| {
        let at = |k: usize| Row(words(at::<E>(|q| vector(&block[16 * q + k].0))));
        std::array::from_fn(at)
    });
    let out = out[E].as_chunks_mut::<9>().0;
    at_every_point!(four, &rows, out);
}

/// The same where the next two are at E.
#[target_feature(enable = "avx512f")]
#[inline]
fn four<const E: usize>(rows: &[[Row; 16]; 4], out: &mut [[Row; 9]]) {
    let [x, next, y, y_next] = rows.each_ref().map(|rows| {
        let four = [0, 1, 2, 3].map(|k| at::<E>(|q| vector(&rows[4 * q + k].0)));
        let row = |q: usize| four[q];
        [
            at::<0>(row),
            at::<1>(row),
            at::<2>(row),
            at::<3>(row),
            at::<4>(row),
            at::<5>(row),
            at::<6>(row),
            at::<7>(row),
            at::<8>(row),
        ]
    });
    for (e, out) in out[E].iter_mut().enumerate() {
        let cross = _mm512_and_si512(next[e], y[e]);
        // (x·y') + cross.
        let both = _mm512_ternarylogic_epi64::<0x78>(cross, x[e], y_next[e]);
        *out = Row(words(both));
    }
}

/// κ of the eight bits of every octet of rows, by bytes of the result: row i of a matrix has bit i of its byte.
pub(super) fn matrices(kappa: &[u64; ROWS]) -> [[u64; 8]; 8] {
    let octets = kappa.as_chunks::<8>().0;
    std::array::from_fn(|o| {
        std::array::from_fn(|m| {
            let row = |i: usize| {
                let bits = octets[o].iter().enumerate();
                bits.fold(0u64, |row, (b, k)| row | (k >> (8 * m + i) & 1) << b)
            };
            (0..8).fold(0, |matrix, i| matrix | row(i) << (8 * (7 - i)))
        })
    })
}

/// Σ_b κ_b·bit_b of every column.
#[target_feature(enable = "avx512f,avx512bw,gfni")]
pub(super) fn linear(block: &Block, matrices: &[[u64; 8]; 8], out: &mut [u64; COLUMNS]) {
    // Word j of (o, i): for each of eight columns the bits of octet o.
    let mut bits = [[Row::default(); 8]; 8];
    for (bits, rows) in bits.iter_mut().zip(block.as_chunks::<8>().0) {
        let turned = turned(std::array::from_fn(|k| vector(&rows[k].0)));
        for (bits, matrix) in bits.iter_mut().zip(turned) {
            let transposing = _mm512_set1_epi64(TRANSPOSING);
            *bits = Row(words(_mm512_gf2p8affine_epi64_epi8::<0>(
                transposing,
                matrix,
            )));
        }
    }
    let out = out.as_chunks_mut::<8>().0;
    for i in 0..8 {
        let bits: [__m512i; 8] = std::array::from_fn(|o| vector(&bits[o][i].0));
        let byte = |m: usize| {
            let product = |o: usize| {
                let matrix = _mm512_set1_epi64(matrices[o][m] as i64);
                _mm512_gf2p8affine_epi64_epi8::<0>(bits[o], matrix)
            };
            let low = sum(product(0), product(1), product(2));
            let high = sum(product(3), product(4), product(5));
            _mm512_xor_si512(sum(low, high, product(6)), product(7))
        };
        // The last row of what is turned is lowest.
        let elements = ordered(turned(std::array::from_fn(|m| byte(7 - m))));
        for (j, elements) in elements.into_iter().enumerate() {
            out[place(i, j)] = words(elements);
        }
    }
}
