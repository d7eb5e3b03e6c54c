//! Matrix products and convolutions of a tensor by one that is known.

use ndarray::ArrayD;
use tacit_mpc::{Bilinear, Conv};
use tacit_nn::Error;

use super::build::{Build, Entry, Refused, Result};
use super::walk::{channel, tensor};

/// f(x, y), where one of both is known.
pub(super) fn of(
    build: &mut Build,
    f: Bilinear,
    x: &ArrayD<Entry>,
    y: &ArrayD<Entry>,
    shape: &[usize],
) -> Result<ArrayD<Entry>> {
    let misfit = || Error::Shape {
        op: f.name(),
        left: x.shape().to_vec(),
        right: y.shape().to_vec(),
    };
    if f.output_shape(x.shape(), y.shape()).as_deref() != Some(shape) {
        return Err(misfit().into());
    }
    let (left, right) = (x.as_standard_layout(), y.as_standard_layout());
    let (Some(xs), Some(ys)) = (left.as_slice(), right.as_slice()) else {
        return Err(misfit().into());
    };
    // Which products each result is the sum of.
    let mut sums: Vec<Vec<(usize, usize)>> = vec![Vec::new(); shape.iter().product()];
    match f {
        Bilinear::Mul => sums
            .iter_mut()
            .enumerate()
            .for_each(|(k, sum)| sum.push((k, k))),
        Bilinear::MatMul => {
            let (&[.., m, k], Some(&n)) = (x.shape(), y.shape().last()) else {
                return Err(misfit().into());
            };
            for (at, sum) in sums.iter_mut().enumerate() {
                let (batch, row, column) = (at / (m * n), at / n % m, at % n);
                let term = |i: usize| ((batch * m + row) * k + i, (batch * k + i) * n + column);
                sum.extend((0..k).map(term));
            }
        }
        Bilinear::Conv(c) => {
            let (mg, images) = (y.shape()[0] / c.groups, x.shape()[0]);
            windows(
                &c,
                (images, y.shape()[0], y.shape()[1]),
                |input, kernel, output, m| {
                    let channel = input.1 + m / mg * y.shape()[1];
                    let from = (input.0 * x.shape()[1] + channel) * c.positions().0 + input.2;
                    sums[output].push((from, kernel));
                },
            );
        }
        Bilinear::ConvInput(c) => {
            let (mg, images) = (y.shape()[0] / c.groups, x.shape()[0]);
            windows(
                &c,
                (images, y.shape()[0], y.shape()[1]),
                |input, kernel, output, m| {
                    let channel = input.1 + m / mg * y.shape()[1];
                    let to = (input.0 * shape[1] + channel) * c.positions().0 + input.2;
                    sums[to].push((output, kernel));
                },
            );
        }
        Bilinear::ConvWeights(_) => {
            return Err(Error::Invalid("it belongs to a training".into()).into());
        }
    }
    let made = sums.iter().enumerate().map(|(at, sum)| {
        let mut terms = Vec::with_capacity(sum.len());
        for &(x, y) in sum {
            match (xs[x], ys[y]) {
                (Entry::Known(k), Entry::Known(x)) => terms.push((1.0, Entry::Known(k * x))),
                (Entry::Known(k), x) | (x, Entry::Known(k)) => terms.push((k, x)),
                _ => return Err(Refused::Product),
            }
        }
        build.sum(&terms, 0.0, channel(shape, at))
    });
    tensor(shape, made.collect::<Result<Vec<_>>>()?)
}

/// Visits every product of a convolution: (image, channel of the group, position) of its input, the place in the kernel, the
/// place in the output, and the output's channel.
fn windows(
    c: &Conv,
    (images, outputs, channels): (usize, usize, usize),
    mut f: impl FnMut((usize, usize, usize), usize, usize, usize),
) {
    let positions = c.positions().1;
    for image in 0..images {
        for m in 0..outputs {
            for channel in 0..channels {
                c.visit(|window, output, input| {
                    let kernel = (m * channels + channel) * c.window() + window;
                    let output = (image * outputs + m) * positions + output;
                    f((image, channel, input), kernel, output, m);
                });
            }
        }
    }
}
