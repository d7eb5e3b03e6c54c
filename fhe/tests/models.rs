//! The shipped models say of the rows that they were not trained with what `examples/README.md` says.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs::File, path::Path};

use tacit_examples::{DIGITS, Dataset};
use tacit_fhe::{
    program::Program,
    train::{Rows, accuracy},
};

/// How many held-out rows a model gets right, and how many there are.
fn right(model: &str, data: Dataset) -> (Program, usize, usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/models");
    let program = Program::read(File::open(folder.join(model)).unwrap()).unwrap();
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
