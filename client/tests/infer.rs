//! `tacit infer` and `tacit check` as a person starts them, on the models of `examples/models` and beside the answers of
//! onnxruntime that lie there.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{complaint, said, tacit};
use ndarray::ArrayD;
use serde_json::Value;
use tacit_client::npy;
use tacit_nn::onnx::Constant;

/// A file of `examples/models`.
fn example(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/models");
    folder.join(name).to_str().unwrap().to_owned()
}

fn read(path: impl AsRef<Path>) -> Vec<(Option<String>, Constant)> {
    npy::read(&fs::read(path).unwrap()).unwrap()
}

/// The numbers of an npy file.
fn numbers(path: impl AsRef<Path>) -> ArrayD<f64> {
    read(path)[0].1.numbers().unwrap()
}

/// The largest distance from the answers of onnxruntime.
fn distance(path: impl AsRef<Path>, answers: &str) -> f64 {
    let (got, want) = (numbers(path), numbers(example(answers)));
    assert_eq!(got.shape(), want.shape(), "{answers}");
    tacit_client::local::distance(&got, &want)
}

fn last_object(stdout: &str) -> Value {
    serde_json::from_str(stdout.lines().last().unwrap()).unwrap()
}

/// A place for outputs.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, bytes: &[u8]) -> String {
        fs::write(self.path(name), bytes).unwrap();
        self.path(name)
    }
}

/// Runs an example; its outputs, and what was reported.
fn infer(folder: &Folder, name: &str, outputs: usize, more: &[&str]) -> (Vec<PathBuf>, Value) {
    let (model, input) = (
        example(&format!("{name}.onnx")),
        example(&format!("{name}-x.npy")),
    );
    let paths: Vec<String> = (0..outputs)
        .map(|k| folder.path(&format!("y{k}.npy")))
        .collect();
    let mut args = vec![
        "infer", "--local", "--json", "--model", &model, "--input", &input,
    ];
    paths
        .iter()
        .for_each(|path| args.extend(["--output", path]));
    args.extend(more);
    let report = last_object(&said(&args));
    assert_eq!(report["outputs"], serde_json::json!(paths));
    (paths.iter().map(PathBuf::from).collect(), report)
}

/// Each protocol within its distance of onnxruntime, with private and with public weights.
fn agrees(name: &str, outputs: usize) {
    let folder = Folder::new();
    for (protocol, tolerance) in [("plain", 1e-5), ("ring", 1e-3), ("rep3", 1e-3)] {
        for weights in ["private", "public"] {
            let options = ["--protocol", protocol, "--weights", weights];
            let (paths, report) = infer(&folder, name, outputs, &options);
            for (k, path) in paths.iter().enumerate() {
                let distance = distance(path, &format!("{name}-y{k}.npy"));
                assert!(
                    distance < tolerance,
                    "{name} by {protocol}, {weights} weights: {distance}"
                );
            }
            let number = |field: &str| report[field].as_f64().unwrap();
            assert!(number("max_abs_error") < tolerance, "{report}");
            assert!(
                number("seconds") > 0.0 && number("cpu_seconds") > 0.0,
                "{report}"
            );
            let sends = protocol == "rep3";
            assert_eq!(
                number("rounds") > 0.0 && number("bytes") > 0.0,
                sends,
                "{report}"
            );
            assert_eq!(report["offline_bytes"], 0);
        }
    }
    let (model, input) = (
        example(&format!("{name}.onnx")),
        example(&format!("{name}-x.npy")),
    );
    let args = ["check", "--json", "--model", &model, "--input", &input];
    let report = last_object(&said(&args));
    assert_eq!(
        (&report["ok"], &report["overflow"]),
        (&Value::Bool(true), &Value::Null)
    );
    assert!(report["nodes"].as_array().unwrap().len() > 2, "{report}");
}

#[test]
fn a_perceptron() {
    agrees("mlp", 1);
}

