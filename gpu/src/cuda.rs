//! NVIDIA devices, by the driver that is found when one is asked for.

mod locked;

use std::collections::HashMap;
use std::ffi::CString;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use cudarc::driver::result::{self, DriverError};
use cudarc::driver::{CudaContext, CudaStream, sys};

use crate::device::{Arguments, Device, DeviceError};
use crate::kernel::{Grid, Kernel};
use locked::Staging;

/// Device code: `cargo xtask kernels` makes it from the sources beside it.
static CODE: [&[u8]; 6] = [
    include_bytes!("../kernels/words.fatbin"),
    include_bytes!("../kernels/limbs.fatbin"),
    include_bytes!("../kernels/residues.fatbin"),
    include_bytes!("../kernels/ntt.fatbin"),
    include_bytes!("../kernels/polynomials.fatbin"),
    include_bytes!("../kernels/ceilings.fatbin"),
];

/// Why there is no device.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CudaError {
    /// The driver's library is missing.
    #[error("no NVIDIA driver: libcuda.so is not found; install the driver")]
    NoDriver,
    /// There is a driver, but no device of this number.
    #[error("the NVIDIA driver shows {count} devices, and device {ordinal} was asked for")]
    NoDevice {
        /// Which,
        ordinal: usize,
        /// and how many there are.
        count: usize,
    },
    /// The device is too old for the code that is there.
    #[error("{name} has compute capability {major}.{minor}; 8.0 (Ampere) or later is needed")]
    TooOld {
        /// What it is called.
        name: String,
        /// Its capability: before the point,
        major: i32,
        /// and behind.
        minor: i32,
    },
    /// The driver failed.
    #[error("the NVIDIA driver: {0}; a driver for CUDA 13 (580 or later) is needed")]
    Driver(String),
}

/// A device, and a stream of it, which is its lane: parties that share one have streams of their own.
pub struct Cuda {
    name: String,
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
    kernels: Arc<HashMap<Kernel, Function>>,
    /// Of all its lanes.
    staging: Arc<Mutex<Staging>>,
}

/// A kernel, loaded.
#[derive(Clone, Copy)]
struct Function(sys::CUfunction);

// SAFETY: a handle that the driver lets all threads use.
unsafe impl Send for Function {}
// SAFETY: as above.
unsafe impl Sync for Function {}

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
        let stream = context.new_stream()?;
        let mut kernels = HashMap::new();
        for code in CODE {
            // SAFETY: whole images, which the driver copies.
            let module = unsafe { result::module::load_data(code.as_ptr().cast())? };
            for &kernel in Kernel::ALL {
                let name = CString::new(kernel.name())
                    .map_err(|_| CudaError::Driver("a kernel's name".into()))?;
                // SAFETY: a module that was just loaded, and stays.
                match unsafe { result::module::get_function(module, name) } {
                    Ok(function) => kernels.insert(kernel, Function(function)),
                    Err(DriverError(sys::CUresult::CUDA_ERROR_NOT_FOUND)) => continue,
                    Err(error) => return Err(error.into()),
                };
            }
        }
        if let Some(missing) = Kernel::ALL
            .iter()
            .find(|kernel| !kernels.contains_key(kernel))
        {
            return Err(CudaError::Driver(format!(
                "no code for kernel {}",
                missing.name()
            )));
        }
        Ok(Self {
            name: format!("{name} (device {ordinal})"),
            context,
            stream,
            kernels: Arc::new(kernels),
            staging: Arc::default(),
        })
    }

    /// The driver's version, as it counts: 13000 for CUDA 13.0.
    #[must_use]
    pub fn driver(&self) -> i32 {
        let mut version = 0;
        // SAFETY: writes a number.
        unsafe { sys::cuDriverGetVersion(&raw mut version) };
        version
    }

    /// How many multiprocessors it has.
    ///
    /// # Errors
    /// If the driver does not tell.
    pub fn multiprocessors(&self) -> Result<u32, CudaError> {
        let attribute = sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT;
        Ok(u32::try_from(self.context.attribute(attribute)?).unwrap_or(1))
    }

    /// Seconds of the device for what `work` asks of it: the median of `runs`, after one that is not counted.
    ///
    /// # Errors
    /// Those of `work`, or of the driver.
    pub fn timed<E: From<CudaError>>(
        &self,
        runs: usize,
        mut work: impl FnMut() -> Result<(), E>,
    ) -> Result<f64, E> {
        let mut seconds = Vec::with_capacity(runs);
        for run in 0..=runs {
            let event = || {
                let flags = Some(sys::CUevent_flags::CU_EVENT_DEFAULT);
                self.context.new_event(flags).map_err(CudaError::from)
            };
            let (begin, end) = (event()?, event()?);
            begin.record(&self.stream).map_err(CudaError::from)?;
            work()?;
            end.record(&self.stream).map_err(CudaError::from)?;
            end.synchronize().map_err(CudaError::from)?;
            let milliseconds = begin.elapsed_ms(&end).map_err(CudaError::from)?;
            if run > 0 {
                seconds.push(f64::from(milliseconds) * 1e-3);
            }
        }
        seconds.sort_by(f64::total_cmp);
        Ok(seconds.get(runs / 2).copied().unwrap_or(0.0))
    }

    fn bind(&self) -> Result<(), DeviceError> {
        self.context
            .bind_to_thread()
            .map_err(|error| said("context", error))
    }
}

impl From<DriverError> for CudaError {
    fn from(error: DriverError) -> Self {
        Self::Driver(error.to_string())
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
        // Nobody could be told; the next call on the stream reports what is wrong with it.
        if self.context.bind_to_thread().is_ok() {
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
        let joined = self.stream.join(&other.stream);
        joined.map_err(|error| said("event", error))
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
        // SAFETY: there is room; the driver has read pageable memory when this returns.
        unsafe { result::memcpy_htod_async(memory.address, words, self.stream.cu_stream()) }
            .map_err(|error| said("copy", error))
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
        self.stream
            .synchronize()
            .map_err(|error| said("stream", error))
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

#[cfg(test)]
mod tests {
    use super::{Cuda, CudaError};

    #[test]
    fn a_machine_without_a_device_is_told_so() {
        match Cuda::new(0) {
            Ok(device) => println!("SKIPPED: there is a device: {device:?}"),
            Err(error @ (CudaError::NoDriver | CudaError::NoDevice { .. })) => {
                assert!(error.to_string().contains("driver"), "{error}");
            }
            Err(other) => panic!("{other}"),
        }
        if Cuda::new(0).is_ok() {
            let error = Cuda::new(1000).unwrap_err();
            assert!(matches!(error, CudaError::NoDevice { ordinal: 1000, .. }));
        }
    }
}
