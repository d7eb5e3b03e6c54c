//! AMX: 64-bit products from products of bytes.
//!
//! With x = Σ x_i·2^(8i), x·y mod 2^64 = Σ_{i+j<8} x_i·y_j·2^(8(i+j)): 36 products of byte matrices, and those of one weight
//! i + j share an accumulator. One tile instruction does 16·16·64 products of bytes in about 16 cycles, so that this is some
//! eight times as fast as `vpmullq` on the same core. Accumulators of 32 bits are enough: one of weight w < 4 adds up at most
//! (w+1)·depth products below 2^16, and of weight 4 and more only the low 32 bits count modulo 2^64.
//!
//! Secrets are multiplied here, and nothing documented promises that the time of a tile instruction does not depend on them:
//! that Intel's list of instructions with data-operand-independent timing has it was not found. Measured, 2,000 rounds of four
//! `tdpbuud` took 4.222 ns an instruction for bytes that are all 0, all 1, all 255 or random, the same to three decimals.

use std::arch::asm;
use std::arch::x86_64::{
    __cpuid_count, __m512i, _mm512_loadu_si512, _mm512_permutexvar_epi8, _mm512_shuffle_i64x2,
    _mm512_storeu_si512, _mm512_unpackhi_epi64, _mm512_unpacklo_epi64, _xgetbv,
};
use std::mem::MaybeUninit;

use bytemuck::cast_slice_mut;

use super::gemm::{Block, GROUP, Packing};
use crate::R64;

/// Rows and columns of a tile, and bytes of a row of it.
const TILE: usize = 16;
const ROW: usize = 64;
/// Rows of an a panel and columns of a b panel: two tiles of each make four accumulators and four operands, all eight tiles.
const OUTER: usize = 2 * TILE;
/// Bytes of a word.
const PLANES: usize = 8;
/// Bytes of a tile; of a plane of a panel, two tiles; of all planes of 64 steps of the inner dimension.
const TILE_BYTES: usize = TILE * ROW;
const PLANE_BYTES: usize = 2 * TILE_BYTES;
const STEP_BYTES: usize = PLANES * PLANE_BYTES;
/// Steps for which all weights are added up before the next ones: what they read, 64 kB, is nearly all in the first-level
/// cache after the first weight, and the accumulators are put away half as often as with one step.
const GROUPED: usize = 2;
/// A panel pair of 32 × 512 words is 256 kB: it stays in the second-level cache.
const DEPTH: usize = 512;
const _: () = assert!(
    4 * DEPTH * 255 * 255 < 1 << 32,
    "accumulators of weight 3 must not overflow"
);

/// The block, where processor and operating system offer the tiles.
pub(super) fn block() -> Option<Block> {
    offered().then_some(Block {
        a: Packing {
            outer: OUTER,
            along: a_along,
            across: a_across,
        },
        b: Packing {
            outer: OUTER,
            along: b_along,
            across: b_across,
        },
        step: ROW,
        depth: DEPTH,
        multiply,
    })
}

/// Whether the tiles may be used: the processor has them, the system saves them, and this process may (Linux grants the large
/// state on request only; `Documentation/arch/x86/xstate.rst`).
fn offered() -> bool {
    const AMX_TILE_AND_INT8: u32 = 1 << 24 | 1 << 25;
    const TILE_STATE: u64 = 1 << 17 | 1 << 18;
    const ARCH_PRCTL: u64 = 158;
    const ARCH_REQ_XCOMP_PERM: u64 = 0x1023;
    const XFEATURE_XTILEDATA: u64 = 18;
    #[target_feature(enable = "xsave")]
    fn enabled() -> u64 {
        // SAFETY: register 0 exists wherever the instruction does.
        unsafe { _xgetbv(0) }
    }
    let vectors = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vbmi")
        && is_x86_feature_detected!("xsave");
    if !cfg!(target_os = "linux") || !vectors {
        return false;
    }
    // A processor with AVX-512 has leaf 7.
    let tiles = __cpuid_count(7, 0).edx & AMX_TILE_AND_INT8 == AMX_TILE_AND_INT8;
    // SAFETY: `xsave` was just found.
    if !tiles || unsafe { enabled() } & TILE_STATE != TILE_STATE {
        return false;
    }
    let refused: i64;
    // SAFETY: a system call that reads no memory of this process; the kernel preserves all registers but these.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") ARCH_PRCTL => refused,
            in("rdi") ARCH_REQ_XCOMP_PERM,
            in("rsi") XFEATURE_XTILEDATA,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack)
        );
    }
    refused == 0
}

