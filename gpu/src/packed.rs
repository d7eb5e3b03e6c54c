//! Products of packed operands: what limbs and residues share on the host, as they share `kernels/tiles.cuh` on the device.

use bytemuck::{Pod, Zeroable};

use crate::device::{Arguments, Device, Kernel};
use crate::gpu::{Failed, blocks};
use crate::parts::{Packing, Parts};
use crate::view::{Place, Product};

/// A part of a view that is packed: `Part` of `kernels/tiles.cuh`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
struct Part {
    row: u32,
    rows: u32,
    k: u32,
    count: u32,
    at: u32,
    length: u32,
}

/// A part of a result that is computed: `Tile` of the same file.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(crate) struct Tile {
    row: u32,
    pub(crate) rows: u32,
    column: u32,
    pub(crate) columns: u32,
    length: u32,
    accumulate: u32,
}

/// A way to pack words and to multiply what is packed.
pub(crate) trait Packed {
    /// How much memory it takes, and how much it takes at a time.
    fn packing(&self) -> Packing;

    /// What packs the operand whose rows are the result's rows, if `left`, or the other one.
    fn kernel(&self, left: bool) -> Kernel;

    /// Multiplies what is packed.
    fn multiply<D: Device>(&self, device: &D, launch: &Launch) -> Result<(), Failed>;
}

/// What is multiplied, by addresses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Launch {
    pub(crate) left: u64,
    pub(crate) right: u64,
    /// `Packing::result` bytes for each word of a result.
    pub(crate) results: u64,
    pub(crate) to: u64,
    pub(crate) place: Place,
    pub(crate) tile: Tile,
    pub(crate) batches: u32,
}

impl Launch {
    /// A block for each tile of so many rows and columns, in each of so many planes of each batch.
    pub(crate) fn blocks(&self, side: usize, planes: u32) -> Result<[u32; 3], Failed> {
        let (rows, columns) = (self.tile.rows as usize, self.tile.columns as usize);
        let tiles = rows.div_ceil(side) * columns.div_ceil(side);
        Ok([blocks(tiles, 1)?, planes, self.batches])
    }
}

/// Matrix products; operands and result by their addresses. What is packed, and what results take besides, is at most
/// `bytes`: in parts, if need be, terms side by side along k.
pub(crate) fn matrices<D: Device>(
    device: &D,
    by: &impl Packed,
    product: &Product,
    operands: &[(u64, u64)],
    to: u64,
    bytes: usize,
) -> Result<(), Failed> {
    let (packing, terms) = (by.packing(), operands.len());
    let parts = Parts::of(product, &packing, terms, bytes)?;
    let row = product.batches * parts.length(&packing, terms) * packing.entry;
    let left = device.allocate(row * parts.rows)?;
    let right = device.allocate(row * parts.columns)?;
    let results = product.batches * parts.rows * parts.columns * packing.result;
    let results = device.allocate(results)?;
    let ranges = |all: usize, some: usize| {
        (0..all)
            .step_by(some)
            .map(move |at| (at, some.min(all - at)))
    };
    for (k, count) in ranges(product.depth, parts.depth) {
        let padded = count.next_multiple_of(packing.step);
        let pack = |is_left: bool, (row, rows): (usize, usize)| {
            let memory = if is_left { &left } else { &right };
            for (term, &operand) in operands.iter().enumerate() {
                let part = Part {
                    row: row as u32,
                    rows: rows as u32,
                    k: k as u32,
                    count: count as u32,
                    at: (term * padded) as u32,
                    length: (terms * padded) as u32,
                };
                let to = device.address(memory);
                pack(device, by, product, (is_left, operand), part, to)?;
            }
            Ok::<_, Failed>(())
        };
        for (row, rows) in ranges(product.rows, parts.rows) {
            pack(true, (row, rows))?;
            for (column, columns) in ranges(product.columns, parts.columns) {
                pack(false, (column, columns))?;
                let tile = Tile {
                    row: row as u32,
                    rows: rows as u32,
                    column: column as u32,
                    columns: columns as u32,
                    length: (terms * padded) as u32,
                    accumulate: u32::from(k > 0),
                };
                let launch = Launch {
                    left: device.address(&left),
                    right: device.address(&right),
                    results: device.address(&results),
                    to,
                    place: product.place,
                    tile,
                    batches: product.batches as u32,
                };
                by.multiply(device, &launch)?;
            }
        }
    }
    Ok(())
}

/// Packs a part of one side of a term to the planes at `to`.
fn pack<D: Device>(
    device: &D,
    by: &impl Packed,
    product: &Product,
    (left, (a, b)): (bool, (u64, u64)),
    part: Part,
    to: u64,
) -> Result<(), Failed> {
    let (view, from) = if left {
        (product.left, a)
    } else {
        (product.right, b)
    };
    // What is behind the part up to the next step is packed too, as zeros.
    let count = (part.count as usize).next_multiple_of(by.packing().step);
    let grid = [
        blocks(part.rows as usize, PATCH)?,
        blocks(count, PATCH)?,
        product.batches as u32,
    ];
    let arguments = Arguments::default().with(view).with(from).with(to);
    let kernel = by.kernel(left);
    // SAFETY: the kernel's arguments; the view leads to words of its operand, the planes have room for the part.
    unsafe { device.launch(kernel, kernel.grid(grid), arguments.with(part)) }.map_err(Failed::from)
}

/// Rows and entries that a block packs.
const PATCH: usize = 32;
