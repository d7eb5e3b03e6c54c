//! Which devices are trusted.

use tacit_gpu::{Kernel, trial};
use tacit_gpu_emulator::Recorder;

use crate::lazy::{Lazy, Seen};

/// Whatever a party's products may be computed by, but for single entries and words of 32 bits, which it has none of.
#[test]
fn a_device_that_computes_as_the_processor_in_all_ways_is_trusted() {
    let device = Recorder::new(1 << 30);
    trial(&device).unwrap();
    assert_eq!(device.record.live(), 0);
    for kernel in [
        Kernel::WordsProduct,
        Kernel::LimbsPack,
        Kernel::LimbsProduct,
        Kernel::LimbsConvolution,
        Kernel::ResiduesPackLeft18,
        Kernel::ResiduesPackRight18,
        Kernel::ResiduesPackLeft19,
        Kernel::ResiduesPackRight19,
        Kernel::ResiduesProduct,
        Kernel::ResiduesConvolution,
        Kernel::ResiduesCombine,
    ] {
        assert!(!device.record.grids(kernel).is_empty(), "{kernel:?}");
    }
    let lazy = Lazy::new();
    trial(&lazy).unwrap();
    // The first product has one lane, the second, in bands, two.
    assert!(lazy.seen().contains(&Seen::Launch(3)));
}

#[test]
fn a_device_that_errs_in_one_bit_is_not() {
    let mut device = Recorder::new(1 << 30);
    device.lie = 1 << 40;
    let error = trial(&device).unwrap_err().to_string();
    assert!(
        error.starts_with("recording device: a matmul by Words is wrong"),
        "{error}"
    );
}

#[test]
fn a_device_without_memory_says_so() {
    let error = trial(&Recorder::new(1 << 10)).unwrap_err().to_string();
    assert!(error.contains("bytes of memory left"), "{error}");
}
