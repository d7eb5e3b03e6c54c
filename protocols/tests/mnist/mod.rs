//! The MNIST pictures, where they lie beside the repository.

use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use ndarray::{ArrayD, Axis, IxDyn, concatenate};
use tacit_nn::Split;

use super::Pictures;

/// The first `train` pictures of the training set, then the first `test` of the test set; `None`, with a message, where the
/// files are missing.
pub(super) fn read(train: usize, test: usize) -> Option<Pictures> {
    let folder = std::env::var_os("TACIT_MNIST").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/mnist"),
        PathBuf::from,
    );
    if !folder.join("train-images-idx3-ubyte.gz").exists() {
        println!(
            "SKIPPED: no MNIST in {}; name its folder in TACIT_MNIST",
            folder.display()
        );
        return None;
    }
    let part = |set: &str, rows: usize| {
        let pixels = numbers(
            &folder.join(format!("{set}-images-idx3-ubyte.gz")),
            16,
            rows * 784,
        );
        let labels = numbers(&folder.join(format!("{set}-labels-idx1-ubyte.gz")), 8, rows);
        let x = ArrayD::from_shape_fn(IxDyn(&[rows, 784]), |i| {
            f64::from(pixels[784 * i[0] + i[1]]) / 255.0
        });
        let y = ArrayD::from_shape_fn(IxDyn(&[rows, 10]), |i| {
            f64::from(u8::from(usize::from(labels[i[0]]) == i[1]))
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

/// Bytes of an IDX file after its header.
fn numbers(file: &Path, header: usize, count: usize) -> Vec<u8> {
    let open = std::fs::File::open(file).unwrap();
    let mut bytes = vec![0; header + count];
    GzDecoder::new(open).read_exact(&mut bytes).unwrap();
    bytes.split_off(header)
}
