use super::*;
use crate::layers::max_pool::max_pool;
use crate::layers::testing::{assert_close, eval, numbers};
use crate::layers::window::Padding;

/// Windows of a plane, as lists of places; `None` lies on padding.
fn taps(window: &Window, input: &[usize]) -> Vec<Vec<Vec<Option<usize>>>> {
    let along = window.along(input).unwrap();
    along
        .iter()
        .map(|a| {
            let tap = |o: usize, k: usize| {
                (o * a.stride + k * a.dilation)
                    .checked_sub(a.begin)
                    .filter(|&i| i < a.input)
            };
            (0..a.output)
                .map(|o| (0..a.kernel).map(|k| tap(o, k)).collect())
                .collect()
        })
        .collect()
}

/// The values of every window over two axes and where they are, in row-major order.
pub(crate) fn seen(
    window: &Window,
    x: &ArrayD<f64>,
    mut f: impl FnMut(&[(f64, usize)]) -> f64,
) -> ArrayD<f64> {
    let taps = taps(window, &x.shape()[2..]);
    let shape = [x.shape()[0], x.shape()[1], taps[0].len(), taps[1].len()];
    let width = x.shape()[3];
    ArrayD::from_shape_fn(IxDyn(&shape), |at| {
        let mut values = Vec::new();
        for i in taps[0][at[2]].iter().flatten() {
            for j in taps[1][at[3]].iter().flatten() {
                values.push((x[[at[0], at[1], *i, *j]], i * width + j));
            }
        }
        f(&values)
    })
}

pub(crate) fn windows() -> Vec<Window> {
    let explicit = |begin: [usize; 2], end: [usize; 2]| Padding::Explicit {
        begin: begin.to_vec(),
        end: end.to_vec(),
    };
    let base = Window::new(&[2, 2]);
    vec![
        base.clone(),
        Window {
            stride: vec![2, 2],
            ..base.clone()
        },
        Window {
            stride: vec![3, 2],
            padding: explicit([1, 1], [1, 0]),
            ..Window::new(&[3, 3])
        },
        Window {
            padding: explicit([2, 2], [2, 2]),
            ..Window::new(&[5, 4])
        },
        Window {
            dilation: vec![2, 3],
            padding: explicit([2, 0], [1, 2]),
            ..Window::new(&[3, 2])
        },
        Window {
            stride: vec![2, 2],
            ceil: true,
            padding: explicit([0, 0], [0, 0]),
            ..Window::new(&[3, 3])
        },
        Window {
            padding: Padding::SameLower,
            ..base.clone()
        },
        Window {
            stride: vec![4, 3],
            padding: Padding::SameUpper,
            ..base
        },
    ]
}

#[test]
fn the_mean_counts_padding_as_it_is_told() {
    let x = numbers(&[1, 2, 8, 7], 2);
    for window in windows() {
        let along = window.along(&[8, 7]).unwrap();
        for count_pad in [false, true] {
            let y = eval(std::slice::from_ref(&x), |g, e| {
                Ok(vec![average_pool(g, e[0], &window, count_pad)?])
            });
            let sum = seen(&window, &x, |v| v.iter().map(|v| v.0).sum());
            let number = seen(&window, &x, |v| v.len() as f64);
            let inside = |a: &Along, o: usize| {
                let within = |k: &usize| a.place(o, *k) < a.begin + a.input + a.end;
                (0..a.kernel).filter(within).count() as f64
            };
            let want = ArrayD::from_shape_fn(sum.raw_dim(), |at| {
                let n = if count_pad {
                    inside(&along[0], at[2]) * inside(&along[1], at[3])
                } else {
                    number[&at]
                };
                sum[&at] / n
            });
            assert_close(&y[0], &want, 1e-12);
        }
    }
}

#[test]
fn windows_of_nothing_but_padding_are_refused() {
    let mut g = Graph::new();
    let x = g.input(&[1, 1, 4]);
    let window = Window {
        padding: Padding::Explicit {
            begin: vec![1],
            end: vec![0],
        },
        ..Window::new(&[1])
    };
    assert!(max_pool(&mut g, x, &window).is_err());
    assert!(average_pool(&mut g, x, &window, false).is_err());
    assert!(average_pool(&mut g, x, &window, true).is_ok());
}
