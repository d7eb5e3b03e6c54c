//! Products by limbs on tensor cores: `kernels/limbs.cu`.

use crate::device::{Arguments, Device};
use crate::failed::Failed;
use crate::kernel::Kernel;
use crate::packed::{Launch, Packed};
use crate::parts::Packing;
use crate::word::OfWords;

/// As many limbs as words have bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limbs(pub(crate) OfWords);

impl Packed for Limbs {
    fn packing(&self) -> Packing {
        Packing {
            tile: 64,
            step: 32,
            entry: self.0.bytes,
            result: 0,
            most: 1 << 30,
        }
    }

    fn kernel(&self, _left: bool) -> Kernel {
        self.0.limbs_pack
    }

    fn multiply<D: Device>(&self, device: &D, launch: &Launch) -> Result<(), Failed> {
        let arguments = Arguments::default().with(launch.left).with(launch.right);
        let arguments = arguments.with(launch.to).with(launch.place);
        let kernels = (self.0.limbs_product, self.0.limbs_convolution);
        let (kernel, arguments) = launch.choose(kernels, arguments.with(launch.tile));
        let grid = kernel.grid(launch.blocks(self.packing().tile, 1)?);
        // SAFETY: the kernel's arguments; planes hold the tile's rows and columns, places lead to words of the result.
        unsafe { device.launch(kernel, grid, arguments) }.map_err(Failed::from)
    }
}
