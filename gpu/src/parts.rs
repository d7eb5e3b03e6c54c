//! How much of a product is packed at a time.

use crate::failed::Failed;
use crate::view::Product;

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

/// Blocks along the second and the third axis of a grid, at most.
pub(crate) const MOST_BLOCKS: usize = 65_535;
/// Rows and entries that a block packs.
pub(crate) const PATCH: usize = 32;

impl Parts {
    /// The largest that take at most `bytes`: halves k while it is long, then the longer side.
    pub(crate) fn of(
        product: &Product,
        packing: &Packing,
        terms: usize,
        bytes: usize,
    ) -> Result<Self, Failed> {
        let most = (packing.most / terms).min(PATCH * MOST_BLOCKS) / packing.step * packing.step;
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
