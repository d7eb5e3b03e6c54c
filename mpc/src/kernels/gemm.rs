//! Matrix products by packed panels and an 8×24 register block (Goto, van de Geijn, ACM TOMS 2008).
//!
//! Several products that add up are one product with their inner dimensions joined: panels of all terms are packed one
//! after the other, and the block accumulates across them.

use super::cpu::Loops;
use crate::R64;

/// Rows and columns of the register block.
const ROWS: usize = 8;
const COLS: usize = 24;
/// Inner dimension of a packed panel pair: 24 columns × 256 × 8 bytes stay in the first-level cache.
const DEPTH: usize = 256;
/// Columns packed at once, a multiple of 24: DEPTH × 480 × 8 bytes stay in the second-level cache.
const WIDTH: usize = 480;

/// One term a·b of the sum: m×k by k×n, row-major.
pub(super) struct Operand<'a> {
    pub(super) a: &'a [R64],
    pub(super) b: &'a [R64],
    pub(super) m: usize,
    pub(super) k: usize,
    pub(super) n: usize,
}

/// out += Σ a·b, out row-major m×n.
pub(super) fn gemm(loops: &Loops, terms: &[Operand<'_>], out: &mut [R64]) {
    for t in terms {
        if t.n < COLS / 2 {
            narrow(loops, t, out);
        } else {
            blocked(loops, t, out);
        }
    }
}

/// Few columns: dot products with the columns of b laid out one after the other.
fn narrow(loops: &Loops, t: &Operand<'_>, out: &mut [R64]) {
    if t.k == 0 {
        return;
    }
    let mut columns = vec![R64::default(); t.k * t.n];
    for (k, row) in t.b.chunks_exact(t.n.max(1)).enumerate() {
        row.iter()
            .enumerate()
            .for_each(|(j, &v)| columns[j * t.k + k] = v);
    }
    for (row, out) in t.a.chunks_exact(t.k).zip(out.chunks_exact_mut(t.n.max(1))) {
        for (column, out) in columns.chunks_exact(t.k).zip(out) {
            *out += (loops.dot)(row, column);
        }
    }
}

fn blocked(loops: &Loops, t: &Operand<'_>, out: &mut [R64]) {
    let mut b_panels = vec![[R64::default(); COLS]; DEPTH * (WIDTH / COLS)];
    let mut a_panel = vec![[R64::default(); ROWS]; DEPTH];
    for j0 in (0..t.n).step_by(WIDTH) {
        let width = (t.n - j0).min(WIDTH);
        for k0 in (0..t.k).step_by(DEPTH) {
            let depth = (t.k - k0).min(DEPTH);
            for (panel, j) in b_panels
                .chunks_exact_mut(DEPTH)
                .zip((j0..j0 + width).step_by(COLS))
            {
                let cols = (j0 + width - j).min(COLS);
                for (row, k) in panel[..depth].iter_mut().zip(k0..) {
                    *row = [R64::default(); COLS];
                    row[..cols].copy_from_slice(&t.b[k * t.n + j..][..cols]);
                }
            }
            for i in (0..t.m).step_by(ROWS) {
                let rows = (t.m - i).min(ROWS);
                a_panel[..depth].fill([R64::default(); ROWS]);
                for r in 0..rows {
                    let source = &t.a[(i + r) * t.k + k0..][..depth];
                    a_panel
                        .iter_mut()
                        .zip(source)
                        .for_each(|(column, &v)| column[r] = v);
                }
                for (panel, j) in b_panels
                    .chunks_exact(DEPTH)
                    .zip((j0..j0 + width).step_by(COLS))
                {
                    let cols = (j0 + width - j).min(COLS);
                    let mut acc = [[R64::default(); COLS]; ROWS];
                    (loops.block)(&mut acc, &a_panel[..depth], &panel[..depth]);
                    for (r, acc) in acc.iter().enumerate().take(rows) {
                        let out = &mut out[(i + r) * t.n + j..][..cols];
                        out.iter_mut().zip(acc).for_each(|(o, &v)| *o += v);
                    }
                }
            }
        }
    }
}
