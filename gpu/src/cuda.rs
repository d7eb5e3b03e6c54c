//! NVIDIA devices, by the driver that is found when one is asked for.

mod code;
mod error;
mod locked;
mod measure;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use cudarc::driver::result::{self, DriverError};
use cudarc::driver::{CudaContext, CudaStream, sys};

use crate::device::{Arguments, Device, DeviceError};
use crate::kernel::{Grid, Kernel};
use code::Function;
pub use error::CudaError;
use locked::Staging;

/// A device, and a stream of it, which is its lane: parties that share one have streams of their own.
pub struct Cuda {
    name: String,
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
    kernels: Arc<HashMap<Kernel, Function>>,
    /// Of all its lanes.
    staging: Arc<Mutex<Staging>>,
}

/// Memory of a device, in the order of its stream.
pub struct Memory {
    address: sys::CUdeviceptr,
    bytes: usize,
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
}

impl Cuda {
    /// The device of this number, with all kernels loaded.
    ///
    /// # Errors
    /// If there is no driver, no such device, or it cannot run the code that is carried.
    pub fn new(ordinal: usize) -> Result<Self, CudaError> {
        // SAFETY: looks for a library. Without it every other call would panic.
        if !unsafe { sys::is_culib_present() } {
            return Err(CudaError::NoDriver);
        }
        let count = match CudaContext::device_count() {
            Ok(count) => usize::try_from(count).unwrap_or(0),
            // A driver without a device may say so in several ways.
            Err(DriverError(
                sys::CUresult::CUDA_ERROR_NO_DEVICE | sys::CUresult::CUDA_ERROR_STUB_LIBRARY,
            )) => 0,
            Err(error) => return Err(error.into()),
        };
        if ordinal >= count {
            return Err(CudaError::NoDevice { ordinal, count });
        }
        let context = CudaContext::new(ordinal)?;
        let name = context.name()?;
        let (major, minor) = context.compute_capability()?;
        if major < 8 {
            return Err(CudaError::TooOld { name, major, minor });
        }
        let most = sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN;
        let bytes = usize::try_from(context.attribute(most)?).unwrap_or(0);
        if bytes < Kernel::SHARED {
            return Err(CudaError::TooSmall {
                name,
                bytes,
                needed: Kernel::SHARED,
            });
        }
        let stream = context.new_stream()?;
        Ok(Self {
            name: format!("{name} (device {ordinal})"),
            context,
            stream,
            kernels: Arc::new(code::load()?),
            staging: Arc::default(),
        })
    }

    fn bind(&self) -> Result<(), DeviceError> {
        self.context
            .bind_to_thread()
            .map_err(|error| said("context", error))
    }

    /// Waits until all that the lane was asked is done, also where something failed before.
    fn finish(&self) -> Result<(), DeviceError> {
        let earlier = self.bind();
        if earlier.is_err() {
            self.bind()?; // the first call told of what failed when something was dropped, and did nothing
        }
        // SAFETY: a stream that is there.
        unsafe { result::stream::synchronize(self.stream.cu_stream()) }
            .map_err(|error| said("stream", error))?;
        earlier
    }
}

fn said(kernel: &'static str, error: DriverError) -> DeviceError {
    let why = error.to_string();
    DeviceError::Launch { kernel, why }
}

impl fmt::Debug for Cuda {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cuda({})", self.name)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // Nobody could be told; the next call on the stream reports what is wrong with it. A first call that fails may have
        // told of what failed when something else was dropped.
        let bind = || self.context.bind_to_thread().is_ok();
        if bind() || bind() {
            // SAFETY: allocated on this stream, and freed once, behind all that uses it.
            let _ = unsafe { result::free_async(self.address, self.stream.cu_stream()) };
        }
    }
}

impl Device for Cuda {
    type Memory = Memory;

    fn name(&self) -> &str {
        &self.name
    }

    fn lane(&self) -> Result<Self, DeviceError> {
        let stream = self.context.new_stream();
        Ok(Self {
            name: self.name.clone(),
            context: Arc::clone(&self.context),
            stream: stream.map_err(|error| said("stream", error))?,
            kernels: Arc::clone(&self.kernels),
            staging: Arc::clone(&self.staging),
        })
    }

