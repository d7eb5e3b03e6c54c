//! The node tests of the ONNX project on the plaintext engine.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{collections::BTreeSet, path::PathBuf};

use tacit_nn::{
    Plain,
    onnx::conformance::{OUTSIDE, Outcome, Tolerance, cases},
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
    let cases = cases(&folder).unwrap();
    let (mut passed, mut failed, mut refused) = (0, Vec::new(), Vec::new());
    for case in &cases {
        let outcome = case.run(tolerance, &mut |graph, inputs| {
            let inputs: Vec<_> = inputs.iter().map(|x| x.mapv(|v| v as f32)).collect();
            let outputs = run(graph, &mut Plain, &inputs).map_err(|e| e.to_string())?;
            Ok(outputs.into_iter().map(|y| y.mapv(f64::from)).collect())
        });
        match outcome {
            Outcome::Passed => passed += 1,
            Outcome::Failed(why) => failed.push((case.name.as_str(), why)),
            Outcome::Refused(why) => refused.push((case.name.as_str(), why)),
        }
    }
    for (kind, list) in [("failed", &failed), ("refused", &refused)] {
        for (name, why) in list {
            println!(
                "{kind} {name}: {}",
                why.split("; supported are").next().unwrap()
            );
        }
    }
    println!(
        "{passed} passed, {} failed, {} refused",
        failed.len(),
        refused.len()
    );
    let outside: BTreeSet<&str> = failed
        .iter()
        .chain(&refused)
        .map(|(name, _)| *name)
        .collect();
    let listed: BTreeSet<&str> = OUTSIDE
        .iter()
        .filter(|o| !o.private_only)
        .map(|o| o.case)
        .collect();
    assert_eq!(
        outside, listed,
        "left: cases outside; right: the list with the reasons"
    );
    assert!(
        cases.len() >= 356 && passed >= 340,
        "of {} cases",
        cases.len()
    );
    assert!(passed * 100 >= cases.len() * 95);
}
