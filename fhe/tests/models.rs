//! The shipped models say of the rows that they were not trained with what `examples/README.md` says.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../examples/train/idx.rs"]
mod idx;

use std::{fs::File, path::Path};

use tacit_examples::{BREAST_CANCER, DIGITS, Dataset};
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

#[test]
fn mnist_by_128_bootstraps() {
    if !idx::folder().exists() {
        let folder = idx::folder();
        println!(
            "SKIPPED: no MNIST in {}; name its folder in TACIT_MNIST",
            folder.display()
        );
        return;
    }
    let program = shipped("mnist-128.tfhe");
    let (pixels, classes) = idx::read("t10k", 10_000).unwrap();
    let rows = Rows::new(&program.parts().input, &pixels, &classes).unwrap();
    let right = (accuracy(&program, &rows) * 1e4).round() as usize;
    assert_eq!((program.lookups(), right), (128, 9795));
}
