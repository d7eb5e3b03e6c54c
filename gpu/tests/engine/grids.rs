//! What is launched is no larger than devices take: the lazy device looks at every grid, and need not compute here.

use tacit_gpu::{Gpu, Method, Settings};
use tacit_mpc::kernels::suite::tensor;
use tacit_mpc::{Bilinear, Conv};

use crate::lazy::{Lazy, Seen};

/// Asks for a map by a method.
fn asked(method: Method, f: Bilinear, x: &[usize], y: &[usize]) {
    let settings = Settings {
        memory: 400 << 20,
        least: 0,
        method: Some(method),
    };
    let gpu = Gpu::new(Lazy::new(), settings);
    let (x, y) = (tensor(x, 1), tensor(y, 2));
    let prepared = gpu.prepare(f, &[(&x, &y)]).unwrap().unwrap();
    gpu.run(&prepared).unwrap();
    assert!(gpu.device().seen().contains(&Seen::Launch(0)));
}

/// More tiles along one side, and more steps of packed rows, than the shorter axes of a grid have blocks: 65535.
#[test]
fn sides_may_be_long() {
    for method in [Method::Words, Method::Limbs, Method::Residues] {
        asked(method, Bilinear::MatMul, &[64 * 65_535 + 1, 1], &[1, 1]);
        asked(method, Bilinear::MatMul, &[1, 1], &[1, 64 * 65_535 + 1]);
        asked(
            method,
            Bilinear::MatMul,
            &[1, 32 * 65_535 + 1],
            &[32 * 65_535 + 1, 1],
        );
        asked(method, Bilinear::MatMul, &[65_536, 1, 1], &[65_536, 1, 1]);
    }
}

/// Windows of many places and channels, which images would pack in one launch.
#[test]
fn windows_may_be_long() {
    let c = Conv::new(&[32_769], &[32_768]);
    asked(
        Method::Limbs,
        Bilinear::Conv(c),
        &[1, 64, 32_769],
        &[1, 64, 32_768],
    );
}
