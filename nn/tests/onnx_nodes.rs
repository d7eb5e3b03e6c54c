//! The node tests of the ONNX project on the plaintext engine, and skeletons of their files.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{collections::BTreeSet, path::PathBuf};

use tacit_nn::{
    Plain,
    onnx::{
        Dim, Error, Feed, Model, Options, Weights,
        conformance::{OUTSIDE, Outcome, Tolerance, cases},
    },
    run,
};

/// The folder of the cases; `None`, with a word about it, where it is absent.
fn folder() -> Option<PathBuf> {
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
        return None;
    }
    Some(folder)
}

/// A skeleton keeps every attribute and integer that decides the graph: of each case that can be lowered with private inputs
/// there is one that makes the same graph, which `skeleton` itself checks.
#[test]
fn every_case_has_a_skeleton() {
    let Some(folder) = folder() else { return };
    let (mut made, mut skipped) = (0, 0);
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path().join("model.onnx");
        let Some(model) = std::fs::read(&path)
            .ok()
            .and_then(|b| Model::parse(&b).ok())
        else {
            continue;
        };
        let feeds = model.inputs().iter().map(|port| {
            let length = |dim: &Dim| if let Dim::Fixed(n) = dim { *n } else { 2 };
            Feed::Private(port.shape.iter().map(length).collect())
        });
        let options = Options {
            weights: Weights::Private,
            training: false,
        };
        if model.lower(&feeds.collect::<Vec<_>>(), &options).is_err() {
            skipped += 1;
            continue;
        }
        match model.skeleton() {
            Ok(_) => made += 1,
            Err(Error::Feature { what, .. }) if what.contains("decide what the graph is") => {
                println!("refused {}: {what}", path.display());
            }
            Err(other) => panic!("{}: {other}", path.display()),
        }
    }
    println!("{made} skeletons, {skipped} cases need public inputs");
    assert!(made >= 240, "{made} skeletons");
}

#[test]
fn nodes_give_what_the_project_expects() {
    let Some(folder) = folder() else { return };
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
