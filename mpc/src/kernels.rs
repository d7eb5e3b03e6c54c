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
mod resident;
#[cfg(any(test, feature = "test-util"))]
pub mod suite;
mod vector;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use cpu::{Cpu, cpu};
pub use resident::Resident;
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

    /// Keeps a copy of a tensor where it is computed with, until the guard is dropped: products whose operand it is need not
    /// copy it again. The borrow proves that the tensor neither changes nor moves meanwhile; a guard must be dropped, and not
    /// forgotten. Kernels may hold nothing, for want of memory or of use, which [`Resident::is_held`] tells.
    ///
    /// # Errors
    /// The device failed. That it has no memory left is no error.
    fn hold<'a>(&'a self, _x: &'a Tensor) -> Result<Resident<'a>> {
        Ok(Resident::elsewhere())
    }

    /// Whether a copy of this very tensor is held.
    fn holds(&self, _x: &Tensor) -> bool {
        false
    }

    /// Keeps polynomials over Z_2^64 / (X^N + 1), of N = `size` coefficients one after another, as factors of products: for
    /// computation on ciphertexts of rings. None where there is no device for them, or no memory.
    ///
    /// # Errors
    /// The device failed.
    fn factors(&self, _size: usize, _polynomials: &[u64]) -> Result<Option<Box<dyn Factors>>> {
        Ok(None)
    }
}

/// Polynomials over Z_2^64 / (X^N + 1) that are kept where products with them are computed.
pub trait Factors: Send + Sync {
    /// Sums of products, exact modulo 2^64: sum i is Σ others\[o\]·factors\[f\] over the pairs (o, f) of `sums[i]`. Each is
    /// told with its number, in order; its N coefficients are gone when `each` returns, which must not ask the kernels for
    /// anything: they may be busy until all is told. `others` are polynomials one after another.
    ///
    /// # Errors
    /// The device failed, a pair names a polynomial that is not there, or a sum has more than 2^16 products (of which the
    /// processor has as many as are asked for).
    fn sums(
        &self,
        others: &[u64],
        sums: &[Vec<(u32, u32)>],
        each: &mut dyn FnMut(usize, &[u64]),
    ) -> Result<()>;
}
