//! The loops in plain Rust. The AVX2 path is the same code compiled for that instruction set.

use super::cpu::Loops;
use super::gemm::{Block, GROUP, Packing};
use crate::R64;

pub(super) const LOOPS: Loops = Loops {
    name: "portable",
    mul_add,
    dot,
    block: block_by(multiply),
};

/// Rows and columns of the register block.
pub(super) const ROWS: usize = 8;
pub(super) const COLS: usize = 24;

/// A block of 8 rows and 24 columns: 24 columns × 256 × 8 bytes stay in the first-level cache.
pub(super) const fn block_by(multiply: fn(tile: &mut [R64], a: &[R64], b: &[R64])) -> Block {
    Block {
        a: Packing {
            outer: ROWS,
            along: along::<ROWS>,
            across: across::<ROWS>,
        },
        b: Packing {
            outer: COLS,
            along: along::<COLS>,
            across: across::<COLS>,
        },
        step: GROUP,
        depth: 256,
        multiply,
    }
}

fn along<const P: usize>(panel: &mut [R64], at: usize, line: &[R64]) {
    let rows = panel.as_chunks_mut::<P>().0;
    rows.iter_mut().zip(line).for_each(|(row, &w)| row[at] = w);
}

fn across<const P: usize>(panel: &mut [R64], at: usize, lines: [&[R64]; GROUP]) {
    let rows = &mut panel.as_chunks_mut::<P>().0[at..];
    rows.iter_mut()
        .zip(lines)
        .for_each(|(row, line)| row.copy_from_slice(line));
}

#[inline(always)]
pub(super) fn mul_add(out: &mut [R64], x: &[R64], y: &[R64]) {
    out.iter_mut()
        .zip(x)
        .zip(y)
        .for_each(|((o, &a), &b)| *o += a * b);
}

#[inline(always)]
pub(super) fn multiply(tile: &mut [R64], a: &[R64], b: &[R64]) {
    let mut sum = [[R64::default(); COLS]; ROWS];
    for (column, row) in a.as_chunks::<ROWS>().0.iter().zip(b.as_chunks::<COLS>().0) {
        for (sum, &a) in sum.iter_mut().zip(column) {
            sum.iter_mut().zip(row).for_each(|(sum, &b)| *sum += a * b);
        }
    }
    tile.as_chunks_mut::<COLS>()
        .0
        .iter_mut()
        .zip(sum)
        .for_each(|(tile, sum)| *tile = sum);
}

#[inline(always)]
pub(super) fn dot(x: &[R64], y: &[R64]) -> R64 {
    x.iter().zip(y).map(|(&a, &b)| a * b).sum()
}
