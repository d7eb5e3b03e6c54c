//! The node tests of the ONNX project on shares: every input that can be private is shared, every result released.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{collections::BTreeSet, path::PathBuf};

use ndarray::ArrayD;
use tacit_mpc::simulate::{mem, simulate_seeded};
use tacit_nn::onnx::conformance::{OUTSIDE, Outcome, Tolerance, cases};
use tacit_nn::{Graph, run};
use tacit_protocols::rep3::Rep3Engine;

/// Fractional bits.
const F: u32 = 18;

/// Party k shares the inputs k, k + 3 and so on; the outputs are opened.
fn shared(graph: &Graph, inputs: &[ArrayD<f64>]) -> Result<Vec<ArrayD<f64>>, String> {
    let results = simulate_seeded(mem(), 1, |session| {
        let mut e = Rep3Engine::new(session, F).map_err(|e| e.to_string())?;
        let me = e.session().me();
        let shared: Result<Vec<_>, _> = inputs
            .iter()
            .enumerate()
            .map(|(k, x)| e.input(k % 3, x.shape(), (me == k % 3).then_some(x)))
            .collect();
        // An input that has no encoding fails at its owner, and the others lose the link.
        let outputs = shared.and_then(|shared| run(graph, &mut e, &shared));
        let opened: tacit_nn::Result<Vec<_>> =
            outputs.and_then(|outputs| outputs.iter().map(|y| e.reveal(y)).collect());
        opened.map_err(|e| e.to_string())
    });
    let mut results = results.into_iter();
    let first = results.next().unwrap()?;
    for other in results {
        assert_eq!(other?, first, "all parties open the same");
    }
    Ok(first)
}

#[test]
fn nodes_give_on_shares_what_the_project_expects() {
    let shared_folder = std::env::var_os("TACIT_SHARED").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
        PathBuf::from,
    );
    let folder = shared_folder.join("data/onnx-nodes");
    if !folder.is_dir() {
        println!(
            "1 skipped: {} is absent (set TACIT_SHARED)",
            folder.display()
        );
        return;
    }
    let tolerance = Tolerance {
        absolute: 2f64.powi(-9),
        relative: 1e-3,
    };
    let cases = cases(&folder).unwrap();
    let mut passed = 0;
    let mut outside = BTreeSet::new();
    for case in &cases {
        match case.run(tolerance, &mut |graph, inputs| shared(graph, inputs)) {
            Outcome::Passed => passed += 1,
            Outcome::Failed(why) => {
                println!("failed {}: {why}", case.name);
                outside.insert(case.name.as_str());
            }
            Outcome::Refused(why) => {
                let why = why.split("; supported are").next().unwrap_or_default();
                println!("refused {}: {why}", case.name);
                outside.insert(case.name.as_str());
            }
        }
    }
    println!("{passed} passed, {} failed", outside.len());
    let listed: BTreeSet<&str> = OUTSIDE.iter().map(|o| o.case).collect();
    assert_eq!(
        outside, listed,
        "left: cases outside; right: the list with the reasons"
    );
    assert!(cases.len() >= 356, "of {} cases", cases.len());
    assert!(
        passed * 100 >= cases.len() * 95,
        "{passed} of {}",
        cases.len()
    );
}