/// Shapes of the eight tiles, 16 rows of 64 bytes each: palette 1 of Intel's manual, volume 1, chapter 18.
#[repr(C, align(64))]
struct Shapes([u8; 64]);

static SHAPES: Shapes = {
    let mut shapes = [0; 64];
    shapes[0] = 1;
    let mut tile = 0;
    while tile < 8 {
        shapes[16 + 2 * tile] = ROW as u8;
        shapes[48 + tile] = TILE as u8;
        tile += 1;
    }
    Shapes(shapes)
};

/// Accumulators: for each weight the four tiles of 16×16 words.
#[repr(C, align(64))]
struct Sums([[[[u32; TILE]; TILE]; 4]; PLANES]);

fn multiply(tile: &mut [R64], a: &[R64], b: &[R64]) {
    let mut sums = MaybeUninit::<Sums>::uninit();
    let steps = a.len() / (OUTER * ROW);
    assert!(
        steps > 0 && a.len() == b.len() && a.len() == steps * OUTER * ROW,
        "panels are packed in whole steps"
    );
    let (mut a, mut b): (*const u8, *const u8) = (a.as_ptr().cast(), b.as_ptr().cast());
    let sums_start: *mut u8 = sums.as_mut_ptr().cast();
    // SAFETY: only reachable through `block`, which has checked for the tiles and the vectors. The loops over the steps read
    // `steps`·STEP_BYTES bytes of each panel, which the assertion has checked. The stores of the first group fill `sums`, and
    // the loads of later ones read it. The compiler does not use tile registers by itself, and they are released before
    // anything else runs.
    unsafe {
        asm!("ldtilecfg [{}]", in(reg) &SHAPES, options(nostack, readonly));
        for done in (0..steps).step_by(GROUPED) {
            let group = GROUPED.min(steps - done);
            for weight in 0..PLANES {
                let sums = sums_start.add(weight * size_of::<Sums>() / PLANES);
                if done == 0 {
                    asm!(
                        "tilezero tmm0",
                        "tilezero tmm1",
                        "tilezero tmm2",
                        "tilezero tmm3",
                        options(nostack, nomem)
                    );
                } else {
                    asm!(
                        "tileloadd tmm0, [{sums} + {row}]",
                        "tileloadd tmm1, [{sums} + {row} + 1024]",
                        "tileloadd tmm2, [{sums} + {row} + 2048]",
                        "tileloadd tmm3, [{sums} + {row} + 3072]",
                        sums = in(reg) sums,
                        row = in(reg) ROW,
                        options(nostack, readonly)
                    );
                }
                asm!(
                    "2:",
                    "mov {x}, {a}",
                    "mov {y}, {b}",
                    "mov {left}, {products}",
                    "3:",
                    "tileloadd tmm4, [{x} + {row}]",
                    "tileloadd tmm6, [{y} + {row}]",
                    "tdpbuud tmm0, tmm4, tmm6",
                    "tileloadd tmm7, [{y} + {row} + 1024]",
                    "tdpbuud tmm1, tmm4, tmm7",
                    "tileloadd tmm5, [{x} + {row} + 1024]",
                    "tdpbuud tmm2, tmm5, tmm6",
                    "tdpbuud tmm3, tmm5, tmm7",
                    "add {x}, 2048",
                    "sub {y}, 2048",
                    "dec {left}",
                    "jnz 3b",
                    "add {a}, 16384",
                    "add {b}, 16384",
                    "dec {steps}",
                    "jnz 2b",
                    "tilestored [{sums} + {row}], tmm0",
                    "tilestored [{sums} + {row} + 1024], tmm1",
                    "tilestored [{sums} + {row} + 2048], tmm2",
                    "tilestored [{sums} + {row} + 3072], tmm3",
                    a = inout(reg) a => _,
                    b = inout(reg) b.add(weight * PLANE_BYTES) => _,
                    steps = inout(reg) group => _,
                    products = in(reg) weight + 1,
                    sums = in(reg) sums,
                    row = in(reg) ROW,
                    x = out(reg) _,
                    y = out(reg) _,
                    left = out(reg) _,
                    options(nostack)
                );
            }
            (a, b) = (a.add(group * STEP_BYTES), b.add(group * STEP_BYTES));
        }
        asm!("tilerelease", options(nostack, nomem));
        // All 32 tiles have been stored.
        combine(tile, sums.assume_init_ref());
    }
}

