//! The node tests of the ONNX project on shares: every input that can be private is shared, every result released.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use ndarray::ArrayD;
use tacit_mpc::simulate::{mem, simulate_seeded};
use tacit_nn::onnx::conformance::{OUTSIDE, Tally, Tolerance, folder, tally};
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
    let Some(folder) = folder() else { return };
    let tolerance = Tolerance {
        absolute: 2f64.powi(-9),
        relative: 1e-3,
    };
    let tally = tally(&folder, tolerance, &mut |graph, inputs| {
        shared(graph, inputs)
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
