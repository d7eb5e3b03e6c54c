//! The node tests of the ONNX project on shares: every input that can be private is shared, every result released.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeSet;

use common::secure::Secure;
use ndarray::ArrayD;
use tacit_mpc::simulate::{mem, simulate_seeded};
use tacit_nn::onnx::conformance::{OUTSIDE, Tally, Tolerance, folder, tally};
use tacit_nn::{Graph, run};
use tacit_protocols::malicious::MaliciousEngine;
use tacit_protocols::rep3::Rep3Engine;

/// Fractional bits.
const F: u32 = 18;

/// Party k shares the inputs k, k + 3 and so on; the outputs are opened.
fn shared<E: Secure>(graph: &Graph, inputs: &[ArrayD<f64>]) -> Result<Vec<ArrayD<f64>>, String> {
    let results = simulate_seeded(mem(), 1, |session| {
        let mut e = E::start(session, F).map_err(|e| e.to_string())?;
        let shared: Result<Vec<_>, _> = inputs
            .iter()
            .enumerate()
            .map(|(k, x)| e.share(k % 3, x))
            .collect();
        // An input that has no encoding fails at its owner, and the others lose the link.
        let outputs = shared.and_then(|shared| run(graph, &mut e, &shared));
        let opened: tacit_nn::Result<Vec<_>> =
            outputs.and_then(|outputs| outputs.iter().map(|y| e.open(y)).collect());
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
    nodes::<Rep3Engine>();
}

#[test]
fn nodes_give_on_proved_shares_what_the_project_expects() {
    nodes::<MaliciousEngine>();
}

fn nodes<E: Secure>() {
    let Some(folder) = folder() else { return };
    let tolerance = Tolerance {
        absolute: 2f64.powi(-9),
        relative: 1e-3,
    };
    let tally = tally(&folder, tolerance, &mut |graph, inputs| {
        shared::<E>(graph, inputs)
    });
    let Tally {
        cases,
        passed,
        outside,
    } = tally.unwrap();
    let listed: BTreeSet<String> = OUTSIDE.iter().map(|o| o.case.to_string()).collect();
    assert_eq!(
        outside, listed,
        "left: cases outside; right: the list with the reasons"
    );
    assert!(cases >= 356, "of {cases} cases");
    assert!(passed * 100 >= cases * 95, "{passed} of {cases}");
}
