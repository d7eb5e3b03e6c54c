//! Products of words of 32 bits on the emulated device, against their definition.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::num::Wrapping;

use ndarray::{ArrayD, Axis, IxDyn, Slice};
use proptest::prelude::*;
use tacit_gpu::{Gpu, Method, Settings, TensorOf};
use tacit_gpu_emulator::Emulator;
use tacit_mpc::kernels::suite;
use tacit_mpc::{Bilinear, Conv, Error};

type Tensor = TensorOf<u32>;

fn tensor(shape: &[usize], seed: u64) -> Tensor {
    suite::tensor(shape, seed).mapv(|word| Wrapping((word.0 >> 32) as u32))
}

fn gpu(order: u64, method: Option<Method>, memory: usize) -> Gpu<Emulator> {
    let settings = Settings {
        memory,
        least: 0,
        method,
    };
    let folding = false;
    Gpu::new(Emulator { order, folding }, settings)
}

/// Both methods, against the sum of what the definition gives for each term.
fn same(f: Bilinear, operands: &[(Tensor, Tensor)], order: u64) {
    let terms: Vec<_> = operands.iter().map(|(x, y)| (x, y)).collect();
    let all = operands.iter().map(|(x, y)| f.apply(x, y).unwrap());
    let wanted = all.reduce(|sum, term| sum + term).unwrap();
    for method in [Method::Words, Method::Limbs] {
        let found = gpu(order, Some(method), 1 << 30).bilinear_32(f, &terms);
        let (x, y) = terms[0];
        let shapes = (x.shape(), y.shape());
        assert_eq!(found.unwrap(), wanted, "{f} {shapes:?} {method:?} {order}");
    }
}

fn random(x: &[usize], y: &[usize], terms: u64) -> Vec<(Tensor, Tensor)> {
    let term = |k| (tensor(x, k), tensor(y, k + 100));
    (1..=terms).map(term).collect()
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
            same(Bilinear::MatMul, &random(&[m, k], &[k, n], 1), order);
        }
    }
}

/// All ones, beyond where accumulators of 32 bits overflow: they may.
#[test]
fn the_largest_words_at_any_length() {
    let k = (1 << 16) + 4096 + 5;
    let full = |word: u32, shape: &[usize]| ArrayD::from_elem(IxDyn(shape), Wrapping(word));
    for word in [u32::MAX, 1 << 31, i32::MAX as u32] {
        let (x, y) = (full(word, &[2, k]), full(u32::MAX, &[k, 2]));
        let found = gpu(0, Some(Method::Limbs), 1 << 30)
            .bilinear_32(Bilinear::MatMul, &[(&x, &y)])
            .unwrap();
        let wanted = Wrapping(word) * Wrapping(u32::MAX) * Wrapping(k as u32);
        assert_eq!(found, full(wanted.0, &[2, 2]), "{word}");
    }
}

#[test]
fn terms_batches_and_layouts() {
    let (x, y) = ([2, 3, 17, 40], [2, 3, 40, 21]);
    same(Bilinear::MatMul, &random(&x, &y, 5), 1);
    let transposed = (
        tensor(&[45, 40], 1).reversed_axes(),
        tensor(&[35, 45], 2).reversed_axes(),
    );
    same(Bilinear::MatMul, &[transposed], 2);
    // An odd number of words from the middle of a tensor.
    let mut part = tensor(&[50, 41], 3);
    part.slice_axis_inplace(Axis(0), Slice::from(7..38));
    same(Bilinear::MatMul, &[(part, tensor(&[41, 33], 4))], 3);
    for shape in [&[1][..], &[1001], &[7, 3, 5]] {
        same(Bilinear::Mul, &random(shape, shape, 5), 0);
    }
}

#[test]
fn convolutions_and_their_transposes() {
    let c = Conv {
        stride: [2, 1, 1],
        dilation: [1, 2, 1],
        pad_begin: [1, 2, 0],
        pad_end: [2, 0, 0],
        groups: 2,
        ..Conv::new(&[9, 8], &[3, 2])
    };
    let [o0, o1, _] = c.output().unwrap();
    let (x, w, y) = ([3, 4, 9, 8], [6, 2, 3, 2], [3, 6, o0, o1]);
    same(Bilinear::Conv(c), &random(&x, &w, 2), 0);
    same(Bilinear::ConvInput(c), &random(&y, &w, 2), 1);
    same(Bilinear::ConvWeights(c), &random(&x, &y, 2), 2);
}

#[test]
fn what_does_not_fit_is_computed_in_parts() {
    let (x, y) = (tensor(&[150, 100], 1), tensor(&[100, 141], 2));
    let wanted = Bilinear::MatMul.apply(&x, &y).unwrap();
    for (memory, method) in [
        (400_000, Method::Limbs),
        (100_000, Method::Limbs),
        (40_000, Method::Words),
    ] {
        let found = gpu(0, Some(method), memory).bilinear_32(Bilinear::MatMul, &[(&x, &y)]);
        assert_eq!(found.unwrap(), wanted, "{memory} {method:?}");
    }
}

#[test]
fn the_processor_has_small_products_and_misfits_are_refused() {
    let gpu = Gpu::new(
        Emulator::default(),
        Settings {
            memory: 0,
            ..Settings::default()
        },
    );
    let (x, y) = (tensor(&[10, 12], 1), tensor(&[12, 10], 2));
    let found = gpu.bilinear_32(Bilinear::MatMul, &[(&x, &y)]).unwrap();
    assert_eq!(found, Bilinear::MatMul.apply(&x, &y).unwrap());
    let misfits = gpu.bilinear_32(Bilinear::MatMul, &[(&x, &x)]);
    assert!(matches!(misfits, Err(Error::Shape { .. })));
    let none = gpu.bilinear_32(Bilinear::MatMul, &[]).unwrap();
    assert_eq!(none.ndim(), 0);
}

/// Residues that are asked for are limbs.
#[test]
fn there_are_no_residues() {
    let (x, y) = (tensor(&[20, 70], 1), tensor(&[70, 30], 2));
    let found = gpu(0, Some(Method::Residues), 1 << 30).bilinear_32(Bilinear::MatMul, &[(&x, &y)]);
    assert_eq!(found.unwrap(), Bilinear::MatMul.apply(&x, &y).unwrap());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn any_shape(m in 1..80_usize, k in 1..90_usize, n in 1..80_usize, terms in 1..3_u64, order in 0..9_u64) {
        same(Bilinear::MatMul, &random(&[m, k], &[k, n], terms), order);
    }
}
