//! The code that devices run, and its kernels.

use std::collections::HashMap;
use std::ffi::CString;

use cudarc::driver::result::{self, DriverError};
use cudarc::driver::sys;

use super::CudaError;
use crate::kernel::Kernel;

/// Device code, where the driver may read it by words.
#[repr(C, align(64))]
struct Code<B: ?Sized>(B);

macro_rules! code {
    ($name:literal) => {
        &Code(*include_bytes!(concat!("../../kernels/", $name, ".fatbin")))
    };
}

/// `cargo xtask kernels` makes it from the sources beside it.
static CODE: [&Code<[u8]>; 6] = [
    code!("words"),
    code!("limbs"),
    code!("residues"),
    code!("ntt"),
    code!("polynomials"),
    code!("ceilings"),
];

/// A kernel, loaded.
#[derive(Clone, Copy)]
pub(super) struct Function(pub(super) sys::CUfunction);

// SAFETY: a handle that the driver lets all threads use.
unsafe impl Send for Function {}
// SAFETY: as above.
unsafe impl Sync for Function {}

/// All kernels, loaded into the context that is current.
pub(super) fn load() -> Result<HashMap<Kernel, Function>, CudaError> {
    let mut kernels = HashMap::new();
    for code in CODE {
        // SAFETY: whole images, which the driver copies.
        let module = unsafe { result::module::load_data(code.0.as_ptr().cast())? };
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
    Ok(kernels)
}
