//! Matrix products by packed panels and a register block (Goto, van de Geijn, ACM TOMS 2008; loops as in BLIS, Van Zee, van
//! de Geijn, ACM TOMS 2015).
//!
//! Several products that add up are one product with their inner dimensions joined. Operands are given as lines, so that
//! what is multiplied need not lie in memory as a matrix: the windows of a convolution are packed as they are read.

use crate::R64;

/// A matrix given by lines, which run along its inner dimension or across it.
pub(super) trait Lines {
    /// Entries `from ..` of a line.
    fn fill(&self, line: usize, from: usize, out: &mut [R64]);
}

/// Rows of a row-major matrix.
pub(super) struct Dense<'a> {
    pub(super) words: &'a [R64],
    pub(super) columns: usize,
}

impl Lines for Dense<'_> {
    fn fill(&self, line: usize, from: usize, out: &mut [R64]) {
        out.copy_from_slice(&self.words[line * self.columns + from..][..out.len()]);
    }
}

/// One side of a sum of products: the terms' matrices one after the other along the inner dimension.
pub(super) struct Side<'a> {
    terms: Vec<(&'a dyn Lines, usize)>,
    /// Whether lines run along the inner dimension (rows of a, columns of b) or across it.
    inner: bool,
}

impl<'a> Side<'a> {
    /// From each term's matrix and inner dimension.
    pub(super) fn new<L: Lines>(matrices: &'a [(L, usize)], inner: bool) -> Self {
        let term = |(matrix, k): &'a (L, usize)| (matrix as &dyn Lines, *k);
        Self {
            terms: matrices.iter().map(term).collect(),
            inner,
        }
    }

    fn depth(&self) -> usize {
        self.terms.iter().map(|(_, k)| k).sum()
    }

    /// A line along the inner dimension from position `from`.
    fn along(&self, line: usize, mut from: usize, mut out: &mut [R64]) {
        for (matrix, k) in &self.terms {
            if from < *k && !out.is_empty() {
                let here = out.len().min(k - from);
                let (piece, rest) = out.split_at_mut(here);
                matrix.fill(line, from, piece);
                (from, out) = (0, rest);
            } else {
                from -= from.min(*k);
            }
        }
    }

    /// The line across the inner dimension at position `at`.
    fn across(&self, mut at: usize, from: usize, out: &mut [R64]) {
        for (matrix, k) in &self.terms {
            if at < *k {
                return matrix.fill(at, from, out);
            }
            at -= k;
        }
    }
}

/// Lines across the inner dimension that are packed together.
pub(super) const GROUP: usize = 4;

/// Packs one side's panels: `outer` rows of a or columns of b by the inner dimension, of which every word takes a word.
#[derive(Clone, Copy)]
pub(super) struct Packing {
    /// Rows or columns of a panel.
    pub(super) outer: usize,
    /// A line along the inner dimension becomes number `at` of the panel. Its length is a multiple of the block's `step`.
    pub(super) along: fn(panel: &mut [R64], at: usize, line: &[R64]),
    /// Four lines across the inner dimension, `outer` wide, become positions `at ..` of the panel.
    pub(super) across: fn(panel: &mut [R64], at: usize, lines: [&[R64]; GROUP]),
}

/// A register block and how panels for it are packed.
#[derive(Clone, Copy)]
pub(super) struct Block {
    pub(super) a: Packing,
    pub(super) b: Packing,
    /// The inner dimension of panels is a multiple of this.
    pub(super) step: usize,
    /// Inner dimension of a panel pair at most.
    pub(super) depth: usize,
    /// tile = a·b for one panel pair; the tile is row-major, as wide as b's panel.
    pub(super) multiply: fn(tile: &mut [R64], a: &[R64], b: &[R64]),
}

/// Where the entries of a product go: entry (i, j) to i·row + (j / run)·jump + j mod run.
#[derive(Clone, Copy)]
pub(super) struct Target {
    pub(super) row: usize,
    pub(super) run: usize,
    pub(super) jump: usize,
}

impl Target {
    /// A row-major matrix.
    pub(super) fn matrix(columns: usize) -> Self {
        Self {
            row: columns,
            run: columns.max(1),
            jump: 0,
        }
    }

    /// Adds words to row i from column j on.
    fn add(&self, out: &mut [R64], i: usize, mut j: usize, mut words: &[R64]) {
        while !words.is_empty() {
            let here = (self.run - j % self.run).min(words.len());
            let (piece, rest) = words.split_at(here);
            let at = i * self.row + j / self.run * self.jump + j % self.run;
            out[at..at + here]
                .iter_mut()
                .zip(piece)
                .for_each(|(o, &w)| *o += w);
            (j, words) = (j + here, rest);
        }
    }
}

/// Rows packed at once: with the depths in use they stay in the second-level cache.
const ROWS: usize = 256;
/// Columns packed at once.
const COLUMNS: usize = 1024;
/// Words of a cache line.
const LINE: usize = 8;

/// Zeroed words that start at a cache line.
struct Buffer(Vec<R64>, usize);

