//! A float model becomes an integer program, and answers on ciphertexts, by the commands.

#![cfg(feature = "tfhe")]
#![allow(clippy::unwrap_used)] // a test may panic

mod common;

use std::fs;
use std::path::Path;

use common::{npy, said, tacit};
use serde_json::Value;
use tacit_examples::DIGITS;

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/models/mlp.onnx");

/// The first rows of the digits, and their classes, as files.
fn sample(folder: &Path, rows: usize) -> (String, String) {
    let all = &DIGITS.numbers()[..rows];
    let numbers: Vec<f32> = all.iter().flat_map(|(row, _)| row.clone()).collect();
    let classes: Vec<f32> = all.iter().map(|(_, class)| *class as f32).collect();
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let files = (path("x.npy"), path("labels.npy"));
    fs::write(&files.0, npy(&numbers, 64)).unwrap();
    fs::write(&files.1, npy(&classes, 1)).unwrap();
    files
}

#[test]
fn a_perceptron_becomes_a_program_and_answers_on_ciphertexts() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (x, labels) = sample(folder.path(), 400);
    let out = path("mlp.tfhe");
    let quantize = [
        "quantize",
        MODEL,
        "--data",
        &x,
        "--labels",
        &labels,
        "--accuracy",
        "0.8",
        "-o",
        &out,
        "--json",
    ];
    let report = said(&quantize);
    let report: Value = serde_json::from_str(report.lines().last().unwrap()).unwrap();
    assert!(
        report["taken"]["accuracy"].as_f64().unwrap() >= 0.8,
        "{report}"
    );

    let (one, _) = sample(folder.path(), 1);
    let result = path("y.npy");
    let infer = [
        "infer",
        "--local",
        "--protocol",
        "tfhe",
        "--model",
        &out,
        "--input",
        &one,
        "--output",
        &result,
        "--json",
    ];
    let inferred = said(&infer);
    let inferred: Value = serde_json::from_str(inferred.lines().last().unwrap()).unwrap();
    assert_eq!(inferred["wrong"], 0);
    assert_eq!(inferred["bootstraps"], report["taken"]["bootstraps"]);
}

#[test]
fn a_check_tells_what_a_model_takes() {
    let folder = tempfile::tempdir().unwrap();
    let (x, _) = sample(folder.path(), 400);
    let told = said(&[
        "check",
        "--protocol",
        "tfhe",
        "--model",
        MODEL,
        "--data",
        &x,
    ]);
    assert!(
        told.contains("bootstraps") && told.contains("wrong with probability 2^-"),
        "{told}"
    );
}

#[test]
fn what_cannot_be_quantised_is_said_in_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let (x, labels) = sample(folder.path(), 40);
    let out = folder.path().join("m.tfhe").to_str().unwrap().to_owned();
    let transformer = MODEL.replace("mlp", "transformer");
    for (arguments, words) in [
        (
            vec!["quantize", &transformer, "--data", &x, "-o", &out],
            "transformer",
        ),
        (
            vec!["quantize", MODEL, "--data", &labels, "-o", &out],
            "wants the shape",
        ),
        (
            vec!["quantize", &x, "--data", &x, "-o", &out],
            "not a valid ONNX file",
        ),
        (
            vec!["quantize", MODEL, "--data", MODEL, "-o", &out],
            "no .npy file",
        ),
        (
            vec![
                "quantize",
                MODEL,
                "--data",
                &x,
                "--accuracy",
                "0.9",
                "-o",
                &out,
            ],
            "--labels",
        ),
        (
            vec![
                "quantize",
                MODEL,
                "--data",
                &x,
                "--agreement",
                "1.5",
                "-o",
                &out,
            ],
            "1.5",
        ),
    ] {
        // Wrong usage is status 2, a model or a file that is not taken 1.
        let ended = tacit(&arguments);
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(!ended.status.success(), "{arguments:?}");
        assert!(
            said.contains(words) && !said.contains("panicked"),
            "{arguments:?}: {said}"
        );
        assert!(!Path::new(&out).exists(), "{arguments:?}");
    }
}
