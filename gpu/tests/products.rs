//! Products on the emulated device are those of the CPU, bit for bit.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::num::Wrapping;

use ndarray::{ArrayD, IxDyn};
use proptest::prelude::*;
use tacit_gpu::{Gpu, Method, Settings};
use tacit_gpu_emulator::Emulator;
use tacit_mpc::kernels::cpu;
use tacit_mpc::kernels::suite::tensor;
use tacit_mpc::{Bilinear, Conv, Kernels};

fn gpu(order: u64, method: Method) -> Gpu<Emulator> {
    let settings = Settings {
        method: Some(method),
        least: 0,
        ..Settings::default()
    };
    Gpu::new(
        Emulator {
            order,
            folding: false,
        },
        settings,
    )
}

const METHODS: [Method; 3] = [Method::Words, Method::Limbs, Method::Residues];

tacit_mpc::device_suite!(by_words: Box::new(gpu(0, Method::Words)));
tacit_mpc::device_suite!(by_limbs: Box::new(gpu(1, Method::Limbs)));
tacit_mpc::device_suite!(by_residues: Box::new(gpu(2, Method::Residues)));

/// All methods, against the CPU.
fn same<X: AsRef<[usize]>, Y: AsRef<[usize]>>(f: Bilinear, shapes: &[(X, Y)], order: u64) {
    let operands: Vec<_> = shapes
        .iter()
        .zip(1..)
        .map(|((x, y), k)| (tensor(x.as_ref(), k), tensor(y.as_ref(), k + 100)))
        .collect();
    let terms: Vec<_> = operands.iter().map(|(x, y)| (x, y)).collect();
    let wanted = cpu().bilinear(f, &terms).unwrap();
    for method in METHODS {
        let found = gpu(order, method).bilinear(f, &terms).unwrap();
        assert_eq!(
            found,
            wanted,
            "{f} {:?} {:?} {method:?} {order}",
            terms[0].0.shape(),
            terms[0].1.shape()
        );
    }
}

#[test]
fn matrices_of_odd_shapes_in_any_order_of_threads() {
    for order in 0..4 {
        for (m, k, n) in [
            (1, 1, 1),
            (3, 40, 130),
            (65, 33, 70),
            (64, 32, 64),
            (20, 260, 9),
        ] {
            same(Bilinear::MatMul, &[([m, k], [k, n])], order);
        }
    }
}

/// All ones: the largest limbs there are, beyond where accumulators of 32 bits would overflow.
#[test]
fn the_largest_words_over_the_fold() {
    let ones = |shape: &[usize]| ArrayD::from_elem(IxDyn(shape), Wrapping(u64::MAX));
    let k = 16384 + 4096 + 5;
    let (x, y) = (ones(&[2, k]), ones(&[k, 2]));
    let found = gpu(0, Method::Limbs)
        .bilinear(Bilinear::MatMul, &[(&x, &y)])
        .unwrap();
    // (-1)·(-1) summed up.
    assert_eq!(found, ArrayD::from_elem(IxDyn(&[2, 2]), Wrapping(k as u64)));
}

/// The words of largest absolute value, at the longest sums of 18 moduli, beyond them, and at the longest of 19: there with
/// digits of 127 or -127 modulo 255, whose sums 131008·127^2 are the largest that an accumulator must hold, and of -128 modulo
/// 256, whose sums are larger still, but may wrap.
#[test]
fn the_largest_sums_of_residues() {
    const OTHERS: [i64; 17] = [
        253, 251, 247, 241, 239, 233, 229, 227, 223, 217, 211, 199, 197, 193, 191, 181, 179,
    ];
    // Digits of the left operand are residues times the inverse of M/m.
    let cofactor = OTHERS.iter().fold(256, |product, m| product * m % 255);
    let word = |digit: i64| {
        let mut words = i64::MIN..;
        let found = words
            .find(|x| (x.rem_euclid(255) - digit).rem_euclid(255) == 0 && x.rem_euclid(256) == 128);
        found.unwrap().cast_unsigned()
    };
    for (k, left, right) in [
        (11_200, 1 << 63, 1 << 63),
        (11_201, 1 << 63, 1 << 63),
        (131_008, word(127 * cofactor), word(127)),
        (131_008, word(127 * cofactor), word(-127)),
    ] {
        let full = |shape: [usize; 2], word| ArrayD::from_elem(IxDyn(&shape), Wrapping(word));
        let (x, y) = (full([1, k], left), full([k, 1], right));
        let found = gpu(0, Method::Residues)
            .bilinear(Bilinear::MatMul, &[(&x, &y)])
            .unwrap();
        let wanted = Wrapping(left) * Wrapping(right) * Wrapping(k as u64);
        assert_eq!(found, full([1, 1], wanted.0), "{k} {left:x} {right:x}");
    }
}

