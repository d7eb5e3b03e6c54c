//! Convolutions of so many channels that images are packed once, on the emulated device, against the processor.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::num::Wrapping;

use proptest::prelude::*;
use tacit_gpu::{Gpu, Kernel, Method, Settings};
use tacit_gpu_emulator::{Emulator, Recorder};
use tacit_mpc::kernels::cpu;
use tacit_mpc::kernels::suite::tensor;
use tacit_mpc::{Bilinear, Conv, Kernels, Tensor};

/// The emulated device, which notes what is launched, with threads in this order.
fn recorder(order: u64) -> Recorder {
    let folding = order == 1;
    let mut recorder = Recorder::new(1 << 40);
    recorder.emulator = Emulator { order, folding };
    recorder
}

fn count(device: &Recorder, kernel: Kernel) -> usize {
    device.record.grids(kernel).len()
}

/// Entries that were packed by this kernel: blocks pack 32 x 32.
fn packed(device: &Recorder, by: Kernel) -> usize {
    let blocks = device.record.grids(by).into_iter();
    let blocks = blocks.map(|grid| grid.blocks.iter().product::<u32>() as usize);
    32 * 32 * blocks.sum::<usize>()
}

/// Each method that packs, and its kernel for images.
const METHODS: [(Method, Kernel); 2] = [
    (Method::Limbs, Kernel::LimbsConvolution),
    (Method::Residues, Kernel::ResiduesConvolution),
];

fn settings(method: Method, memory: usize) -> Settings {
    Settings {
        memory,
        least: 0,
        method: Some(method),
    }
}

type Operands = Vec<(Tensor, Tensor)>;

/// Operands of a convolution of so many samples, input and output channels, and of its transposes.
fn maps(c: Conv, [n, inputs, outputs]: [usize; 3], terms: u64) -> Vec<(Bilinear, Operands)> {
    let space = |n: usize, channels: usize, extents: &[usize; 3]| {
        [&[n, channels], &extents[..c.rank]].concat()
    };
    let x = space(n, inputs, &c.input);
    let w = space(outputs, inputs / c.groups, &c.kernel);
    let y = space(n, outputs, &c.output().unwrap());
    let pairs = |a: &[usize], b: &[usize]| {
        let pair = |k| (tensor(a, k), tensor(b, k + 50));
        (1..=terms).map(pair).collect()
    };
    vec![
        (Bilinear::Conv(c), pairs(&x, &w)),
        (Bilinear::ConvInput(c), pairs(&y, &w)),
        (Bilinear::ConvWeights(c), pairs(&x, &y)),
    ]
}

/// Every method gives the processor's bits, of convolutions and their transposes. All of `as_images` are by images.
fn same(c: Conv, shape: [usize; 3], terms: u64, order: u64, as_images: bool) {
    for (f, operands) in maps(c, shape, terms).into_iter().take(2) {
        let terms: Vec<_> = operands.iter().map(|(x, y)| (x, y)).collect();
        let wanted = cpu().bilinear(f, &terms).unwrap();
        for (method, kernel) in METHODS {
            let gpu = Gpu::new(recorder(order), settings(method, 1 << 30));
            assert_eq!(
                gpu.bilinear(f, &terms).unwrap(),
                wanted,
                "{f} {c:?} {shape:?} {method:?}"
            );
            if as_images {
                assert_eq!(count(gpu.device(), kernel), 1, "{f} {c:?} {method:?}");
            }
        }
    }
}

#[test]
fn images_are_packed_for_all_geometries() {
    let padded = Conv {
        pad_begin: [1, 1, 0],
        pad_end: [1, 1, 0],
        ..Conv::new(&[7, 6], &[3, 3])
    };
    let odd = Conv {
        stride: [2, 1, 1],
        dilation: [1, 2, 1],
        pad_begin: [1, 2, 0],
        pad_end: [2, 0, 0],
        groups: 2,
        ..Conv::new(&[9, 8], &[3, 2])
    };
    let line = Conv {
        stride: [2, 1, 1],
        pad_begin: [4, 0, 0],
        ..Conv::new(&[20], &[5])
    };
    let solid = Conv {
        pad_end: [1, 1, 1],
        stride: [1, 2, 1],
        ..Conv::new(&[4, 5, 3], &[2, 3, 2])
    };
    same(padded, [2, 60, 59], 1, 0, true);
    same(odd, [2, 2 * 61, 2 * 54], 2, 1, true);
    same(line, [3, 64, 62], 1, 2, true);
    same(solid, [1, 56, 57], 3, 3, true);
}

