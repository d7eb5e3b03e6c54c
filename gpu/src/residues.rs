//! Products by residues on tensor cores: `kernels/residues.cu`.

use crate::device::{Arguments, Device, Kernel};
use crate::gpu::{Failed, blocks};
use crate::parts::{Packing, Part, Parts, Steps, Tile, walk};
use crate::view::Product;

/// With 18 moduli a sum may have so many products (the kernel's documentation: 11213), with 19 so many (2^17 - 1), both
/// in whole steps.
const MOST: [usize; 2] = [11_200, (1 << 17) - 64];

fn packing(moduli: usize) -> Packing {
    Packing {
        tile: 128,
        step: 64,
        entry: moduli,
        result: moduli,
        most: MOST[moduli - 18],
    }
}

struct Residues<'a, D: Device> {
    device: &'a D,
    product: &'a Product,
    operands: &'a [(u64, u64)],
    moduli: usize,
    /// Of the packed operands and of the digits.
    planes: (u64, u64, u64),
    to: u64,
}

/// Matrix products; operands and result by their addresses. Packed operands and digits take at most `bytes`.
pub(crate) fn matrices<D: Device>(
    device: &D,
    product: &Product,
    operands: &[(u64, u64)],
    to: u64,
    bytes: usize,
) -> Result<(), Failed> {
    let terms = operands.len();
    let all = terms * product.depth.next_multiple_of(64);
    let moduli = if all <= MOST[0] { 18 } else { 19 };
    let packing = packing(moduli);
    let parts = Parts::of(product, &packing, terms, bytes)?;
    let row = product.batches * parts.length(&packing, terms) * moduli;
    let left = device.allocate(row * parts.rows)?;
    let right = device.allocate(row * parts.columns)?;
    let digits = device.allocate(product.batches * parts.rows * parts.columns * moduli)?;
    let mut steps = Residues {
        device,
        product,
        operands,
        moduli,
        planes: (
            device.address(&left),
            device.address(&right),
            device.address(&digits),
        ),
        to,
    };
    walk(product, &packing, terms, &parts, &mut steps)
}

impl<D: Device> Steps for Residues<'_, D> {
    fn pack(&mut self, left: bool, term: usize, part: Part) -> Result<(), Failed> {
        let (a, b) = self.operands[term];
        let (view, from, to) = if left {
            (self.product.left, a, self.planes.0)
        } else {
            (self.product.right, b, self.planes.1)
        };
        let kernel = match (left, self.moduli) {
            (true, 18) => Kernel::ResiduesPackLeft18,
            (true, _) => Kernel::ResiduesPackLeft19,
            (false, 18) => Kernel::ResiduesPackRight18,
            (false, _) => Kernel::ResiduesPackRight19,
        };
        let grid = [
            blocks(part.rows as usize, 32)?,
            // What is behind the part up to the next step is packed too, as zeros.
            blocks((part.count as usize).next_multiple_of(64), 32)?,
            self.product.batches as u32,
        ];
        let arguments = Arguments::default().with(view).with(from).with(to);
        // SAFETY: the kernel's arguments; the view leads to words of its operand, the planes have room for the part.
        unsafe {
            self.device
                .launch(kernel, kernel.grid(grid), arguments.with(part))
        }
        .map_err(Failed::from)
    }

    fn multiply(&mut self, tile: Tile) -> Result<(), Failed> {
        let (left, right, digits) = self.planes;
        let (rows, columns) = (tile.rows as usize, tile.columns as usize);
        let batches = self.product.batches as u32;
        let moduli = self.moduli as u32;
        let tiles = rows.div_ceil(128) * columns.div_ceil(128);
        let arguments = Arguments::default().with(left).with(right).with(digits);
        let arguments = arguments.with(tile).with(moduli);
        let grid = [blocks(tiles, 1)?, moduli, batches];
        // SAFETY: the kernel's arguments; planes hold the tile's rows and columns, the digits have room for all.
        unsafe {
            self.device.launch(
                Kernel::ResiduesProduct,
                Kernel::ResiduesProduct.grid(grid),
                arguments,
            )?
        };
        let arguments = Arguments::default().with(digits).with(self.to);
        let arguments = arguments.with(self.product.place).with(tile).with(moduli);
        let grid = [blocks(rows * columns, 256)?, batches, 1];
        // SAFETY: the kernel's arguments; places lead to words of the result.
        unsafe {
            self.device.launch(
                Kernel::ResiduesCombine,
                Kernel::ResiduesCombine.grid(grid),
                arguments,
            )
        }
        .map_err(Failed::from)
    }
}
