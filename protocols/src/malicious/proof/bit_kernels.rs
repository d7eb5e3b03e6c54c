//! Loops over conjunctions, 64 to a word, that never write a gate down as a field element of its own.
//!
//! Byte c of a word stands for eight gates of one weight τ_c. A sum Σ τ_c·bit_l(c) is a product of matrices over GF(2), and so is
//! the fold of a byte to Σ_l κ_l·bit_l: where the processor multiplies eight by eight bits (GFNI), one instruction does 4,096
//! conjunctions. What every variant gives is the same; time depends on lengths alone.

use super::binary::{Binary, BinarySum};
use super::combinations::subset_sums;
use super::field::Field;

/// Gates of one weight: a byte.
pub(super) const K: usize = 8;

/// The operands of gates at both indices, words of one count.
#[derive(Clone, Copy)]
pub(super) struct Gates<'a> {
    /// First factors at this party's own index and at the next.
    pub(super) x: [&'a [u64]; 2],
    /// Second factors.
    pub(super) y: [&'a [u64]; 2],
}

impl<'a> Gates<'a> {
    /// Some of the words.
    pub(super) fn part(&self, range: std::ops::Range<usize>) -> Self {
        let cut = |v: [&'a [u64]; 2]| v.map(|v| &v[range.clone()]);
        Self {
            x: cut(self.x),
            y: cut(self.y),
        }
    }
}

/// A map from bytes to field elements: Σ_l κ_l·bit_l.
pub(super) struct Linear {
    values: [u64; 1 << K],
    /// Eight by eight bits for each byte of the result.
    #[cfg(target_arch = "x86_64")]
    matrices: [u64; 8],
}

impl Linear {
    pub(super) fn new(kappa: &[u64; K]) -> Self {
        Self {
            values: subset_sums(kappa, |x, y| x ^ y),
            #[cfg(target_arch = "x86_64")]
            matrices: x86::matrices(kappa),
        }
    }

    /// Of the bytes of a word.
    fn of(&self, word: u64) -> [u64; K] {
        word.to_le_bytes().map(|b| self.values[usize::from(b)])
    }
}

/// Both factors folded: plain the first, weighted the second.
pub(super) struct Folds {
    pub(super) plain: Linear,
    pub(super) weighted: Linear,
}

/// All ones where the bit is set.
fn all(word: u64, bit: usize) -> u64 {
    0u64.wrapping_sub(word >> bit & 1)
}

/// out_l += Σ τ_c·(bit l of byte c), over all words, for τ byte by byte.
pub(super) fn sums(words: &[u64], tau: &[[u64; K]], out: &mut [u64; K]) {
    #[cfg(target_arch = "x86_64")]
    if x86::found() {
        // SAFETY: the features were found.
        return unsafe { x86::sums(words, tau, out) };
    }
    sums_portable(words, tau, out);
}

fn sums_portable(words: &[u64], tau: &[[u64; K]], out: &mut [u64; K]) {
    for (word, tau) in words.iter().zip(tau) {
        for (byte, tau) in word.to_le_bytes().into_iter().zip(tau) {
            for (l, out) in out.iter_mut().enumerate() {
                *out ^= tau & all(byte.into(), l);
            }
        }
    }
}

/// out_jl += Σ τ_c·(x_j·y'_l + x'_j·y_l) of the bits of byte c at this index and, primed, the next.
pub(super) fn pairs(gates: &Gates<'_>, tau: &[[u64; K]], out: &mut [[u64; K]; K]) {
    #[cfg(target_arch = "x86_64")]
    if x86::found() {
        // SAFETY: the features were found.
        return unsafe { x86::pairs(gates, tau, out) };
    }
    pairs_portable(gates, tau, out);
}

fn pairs_portable(gates: &Gates<'_>, tau: &[[u64; K]], out: &mut [[u64; K]; K]) {
    tacit_mpc::kernels::vectorised(|| {
        for (h, tau) in tau.iter().enumerate() {
            let bytes = |v: &[&[u64]; 2]| v.map(|v| v[h].to_le_bytes());
            let (x, y) = (bytes(&gates.x), bytes(&gates.y));
            for (c, &tau) in tau.iter().enumerate() {
                let half = |y: u8| -> [u64; K] { std::array::from_fn(|l| tau & all(y.into(), l)) };
                let (y0, y1) = (half(y[0][c]), half(y[1][c]));
                for (j, out) in out.iter_mut().enumerate() {
                    let (x0, x1) = (all(x[0][c].into(), j), all(x[1][c].into(), j));
                    for (l, out) in out.iter_mut().enumerate() {
                        *out ^= (x0 & y1[l]) ^ (x1 & y0[l]);
                    }
                }
            }
        }
    });
}

/// The elements (a, a', b, b') that the bytes of word h fold to: a of x, b of y times τ.
fn folded(gates: &Gates<'_>, h: usize, tau: &[u64; K], folds: &Folds) -> [[u64; K]; 4] {
    let weighted = |y: u64| {
        let mut b = folds.weighted.of(y);
        b.iter_mut()
            .zip(tau)
            .for_each(|(b, &t)| *b = Binary.mul(*b, t));
        b
    };
    let [x0, x1] = gates.x.map(|x| folds.plain.of(x[h]));
    let [y0, y1] = gates.y.map(|y| weighted(y[h]));
    [x0, x1, y0, y1]
}

/// Adds to the sums of [`kernels::gram`] those of (a, b') and (b, a'), every word's bytes being a block.
pub(super) fn gram(gates: &Gates<'_>, tau: &[[u64; K]], folds: &Folds, out: &mut [BinarySum]) {
    #[cfg(target_arch = "x86_64")]
    if x86::found() {
        // SAFETY: the features were found.
        return unsafe { x86::gram(gates, tau, folds, out) };
    }
    gram_portable(gates, tau, folds, out);
}

fn gram_portable(gates: &Gates<'_>, tau: &[[u64; K]], folds: &Folds, out: &mut [BinarySum]) {
    for (h, tau) in tau.iter().enumerate() {
        let [a, a_next, b, b_next] = folded(gates, h, tau, folds);
        Binary.gram(&a, &b_next, K, out);
        Binary.gram(&b, &a_next, K, out);
    }
}

/// Writes Σ_j c_j·(element j) of every word for a, a', b and b'.
pub(super) fn combine(
    gates: &Gates<'_>,
    tau: &[[u64; K]],
    folds: &Folds,
    coefficients: &[u64; K],
    out: [&mut [u64]; 4],
) {
    #[cfg(target_arch = "x86_64")]
    if x86::found() {
        // SAFETY: the features were found.
        return unsafe { x86::combine(gates, tau, folds, coefficients, out) };
    }
    combine_portable(gates, tau, folds, coefficients, out);
}

fn combine_portable(
    gates: &Gates<'_>,
    tau: &[[u64; K]],
    folds: &Folds,
    coefficients: &[u64; K],
    out: [&mut [u64]; 4],
) {
    for (h, tau) in tau.iter().enumerate() {
        let elements = folded(gates, h, tau, folds);
        for (k, elements) in elements.into_iter().enumerate() {
            out[k][h] = Binary.dot(elements, coefficients.iter().copied());
        }
    }
}

/// The same by products of eight by eight bits (GFNI) and of eight polynomials (VPCLMULQDQ).
#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m512i, _mm512_gf2p8affine_epi64_epi8, _mm512_maskz_mov_epi8, _mm512_permutexvar_epi8,
        _mm512_set1_epi8, _mm512_set1_epi64, _mm512_setzero_si512, _mm512_test_epi8_mask,
        _mm512_unpackhi_epi64, _mm512_unpacklo_epi64, _mm512_xor_si512,
    };

    use super::super::vectors::{self, products, reduced, vector, words};
    use super::{BinarySum, Folds, Gates, K};

    /// Whether the processor has the instructions.
    pub(super) fn found() -> bool {
        vectors::found()
            && is_x86_feature_detected!("gfni")
            && is_x86_feature_detected!("avx512vbmi")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
    }

    /// Byte k has bit k, and bit 7 - k: times a matrix of bits they transpose it, its rows taken from the last.
    const STRAIGHT: i64 = 0x8040_2010_0804_0201u64 as i64;
    const TURNED: i64 = 0x0102_0408_1020_4080;

    /// Byte c of word o for byte o of word c.
    const TRANSPOSED: [u8; 64] = {
        let mut index = [0; 64];
        let mut k = 0;
        while k < 64 {
            index[k] = (k % 8 * 8 + k / 8) as u8;
            k += 1;
        }
        index
    };

    /// The bytes of each word in reverse.
    const REVERSED: [u8; 64] = {
        let mut index = [0; 64];
        let mut k = 0;
        while k < 64 {
            index[k] = (k / 8 * 8 + 7 - k % 8) as u8;
            k += 1;
        }
        index
    };

    /// Row i of matrix o: bit 8o + i of all κ_l, in the order of the instruction.
    pub(super) fn matrices(kappa: &[u64; K]) -> [u64; 8] {
        std::array::from_fn(|o| {
            let row = |i: usize| {
                let bits = kappa.iter().enumerate();
                bits.fold(0u64, |row, (l, k)| row | (k >> (8 * o + i) & 1) << l)
            };
            (0..8).fold(0, |m, i| m | row(i) << (8 * (7 - i)))
        })
    }

    /// Byte p: bit p of all τ_c, the last lowest.
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi,gfni")]
    #[inline]
    fn columns(tau: &[u64; K]) -> __m512i {
        let bytes = _mm512_permutexvar_epi8(vector(&TRANSPOSED), vector(tau));
        _mm512_gf2p8affine_epi64_epi8::<0>(_mm512_set1_epi64(STRAIGHT), bytes)
    }

    /// Word l's bits: bit l of every byte.
    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    fn bits(v: __m512i) -> [u64; K] {
        std::array::from_fn(|l| _mm512_test_epi8_mask(v, _mm512_set1_epi8((1u8 << l) as i8)))
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi,gfni")]
    pub(super) fn sums(input: &[u64], tau: &[[u64; K]], out: &mut [u64; K]) {
        let (groups, rest) = input.as_chunks::<8>();
        let mut sum = _mm512_setzero_si512();
        for (group, tau) in groups.iter().zip(tau.as_chunks::<8>().0) {
            let turned = _mm512_set1_epi64(TURNED);
            let group = words(_mm512_gf2p8affine_epi64_epi8::<0>(turned, vector(group)));
            for (&matrix, tau) in group.iter().zip(tau) {
                let matrix = _mm512_set1_epi64(matrix as i64);
                let product = _mm512_gf2p8affine_epi64_epi8::<0>(columns(tau), matrix);
                sum = _mm512_xor_si512(sum, product);
            }
        }
        out.iter_mut().zip(bits(sum)).for_each(|(o, s)| *o ^= s);
        super::sums_portable(rest, &tau[input.len() - rest.len()..], out);
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi,gfni")]
    pub(super) fn pairs(gates: &Gates<'_>, tau: &[[u64; K]], out: &mut [[u64; K]; K]) {
        let whole = tau.len() / 8 * 8;
        let mut sums = [_mm512_setzero_si512(); K];
        // Bit c of byte j for bit j of byte c.
        let transposed = |group: &[u64; 8]| {
            let bytes = _mm512_permutexvar_epi8(vector(&REVERSED), vector(group));
            let straight = _mm512_set1_epi64(STRAIGHT);
            words(_mm512_gf2p8affine_epi64_epi8::<0>(straight, bytes))
        };
        let [x0, x1] = gates.x.map(|x| x.as_chunks::<8>().0);
        for (g, (x0, x1)) in x0.iter().zip(x1).enumerate() {
            let masks = transposed(x0).into_iter().zip(transposed(x1));
            for (h, (mask, next)) in (8 * g..).zip(masks) {
                // Word j: the bytes of y whose x has bit j.
                let half =
                    |mask: u64, y: u64| _mm512_maskz_mov_epi8(mask, _mm512_set1_epi64(y as i64));
                let both = _mm512_xor_si512(half(mask, gates.y[1][h]), half(next, gates.y[0][h]));
                let turned = _mm512_set1_epi64(TURNED);
                let matrices = words(_mm512_gf2p8affine_epi64_epi8::<0>(turned, both));
                let columns = columns(&tau[h]);
                for (sum, matrix) in sums.iter_mut().zip(matrices) {
                    let matrix = _mm512_set1_epi64(matrix as i64);
                    let product = _mm512_gf2p8affine_epi64_epi8::<0>(columns, matrix);
                    *sum = _mm512_xor_si512(*sum, product);
                }
            }
        }
        for (out, sum) in out.iter_mut().zip(sums) {
            out.iter_mut().zip(bits(sum)).for_each(|(o, s)| *o ^= s);
        }
        super::pairs_portable(&gates.part(whole..tau.len()), &tau[whole..], out);
    }

    #[target_feature(enable = "avx512f,avx512vbmi,gfni")]
    #[inline]
    fn fold(word: u64, matrices: &[u64; 8]) -> __m512i {
        let word = _mm512_set1_epi64(word as i64);
        let bytes = _mm512_gf2p8affine_epi64_epi8::<0>(word, vector(matrices));
        _mm512_permutexvar_epi8(vector(&TRANSPOSED), bytes)
    }

    /// a, a', b and b' of word h.
    #[target_feature(enable = "avx512f,avx512vbmi,gfni,vpclmulqdq")]
    #[inline]
    fn folded(gates: &Gates<'_>, h: usize, tau: &[u64; K], folds: &Folds) -> [__m512i; 4] {
        let tau = vector(tau);
        let weighted = |y: u64| {
            let [even, odd] = products(fold(y, &folds.weighted.matrices), tau);
            reduced(
                _mm512_unpacklo_epi64(even, odd),
                _mm512_unpackhi_epi64(even, odd),
            )
        };
        [
            fold(gates.x[0][h], &folds.plain.matrices),
            fold(gates.x[1][h], &folds.plain.matrices),
            weighted(gates.y[0][h]),
            weighted(gates.y[1][h]),
        ]
    }

    #[target_feature(enable = "avx512f,avx512vbmi,gfni,vpclmulqdq")]
    pub(super) fn gram(gates: &Gates<'_>, tau: &[[u64; K]], folds: &Folds, out: &mut [BinarySum]) {
        let mut sums = vectors::none();
        for (h, tau) in tau.iter().enumerate() {
            let [a, a_next, b, b_next] = folded(gates, h, tau, folds);
            vectors::within(&mut sums, a, b_next);
            vectors::within(&mut sums, b, a_next);
        }
        vectors::finish(&sums, K, 0, out);
    }

    #[target_feature(enable = "avx512f,avx512vbmi,gfni,vpclmulqdq")]
    pub(super) fn combine(
        gates: &Gates<'_>,
        tau: &[[u64; K]],
        folds: &Folds,
        coefficients: &[u64; K],
        mut out: [&mut [u64]; 4],
    ) {
        let c = vector(coefficients);
        let dots = |h: usize| vectors::dots(folded(gates, h, &tau[h], folds), c);
        let n = tau.len();
        for h in (0..n).step_by(2) {
            let first = dots(h);
            let second = if h + 1 < n { dots(h + 1) } else { first };
            let result = words(reduced(
                _mm512_unpacklo_epi64(first, second),
                _mm512_unpackhi_epi64(first, second),
            ));
            for (out, pair) in out.iter_mut().zip(result.as_chunks::<2>().0) {
                let count = 2.min(n - h);
                out[h..h + count].copy_from_slice(&pair[..count]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::kernels;
    use super::*;

    fn word() -> impl Strategy<Value = u64> {
        prop_oneof![4 => any::<u64>(), 1 => Just(0), 1 => Just(u64::MAX), 1 => Just(1 << 63)]
    }

    fn eight() -> impl Strategy<Value = [u64; K]> {
        prop::array::uniform8(word())
    }

    proptest! {
        /// All four loops by the processor's instructions, the portable ones, and the definition; lengths that are no multiples.
        #[test]
        fn every_variant_gives_what_the_definition_gives(
            gates in prop::collection::vec((word(), word(), word(), word(), eight()), 0..21),
            plain in eight(),
            weighted in eight(),
            coefficients in eight(),
        ) {
            let column = |f: fn(&(u64, u64, u64, u64, [u64; K])) -> u64| -> Vec<u64> { gates.iter().map(f).collect() };
            let (x0, x1, y0, y1) = (column(|g| g.0), column(|g| g.1), column(|g| g.2), column(|g| g.3));
            let tau: Vec<[u64; K]> = gates.iter().map(|g| g.4).collect();
            let gates = Gates { x: [&x0, &x1], y: [&y0, &y1] };
            let bit = |w: u64, c: usize, l: usize| w >> (8 * c + l) & 1;
            let every = || (0..tau.len()).flat_map(|h| (0..K).map(move |c| (h, c)));

            let want: [u64; K] = std::array::from_fn(|l| every().fold(0, |s, (h, c)| s ^ (tau[h][c] * bit(x0[h], c, l))));
            let (mut fast, mut portable) = ([0; K], [0; K]);
            sums(&x0, &tau, &mut fast);
            sums_portable(&x0, &tau, &mut portable);
            prop_assert_eq!(fast, want);
            prop_assert_eq!(portable, want);

            let want: [[u64; K]; K] = std::array::from_fn(|j| std::array::from_fn(|l| every().fold(0, |s, (h, c)| {
                let both = bit(x0[h], c, j) & bit(y1[h], c, l) ^ bit(x1[h], c, j) & bit(y0[h], c, l);
                s ^ (tau[h][c] * both)
            })));
            let (mut fast, mut portable) = ([[0; K]; K], [[0; K]; K]);
            pairs(&gates, &tau, &mut fast);
            pairs_portable(&gates, &tau, &mut portable);
            prop_assert_eq!(fast, want);
            prop_assert_eq!(portable, want);

            let folds = Folds { plain: Linear::new(&plain), weighted: Linear::new(&weighted) };
            let element = |word: u64, c: usize, kappa: &[u64; K]| (0..K).fold(0, |s, l| s ^ (kappa[l] * bit(word, c, l)));
            let a = |x: &[u64], h: usize, c: usize| element(x[h], c, &plain);
            let b = |y: &[u64], h: usize, c: usize| Binary.mul(element(y[h], c, &weighted), tau[h][c]);
            let m = |j: usize, l: usize| (0..tau.len()).fold(0, |s, h| {
                s ^ Binary.mul(a(&x0, h, j), b(&y1, h, l)) ^ Binary.mul(b(&y0, h, j), a(&x1, h, l))
            });
            let (mut fast, mut portable) = (vec![BinarySum::default(); K * K], vec![BinarySum::default(); K * K]);
            gram(&gates, &tau, &folds, &mut fast);
            gram_portable(&gates, &tau, &folds, &mut portable);
            let (fast, portable) = (kernels::symmetric(Binary, fast, K), kernels::symmetric(Binary, portable, K));
            prop_assert_eq!(&fast, &portable);
            for j in 0..K {
                prop_assert_eq!(fast[j * K + j], m(j, j));
                for l in j + 1..K {
                    prop_assert_eq!(fast[j * K + l] ^ fast[l * K + j], m(j, l) ^ m(l, j));
                }
            }

            let n = tau.len();
            let mut outs = [0, 1].map(|_| [0; 4].map(|_| vec![0; n]));
            let [fast, portable] = &mut outs;
            combine(&gates, &tau, &folds, &coefficients, fast.each_mut().map(|v| &mut v[..]));
            combine_portable(&gates, &tau, &folds, &coefficients, portable.each_mut().map(|v| &mut v[..]));
            prop_assert_eq!(&outs[0], &outs[1]);
            let dot = |e: &dyn Fn(usize) -> u64| (0..K).fold(0, |s, c| s ^ Binary.mul(coefficients[c], e(c)));
            for h in 0..n {
                let want = [dot(&|c| a(&x0, h, c)), dot(&|c| a(&x1, h, c)), dot(&|c| b(&y0, h, c)), dot(&|c| b(&y1, h, c))];
                prop_assert_eq!(outs[0].each_ref().map(|v| v[h]), want);
            }
        }
    }
}
