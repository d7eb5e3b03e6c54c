//! Products by limbs on tensor cores: `kernels/limbs.cu`.

use crate::device::{Arguments, Device, Kernel};
use crate::gpu::{Failed, blocks};
use crate::parts::{Packing, Part, Parts, Steps, Tile, walk};
use crate::view::Product;

const PACKING: Packing = Packing {
    tile: 64,
    step: 32,
    entry: 8,
    result: 0,
    most: 1 << 30,
};

struct Limbs<'a, D: Device> {
    device: &'a D,
    product: &'a Product,
    operands: &'a [(u64, u64)],
    /// Of the packed operands.
    planes: (u64, u64),
    to: u64,
}

/// Matrix products; operands and result by their addresses. Packed operands take at most `bytes`.
pub(crate) fn matrices<D: Device>(
    device: &D,
    product: &Product,
    operands: &[(u64, u64)],
    to: u64,
    bytes: usize,
) -> Result<(), Failed> {
    let terms = operands.len();
    let parts = Parts::of(product, &PACKING, terms, bytes)?;
    let row = product.batches * parts.length(&PACKING, terms) * PACKING.entry;
    let left = device.allocate(row * parts.rows)?;
    let right = device.allocate(row * parts.columns)?;
    let mut steps = Limbs {
        device,
        product,
        operands,
        planes: (device.address(&left), device.address(&right)),
        to,
    };
    walk(product, &PACKING, terms, &parts, &mut steps)
}

impl<D: Device> Steps for Limbs<'_, D> {
    fn pack(&mut self, left: bool, term: usize, part: Part) -> Result<(), Failed> {
        let (a, b) = self.operands[term];
        let (view, from, to) = if left {
            (self.product.left, a, self.planes.0)
        } else {
            (self.product.right, b, self.planes.1)
        };
        let grid = [
            blocks(part.rows as usize, 32)?,
            blocks(part.count as usize, PACKING.step)?,
            self.product.batches as u32,
        ];
        let arguments = Arguments::default().with(view).with(from).with(to);
        // SAFETY: the kernel's arguments; the view leads to words of its operand, the planes have room for the part.
        unsafe {
            self.device.launch(
                Kernel::LimbsPack,
                Kernel::LimbsPack.grid(grid),
                arguments.with(part),
            )
        }
        .map_err(Failed::from)
    }

    fn multiply(&mut self, tile: Tile) -> Result<(), Failed> {
        let (rows, columns) = (tile.rows as usize, tile.columns as usize);
        let tiles = rows.div_ceil(PACKING.tile) * columns.div_ceil(PACKING.tile);
        let grid = [blocks(tiles, 1)?, 1, self.product.batches as u32];
        let arguments = Arguments::default().with(self.planes.0).with(self.planes.1);
        let arguments = arguments.with(self.to).with(self.product.place).with(tile);
        // SAFETY: the kernel's arguments; planes hold the tile's rows and columns, places lead to words of the result.
        unsafe {
            self.device.launch(
                Kernel::LimbsProduct,
                Kernel::LimbsProduct.grid(grid),
                arguments,
            )
        }
        .map_err(Failed::from)
    }
}
