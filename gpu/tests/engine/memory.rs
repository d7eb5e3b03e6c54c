//! No more of a device is taken than the setting says.

use proptest::prelude::*;
use tacit_gpu::{Gpu, Method, Settings};
use tacit_gpu_emulator::Recorder;
use tacit_mpc::kernels::cpu;
use tacit_mpc::kernels::suite::tensor;
use tacit_mpc::{Bilinear, Kernels};

/// The methods, and how much more memory one tile of each takes.
const METHODS: [(Method, usize); 3] = [
    (Method::Words, 1),
    (Method::Limbs, 1),
    (Method::Residues, 8),
];

/// A device that has no byte more than the setting never refuses one.
fn within(
    (memory, bands): (usize, usize),
    method: Method,
    [m, k, n]: [usize; 3],
    terms: usize,
    hold: bool,
) {
    let settings = Settings {
        memory,
        least: 0,
        method: Some(method),
    };
    let gpu = Gpu::new(Recorder::new(memory), settings).with_bands(bands);
    let operands: Vec<_> = (0..terms as u64)
        .map(|t| (tensor(&[m, k], t), tensor(&[k, n], t + 50)))
        .collect();
    let terms: Vec<_> = operands.iter().map(|(x, y)| (x, y)).collect();
    let held = hold.then(|| terms.iter().map(|(_, y)| gpu.hold(y).unwrap()));
    let held: Vec<_> = held.into_iter().flatten().collect();
    let found = gpu.bilinear(Bilinear::MatMul, &terms).unwrap();
    assert_eq!(found, cpu().bilinear(Bilinear::MatMul, &terms).unwrap());
    drop(held);
    let record = &gpu.device().record;
    assert!(record.peak() <= memory, "{} of {memory}", record.peak());
    assert_eq!(record.live(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10))]
    #[test]
    fn the_setting_bounds_all(
        m in 1_usize..90, k in 1_usize..90, n in 1_usize..90,
        terms in 1_usize..4, method in 0_usize..3, hold: bool, memory in 300_000_usize..900_000,
        bands in 5_000_usize..100_000,
    ) {
        let (method, more) = METHODS[method];
        within((memory * more, bands), method, [m, k, n], terms, hold);
    }
}

/// Weights that are held, together with products of several sessions at a time.
#[test]
fn sessions_share_the_memory() {
    let memory = 400_000;
    let settings = Settings {
        memory,
        least: 0,
        method: None,
    };
    let gpu = Gpu::new(Recorder::new(memory), settings);
    std::thread::scope(|scope| {
        for session in 0..4 {
            let gpu = &gpu;
            scope.spawn(move || {
                let w = tensor(&[80, 70], session);
                let held = gpu.hold(&w).unwrap();
                for run in 0..3 {
                    let x = tensor(&[90, 80], 10 * session + run);
                    let found = gpu.bilinear(Bilinear::MatMul, &[(&x, &w)]).unwrap();
                    assert_eq!(
                        found,
                        cpu().bilinear(Bilinear::MatMul, &[(&x, &w)]).unwrap()
                    );
                }
                drop(held);
            });
        }
    });
    assert!(gpu.device().record.peak() <= memory);
    assert_eq!(gpu.device().record.live(), 0);
}

/// Parties that share a device have nothing in common but its memory.
#[test]
fn parties_share_a_device() {
    let device = Recorder::new(6_000_000);
    std::thread::scope(|scope| {
        for (party, (method, more)) in METHODS.into_iter().enumerate() {
            let device = device.clone();
            scope.spawn(move || {
                let settings = Settings {
                    memory: 400_000 * more,
                    least: 0,
                    method: Some(method),
                };
                let gpu = Gpu::new(device, settings);
                let (x, y) = (tensor(&[70, 90], 1), tensor(&[90, 40], party as u64));
                let held = gpu.hold(&y).unwrap();
                let terms = [(&x, &y), (&x, &y)];
                for _ in 0..3 {
                    let found = gpu.bilinear(Bilinear::MatMul, &terms).unwrap();
                    assert_eq!(found, cpu().bilinear(Bilinear::MatMul, &terms).unwrap());
                }
                assert!(held.is_held());
            });
        }
    });
    assert_eq!(device.record.live(), 0);
}
