//! What the device's units do at most, in this run.

use tacit_gpu::cuda::Cuda;
use tacit_gpu::{Arguments, Device, Kernel};

use crate::Result;

/// A second of the device.
pub(crate) struct Ceilings {
    /// Multiply-adds of bytes on tensor cores.
    pub(crate) bytes: f64,
    /// Fused multiply-adds of double precision.
    pub(crate) doubles: f64,
    /// Multiply-adds of 64-bit words.
    pub(crate) words: f64,
    /// Bytes copied: read and written.
    pub(crate) copied: f64,
}

const STEPS: u32 = 4096;

pub(crate) fn measure(device: &Cuda) -> Result<Ceilings> {
    let blocks = 8 * device.multiprocessors()?;
    let threads = f64::from(blocks) * 256.0;
    let out = device.allocate(8 * threads as usize)?;
    let units = |kernel: Kernel| {
        device.timed(5, || -> Result<()> {
            let arguments = Arguments::default().with(device.address(&out)).with(STEPS);
            // SAFETY: the kernels' arguments; a word for each thread.
            unsafe { device.launch(kernel, kernel.grid([blocks, 1, 1]), arguments) }
                .map_err(Into::into)
        })
    };
    let rounds = 16.0 * f64::from(STEPS);
    let bytes = threads / 32.0 * rounds * (16.0 * 8.0 * 32.0) / units(Kernel::CeilingBytes)?;
    let doubles = threads * rounds / units(Kernel::CeilingDoubles)?;
    let words = threads * rounds / units(Kernel::CeilingWords)?;

    let size = 1_usize << 30;
    let (from, to) = (device.allocate(size)?, device.allocate(size)?);
    let count = size as u64 / 16;
    let seconds = device.timed(5, || -> Result<()> {
        let arguments = Arguments::default()
            .with(device.address(&to))
            .with(device.address(&from));
        let kernel = Kernel::CeilingCopy;
        let grid = kernel.grid([count.div_ceil(256) as u32, 1, 1]);
        // SAFETY: the kernel's arguments; both have so many bytes.
        unsafe { device.launch(kernel, grid, arguments.with(count)) }.map_err(Into::into)
    })?;
    let copied = 2.0 * size as f64 / seconds;
    println!("| unit | reached |\n|---|---|");
    println!(
        "| bytes on tensor cores (mma.sync) | {:.0} T multiply-adds/s |",
        bytes / 1e12
    );
    println!(
        "| double precision | {:.2} T multiply-adds/s |",
        doubles / 1e12
    );
    println!("| 64-bit words | {:.2} T multiply-adds/s |", words / 1e12);
    println!("| memory, read and written | {:.2} TB/s |\n", copied / 1e12);
    Ok(Ceilings {
        bytes,
        doubles,
        words,
        copied,
    })
}
