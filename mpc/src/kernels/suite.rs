//! What all kernels must pass, whatever computes: `device_suite!`. Results are held to the definition, computed here.

use std::num::Wrapping;

use ndarray::{ArrayD, IxDyn};

use super::Kernels;
use crate::{Bilinear, Conv, Error, Tensor};

/// A test for each check of [`kernels::suite`](crate::kernels::suite), on kernels that an expression makes anew.
///
/// ```ignore
/// tacit_mpc::device_suite!(cpu: tacit_mpc::kernels::cpu());
/// ```
#[macro_export]
macro_rules! device_suite {
    ($name:ident: $kernels:expr) => {
        mod $name {
            #[allow(unused_imports, reason = "the expression may need them or not")]
            use super::*;

            $crate::device_suite!(@ $kernels;
                matrices_of_all_shapes, operands_in_any_layout, terms_and_batches, entries_one_by_one,
                convolutions_and_their_transposes, the_largest_words, nothing_at_all, misfits_are_refused);
        }
    };
    (@ $kernels:expr; $($check:ident),*) => {
        $(
            #[test]
            fn $check() {
                $crate::kernels::suite::$check(&*$kernels);
            }
        )*
    };
}

/// A tensor that looks random, the same for one seed.
#[must_use]
pub fn tensor(shape: &[usize], seed: u64) -> Tensor {
    let mut x = seed | 1;
    ArrayD::from_shape_fn(IxDyn(shape), |_| {
        x = x.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23) ^ seed;
        Wrapping(x)
    })
}

/// Σ f(x, y) by definition ([`Bilinear::apply`]); terms must fit.
///
/// # Panics
/// If they do not.
#[must_use]
pub fn definition(f: Bilinear, terms: &[(&Tensor, &Tensor)]) -> Tensor {
    let one = |&(x, y): &(&Tensor, &Tensor)| f.apply(x, y);
    let sum = terms.iter().map(one).reduce(|sum, term| Some(sum? + term?));
    sum.flatten()
        .unwrap_or_else(|| panic!("{f}: terms that fit"))
}

/// What kernels give is what the definition gives.
fn holds(kernels: &dyn Kernels, f: Bilinear, terms: &[(&Tensor, &Tensor)]) {
    let shapes: Vec<_> = terms.iter().map(|(x, y)| (x.shape(), y.shape())).collect();
    let found = kernels.bilinear(f, terms);
    let found = found.unwrap_or_else(|error| panic!("{}: {f} {shapes:?}: {error}", kernels.name()));
    assert!(
        found == definition(f, terms),
        "{}: {f} {shapes:?} is wrong",
        kernels.name()
    );
}

/// Single entries, odd sizes, more than one block of rows, columns and of the inner dimension.
pub fn matrices_of_all_shapes(kernels: &dyn Kernels) {
    for (m, k, n) in [
        (1, 1, 1),
        (1, 300, 1),
        (3, 40, 130),
        (65, 33, 70),
        (64, 64, 64),
        (20, 1100, 9),
        (130, 7, 140),
    ] {
        let (x, y) = (tensor(&[m, k], 5), tensor(&[k, n], 6));
        holds(kernels, Bilinear::MatMul, &[(&x, &y)]);
    }
}

/// Transposed operands, and parts of larger ones.
pub fn operands_in_any_layout(kernels: &dyn Kernels) {
    let (x, y) = (
        tensor(&[90, 40], 1).reversed_axes(),
        tensor(&[70, 90], 2).reversed_axes(),
    );
    holds(kernels, Bilinear::MatMul, &[(&x, &y)]);
    let mut part = tensor(&[50, 90], 3);
    part.slice_axis_inplace(ndarray::Axis(0), ndarray::Slice::from(7..43));
    holds(kernels, Bilinear::MatMul, &[(&part, &y)]);
}

/// Up to five terms, and products side by side.
pub fn terms_and_batches(kernels: &dyn Kernels) {
    let all: Vec<_> = (0..5)
        .map(|s| (tensor(&[2, 3, 17, 40], s), tensor(&[2, 3, 40, 21], s + 9)))
        .collect();
    for count in [1, 2, 5] {
        let terms: Vec<_> = all[..count].iter().map(|(x, y)| (x, y)).collect();
        holds(kernels, Bilinear::MatMul, &terms);
    }
}

/// Products entry by entry.
pub fn entries_one_by_one(kernels: &dyn Kernels) {
    for shape in [&[1][..], &[1001], &[7, 3, 5]] {
        let all: Vec<_> = (0..5)
            .map(|s| (tensor(shape, s), tensor(shape, s + 9)))
            .collect();
        let terms: Vec<_> = all.iter().map(|(x, y)| (x, y)).collect();
        holds(kernels, Bilinear::Mul, &terms);
        holds(kernels, Bilinear::Mul, &terms[..1]);
    }
}