    fn after(&self, other: &Self) -> Result<(), DeviceError> {
        if self.stream.join(&other.stream).is_ok() {
            return Ok(());
        }
        // Memory may be freed on the word of this, so without an event the host waits.
        other.finish()
    }

    /// Otherwise whatever is free goes back at each wait for the device, and is mapped anew for the next product ("Stream-Ordered
    /// Memory Allocator" of the CUDA Programming Guide). How much time that takes is not measured.
    fn keep(&self, bytes: usize) {
        let threshold = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
        let mut bytes = bytes as u64;
        // SAFETY: the device's own pool, and 64 bits, as this attribute has. Without it, all works, and is slower.
        let _ = unsafe {
            result::device::get_default_mem_pool(self.context.cu_device()).and_then(|pool| {
                result::mem_pool::set_attribute(pool, threshold, (&raw mut bytes).cast())
            })
        };
    }

    fn allocate(&self, bytes: usize) -> Result<Memory, DeviceError> {
        self.bind()?;
        // SAFETY: plain memory, freed by `Memory`.
        let address = unsafe { result::malloc_async(self.stream.cu_stream(), bytes.max(8)) };
        let address = address.map_err(|error| match error {
            DriverError(sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY) => DeviceError::Memory { bytes },
            other => said("malloc", other),
        })?;
        Ok(Memory {
            address,
            bytes,
            context: Arc::clone(&self.context),
            stream: Arc::clone(&self.stream),
        })
    }

    fn address(&self, memory: &Memory) -> u64 {
        memory.address
    }

    fn write(&self, memory: &mut Memory, words: &[u64]) -> Result<(), DeviceError> {
        fits(memory, words.len())?;
        self.bind()?;
        let mut staging = self.staging.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pages) = staging.up(self) {
            // SAFETY: there is room.
            return unsafe { pages.upload(self, memory.address, words) };
        }
        // SAFETY: there is room.
        unsafe { result::memcpy_htod_async(memory.address, words, self.stream.cu_stream()) }
            .map_err(|error| said("copy", error))?;
        // The driver may or may not have read pageable memory by now ("API synchronization behavior" of its interface).
        self.finish()
    }

    fn read(&self, memory: &Memory, words: &mut [u64]) -> Result<(), DeviceError> {
        fits(memory, words.len())?;
        self.bind()?;
        let mut staging = self.staging.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pages) = staging.down(self) {
            // SAFETY: there are as many words.
            return unsafe { pages.download(self, memory.address, words) };
        }
        // SAFETY: there are as many words; nothing looks at them before the stream is done.
        unsafe { result::memcpy_dtoh_async(words, memory.address, self.stream.cu_stream()) }
            .map_err(|error| said("copy", error))?;
        self.finish()
    }

    unsafe fn launch(
        &self,
        kernel: Kernel,
        grid: Grid,
        mut arguments: Arguments,
    ) -> Result<(), DeviceError> {
        self.bind()?;
        let failed = |error| said(kernel.name(), error);
        let Some(Function(function)) = self.kernels.get(&kernel).copied() else {
            let why = "not loaded".to_owned();
            return Err(DeviceError::Launch {
                kernel: kernel.name(),
                why,
            });
        };
        let [x, y, z] = grid.blocks;
        let mut pointers: Vec<_> = arguments
            .pointers()
            .into_iter()
            .map(<*mut u64>::cast)
            .collect();
        // SAFETY: the caller's; the driver copies the arguments.
        unsafe {
            if grid.shared > 48 << 10 {
                let attribute =
                    sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
                result::function::set_function_attribute(function, attribute, grid.shared as i32)
                    .map_err(failed)?;
            }
            let stream = self.stream.cu_stream();
            result::launch_kernel(
                function,
                (x, y, z),
                (grid.threads, 1, 1),
                grid.shared,
                stream,
                &mut pointers,
            )
            .map_err(failed)
        }
    }
}

fn fits(memory: &Memory, words: usize) -> Result<(), DeviceError> {
    if 8 * words <= memory.bytes {
        return Ok(());
    }
    let why = format!("{words} words where there are {} bytes", memory.bytes);
    Err(DeviceError::Launch {
        kernel: "copy",
        why,
    })
}
