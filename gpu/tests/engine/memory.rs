//! No more of a device is taken than the setting says.

use proptest::prelude::*;
use tacit_gpu::{Gpu, Method, Settings};
use tacit_gpu_emulator::Recorder;
use tacit_mpc::kernels::cpu;
use tacit_mpc::kernels::suite::tensor;
use tacit_mpc::{Bilinear, Conv, Kernels, Tensor};

/// The methods, and how much more memory one tile of each takes.
const METHODS: [(Method, usize); 3] = [
    (Method::Words, 1),
    (Method::Limbs, 1),
    (Method::Residues, 8),
];

/// A device that has no byte more than the setting never refuses one. Whether there was room at all.
fn within(
    f: Bilinear,
    operands: &[(Tensor, Tensor)],
    (memory, bands): (usize, usize),
    method: Method,
    hold: bool,
) -> bool {
    let settings = Settings {
        memory,
        least: 0,
        method: Some(method),
    };
    let gpu = Gpu::new(Recorder::new(memory), settings).with_bands(bands);
    let terms: Vec<_> = operands.iter().map(|(x, y)| (x, y)).collect();
    let held = hold.then(|| terms.iter().map(|(_, y)| gpu.hold(y).unwrap()));
    let held: Vec<_> = held.into_iter().flatten().collect();
    let found = gpu.bilinear(f, &terms);
    drop(held);
    let record = &gpu.device().record;
    assert!(record.peak() <= memory, "{} of {memory}", record.peak());
    assert_eq!(record.live(), 0);
    match found {
        Ok(found) => {
            assert_eq!(found, cpu().bilinear(f, &terms).unwrap());
            true
        }
        Err(error) => {
            assert!(error.to_string().contains("raise it"), "{error}");
            false
        }
    }
}

fn operands(x: &[usize], y: &[usize], terms: u64) -> Vec<(Tensor, Tensor)> {
    let term = |t| (tensor(x, t), tensor(y, t + 50));
    (0..terms).map(term).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]
    #[test]
    fn the_setting_bounds_all(
        m in 1_usize..90, k in 1_usize..90, n in 1_usize..90,
        terms in 1_u64..4, method in 0_usize..3, hold: bool, memory in 300_000_usize..900_000,
        bands in 5_000_usize..100_000,
    ) {
        let (method, more) = METHODS[method];
        let operands = operands(&[m, k], &[k, n], terms);
        prop_assert!(within(Bilinear::MatMul, &operands, (memory * more, bands), method, hold));
    }

    #[test]
    fn the_setting_bounds_convolutions(
        input in prop::array::uniform2(3..12_usize),
        kernel in prop::array::uniform2(1..4_usize),
        stride in prop::array::uniform2(1..3_usize),
        pad in prop::array::uniform2(0..3_usize),
        sizes in prop::array::uniform3(1..40_usize),
        samples in 1..4_usize,
        groups in 1..3_usize,
        terms in 1_u64..3,
        method in 0_usize..3, which in 0_usize..3, hold: bool,
        times in 10..80_usize, bands in 1_000_usize..100_000,
    ) {
        let c = Conv {
            stride: [stride[0], stride[1], 1],
            pad_begin: [pad[0], pad[1], 0],
            groups,
            ..Conv::new(&input, &kernel)
        };
        let Some([o0, o1, _]) = c.output() else { return Ok(()) };
        let [inputs, outputs] = [sizes[0] * groups, sizes[1] * groups];
        let x = [samples, inputs, input[0], input[1]];
        let w = [outputs, sizes[0], kernel[0], kernel[1]];
        let y = [samples, outputs, o0, o1];
        let (f, a, b) = [
            (Bilinear::Conv(c), x, w),
            (Bilinear::ConvInput(c), y, w),
            (Bilinear::ConvWeights(c), x, y),
        ][which];
        let operands = operands(&a, &b, terms);
        let all: usize = [x, w, y].map(|shape| shape.iter().product::<usize>()).iter().sum();
        // From less than what operands and result take to several times as much.
        let (method, more) = METHODS[method];
        within(f, &operands, (8 * all * more * times / 10, bands), method, hold);
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
