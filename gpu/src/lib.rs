//! Bilinear maps over Z_2^64 on NVIDIA devices, bit for bit those of the CPU.
//!
//! | module | what it is for |
//! |---|---|
//! | [`Gpu`] | the `Kernels` of an engine, on a device |
//! | [`Device`] | what is asked of a device; CUDA and, in tests, the emulator |
//! | [`Method`] | how a matrix product is computed, chosen by its shape |
//!
//! Device code is in `kernels/`, one source that nvcc compiles for devices and `emulator/` for the host.

mod device;
mod gpu;
mod limbs;
mod method;
mod parts;
mod residues;
mod view;
mod words;

pub use device::{Arguments, Device, DeviceError, Kernel};
pub use gpu::{Gpu, Settings};
pub use method::Method;