#[test]
fn images_are_packed_once() {
    let c = Conv {
        pad_begin: [1, 1, 0],
        pad_end: [1, 1, 0],
        ..Conv::new(&[16, 16], &[3, 3])
    };
    let (x, w) = (tensor(&[2, 32, 16, 16], 1), tensor(&[32, 32, 3, 3], 2));
    let gpu = Gpu::new(recorder(0), settings(Method::Limbs, 1 << 30));
    gpu.bilinear(Bilinear::Conv(c), &[(&x, &w)]).unwrap();
    // As many entries as operands have; windows would be nine times the input.
    let packed = packed(gpu.device(), Kernel::LimbsPack);
    assert_eq!(packed, x.len() + w.len());
    assert_eq!(count(gpu.device(), Kernel::LimbsConvolution), 1);
}

#[test]
fn windows_are_packed_where_they_take_less() {
    let pair = |kernel: usize, stride: usize| Conv {
        stride: [stride, stride, 1],
        ..Conv::new(&[8, 8], &[kernel, kernel])
    };
    // Few channels for a step; windows of one pixel; windows side by side.
    for (c, channels) in [(pair(3, 1), 8), (pair(1, 1), 64), (pair(2, 2), 64)] {
        let (x, w) = (
            tensor(&[1, channels, 8, 8], 1),
            tensor(&[20, channels, c.kernel[0], c.kernel[1]], 2),
        );
        let wanted = cpu().bilinear(Bilinear::Conv(c), &[(&x, &w)]).unwrap();
        for (method, kernel) in METHODS {
            let gpu = Gpu::new(recorder(0), settings(method, 1 << 30));
            let found = gpu.bilinear(Bilinear::Conv(c), &[(&x, &w)]).unwrap();
            assert_eq!(found, wanted, "{c:?} {method:?}");
            assert_eq!(count(gpu.device(), kernel), 0, "{c:?} {method:?}");
        }
    }
}

/// In parts of samples, of lines of a sample, of rows; windows in parts where not even a line fits. By residues, which take
/// more than twice what operands do.
#[test]
fn images_that_do_not_fit_are_packed_in_parts() {
    let c = Conv {
        stride: [2, 1, 1],
        pad_begin: [2, 1, 0],
        pad_end: [3, 0, 0],
        ..Conv::new(&[23, 3], &[3, 2])
    };
    let (method, kernel) = METHODS[1];
    for (shape, launches) in [([3, 60, 60], [3, 6, 2, 6]), ([1, 60, 190], [2, 8, 12, 0])] {
        let mut found = Vec::new();
        for (f, operands) in &maps(c, shape, 1)[..2] {
            let [(x, y)] = &operands[..] else { panic!() };
            let wanted = cpu().bilinear(*f, &[(x, y)]).unwrap();
            let all = 8 * (x.len() + y.len() + wanted.len());
            for times in [4, 3] {
                let gpu = Gpu::new(recorder(2), settings(method, all * times));
                let result = gpu.bilinear(*f, &[(x, y)]).unwrap();
                assert_eq!(result, wanted, "{f} {shape:?} {times}");
                found.push(count(gpu.device(), kernel));
            }
        }
        assert_eq!(found, launches, "{shape:?}");
    }
}

