//! What the host asks of a device: memory, copies, launches. CUDA answers it, and in tests the emulator.

use bytemuck::Pod;

use crate::kernel::{Grid, Kernel};

/// The arguments of a launch, in order: addresses, numbers and structures, as `cuLaunchKernel` takes them.
#[derive(Clone, Debug, Default)]
pub struct Arguments {
    /// Each in words, so that all are aligned.
    values: Vec<Box<[u64]>>,
}

impl Arguments {
    /// One more argument, at most as aligned as a word.
    #[must_use]
    pub fn with<T: Pod>(mut self, value: T) -> Self {
        let bytes = bytemuck::bytes_of(&value);
        let mut words = vec![0_u64; bytes.len().div_ceil(8)].into_boxed_slice();
        bytemuck::cast_slice_mut(&mut words)[..bytes.len()].copy_from_slice(bytes);
        self.values.push(words);
        self
    }

    /// Pointers to the arguments, valid as long as they are.
    pub fn pointers(&mut self) -> Vec<*mut u64> {
        self.values.iter_mut().map(|v| v.as_mut_ptr()).collect()
    }
}

/// Why a device did not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// There is not as much memory.
    #[error(
        "the device has no {bytes} bytes of memory left: let fewer parties share it, or give it less to do at a time"
    )]
    Memory {
        /// How much was asked for.
        bytes: usize,
    },
    /// A kernel did not run.
    #[error("kernel {kernel}: {why}")]
    Launch {
        /// Which,
        kernel: &'static str,
        /// and what the device says.
        why: String,
    },
}

/// A device and one of its lanes: what is asked of a lane is done in order, and beside what is asked of others.
pub trait Device: Send + Sync + Sized {
    /// Memory of the device.
    type Memory: Send + Sync;

    /// What it is called.
    fn name(&self) -> &str;

    /// Another lane of the same device. Who has one alone gives it again.
    ///
    /// # Errors
    /// If the device refuses.
    fn lane(&self) -> Result<Self, DeviceError>;

    /// What is asked of this lane from now on waits for all that `other`, a lane of the same device, was asked so far. Nobody
    /// else puts lanes in order: memory that one lane has written is used by another, or freed, behind this.
    ///
    /// # Errors
    /// If the device fails.
    fn after(&self, other: &Self) -> Result<(), DeviceError>;

    /// What is freed may stay with this program, up to so many bytes of all, where the driver takes time to give it again.
    fn keep(&self, _bytes: usize) {}

    /// Memory for so many bytes, freed in the order of this lane, whose contents may be anything.
    ///
    /// # Errors
    /// If there is not as much.
    fn allocate(&self, bytes: usize) -> Result<Self::Memory, DeviceError>;

    /// Where it begins.
    fn address(&self, memory: &Self::Memory) -> u64;

    /// Copies words to its beginning; they may be changed when this returns.
    ///
    /// # Errors
    /// If the device fails, or they do not fit.
    fn write(&self, memory: &mut Self::Memory, words: &[u64]) -> Result<(), DeviceError>;

    /// Memory of these words.
    ///
    /// # Errors
    /// As [`allocate`](Self::allocate) and [`write`](Self::write).
    fn copied(&self, words: &[u64]) -> Result<Self::Memory, DeviceError> {
        let mut memory = self.allocate(8 * words.len())?;
        self.write(&mut memory, words)?;
        Ok(memory)
    }

    /// Copies words from its beginning, once all before is done.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    fn read(&self, memory: &Self::Memory, words: &mut [u64]) -> Result<(), DeviceError>;

    /// Runs a kernel on a grid of blocks.
    ///
    /// # Safety
    /// The arguments must be those of the kernel, and the addresses among them those of memory that is large enough.
    ///
    /// # Errors
    /// If the device refuses or fails.
    unsafe fn launch(
        &self,
        kernel: Kernel,
        grid: Grid,
        arguments: Arguments,
    ) -> Result<(), DeviceError>;
}

/// Who borrows a device has one, and no other lane of it.
impl<D: Device> Device for &D {
    type Memory = D::Memory;

    fn name(&self) -> &str {
        (*self).name()
    }

    fn lane(&self) -> Result<Self, DeviceError> {
        Ok(self)
    }

    fn after(&self, _other: &Self) -> Result<(), DeviceError> {
        Ok(())
    }

    fn keep(&self, bytes: usize) {
        (*self).keep(bytes);
    }

    fn allocate(&self, bytes: usize) -> Result<Self::Memory, DeviceError> {
        (*self).allocate(bytes)
    }

    fn address(&self, memory: &Self::Memory) -> u64 {
        (*self).address(memory)
    }

    fn write(&self, memory: &mut Self::Memory, words: &[u64]) -> Result<(), DeviceError> {
        (*self).write(memory, words)
    }

    fn read(&self, memory: &Self::Memory, words: &mut [u64]) -> Result<(), DeviceError> {
        (*self).read(memory, words)
    }

    unsafe fn launch(
        &self,
        kernel: Kernel,
        grid: Grid,
        arguments: Arguments,
    ) -> Result<(), DeviceError> {
        // SAFETY: the caller's.
        unsafe { (*self).launch(kernel, grid, arguments) }
    }
}
