//! How much of a product is packed at a time.

use bytemuck::{Pod, Zeroable};

use crate::gpu::Failed;
use crate::view::Product;

/// A part of a view that is packed: `Part` of `kernels/limbs.cu` and `kernels/residues.cu`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(crate) struct Part {
    row: u32,
    pub(crate) rows: u32,
    k: u32,
    pub(crate) count: u32,
    at: u32,
    length: u32,
}

/// A part of a result that is computed: `Tile` of the same files.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(crate) struct Tile {
    row: u32,
    pub(crate) rows: u32,
    column: u32,
    pub(crate) columns: u32,
    pub(crate) length: u32,
    accumulate: u32,
}

/// What a packed product is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packing {
    /// Rows and columns of a tile of the kernel.
    pub(crate) tile: usize,
    /// Entries of k that one of its steps takes: packed rows are multiples of it.
    pub(crate) step: usize,
    /// Bytes of a packed entry.
    pub(crate) entry: usize,
    /// Bytes besides for each word of a result.
    pub(crate) result: usize,
    /// The most entries of k, of all terms together, of one launch.
    pub(crate) most: usize,
}

/// A product in parts: of so many rows and columns, and so many entries of k of each term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parts {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) depth: usize,
}

/// The second axis of a grid.
pub(crate) const MOST_BLOCKS: usize = 65_535;

impl Parts {
    /// The largest that take at most `bytes`: halves k while it is long, then the longer side.
    pub(crate) fn of(
        product: &Product,
        packing: &Packing,
        terms: usize,
        bytes: usize,
    ) -> Result<Self, Failed> {
        let most = (packing.most / terms).min(32 * MOST_BLOCKS) / packing.step * packing.step;
        let mut parts = Self {
            rows: product.rows,
            columns: product.columns,
            depth: product.depth.min(most),
        };
        if most == 0 {
            return Err(Failed::Setting);
        }
        let takes = |p: &Self| {
            let length = (terms * p.depth.next_multiple_of(packing.step)) as u128;
            let operands = (p.rows + p.columns) as u128 * length * packing.entry as u128;
            let results = p.rows as u128 * p.columns as u128 * packing.result as u128;
            (operands + results) * product.batches as u128
        };
        while takes(&parts) > bytes as u128 {
            let longer = parts.rows.max(parts.columns);
            if parts.depth > packing.step && (longer <= packing.tile || parts.depth > longer / 4) {
                parts.depth = parts.depth.div_ceil(2).next_multiple_of(packing.step);
            } else if longer > packing.tile {
                let side = if parts.rows == longer {
                    &mut parts.rows
                } else {
                    &mut parts.columns
                };
                *side = longer.div_ceil(2).next_multiple_of(packing.tile);
            } else {
                return Err(Failed::Setting);
            }
        }
        Ok(parts)
    }

    /// Entries of a packed row, of all terms.
    pub(crate) fn length(&self, packing: &Packing, terms: usize) -> usize {
        terms * self.depth.next_multiple_of(packing.step)
    }
}

/// A walk over parts: what packs an operand, and what multiplies what is packed.
pub(crate) trait Steps {
    /// Packs a part of term `term`; of the operand whose rows are the result's rows if `left`.
    fn pack(&mut self, left: bool, term: usize, part: Part) -> Result<(), Failed>;
    /// Multiplies what was packed last.
    fn multiply(&mut self, tile: Tile) -> Result<(), Failed>;
}

/// All parts of a product, terms side by side along k.
pub(crate) fn walk(
    product: &Product,
    packing: &Packing,
    terms: usize,
    parts: &Parts,
    steps: &mut impl Steps,
) -> Result<(), Failed> {
    let ranges = |all: usize, some: usize| {
        (0..all)
            .step_by(some)
            .map(move |at| (at, some.min(all - at)))
    };
    for (k, count) in ranges(product.depth, parts.depth) {
        let padded = count.next_multiple_of(packing.step);
        let part = |(row, rows): (usize, usize), term: usize| Part {
            row: row as u32,
            rows: rows as u32,
            k: k as u32,
            count: count as u32,
            at: (term * padded) as u32,
            length: (terms * padded) as u32,
        };
        for (row, rows) in ranges(product.rows, parts.rows) {
            for term in 0..terms {
                steps.pack(true, term, part((row, rows), term))?;
            }
            for (column, columns) in ranges(product.columns, parts.columns) {
                for term in 0..terms {
                    steps.pack(false, term, part((column, columns), term))?;
                }
                steps.multiply(Tile {
                    row: row as u32,
                    rows: rows as u32,
                    column: column as u32,
                    columns: columns as u32,
                    length: (terms * padded) as u32,
                    accumulate: u32::from(k > 0),
                })?;
            }
        }
    }
    Ok(())
}
