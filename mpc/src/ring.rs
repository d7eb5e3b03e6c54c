//! The ring Z_2^64 and tensors over it.

use std::num::Wrapping;

/// An element of Z_2^64.
pub type R64 = Wrapping<u64>;

/// A host-resident tensor over Z_2^64, row-major unless stated otherwise.
pub type Tensor = ndarray::ArrayD<R64>;

/// The entries in row-major order, copied only where they lie otherwise.
#[must_use]
pub fn row_major(x: &Tensor) -> std::borrow::Cow<'_, [R64]> {
    x.as_slice()
        .map_or_else(|| x.iter().copied().collect(), std::borrow::Cow::Borrowed)
}