/// By limbs, which take as much as operands do but for padding of channels: in parts of lines, of samples, of rows.
#[test]
fn images_of_limbs_are_packed_in_parts() {
    let c = Conv {
        stride: [2, 3, 1],
        pad_begin: [2, 1, 0],
        pad_end: [3, 0, 0],
        ..Conv::new(&[23, 8], &[3, 2])
    };
    let (method, kernel) = METHODS[0];
    for (order, shape, launches) in [(1, [1, 26, 5], 2), (2, [3, 26, 2], 2), (3, [1, 26, 300], 2)] {
        let (f, operands) = &maps(c, shape, 1)[0];
        let [(x, y)] = &operands[..] else { panic!() };
        let wanted = cpu().bilinear(*f, &[(x, y)]).unwrap();
        // Operands and result fit, and what is packed of them just does not.
        let all = 8 * (x.len() + y.len() + wanted.len());
        let gpu = Gpu::new(recorder(order), settings(method, 2 * all));
        assert_eq!(gpu.bilinear(*f, &[(x, y)]).unwrap(), wanted, "{shape:?}");
        assert_eq!(count(gpu.device(), kernel), launches, "{shape:?}");
    }
}

/// Positions are numbers of 31 bits: strides, dilations and padding that are longer are refused, and not cut short.
#[test]
fn positions_that_are_no_numbers_are_refused() {
    let far = 1_usize << 31;
    let plain = Conv::new(&[3], &[1]);
    let padded = Conv {
        stride: [far, 1, 1],
        pad_begin: [2 * far, 0, 0],
        ..plain
    };
    let strided = Conv {
        stride: [far, 1, 1],
        ..plain
    };
    let dilated = Conv {
        dilation: [far, 1, 1],
        ..plain
    };
    for c in [padded, strided, dilated] {
        for (f, operands) in maps(c, [1, 2, 2], 1) {
            let gpu = Gpu::new(recorder(0), settings(Method::Words, 1 << 30));
            let refused = gpu.bilinear(f, &[(&operands[0].0, &operands[0].1)]);
            let refused = refused.unwrap_err().to_string();
            assert!(refused.contains("2^31"), "{f} {c:?}: {refused}");
        }
    }
}

/// Words of 32 bits have the same images.
#[test]
fn images_of_narrow_words() {
    let c = Conv {
        pad_begin: [1, 0, 0],
        stride: [1, 2, 1],
        ..Conv::new(&[6, 7], &[2, 3])
    };
    for (f, operands) in maps(c, [2, 30, 31], 2) {
        let terms: Vec<_> = operands.iter().map(|(x, y)| (x, y)).collect();
        let wanted = cpu().bilinear(f, &terms).unwrap();
        let narrow = |x: &Tensor| x.mapv(|word| Wrapping(word.0 as u32));
        let operands: Vec<_> = operands
            .iter()
            .map(|(x, y)| (narrow(x), narrow(y)))
            .collect();
        let terms: Vec<_> = operands.iter().map(|(x, y)| (x, y)).collect();
        let gpu = Gpu::new(recorder(3), settings(Method::Limbs, 1 << 30));
        assert_eq!(gpu.bilinear_32(f, &terms).unwrap(), narrow(&wanted), "{f}");
        let images = usize::from(!matches!(f, Bilinear::ConvWeights(_)));
        assert_eq!(count(gpu.device(), Kernel::LimbsConvolution32), images);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, ..ProptestConfig::default() })]
    #[test]
    fn any_geometry(
        input in prop::array::uniform2(4..9_usize),
        kernel in prop::array::uniform2(1..4_usize),
        stride in prop::array::uniform2(1..4_usize),
        dilation in prop::array::uniform2(1..3_usize),
        begin in prop::array::uniform2(0..4_usize),
        end in prop::array::uniform2(0..4_usize),
        groups in 1..3_usize,
        channels in prop::array::uniform2(26..33_usize),
        order in 0..5_u64,
    ) {
        let axes = |a: [usize; 2], rest| [a[0], a[1], rest];
        let c = Conv {
            stride: axes(stride, 1),
            dilation: axes(dilation, 1),
            pad_begin: axes(begin, 0),
            pad_end: axes(end, 0),
            groups,
            ..Conv::new(&input, &kernel)
        };
        prop_assume!(c.output().is_some());
        // Twice as many for residues, whose steps are twice as long.
        let [x, y] = channels.map(|n| 2 * n * groups);
        same(c, [2, x, y], 1, order, false);
    }
}
