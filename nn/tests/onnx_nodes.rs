//! The node tests of the ONNX project on the plaintext engine, and skeletons of their files.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use tacit_nn::{
    Plain,
    onnx::{
        Dim, Error, Feed, Model, Options, Weights,
        conformance::{OUTSIDE, Tally, Tolerance, folder, tally},
    },
    run,
};

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
    let tally = tally(&folder, tolerance, &mut |graph, inputs| {
        let inputs: Vec<_> = inputs.iter().map(|x| x.mapv(|v| v as f32)).collect();
        let outputs = run(graph, &mut Plain, &inputs).map_err(|e| e.to_string())?;
        Ok(outputs.into_iter().map(|y| y.mapv(f64::from)).collect())
    });
    let Tally {
        cases,
        passed,
        outside,
    } = tally.unwrap();
    let listed = OUTSIDE.iter().filter(|o| !o.private_only);
    let listed: BTreeSet<String> = listed.map(|o| o.case.to_string()).collect();
    assert_eq!(
        outside, listed,
        "left: cases outside; right: the list with the reasons"
    );
    assert!(cases >= 356 && passed * 100 >= cases * 95, "of {cases}");
}
