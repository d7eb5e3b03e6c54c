//! Local computation that is worth a fast path: bilinear maps over ring tensors.
//!
//! CPU and GPU differ only here. All implementations give the same bits.

#[cfg(target_arch = "x86_64")]
pub(crate) mod aes;
#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
pub(crate) mod bitfields;
mod conv;
mod cpu;
mod gemm;
mod portable;
#[cfg(any(test, feature = "test-util"))]
pub mod suite;
mod vector;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use cpu::{Cpu, cpu};
pub use vector::vectorised;

use crate::{Bilinear, Result, Tensor};

/// Local bilinear maps.
pub trait Kernels: Send + Sync {
    /// The name of the code path, for reports.
    fn name(&self) -> &'static str;

    /// Σ f(xᵢ, yᵢ) over the terms, all of one shape. The two products of a replicated multiplication are one call.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] where the operands do not fit.
    fn bilinear(&self, f: Bilinear, terms: &[(&Tensor, &Tensor)]) -> Result<Tensor>;
}
