//! Why a device has not computed something.

use tacit_mpc::Error;

use crate::device::DeviceError;
use crate::ntt::NttError;

/// Why not.
pub(crate) enum Failed {
    Device(DeviceError),
    Transforms(NttError),
    /// An index has more than 31 bits.
    TooLarge,
    /// Not even one tile fits into the memory that the settings allow.
    Setting,
}

impl Failed {
    /// The error of a device of this name.
    pub(crate) fn of(self, device: &str) -> Error {
        Error::Device {
            device: device.to_owned(),
            why: match self {
                Self::Device(error) => error.to_string(),
                Self::Transforms(error) => error.to_string(),
                Self::TooLarge => {
                    "a tensor has more than 2^31 entries along an index, or a convolution steps over as many: split it".to_owned()
                }
                Self::Setting => {
                    "the device memory that is set is too little for one tile of this product: raise it".to_owned()
                }
            },
        }
    }
}

impl From<DeviceError> for Failed {
    fn from(error: DeviceError) -> Self {
        Self::Device(error)
    }
}

impl From<NttError> for Failed {
    fn from(error: NttError) -> Self {
        match error {
            NttError::Device(error) => Self::Device(error),
            other => Self::Transforms(other),
        }
    }
}