/// tile = Σ sums·2^(8·weight).
#[target_feature(enable = "avx512f,avx512bw")]
fn combine(tile: &mut [R64], sums: &Sums) {
    let [s0, s1, s2, s3, s4, s5, s6, s7] = &sums.0;
    for quarter in 0..4 {
        let (i0, j0) = (quarter / 2 * TILE, quarter % 2 * TILE);
        for i in 0..TILE {
            let line = tile[(i0 + i) * OUTER + j0..][..TILE].as_mut_array::<TILE>();
            let Some(line) = line else { return };
            let row = |s: &[[[u32; TILE]; TILE]; 4]| s[quarter][i];
            let (s4, s5, s6, s7) = (row(s4), row(s5), row(s6), row(s7));
            let (s0, s1, s2, s3) = (row(s0), row(s1), row(s2), row(s3));
            for j in 0..TILE {
                let high = s4[j]
                    .wrapping_add(s5[j] << 8)
                    .wrapping_add(s6[j] << 16)
                    .wrapping_add(s7[j] << 24);
                let low = u64::from(s0[j])
                    .wrapping_add(u64::from(s1[j]) << 8)
                    .wrapping_add(u64::from(s2[j]) << 16)
                    .wrapping_add(u64::from(s3[j]) << 24);
                line[j].0 = low.wrapping_add(u64::from(high) << 32);
            }
        }
    }
}

/// The bytes of 64 words by their weight: eight planes of 64 bytes. Interleaved, byte 4j + i of a plane is that of word
/// 16i + j, else that of word 4j + i: both orders of four positions of the inner dimension that a tile of b wants together.
fn split<const INTERLEAVE: bool>(words: [&[R64]; GROUP]) -> [[u8; ROW]; PLANES] {
    let mut planes = [[0; ROW]; PLANES];
    // SAFETY: only reachable through `block`, which has checked for the vectors.
    unsafe { split_by_vectors::<INTERLEAVE>(words, &mut planes) };
    planes
}

/// Byte 8p + t from byte 8t + p: an 8×8 transpose.
const TRANSPOSE: [u8; ROW] = order(8);
/// Byte 4j + i from byte 16i + j.
const INTERLEAVED: [u8; ROW] = order(4);

const fn order(rows: usize) -> [u8; ROW] {
    let mut order = [0; ROW];
    let mut k = 0;
    while k < ROW {
        order[k] = (k % rows * (ROW / rows) + k / rows) as u8;
        k += 1;
    }
    order
}

