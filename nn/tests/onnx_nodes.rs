//! The node tests of the ONNX project on the plaintext engine.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::PathBuf;

use tacit_nn::{
    Plain,
    onnx::conformance::{Outcome, Tolerance, cases},
    run,
};

#[test]
fn nodes_give_what_the_project_expects() {
    let shared = std::env::var_os("TACIT_SHARED").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
        PathBuf::from,
    );
    let folder = shared.join("data/onnx-nodes");
    if !folder.is_dir() {
        println!(
            "1 skipped: {} is absent (set TACIT_SHARED)",
            folder.display()
        );
        return;
    }
    let tolerance = Tolerance {
        absolute: 1e-6,
        relative: 1e-3,
    };
    let (mut passed, mut failed, mut refused) = (0, Vec::new(), Vec::new());
    for case in cases(&folder).unwrap() {
        let outcome = case.run(tolerance, &mut |graph, inputs| {
            let inputs: Vec<_> = inputs.iter().map(|x| x.mapv(|v| v as f32)).collect();
            let outputs = run(graph, &mut Plain, &inputs).map_err(|e| e.to_string())?;
            Ok(outputs.into_iter().map(|y| y.mapv(f64::from)).collect())
        });
        match outcome {
            Outcome::Passed => passed += 1,
            Outcome::Failed(why) => failed.push((case.name, why)),
            Outcome::Refused(why) => refused.push((case.name, why)),
        }
    }
    for (kind, list) in [("failed", &failed), ("refused", &refused)] {
        for (name, why) in list {
            let end = why.find("; supported are").unwrap_or(why.len());
            println!("{kind} {name}: {}", &why[..end]);
        }
    }
    println!(
        "{passed} passed, {} failed, {} refused",
        failed.len(),
        refused.len()
    );
    assert!(passed >= 40);
}
