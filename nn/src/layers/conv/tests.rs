use ndarray::{ArrayD, IxDyn};

use super::*;
use crate::layers::testing::{assert_close, eval, numbers};

fn explicit(begin: &[usize], end: &[usize]) -> Padding {
    Padding::Explicit {
        begin: begin.to_vec(),
        end: end.to_vec(),
    }
}

/// A 1-d convolution, summed up as its definition says.
#[test]
fn one_axis_with_groups_dilation_and_uneven_padding() {
    let (x, w, b) = (
        numbers(&[2, 4, 9], 1),
        numbers(&[6, 2, 3], 2),
        numbers(&[6], 3),
    );
    let window = Window {
        stride: vec![2],
        dilation: vec![2],
        padding: explicit(&[1], &[3]),
        ..Window::new(&[3])
    };
    let y = eval(&[x.clone(), w.clone(), b.clone()], |g, e| {
        Ok(vec![conv(g, e[0], e[1], Some(e[2]), &window, 2)?])
    });
    let want = ArrayD::from_shape_fn(IxDyn(&[2, 6, 5]), |i| {
        let mut sum = b[i[1]];
        for c in 0..2 {
            for k in 0..3 {
                let at = (i[2] * 2 + k * 2) as isize - 1;
                if (0..9).contains(&at) {
                    sum += x[[i[0], i[1] / 3 * 2 + c, at as usize]] * w[[i[1], c, k]];
                }
            }
        }
        sum
    });
    assert_close(&y[0], &want, 1e-12);
}

#[test]
fn same_padding_on_two_axes() {
    for (padding, corner) in [(Padding::SameUpper, 4.0), (Padding::SameLower, 1.0)] {
        let window = Window {
            padding,
            ..Window::new(&[2, 2])
        };
        let ones = |s: &[usize]| ArrayD::from_elem(IxDyn(s), 1.0);
        let y = eval(&[ones(&[1, 1, 3, 3]), ones(&[1, 1, 2, 2])], |g, e| {
            Ok(vec![conv(g, e[0], e[1], None, &window, 1)?])
        });
        assert_eq!(y[0].shape(), [1, 1, 3, 3]);
        assert_eq!(y[0][[0, 0, 0, 0]], corner);
    }
}

/// Every input entry adds its kernel to the output, which is then cut or extended.
fn scattered(
    x: &ArrayD<f64>,
    w: &ArrayD<f64>,
    (stride, dilation): (usize, usize),
    begin: isize,
    length: usize,
) -> ArrayD<f64> {
    let mut y = ArrayD::zeros(IxDyn(&[x.shape()[0], w.shape()[1], length]));
    for n in 0..x.shape()[0] {
        for c in 0..x.shape()[1] {
            for i in 0..x.shape()[2] {
                for m in 0..w.shape()[1] {
                    for k in 0..w.shape()[2] {
                        let at = (i * stride + k * dilation) as isize - begin;
                        if (0..length as isize).contains(&at) {
                            y[[n, m, at as usize]] += x[[n, c, i]] * w[[c, m, k]];
                        }
                    }
                }
            }
        }
    }
    y
}

#[test]
fn transposed_convolutions_scatter_their_kernel() {
    let (x, w) = (numbers(&[2, 3, 4], 4), numbers(&[3, 2, 3], 5));
    let base = Transposed {
        window: Window {
            stride: vec![3],
            dilation: vec![2],
            padding: explicit(&[0], &[0]),
            ..Window::new(&[3])
        },
        output_padding: vec![0],
        output_shape: None,
        groups: 1,
    };
    // The whole is 3·3 + 2·2 + 1 = 14 long.
    let with = |padding, extra: usize, shape: Option<usize>| Transposed {
        window: Window {
            padding,
            ..base.window.clone()
        },
        output_padding: vec![extra],
        output_shape: shape.map(|n| vec![n]),
        ..base.clone()
    };
    for (spec, begin, length) in [
        (base.clone(), 0, 14),
        (with(explicit(&[1], &[2]), 0, None), 1, 11),
        (with(explicit(&[1], &[0]), 2, None), 1, 15),
        (with(explicit(&[0], &[3]), 1, None), 0, 12),
        // 14 + 1 - 12 = 3 to cut: two before, one after; the other way round for SAME_UPPER.
        (with(explicit(&[0], &[0]), 1, Some(12)), 2, 12),
        (with(Padding::SameUpper, 1, Some(12)), 1, 12),
        (with(Padding::SameUpper, 0, None), 1, 12),
        (with(Padding::SameLower, 1, None), 2, 12),
        (with(Padding::Valid, 0, Some(17)), 0, 17),
        (with(Padding::SameUpper, 0, Some(15)), 0, 15),
    ] {
        let y = eval(&[x.clone(), w.clone()], |g, e| {
            Ok(vec![conv_transpose(g, e[0], e[1], None, &spec)?])
        });
        let want = scattered(&x, &w, (3, 2), begin, length);
        assert_close(&y[0], &want, 1e-12);
    }
}

#[test]
fn misfits_are_refused() {
    let mut g = Graph::new();
    let (x, w) = (g.input(&[1, 2, 5]), g.input(&[4, 2, 3]));
    let flat = g.input(&[1, 2]);
    let window = Window::new(&[3]);
    assert!(conv(&mut g, flat, w, None, &window, 1).is_err());
    assert!(conv(&mut g, x, w, None, &window, 0).is_err());
    assert!(conv(&mut g, x, w, None, &window, 3).is_err());
    assert!(conv(&mut g, x, w, Some(x), &window, 1).is_err());
    let spec = Transposed {
        window: Window {
            padding: explicit(&[9], &[9]),
            ..window
        },
        output_padding: vec![],
        output_shape: None,
        groups: 1,
    };
    assert!(conv_transpose(&mut g, x, w, None, &spec).is_err());
}
