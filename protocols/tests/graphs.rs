//! Random graphs: shares against the integer specification.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::random::{F, inputs, random};
use proptest::prelude::*;
use tacit_mpc::simulate::{mem, simulate_seeded};
use tacit_nn::{Ring, run};
use tacit_protocols::rep3::Rep3Engine;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn a_random_graph_is_on_shares_what_it_is_in_the_ring(
        words in prop::collection::vec((0u8..17, any::<usize>(), any::<usize>()), 1..12),
        exact: bool,
        seed: u64,
        values in prop::collection::vec(-8.0f64..8.0, 18),
    ) {
        let ((g, known), inputs) = (random(&words, exact), inputs(&values));
        let mut ring = Ring::new(F);
        let encoded: Vec<_> = inputs.iter().map(|x| ring.encode(x).unwrap()).collect();
        let want: Vec<_> = run(&g, &mut ring, &encoded).unwrap();
        let got = simulate_seeded(mem(), seed, |session| {
            let mut e = Rep3Engine::new(session, F).unwrap();
            if exact {
                e.round_exactly((0..g.len()).collect());
            }
            let shared: Vec<_> = inputs
                .iter()
                .enumerate()
                .map(|(owner, x)| {
                    let mine = e.session().me() == owner;
                    e.input(owner, x.shape(), mine.then_some(x)).unwrap()
                })
                .collect();
            let out = run(&g, &mut e, &shared).unwrap();
            out.iter().map(|y| e.reveal(y).unwrap()).collect::<Vec<_>>()
        });
        for ((got, want), k) in got[0].iter().zip(&want).zip(&known) {
            for (got, want) in got.iter().zip(&ring.decode(want)) {
                let units = (got - want).abs() * 2f64.powi(F as i32);
                prop_assert!(units <= k.units, "node {:?}: {got} instead of {want}, {units} units of {}", k.x, k.units);
            }
        }
    }
}
