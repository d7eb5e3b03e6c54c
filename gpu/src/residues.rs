//! Products by residues on tensor cores: `kernels/residues.cu`.

use crate::device::{Arguments, Device};
use crate::failed::Failed;
use crate::gpu::blocks;
use crate::kernel::Kernel;
use crate::packed::{Launch, Packed};
use crate::parts::Packing;

/// With 18 moduli a sum may have so many products (the kernel's documentation: 11213), with 19 so many (2^17 - 1), both
/// in whole steps.
const MOST: [usize; 2] = [11_200, (1 << 17) - 64];

/// Residues of so many moduli, 18 or 19.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Residues(usize);

impl Residues {
    /// As few as sums of `terms` times `depth` products allow.
    pub(crate) fn of(terms: usize, depth: usize) -> Self {
        let all = terms * depth.next_multiple_of(64);
        Self(if all <= MOST[0] { 18 } else { 19 })
    }
}

impl Packed for Residues {
    fn packing(&self) -> Packing {
        Packing {
            tile: 128,
            step: 64,
            entry: self.0,
            result: self.0,
            most: MOST[self.0 - 18],
        }
    }

    fn kernel(&self, left: bool) -> Kernel {
        match (left, self.0) {
            (true, 18) => Kernel::ResiduesPackLeft18,
            (true, _) => Kernel::ResiduesPackLeft19,
            (false, 18) => Kernel::ResiduesPackRight18,
            (false, _) => Kernel::ResiduesPackRight19,
        }
    }

    fn multiply<D: Device>(&self, device: &D, launch: &Launch) -> Result<(), Failed> {
        let moduli = self.0 as u32;
        let arguments = Arguments::default().with(launch.left).with(launch.right);
        let arguments = arguments.with(launch.results).with(launch.tile);
        let kernels = (Kernel::ResiduesProduct, Kernel::ResiduesConvolution);
        let (kernel, arguments) = launch.choose(kernels, arguments.with(moduli));
        let grid = kernel.grid(launch.blocks(self.packing().tile, moduli)?);
        // SAFETY: the kernel's arguments; planes hold the tile's rows and columns, the digits have room for all.
        unsafe { device.launch(kernel, grid, arguments)? };
        let arguments = Arguments::default().with(launch.results).with(launch.to);
        let arguments = arguments.with(launch.place).with(launch.tile);
        let words = launch.tile.rows as usize * launch.tile.columns as usize;
        let kernel = Kernel::ResiduesCombine;
        let grid = kernel.grid([blocks(words, 256)?, launch.batches, 1]);
        // SAFETY: the kernel's arguments; places lead to words of the result.
        unsafe { device.launch(kernel, grid, arguments.with(moduli)) }.map_err(Failed::from)
    }
}
