//! CUDA's part of this crate where there may be neither driver nor device.
#![cfg(feature = "cuda")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use tacit_gpu::cuda::{Cuda, CudaError};

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
