//! AMX (`amx.rs`), AVX-512 (64-bit products of eight lanes) and AVX2 (products put together from 32-bit ones).
//!
//! The unsafe code of the crate is here and in `amx.rs`, `aes.rs`, `bitfields.rs` and `vector.rs` beside it: functions compiled for an instruction set are called after a run-time
//! check for it.

use std::arch::x86_64::{
    __m512i, _mm512_add_epi64, _mm512_loadu_si512, _mm512_mullo_epi64, _mm512_reduce_add_epi64,
    _mm512_set1_epi64, _mm512_setzero_si512, _mm512_storeu_si512,
};
use std::num::Wrapping;

use super::amx;
use super::cpu::Loops;
use super::portable::{self, COLS, ROWS, block_by};
use crate::R64;

/// Whether the processor has the AVX-512 instructions for bytes, words and shorter vectors.
#[inline]
pub(super) fn has_avx512() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
}

/// The paths this processor can run, fastest first.
pub(super) fn available() -> Vec<Loops> {
    let mut loops = Vec::new();
    if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq") {
        let avx512 = Loops {
            name: "avx512",
            mul_add: mul_add_512,
            block: block_by(multiply_512),
            dot: dot_512,
        };
        loops.extend(amx::block().map(|block| Loops {
            name: "amx",
            block,
            ..avx512
        }));
        loops.push(avx512);
    }
    if is_x86_feature_detected!("avx2") {
        loops.push(Loops {
            name: "avx2",
            mul_add: mul_add_256,
            block: block_by(multiply_256),
            dot: dot_256,
        });
    }
    loops
}

/// A safe name for a function that needs an instruction set; `available` lists it only where the processor has the set.
macro_rules! checked {
    ($safe:ident = $feature:literal $inner:path: fn($($arg:ident: $ty:ty),*) $(-> $out:ty)?) => {
        fn $safe($($arg: $ty),*) $(-> $out)? {
            #[target_feature(enable = $feature)]
            fn compiled($($arg: $ty),*) $(-> $out)? {
                $inner($($arg),*)
            }
            // SAFETY: only reachable through `available`, which has checked for the instruction set.
            unsafe { compiled($($arg),*) }
        }
    };
}

checked!(mul_add_512 = "avx512f,avx512dq" portable::mul_add: fn(out: &mut [R64], x: &[R64], y: &[R64]));
checked!(mul_add_256 = "avx2" portable::mul_add: fn(out: &mut [R64], x: &[R64], y: &[R64]));
checked!(multiply_512 = "avx512f,avx512dq" multiply_avx512: fn(tile: &mut [R64], a: &[R64], b: &[R64]));
checked!(multiply_256 = "avx2" portable::multiply: fn(tile: &mut [R64], a: &[R64], b: &[R64]));
checked!(dot_512 = "avx512f,avx512dq" dot_avx512: fn(x: &[R64], y: &[R64]) -> R64);
checked!(dot_256 = "avx2" portable::dot: fn(x: &[R64], y: &[R64]) -> R64);

/// Eight rows of three vectors stay in 24 registers; a step of the inner dimension is three loads and 24 multiply-adds.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn multiply_avx512(tile: &mut [R64], a: &[R64], b: &[R64]) {
    let mut sum = [[_mm512_setzero_si512(); COLS / 8]; ROWS];
    for (column, row) in a.as_chunks::<ROWS>().0.iter().zip(b.as_chunks::<COLS>().0) {
        let row = [load(row, 0), load(row, 8), load(row, 16)];
        for (sum, a) in sum.iter_mut().zip(column) {
            let a = _mm512_set1_epi64(a.0 as i64);
            for (sum, b) in sum.iter_mut().zip(row) {
                *sum = _mm512_add_epi64(*sum, _mm512_mullo_epi64(a, b));
            }
        }
    }
    for (words, sum) in tile
        .as_chunks_mut::<8>()
        .0
        .iter_mut()
        .zip(sum.as_flattened())
    {
        // SAFETY: `words` has room for the 64 bytes that are stored.
        unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), *sum) };
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn dot_avx512(x: &[R64], y: &[R64]) -> R64 {
    let ((x, x_rest), (y, y_rest)) = (x.as_chunks::<8>(), y.as_chunks::<8>());
    let mut sum = _mm512_setzero_si512();
    for (x, y) in x.iter().zip(y) {
        sum = _mm512_add_epi64(sum, _mm512_mullo_epi64(load(x, 0), load(y, 0)));
    }
    Wrapping(_mm512_reduce_add_epi64(sum) as u64) + portable::dot(x_rest, y_rest)
}

/// Eight words from position `at`.
#[inline]
#[target_feature(enable = "avx512f")]
fn load(words: &[R64], at: usize) -> __m512i {
    let words = &words[at..at + 8];
    // SAFETY: the slice has 8 words, 64 bytes, and the load needs no alignment.
    unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
}