#[test]
fn a_lenet_with_batch_normalisation_and_pooling() {
    agrees("lenet", 1);
}

#[test]
fn a_transformer_block() {
    agrees("transformer", 1);
}

#[test]
fn a_pipeline_of_scikit_learn() {
    agrees("pipeline", 2);
    // Labels are integers, probabilities single precision, as in the model.
    let folder = Folder::new();
    let (paths, _) = infer(&folder, "pipeline", 2, &[]);
    assert!(matches!(read(&paths[0])[0].1, Constant::Int(_)));
    let bytes = fs::read(&paths[1]).unwrap();
    assert!(String::from_utf8_lossy(&bytes).contains("'<f4'"));
}

#[test]
fn archives_hold_inputs_and_outputs_by_name() {
    let folder = Folder::new();
    let float = npy::Dtype::new(npy::Kind::Float, 8);
    let x = read(example("pipeline-x.npy")).remove(0).1;
    let name = "X";
    let packed = npy::pack(&[
        (
            "unused",
            &Constant::Bool(ndarray::arr0(true).into_dyn()),
            npy::Dtype::new(npy::Kind::Bool, 1),
        ),
        (name, &x, float),
    ])
    .unwrap();
    let input = folder.write("x.npz", &packed);
    let (model, output, first) = (
        example("pipeline.onnx"),
        folder.path("all.npz"),
        folder.path("label.npy"),
    );
    // The first output in a file of its own, then all.
    said(&[
        "infer", "--local", "--model", &model, "--input", &input, "--output", &first, "--output",
        &output,
    ]);
    let outputs = read(&output);
    let names: Vec<_> = outputs
        .iter()
        .filter_map(|(name, _)| name.as_deref())
        .collect();
    assert_eq!(names, ["label", "probabilities"]);
    assert_eq!(read(&first)[0].1, outputs[0].1);
    assert_eq!(distance(&first, "pipeline-y0.npy"), 0.0);
}

#[test]
fn overflow_is_located() {
    let folder = Folder::new();
    // Features that are a million times too large overflow in the first product.
    let Constant::Float(x) = read(example("mlp-x.npy")).remove(0).1 else {
        panic!("real numbers")
    };
    let large = Constant::Float(x * 1e9);
    let float = npy::Dtype::new(npy::Kind::Float, 4);
    let input = folder.write("large.npy", &npy::encode(&large, float).unwrap());
    let (model, output) = (example("mlp.onnx"), folder.path("y.npy"));
    let common = ["--model", &model, "--input", &input, "--protocol", "ring"];
    let said = complaint(&[&["infer", "--local", "--output", &output], &common[..]].concat());
    assert!(
        said.contains("Gemm fc0") && said.contains("scale the inputs"),
        "{said}"
    );
    assert!(!Path::new(&output).exists());
    for protocol in ["ring", "rep3"] {
        let args = [
            "check",
            "--json",
            "--model",
            &model,
            "--input",
            &input,
            "--protocol",
            protocol,
        ];
        let ended = tacit(&args);
        assert_eq!(ended.status.code(), Some(1));
        let report = last_object(std::str::from_utf8(&ended.stdout).unwrap());
        assert_eq!(report["overflow"]["node"], "Gemm fc0", "{report}");
        assert!(
            report["near_overflow"]
                .as_array()
                .unwrap()
                .iter()
                .any(|near| near["node"] == "Gemm fc0")
        );
    }
}

