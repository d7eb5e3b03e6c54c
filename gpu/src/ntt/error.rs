//! Why polynomials are not transformed.

use crate::device::DeviceError;

/// Why there are no such transforms.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NttError {
    /// Another size.
    #[error("transforms are of 2^9 to 2^16 coefficients, not 2^{log_size}")]
    Size {
        /// log2 of what was asked for.
        log_size: u32,
    },
    /// Another prime.
    #[error("{prime} is no prime of this field with roots of unity of order 2^{log_order}")]
    Prime {
        /// The number,
        prime: u64,
        /// and the order.
        log_order: u32,
    },
    /// Polynomials are not as many, or not as long.
    #[error("{found} values where {wanted} are needed")]
    Length {
        /// How many there are,
        found: usize,
        /// and how many there should be.
        wanted: usize,
    },
    /// A polynomial is not there.
    #[error("polynomial {at} where there are {count}, counted from 0")]
    Polynomial {
        /// Which was named,
        at: u32,
        /// and how many there are.
        count: usize,
    },
    /// A sum may become too large.
    #[error("a sum of {found} products, and 65536 are the most: add several sums")]
    Products {
        /// How many products it has.
        found: usize,
    },
    /// The device failed.
    #[error(transparent)]
    Device(#[from] DeviceError),
}
