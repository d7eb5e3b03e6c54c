//! Why there is no device.

use cudarc::driver::result::DriverError;

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
    /// A block of the device has not the shared memory that the kernels take.
    #[error("{name} has {bytes} bytes of shared memory a block; {needed} are needed")]
    TooSmall {
        /// What it is called.
        name: String,
        /// How much it has,
        bytes: usize,
        /// and how much is needed.
        needed: usize,
    },
    /// The driver failed.
    #[error("the NVIDIA driver: {0}; a driver for CUDA 13 (580 or later) is needed")]
    Driver(String),
}

impl From<DriverError> for CudaError {
    fn from(error: DriverError) -> Self {
        Self::Driver(error.to_string())
    }
}