/// Along one, two and three axes; with strides, dilations, padding on either side, and groups.
pub fn convolutions_and_their_transposes(kernels: &dyn Kernels) {
    let plain = Conv::new(&[9, 8], &[3, 3]);
    let odd = Conv {
        stride: [2, 1, 1],
        dilation: [1, 2, 1],
        pad_begin: [1, 2, 0],
        pad_end: [2, 0, 0],
        groups: 2,
        ..Conv::new(&[9, 8], &[3, 2])
    };
    let line = Conv {
        stride: [3, 1, 1],
        pad_begin: [4, 0, 0],
        groups: 4,
        ..Conv::new(&[20], &[5])
    };
    let solid = Conv {
        pad_end: [1, 1, 1],
        stride: [1, 2, 2],
        ..Conv::new(&[4, 5, 3], &[2, 3, 2])
    };
    let pointwise = Conv::new(&[6, 6], &[1, 1]);
    for c in [plain, odd, line, solid, pointwise] {
        let space = |extents: &[usize; 3], n: usize, channels: usize| {
            [&[n, channels], &extents[..c.rank]].concat()
        };
        let output = c.output().unwrap_or_else(|| panic!("{c:?} has an output"));
        let x = [1, 2].map(|s| tensor(&space(&c.input, 2, 4), s));
        let w = [3, 4].map(|s| tensor(&space(&c.kernel, 8, 4 / c.groups), s));
        let y = [5, 6].map(|s| tensor(&space(&output, 2, 8), s));
        holds(
            kernels,
            Bilinear::Conv(c),
            &[(&x[0], &w[0]), (&x[1], &w[1])],
        );
        holds(
            kernels,
            Bilinear::ConvInput(c),
            &[(&y[0], &w[0]), (&y[1], &w[1])],
        );
        holds(
            kernels,
            Bilinear::ConvWeights(c),
            &[(&x[0], &y[0]), (&x[1], &y[1])],
        );
    }
}

/// All bits set, and the words of largest absolute value: the largest sums that accumulators see.
pub fn the_largest_words(kernels: &dyn Kernels) {
    for word in [u64::MAX, 1 << 63, i64::MAX as u64] {
        let full = |shape: &[usize]| ArrayD::from_elem(IxDyn(shape), Wrapping(word));
        holds(
            kernels,
            Bilinear::MatMul,
            &[(&full(&[40, 1100]), &full(&[1100, 33]))],
        );
    }
}

/// No rows, no columns, nothing to add up, no terms.
pub fn nothing_at_all(kernels: &dyn Kernels) {
    for (m, k, n) in [(0, 3, 4), (3, 0, 4), (3, 4, 0)] {
        holds(
            kernels,
            Bilinear::MatMul,
            &[(&tensor(&[m, k], 1), &tensor(&[k, n], 2))],
        );
    }
    holds(
        kernels,
        Bilinear::Mul,
        &[(&tensor(&[0], 1), &tensor(&[0], 2))],
    );
    let none = kernels.bilinear(Bilinear::MatMul, &[]);
    assert!(none.is_ok_and(|x| x.ndim() == 0), "no terms are a zero");
}

/// Operands that do not fit, and terms of different shapes.
pub fn misfits_are_refused(kernels: &dyn Kernels) {
    let (x, y) = (tensor(&[2, 3], 1), tensor(&[4, 5], 2));
    let (long, tall, flat) = (
        tensor(&[2, 900], 3),
        tensor(&[900, 5], 4),
        tensor(&[3, 5], 5),
    );
    let (deep, wide) = (tensor(&[1, 90, 4], 6), tensor(&[2, 90, 3], 7));
    let (thin, narrow) = (tensor(&[1, 1, 4], 8), tensor(&[2, 1, 3], 9));
    for (f, terms) in [
        (Bilinear::MatMul, vec![(&x, &y)]),
        (Bilinear::Mul, vec![(&x, &y)]),
        (Bilinear::Mul, vec![(&x, &x), (&y, &y)]),
        // Results of one shape, but operands of two.
        (Bilinear::MatMul, vec![(&long, &tall), (&x, &flat)]),
        (
            Bilinear::Conv(Conv::new(&[4], &[3])),
            vec![(&deep, &wide), (&thin, &narrow)],
        ),
        (Bilinear::Conv(Conv::new(&[2], &[2])), vec![(&x, &y)]),
    ] {
        let found = kernels.bilinear(f, &terms);
        assert!(
            matches!(found, Err(Error::Shape { .. })),
            "{}: {f}",
            kernels.name()
        );
    }
}