#[test]
fn folding_in_between_changes_nothing() {
    let (x, y) = (tensor(&[5, 300], 1), tensor(&[300, 6], 2));
    let wanted = cpu().bilinear(Bilinear::MatMul, &[(&x, &y)]).unwrap();
    let settings = Settings {
        method: Some(Method::Limbs),
        least: 0,
        ..Settings::default()
    };
    let device = Emulator {
        order: 3,
        folding: true,
    };
    let found = Gpu::new(device, settings).bilinear(Bilinear::MatMul, &[(&x, &y)]);
    assert_eq!(found.unwrap(), wanted);
}

fn within(memory: usize, method: Method) -> Gpu<Emulator> {
    let settings = Settings {
        memory,
        least: 0,
        method: Some(method),
    };
    Gpu::new(Emulator::default(), settings)
}

#[test]
fn what_does_not_fit_is_computed_in_parts() {
    let (x, y) = (tensor(&[150, 100], 1), tensor(&[100, 140], 2));
    let terms = [(&x, &y), (&x, &y)];
    let wanted = cpu().bilinear(Bilinear::MatMul, &terms).unwrap();
    for (memory, method) in [
        // Packed in parts; operands in halves, and these in halves.
        (1_000_000, Method::Limbs),
        (300_000, Method::Limbs),
        (100_000, Method::Limbs),
        (3_000_000, Method::Residues),
        (1_800_000, Method::Residues),
        (40_000, Method::Words),
    ] {
        let found = within(memory, method).bilinear(Bilinear::MatMul, &terms);
        assert_eq!(found.unwrap(), wanted, "{memory} {method:?}");
    }
    let refused = within(1000, Method::Limbs).bilinear(Bilinear::MatMul, &terms);
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("raise it"), "{refused}");
}

#[test]
fn convolutions_that_do_not_fit_are_halved() {
    let c = Conv {
        pad_begin: [1, 1, 0],
        ..Conv::new(&[6, 5], &[3, 2])
    };
    for (samples, channels, kernels) in [(3, 2, 2), (1, 5, 2), (1, 2, 5), (1, 5, 4)] {
        let [o0, o1, _] = c.output().unwrap();
        let x = tensor(&[samples, channels, 6, 5], 1);
        let w = tensor(&[kernels, channels, 3, 2], 2);
        let y = tensor(&[samples, kernels, o0, o1], 3);
        for (f, a, b) in [
            (Bilinear::Conv(c), &x, &w),
            (Bilinear::ConvInput(c), &y, &w),
            (Bilinear::ConvWeights(c), &x, &y),
            (Bilinear::Mul, &x, &x),
        ] {
            let wanted = cpu().bilinear(f, &[(a, b)]).unwrap();
            let all = 8 * (a.len() + b.len() + wanted.len());
            let found = within(2 * all * 3 / 4, Method::Words).bilinear(f, &[(a, b)]);
            assert_eq!(found.unwrap(), wanted, "{f} {samples} {channels} {kernels}");
        }
    }
}

#[test]
fn small_products_stay_on_the_processor() {
    // A device that could not hold them anyway.
    let settings = Settings {
        memory: 0,
        least: 1 << 20,
        method: None,
    };
    let gpu = Gpu::new(Emulator::default(), settings);
    let (x, y) = (tensor(&[10, 10], 1), tensor(&[10, 10], 2));
    for f in [Bilinear::MatMul, Bilinear::Mul] {
        let wanted = cpu().bilinear(f, &[(&x, &y)]).unwrap();
        assert_eq!(gpu.bilinear(f, &[(&x, &y)]).unwrap(), wanted);
    }
    let (x, y) = (tensor(&[128, 128], 1), tensor(&[128, 128], 2));
    gpu.bilinear(Bilinear::MatMul, &[(&x, &y)]).unwrap_err();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn any_shape(m in 1..80_usize, k in 1..90_usize, n in 1..80_usize, terms in 1..3_usize, order in 0..9_u64) {
        same(Bilinear::MatMul, &vec![([m, k], [k, n]); terms], order);
    }
}