impl Buffer {
    fn new(words: usize) -> Self {
        let buffer = vec![R64::default(); words + LINE];
        let offset = buffer.as_ptr().align_offset(LINE * size_of::<R64>());
        Self(buffer, offset.min(LINE))
    }

    fn words(&mut self) -> &mut [R64] {
        &mut self.0[self.1..]
    }
}

/// out += Σ a·b, m rows by n columns.
pub(super) fn gemm(
    block: &Block,
    (m, n): (usize, usize),
    (a, b): (&Side<'_>, &Side<'_>),
    out: &mut [R64],
    target: Target,
) {
    let k = a.depth();
    if m == 0 || n == 0 || k == 0 {
        return;
    }
    let deepest = k.min(block.depth).next_multiple_of(block.step);
    let mut packed_a = Buffer::new(m.min(ROWS).next_multiple_of(block.a.outer) * deepest);
    let mut packed_b = Buffer::new(n.min(COLUMNS).next_multiple_of(block.b.outer) * deepest);
    let mut tile = Buffer::new(block.a.outer * block.b.outer);
    let tile = &mut tile.words()[..block.a.outer * block.b.outer];
    let mut scratch = Vec::new();
    for j0 in (0..n).step_by(COLUMNS) {
        let columns = j0..n.min(j0 + COLUMNS);
        for k0 in (0..k).step_by(block.depth) {
            let inner = k0..k.min(k0 + block.depth);
            let depth = inner.len().next_multiple_of(block.step);
            let b_words = packed_b.words();
            pack(
                &block.b,
                b,
                columns.clone(),
                inner.clone(),
                depth,
                b_words,
                &mut scratch,
            );
            for i0 in (0..m).step_by(ROWS) {
                let rows = i0..m.min(i0 + ROWS);
                let a_words = packed_a.words();
                pack(
                    &block.a,
                    a,
                    rows.clone(),
                    inner.clone(),
                    depth,
                    a_words,
                    &mut scratch,
                );
                for (b_panel, j) in b_words
                    .chunks_exact(block.b.outer * depth)
                    .zip(columns.clone().step_by(block.b.outer))
                {
                    let width = (columns.end - j).min(block.b.outer);
                    for (a_panel, i) in a_words
                        .chunks_exact(block.a.outer * depth)
                        .zip(rows.clone().step_by(block.a.outer))
                    {
                        (block.multiply)(tile, a_panel, b_panel);
                        let lines = tile.chunks_exact(block.b.outer).zip(i..rows.end);
                        lines.for_each(|(line, i)| target.add(out, i, j, &line[..width]));
                    }
                }
            }
        }
    }
}

/// Packs rows or columns `outer` of a side into panels of `depth` words each; what is missing is zero.
fn pack(
    packing: &Packing,
    side: &Side<'_>,
    outer: std::ops::Range<usize>,
    inner: std::ops::Range<usize>,
    depth: usize,
    panels: &mut [R64],
    scratch: &mut Vec<R64>,
) {
    let zero = R64::default();
    let panels = panels.chunks_exact_mut(packing.outer * depth);
    let count = outer.len().div_ceil(packing.outer);
    if side.inner {
        scratch.clear();
        scratch.resize(depth, zero);
        for (panel, first) in panels.zip(outer.clone().step_by(packing.outer)) {
            if outer.end - first < packing.outer {
                panel.fill(zero);
            }
            for (at, line) in (first..outer.end).take(packing.outer).enumerate() {
                side.along(line, inner.start, &mut scratch[..inner.len()]);
                (packing.along)(panel, at, scratch);
            }
        }
        return;
    }
    let width = count * packing.outer;
    scratch.clear();
    scratch.resize(GROUP * width, zero);
    let mut panels: Vec<_> = panels.take(count).collect();
    for k in (0..depth).step_by(GROUP) {
        for (line, k) in scratch.chunks_exact_mut(width).zip(inner.start + k..) {
            if k < inner.end {
                side.across(k, outer.start, &mut line[..outer.len()]);
            } else {
                line.fill(zero);
            }
        }
        for (p, panel) in panels.iter_mut().enumerate() {
            let line = |g: usize| &scratch[g * width + p * packing.outer..][..packing.outer];
            (packing.across)(panel, k, [line(0), line(1), line(2), line(3)]);
        }
    }
}

/// Few columns of row-major matrices, without packing: dot products with the columns of b laid out one after the other.
pub(super) fn narrow(
    dot: fn(&[R64], &[R64]) -> R64,
    (a, b): (&[R64], &[R64]),
    (k, n): (usize, usize),
    out: &mut [R64],
) {
    if k == 0 || n == 0 {
        return;
    }
    let mut columns = vec![R64::default(); k * n];
    for (i, row) in b.chunks_exact(n).enumerate() {
        row.iter()
            .enumerate()
            .for_each(|(j, &v)| columns[j * k + i] = v);
    }
    for (row, out) in a.chunks_exact(k).zip(out.chunks_exact_mut(n)) {
        for (column, out) in columns.chunks_exact(k).zip(out) {
            *out += dot(row, column);
        }
    }
}
