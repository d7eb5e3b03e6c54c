//! Bilinear maps over Z_2^64 and Z_2^32 on NVIDIA devices, bit for bit those of the CPU.
//!
//! | module | what it is for |
//! |---|---|
//! | [`Gpu`] | the `Kernels` of an engine, on a device |
//! | [`choose`] | the kernels that a user chose, on a device or the processor |
//! | [`Device`] | what is asked of a device; CUDA and, in tests, the emulator |
//! | [`Method`] | how a matrix product is computed, chosen by its shape |
//! | [`Transforms`], [`Polynomials`] | number-theoretic transforms, and products of polynomials by them |
//!
//! Device code is in `kernels/`, one source that nvcc compiles for devices and `emulator/` for the host.

mod bands;
mod budget;
mod choice;
#[cfg(feature = "cuda")]
pub mod cuda;
mod device;
mod factors;
mod failed;
mod field;
mod gpu;
mod images;
mod kernel;
mod limbs;
pub mod manifest;
mod method;
mod ntt;
mod packed;
mod parts;
mod polynomials;
mod prepared;
mod primes;
mod residents;
mod residues;
mod split;
#[cfg(any(feature = "cuda", test))]
mod staging;
mod trial;
mod view;
mod word;
mod words;

pub use choice::{Choice, ChoiceError, Chosen, Unusable, choose};
pub use device::{Arguments, Device, DeviceError};
pub use field::Field;
pub use gpu::{Gpu, Settings};
pub use kernel::{Grid, Kernel};
pub use method::Method;
pub use ntt::{NttError, Transforms};
pub use polynomials::Polynomials;
pub use prepared::Prepared;
pub use primes::primes;
pub use trial::trial;
pub use word::{TensorOf, Word};