#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn split_by_vectors<const INTERLEAVE: bool>(
    words: [&[R64]; GROUP],
    planes: &mut [[u8; ROW]; PLANES],
) {
    let transpose = load(&TRANSPOSE);
    // Eight words a vector; then byte p of each of them lies in quarter word p.
    let z: [__m512i; 8] = std::array::from_fn(|q| {
        let bytes: &[u8] = bytemuck::cast_slice(&words[q / 2][q % 2 * 8..][..8]);
        let vector = bytes.as_array().map_or(transpose, |bytes| load(bytes));
        _mm512_permutexvar_epi8(transpose, vector)
    });
    // An 8×8 transpose of these.
    let even: [__m512i; 4] = std::array::from_fn(|q| _mm512_unpacklo_epi64(z[2 * q], z[2 * q + 1]));
    let odd: [__m512i; 4] = std::array::from_fn(|q| _mm512_unpackhi_epi64(z[2 * q], z[2 * q + 1]));
    for (first, lanes) in [even, odd].into_iter().enumerate() {
        let x = _mm512_shuffle_i64x2::<0x88>(lanes[0], lanes[1]);
        let y = _mm512_shuffle_i64x2::<0x88>(lanes[2], lanes[3]);
        let u = _mm512_shuffle_i64x2::<0xDD>(lanes[0], lanes[1]);
        let v = _mm512_shuffle_i64x2::<0xDD>(lanes[2], lanes[3]);
        let rows = [
            _mm512_shuffle_i64x2::<0x88>(x, y),
            _mm512_shuffle_i64x2::<0x88>(u, v),
            _mm512_shuffle_i64x2::<0xDD>(x, y),
            _mm512_shuffle_i64x2::<0xDD>(u, v),
        ];
        for (k, mut row) in rows.into_iter().enumerate() {
            if INTERLEAVE {
                row = _mm512_permutexvar_epi8(load(&INTERLEAVED), row);
            }
            // SAFETY: a plane has the 64 bytes that are stored.
            unsafe { _mm512_storeu_si512(planes[2 * k + first].as_mut_ptr().cast(), row) };
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(bytes: &[u8; ROW]) -> __m512i {
    // SAFETY: the array has the 64 bytes that are loaded.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

/// Where a row of a tile begins: step of 64, plane, row of the two tiles.
fn place(step: usize, plane: usize, row: usize) -> usize {
    step * STEP_BYTES + plane * PLANE_BYTES + row * ROW
}

/// Words 16i .. 16i + 16 of 64, for i < 4.
fn quarters(words: &[R64; ROW]) -> [&[R64]; GROUP] {
    std::array::from_fn(|i| &words[TILE * i..][..TILE])
}

/// Row r of a tile of a is a row of a: 64 positions of the inner dimension.
fn a_along(panel: &mut [R64], at: usize, line: &[R64]) {
    let bytes: &mut [u8] = cast_slice_mut(panel);
    for (step, words) in line.as_chunks::<ROW>().0.iter().enumerate() {
        for (plane, row) in split::<false>(quarters(words)).iter().enumerate() {
            bytes[place(step, plane, at)..][..ROW].copy_from_slice(row);
        }
    }
}

fn a_across(panel: &mut [R64], at: usize, lines: [&[R64]; GROUP]) {
    let bytes: &mut [u8] = cast_slice_mut(panel);
    for half in 0..2 {
        let planes = split::<true>(lines.map(|l| &l[half * TILE..][..TILE]));
        for (plane, row) in planes.iter().enumerate() {
            let start = place(at / ROW, plane, half * TILE) + at % ROW;
            for (r, group) in row.as_chunks::<GROUP>().0.iter().enumerate() {
                bytes[start + r * ROW..][..GROUP].copy_from_slice(group);
            }
        }
    }
}

/// Row r of a tile of b holds positions 4r .. 4r + 4 of the inner dimension, column by column.
fn b_along(panel: &mut [R64], at: usize, line: &[R64]) {
    let bytes: &mut [u8] = cast_slice_mut(panel);
    for (step, words) in line.as_chunks::<ROW>().0.iter().enumerate() {
        for (plane, row) in split::<false>(quarters(words)).iter().enumerate() {
            let start = place(step, plane, at / TILE * TILE) + at % TILE * GROUP;
            for (r, group) in row.as_chunks::<GROUP>().0.iter().enumerate() {
                bytes[start + r * ROW..][..GROUP].copy_from_slice(group);
            }
        }
    }
}

fn b_across(panel: &mut [R64], at: usize, lines: [&[R64]; GROUP]) {
    let bytes: &mut [u8] = cast_slice_mut(panel);
    for half in 0..2 {
        let planes = split::<true>(lines.map(|l| &l[half * TILE..][..TILE]));
        for (plane, row) in planes.iter().enumerate() {
            let start = place(at / ROW, plane, half * TILE + at % ROW / GROUP);
            bytes[start..][..ROW].copy_from_slice(row);
        }
    }
}