#[test]
fn files_that_are_not_taken_are_refused_in_a_sentence() {
    let folder = Folder::new();
    let (model, x, y) = (
        example("mlp.onnx"),
        example("mlp-x.npy"),
        folder.path("y.npy"),
    );
    let garbage = folder.write("garbage", &[0xa5; 400]);
    let empty = folder.write("empty", b"");
    let mut cut = fs::read(&x).unwrap();
    cut.truncate(1000);
    let cut = folder.write("cut.npy", &cut);
    let bytes = fs::read(&model).unwrap();
    let half = folder.write("half.onnx", &bytes[..bytes.len() / 2]);
    let archive = folder.write("broken.npz", b"PK\x03\x04 and nothing else");
    let absent = folder.path("absent");
    for (model, x, y, reason) in [
        (&garbage, &x, &y, "garbage is not taken"),
        (&empty, &x, &y, "empty is not taken"),
        (&half, &x, &y, "half.onnx is not taken"),
        (&absent, &x, &y, "cannot read"),
        (&model, &garbage, &y, "no .npy file"),
        (&model, &empty, &y, "no .npy file"),
        (&model, &cut, &y, "bytes of data"),
        (&model, &archive, &y, "damaged"),
        (&model, &absent, &y, "cannot read"),
        (
            &model,
            &example("lenet-x.npy"),
            &y,
            "x: the model wants the shape",
        ),
        (
            &model,
            &x,
            &folder.path("no/such/folder.npy"),
            "no such folder",
        ),
    ] {
        let said = complaint(&[
            "infer", "--local", "--model", model, "--input", x, "--output", y,
        ]);
        assert!(said.contains(reason), "{reason}: {said}");
        assert_eq!(said.trim().lines().count(), 1, "{said}");
    }
    let two = complaint(&[
        "infer", "--local", "--model", &model, "--input", &x, "--input", &x, "--output", &y,
    ]);
    assert!(
        two.contains("the model has 1 inputs (x), 2 arrays were given"),
        "{two}"
    );
    let many = complaint(&[
        "infer", "--local", "--model", &model, "--input", &x, "--output", &y, "--output", &y,
    ]);
    assert!(
        many.contains("the model has 1 outputs (probabilities), 2 files"),
        "{many}"
    );
    assert!(!Path::new(&y).exists());
}

#[test]
fn what_is_not_there_yet_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("m.onnx").display().to_string();
    fs::write(&model, "an ONNX file").unwrap();
    let args = ["--model", &model, "--input", "x.npy", "--output", "y.npy"];
    if cfg!(feature = "tfhe") {
        let said = complaint(&[&["infer", "--local", "--protocol", "tfhe"], &args[..]].concat());
        assert!(said.contains("m.onnx is not taken"), "{said}");
        let said = complaint(&["bench", "--protocol", "tfhe", "--op", "mul"]);
        assert!(said.contains("leave --op"), "{said}");
    }
    let said = complaint(&["check", "--protocol", "tfhe", "--model", "m.onnx"]);
    assert!(
        said.contains("cannot read m.onnx") || said.contains("built without"),
        "{said}"
    );
    let said = complaint(&["bench", "--protocol", "plain"]);
    assert!(said.contains("choose --protocol rep3"), "{said}");
    let said = complaint(&[&["infer"], &args[..]].concat());
    assert!(said.contains("--local"), "{said}");
}

#[test]
fn wrong_usage_is_status_2() {
    let model = ["--model", "m.onnx"];
    for args in [
        &["infer", "--local"][..],
        &["infer", "--local", "--output", "y.npy"],
        &[&["infer", "--local"], &model[..]].concat(),
        &[
            &[
                "infer",
                "--local",
                "--output",
                "y.npy",
                "--protocol",
                "magic",
            ],
            &model[..],
        ]
        .concat(),
        &[
            &[
                "infer",
                "--local",
                "--output",
                "y.npy",
                "--fraction-bits",
                "40",
            ],
            &model[..],
        ]
        .concat(),
        &[
            &["infer", "--local", "--output", "y.npy", "--weights", "some"],
            &model[..],
        ]
        .concat(),
        &["check"],
        &[&["check", "--tolerance", "small"], &model[..]].concat(),
    ] {
        assert_eq!(tacit(args).status.code(), Some(2), "{args:?}");
    }
}
