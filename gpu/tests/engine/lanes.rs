//! Maps in bands on two lanes.

use tacit_gpu::{Gpu, Method, Settings};
use tacit_mpc::kernels::cpu;
use tacit_mpc::kernels::suite::tensor;
use tacit_mpc::{Bilinear, Conv, Kernels, Tensor};

use crate::lazy::{Lazy, Seen};

fn gpu(method: Method, device: Lazy) -> Gpu<Lazy> {
    let settings = Settings {
        memory: 64 << 20,
        least: 0,
        method: Some(method),
    };
    Gpu::new(device, settings).with_bands(2000)
}

fn same(gpu: &Gpu<Lazy>, f: Bilinear, terms: &[(&Tensor, &Tensor)]) {
    let found = gpu.bilinear(f, terms).unwrap();
    assert_eq!(found, cpu().bilinear(f, terms).unwrap(), "{f}");
}

#[test]
fn bands_wait_for_what_they_use() {
    for method in [Method::Words, Method::Limbs, Method::Residues] {
        let gpu = gpu(method, Lazy::new());
        // Rows are longer, then columns; batches.
        for [m, k, n] in [[70, 20, 33], [30, 20, 75]] {
            let [a, b] = [1, 2].map(|seed| tensor(&[m, k], seed));
            let [c, d] = [3, 4].map(|seed| tensor(&[k, n], seed));
            same(&gpu, Bilinear::MatMul, &[(&a, &c), (&b, &d)]);
        }
        let (x, y) = (tensor(&[5, 20, 30], 1), tensor(&[5, 30, 20], 2));
        same(&gpu, Bilinear::MatMul, &[(&x, &y)]);
        same(&gpu, Bilinear::Mul, &[(&x, &x)]);
        let c = Conv::new(&[6, 5], &[3, 2]);
        let (x, w, y) = (
            tensor(&[9, 2, 6, 5], 1),
            tensor(&[4, 2, 3, 2], 2),
            tensor(&[9, 4, 4, 4], 3),
        );
        same(&gpu, Bilinear::Conv(c), &[(&x, &w)]);
        same(&gpu, Bilinear::ConvInput(c), &[(&y, &w)]);
        same(&gpu, Bilinear::ConvWeights(c), &[(&x, &y)]);
        let lanes = gpu.device().seen();
        assert!(lanes.contains(&Seen::Launch(1)), "there were bands");
    }
}

/// A result of zeros, for want of anything to add up, has no bands.
#[test]
fn nothing_has_no_bands() {
    for method in [Method::Words, Method::Limbs, Method::Residues] {
        let gpu = gpu(method, Lazy::new());
        let (x, y) = (tensor(&[90, 0], 1), tensor(&[0, 80], 2));
        same(&gpu, Bilinear::MatMul, &[(&x, &y)]);
        assert_eq!(gpu.device().seen(), []);
    }
}

#[test]
fn weights_that_are_held_are_there_for_both_lanes() {
    let gpu = gpu(Method::Limbs, Lazy::new());
    let (x, w) = (tensor(&[60, 20], 1), tensor(&[20, 90], 2));
    let held = gpu.hold(&w).unwrap();
    // Columns are longer, but they are held: rows are cut.
    same(&gpu, Bilinear::MatMul, &[(&x, &w)]);
    assert!(held.is_held());
    let written = gpu.device().seen();
    let first = written.iter().filter(|s| **s == Seen::Write(0)).count();
    let second = written.iter().filter(|s| **s == Seen::Write(1)).count();
    assert_eq!(
        (first, second),
        (5, 4),
        "the weights, and eight bands of rows"
    );
}

#[test]
fn a_band_is_copied_while_another_is_computed() {
    let gpu = gpu(Method::Words, Lazy::new());
    let (x, y) = (tensor(&[64, 40], 1), tensor(&[40, 20], 2));
    same(&gpu, Bilinear::MatMul, &[(&x, &y)]);
    let seen = gpu.device().seen();
    let seen = seen.iter().filter(|s| !matches!(s, Seen::Freed(..)));
    let mut wanted = vec![Seen::Write(0)];
    for band in 0..8 {
        let lane = band % 2;
        // What comes back is that of the band before last: the last one is computed meanwhile.
        if band >= 2 {
            wanted.push(Seen::Read(lane));
        }
        wanted.extend([Seen::Write(lane), Seen::Launch(lane)]);
    }
    wanted.extend([Seen::Read(0), Seen::Read(1)]);
    assert!(seen.eq(&wanted), "{:?}", gpu.device().seen());
}

/// What both lanes use is freed behind both, also where a launch fails in between.
#[test]
fn nothing_is_freed_under_a_lane_that_uses_it() {
    let (x, y) = (tensor(&[64, 40], 1), tensor(&[40, 20], 2));
    for launches in 1..8 {
        let gpu = gpu(Method::Words, Lazy::new().refusing_after(launches));
        gpu.bilinear(Bilinear::MatMul, &[(&x, &y)]).unwrap_err();
        // The first lane hurries.
        gpu.device().finish();
        let seen = gpu.device().seen();
        assert!(seen.contains(&Seen::Freed(8 * 800, true)), "{seen:?}");
        assert!(!seen.contains(&Seen::Freed(8 * 800, false)), "{seen:?}");
    }
}
