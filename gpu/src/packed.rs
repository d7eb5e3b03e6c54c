//! Products of packed operands: what limbs and residues share on the host, as they share `kernels/tiles.cuh` on the device.

use bytemuck::{Pod, Zeroable};

use crate::device::{Arguments, Device};
use crate::failed::Failed;
use crate::gpu::blocks;
use crate::images::{self, Images};
use crate::kernel::Kernel;
use crate::parts::{PATCH, Packing, Parts};
use crate::view::{Place, Product, View};

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
    /// Where windows of images lie, if the right operand is packed images: what kernels take besides.
    pub(crate) images: Option<(View, images::Layout)>,
}

impl Launch {
    /// One of two kernels, and what it takes behind the other arguments: `plain` if rows are packed one behind the other.
    pub(crate) fn choose(
        &self,
        (plain, convolution): (Kernel, Kernel),
        arguments: Arguments,
    ) -> (Kernel, Arguments) {
        match self.images {
            None => (plain, arguments),
            Some((view, images)) => (convolution, arguments.with(view).with(images)),
        }
    }

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
    if let Some(images) = product.images
        && let Some(parts) = images::Parts::of(product, &images, &packing, terms, bytes)
    {
        return convolution(device, by, product, &images, operands, to, &parts);
    }
    let parts = Parts::of(product, &packing, terms, bytes)?;
    let row = product.batches * parts.length(&packing, terms) * packing.entry;
    let left = device.allocate(row * parts.rows)?;
    let right = device.allocate(row * parts.columns)?;
    let results = product.batches * parts.rows * parts.columns * packing.result;
    let results = device.allocate(results)?;
    for (k, count) in ranges(product.depth, parts.depth) {
        let padded = count.next_multiple_of(packing.step);
        let pack = |is_left: bool, (row, rows): (usize, usize)| {
            let (view, to) = if is_left {
                (product.left, device.address(&left))
            } else {
                (product.right, device.address(&right))
            };
            for (term, (a, b)) in operands.iter().enumerate() {
                let from = *if is_left { a } else { b };
                let part = Part {
                    row: row as u32,
                    rows: rows as u32,
                    k: k as u32,
                    count: count as u32,
                    at: (term * padded) as u32,
                    length: (terms * padded) as u32,
                };
                pack(device, by, product, is_left, (view, from, to), part)?;
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
                    images: None,
                };
                by.multiply(device, &launch)?;
            }
        }
    }
    Ok(())
}

/// The same for a convolution whose right operand is packed as images.
fn convolution<D: Device>(
    device: &D,
    by: &impl Packed,
    product: &Product,
    images: &Images,
    operands: &[(u64, u64)],
    to: u64,
    parts: &images::Parts,
) -> Result<(), Failed> {
    let (packing, terms) = (by.packing(), operands.len());
    let padded = images.padded(&packing);
    let (lines, depth) = (product.right.lines(), images.window * padded);
    let columns = images.positions / lines;
    let pixels = parts.pixels(product, images);
    let entries = product.batches * packing.entry * terms;
    let left = device.allocate(entries * depth * parts.rows)?;
    let right = device.allocate(entries * padded * pixels)?;
    let results = parts.rows * parts.samples * parts.lines * columns * packing.result;
    let results = device.allocate(product.batches * results)?;
    for (row, rows) in ranges(product.rows, parts.rows) {
        for (term, &(from, _)) in operands.iter().enumerate() {
            let part = Part {
                row: row as u32,
                rows: rows as u32,
                k: 0,
                count: depth as u32,
                at: (term * depth) as u32,
                length: (terms * depth) as u32,
            };
            let to = device.address(&left);
            let view = images.weights(&packing);
            pack(device, by, product, true, (view, from, to), part)?;
        }
        for (sample, samples) in ranges(images.samples, parts.samples) {
            for (line, count) in ranges(lines, parts.lines) {
                let (windows, first, end) = if count == lines {
                    (product.right, 0, product.right.limit_lines())
                } else {
                    product.right.of_lines(line, count)
                };
                let of_line = images.pixels / product.right.limit_lines();
                let pixels = samples * (end - first) * of_line;
                let term_bytes = product.batches * packing.entry * pixels * padded;
                for (term, &(_, from)) in operands.iter().enumerate() {
                    let part = Part {
                        row: (sample * images.pixels + first * of_line) as u32,
                        rows: pixels as u32,
                        k: 0,
                        count: images.channels as u32,
                        at: 0,
                        length: padded as u32,
                    };
                    let to = device.address(&right) + (term * term_bytes) as u64;
                    pack(device, by, product, false, (images.image, from, to), part)?;
                }
                let launch = Launch {
                    left: device.address(&left),
                    right: device.address(&right),
                    results: device.address(&results),
                    to,
                    place: product.place,
                    tile: Tile {
                        row: row as u32,
                        rows: rows as u32,
                        column: (sample * images.positions + line * columns) as u32,
                        columns: (samples * count * columns) as u32,
                        length: (terms * depth) as u32,
                        accumulate: 0,
                    },
                    batches: product.batches as u32,
                    images: Some((
                        windows,
                        images::Layout {
                            blocks: (padded / packing.step) as u32,
                            pixels: pixels as u32,
                            term: term_bytes as u64,
                        },
                    )),
                };
                by.multiply(device, &launch)?;
            }
        }
    }
    Ok(())
}

/// `all` in parts of `some`: from where, and how many.
fn ranges(all: usize, some: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..all)
        .step_by(some)
        .map(move |at| (at, some.min(all - at)))
}

/// Packs a part of a view, from and to where, of the left or the right operand.
fn pack<D: Device>(
    device: &D,
    by: &impl Packed,
    product: &Product,
    left: bool,
    (view, from, to): (View, u64, u64),
    part: Part,
) -> Result<(), Failed> {
    if part.rows == 0 {
        return Ok(());
    }
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
