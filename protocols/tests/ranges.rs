//! What `tacit_nn::ranges` shows of functions holds for what they give on shares, which is off from the integer specification by
//! some units and, draw by draw, by others.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use ndarray::{ArrayD, IxDyn, array};
use tacit_mpc::simulate::{mem, simulate};
use tacit_nn::ranges::{Input, prove};
use tacit_nn::{Edge, Graph, run};
use tacit_protocols::rep3::Rep3Engine;

const F: u32 = 18;
/// Sharings of each argument.
const DRAWS: usize = 64;

type Builder = fn(&mut Graph, Edge) -> tacit_nn::Result<Edge>;

fn graph(function: Builder, shape: &[usize]) -> Graph {
    let mut g = Graph::new();
    let x = g.input(shape);
    let y = function(&mut g, x).unwrap();
    g.output(y);
    g
}

#[test]
fn functions_on_shares_stay_within_what_is_shown_of_them() {
    let exponents: Vec<f64> = (0..40).map(|k| -11.7 + 0.3 * f64::from(k)).collect();
    let near_one: Vec<f64> = (0..40).map(|k| 0.9 + 0.0024 * f64::from(k)).collect();
    let binades: Vec<f64> = (0..40)
        .map(|k| 2f64.powf(0.49 * f64::from(k) - 8.3))
        .collect();
    for (name, function, points) in [
        ("e^x", Graph::exp_negative as Builder, exponents),
        ("e^x", Graph::exp_negative, near_one),
        ("1/x", Graph::reciprocal_of, binades.clone()),
        ("1/√x", Graph::rsqrt_of, binades.clone()),
        ("√x", Graph::sqrt, binades.clone()),
        ("ln x", Graph::log, binades),
    ] {
        let x = ArrayD::from_shape_fn(IxDyn(&[points.len(), DRAWS]), |at| points[at[0]]);
        let g = graph(function, &[points.len(), DRAWS]);
        let outputs = simulate(mem(), |session| {
            let mut e = Rep3Engine::new(session, F).unwrap();
            let own = (e.session().me() == 0).then_some(&x);
            let input = e.input(0, x.shape(), own).unwrap();
            let y = run(&g, &mut e, &[input]).unwrap().remove(0);
            e.reveal(&y).unwrap()
        });
        let y = outputs.into_iter().next().unwrap().unwrap();
        for (k, &x) in points.iter().enumerate() {
            let at = array![x].into_dyn();
            let (lo, hi) = prove(&graph(function, &[1]), &[Input::Known(&at)], F).unwrap()[0];
            for draw in 0..DRAWS {
                let y = y[[k, draw]];
                assert!(
                    (lo..=hi).contains(&y),
                    "{name} at {x}: {y} outside [{lo}, {hi}]"
                );
            }
        }
    }
}
