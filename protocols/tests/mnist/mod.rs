//! The MNIST pictures, where they lie beside the repository.

use ndarray::{ArrayD, Axis, IxDyn, concatenate};
use tacit_examples::mnist;
use tacit_nn::Split;

use super::Pictures;

/// The first `train` pictures of the training set, then the first `test` of the test set; `None`, with a message, where the
/// files are missing.
pub(super) fn read(train: usize, test: usize) -> Option<Pictures> {
    if !mnist::is_here() {
        return None;
    }
    let part = |set: &str, rows: usize| {
        let mnist::Pictures { pixels, digits } = mnist::read(set, rows).unwrap();
        let x = ArrayD::from_shape_fn(IxDyn(&[rows, mnist::PIXELS]), |i| {
            f64::from(pixels[mnist::PIXELS * i[0] + i[1]]) / 255.0
        });
        let y = ArrayD::from_shape_fn(IxDyn(&[rows, 10]), |i| {
            f64::from(u8::from(usize::from(digits[i[0]]) == i[1]))
        });
        (x, y)
    };
    let ((x0, y0), (x1, y1)) = (part("train", train), part("t10k", test));
    let join =
        |a: ArrayD<f64>, b: ArrayD<f64>| concatenate(Axis(0), &[a.view(), b.view()]).unwrap();
    Some(Pictures {
        x: join(x0, x1),
        y: join(y0, y1),
    })
}

/// The first train rows train, the others are held out.
pub(super) fn split(train: usize, test: usize) -> Split {
    Split {
        train: (0..train).collect(),
        test: (train..train + test).collect(),
        order_seed: [4; 32],
    }
}
