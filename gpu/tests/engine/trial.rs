//! Which devices are trusted.

use tacit_gpu::trial;
use tacit_gpu_emulator::Recorder;

#[test]
fn a_device_that_computes_as_the_processor_is_trusted() {
    let device = Recorder::new(1 << 30);
    trial(&device).unwrap();
    assert_eq!(device.record.live(), 0);
}

#[test]
fn a_device_that_errs_in_one_bit_is_not() {
    let mut device = Recorder::new(1 << 30);
    device.lie = 1 << 40;
    let error = trial(&device).unwrap_err().to_string();
    assert!(
        error.starts_with("recording device: a product by Words is wrong"),
        "{error}"
    );
}

#[test]
fn a_device_without_memory_says_so() {
    let error = trial(&Recorder::new(1 << 10)).unwrap_err().to_string();
    assert!(error.contains("bytes of memory left"), "{error}");
}
