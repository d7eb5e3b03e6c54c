//! Tensors that are held are not copied again.

use tacit_gpu::{Gpu, Method, Settings};
use tacit_gpu_emulator::Recorder;
use tacit_mpc::kernels::cpu;
use tacit_mpc::kernels::suite::tensor;
use tacit_mpc::{Bilinear, Conv, Kernels};

fn gpu(memory: usize) -> Gpu<Recorder> {
    let settings = Settings {
        memory,
        least: 0,
        method: Some(Method::Words),
    };
    Gpu::new(Recorder::new(memory), settings)
}

#[test]
fn only_what_is_not_held_is_copied() {
    let gpu = gpu(1 << 20);
    let (x, w) = (tensor(&[3, 20], 1), tensor(&[20, 30], 2));
    let record = &gpu.device().record;
    let product = || {
        let found = gpu.bilinear(Bilinear::MatMul, &[(&x, &w)]).unwrap();
        assert_eq!(
            found,
            cpu().bilinear(Bilinear::MatMul, &[(&x, &w)]).unwrap()
        );
        record.take_written()
    };
    assert_eq!(product(), [60, 600]);
    let held = gpu.hold(&w).unwrap();
    assert!(held.is_held() && gpu.holds(&w) && !gpu.holds(&x));
    assert_eq!((gpu.held(), record.take_written()), (4800, vec![600]));
    assert_eq!((product(), product()), (vec![60], vec![60]));
    // Another with the same entries is another one.
    assert!(!gpu.holds(&w.clone()));
    drop(held);
    assert!(!gpu.holds(&w));
    assert_eq!((gpu.held(), record.live()), (0, 0));
    assert_eq!(product(), [60, 600]);
}

#[test]
fn who_holds_last_lets_go() {
    let gpu = gpu(1 << 20);
    let w = tensor(&[20, 30], 2);
    let (first, second) = (gpu.hold(&w).unwrap(), gpu.hold(&w).unwrap());
    assert_eq!(
        gpu.device().record.take_written(),
        [600],
        "one copy for both"
    );
    drop(first);
    assert!(gpu.holds(&w));
    drop(second);
    assert!(!gpu.holds(&w));
}

#[test]
fn what_does_not_fit_is_not_held() {
    let gpu = gpu(20_000);
    let (small, large) = (tensor(&[20, 30], 1), tensor(&[40, 30], 2));
    let held = gpu.hold(&small).unwrap();
    // Half of the memory is for products.
    let not = gpu.hold(&large).unwrap();
    assert!(held.is_held() && !not.is_held() && !gpu.holds(&large));
    drop(not);
    assert_eq!(gpu.held(), 4800);
    // Nor where others have taken the device's memory.
    let settings = Settings {
        least: 0,
        ..Settings::default()
    };
    let shared = Gpu::new(Recorder::new(4000), settings);
    assert!(!shared.hold(&small).unwrap().is_held());
    // Vectors are in no product that a device computes.
    assert!(!shared.hold(&tensor(&[5], 1)).unwrap().is_held());
    assert!(!shared.hold(&tensor(&[5, 0], 1)).unwrap().is_held());
}

#[test]
fn layouts_do_not_matter() {
    let gpu = gpu(1 << 20);
    let (x, w) = (tensor(&[3, 20], 1), tensor(&[30, 20], 2));
    let w = w.reversed_axes();
    let held = gpu.hold(&w).unwrap();
    let found = gpu.bilinear(Bilinear::MatMul, &[(&x, &w)]).unwrap();
    assert!(held.is_held());
    assert_eq!(gpu.device().record.take_written(), [600, 60]);
    assert_eq!(
        found,
        cpu().bilinear(Bilinear::MatMul, &[(&x, &w)]).unwrap()
    );
}

/// Also where a map is computed in parts: those of the other operand are cut.
#[test]
fn parts_use_what_is_held() {
    let convolution = Conv::new(&[9, 9], &[3, 3]);
    for (f, x, w) in [
        (Bilinear::MatMul, vec![64, 20], vec![20, 30]),
        (
            Bilinear::Conv(convolution),
            vec![8, 2, 9, 9],
            vec![4, 2, 3, 3],
        ),
    ] {
        let (x, w) = (tensor(&x, 1), tensor(&w, 2));
        let gpu = gpu(20_000);
        let held = gpu.hold(&w).unwrap();
        gpu.device().record.take_written();
        let found = gpu.bilinear(f, &[(&x, &w)]).unwrap();
        assert_eq!(found, cpu().bilinear(f, &[(&x, &w)]).unwrap());
        let written = gpu.device().record.take_written();
        assert!(held.is_held() && written.len() > 1, "{written:?}");
        assert_eq!(written.iter().sum::<usize>(), x.len(), "no weights");
    }
}
