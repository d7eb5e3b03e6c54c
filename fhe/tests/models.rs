//! The shipped models say of the rows that they were not trained with what `examples/README.md` says.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs::File, path::Path};

use tacit_examples::{BREAST_CANCER, DIGITS, Dataset, mnist};
use tacit_fhe::{
    program::Program,
    train::{Rows, accuracy},
};

fn shipped(model: &str) -> Program {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/models");
    Program::read(File::open(folder.join(model)).unwrap()).unwrap()
}

/// How many held-out rows a model gets right, and how many there are.
fn right(model: &str, data: Dataset) -> (Program, usize, usize) {
    let program = shipped(model);
    let (all, (_, held)) = (data.numbers(), data.split());
    let numbers: Vec<f32> = held.iter().flat_map(|&k| all[k].0.clone()).collect();
    let classes: Vec<usize> = held.iter().map(|&k| all[k].1).collect();
    let rows = Rows::new(&program.parts().input, &numbers, &classes).unwrap();
    let right = accuracy(&program, &rows) * held.len() as f64;
    (program, right.round() as usize, held.len())
}

#[test]
fn digits_by_8_and_12_bootstraps() {
    let (program, correct, rows) = right("digits-8.tfhe", DIGITS);
    assert_eq!((program.lookups(), correct, rows), (8, 400, 450));
    let (program, correct, rows) = right("digits-12.tfhe", DIGITS);
    assert_eq!((program.lookups(), correct, rows), (12, 425, 450));
}

#[test]
fn digits_by_16_bootstraps() {
    let (program, right, rows) = right("digits-16.tfhe", DIGITS);
    assert_eq!((program.lookups(), right, rows), (16, 429, 450));
}

#[test]
fn digits_by_24_bootstraps() {
    let (program, right, rows) = right("digits-24.tfhe", DIGITS);
    assert_eq!((program.lookups(), right, rows), (24, 433, 450));
}

/// The regression in floating point gets 137 of them right.
#[test]
fn breast_cancer_without_a_bootstrap() {
    let (program, right, rows) = right("breast-cancer.tfhe", BREAST_CANCER);
    assert_eq!((program.lookups(), right, rows), (0, 138, 143));
}

/// How many of MNIST's test pictures a model gets right; none where they are not here.
fn right_of_mnist(program: &Program) -> Option<usize> {
    if !mnist::is_here() {
        return None;
    }
    let pictures = mnist::read("t10k", 10_000).unwrap();
    let pixels: Vec<f32> = pictures.pixels.into_iter().map(f32::from).collect();
    let classes: Vec<usize> = pictures.digits.into_iter().map(usize::from).collect();
    let rows = Rows::new(&program.parts().input, &pixels, &classes).unwrap();
    Some((accuracy(program, &rows) * 1e4).round() as usize)
}

#[test]
fn mnist_by_128_bootstraps() {
    let program = shipped("mnist-128.tfhe");
    assert_eq!(program.lookups(), 128);
    if let Some(right) = right_of_mnist(&program) {
        assert_eq!(right, 9810);
    }
}

#[test]
fn mnist_by_two_convolutions() {
    let program = shipped("mnist-cnn.tfhe");
    assert_eq!(program.lookups(), 1088);
    if let Some(right) = right_of_mnist(&program) {
        assert_eq!(right, 9883);
    }
}
