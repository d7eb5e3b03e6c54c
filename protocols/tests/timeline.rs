//! A run on a simulated network ends when its forecast says, to the nanosecond, at every party.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use ndarray::{ArrayD, IxDyn};
use proptest::prelude::*;
use tacit_mpc::net::{MemNet, Profile, Sim, Transport};
use tacit_mpc::replay::{Rates, Replay};
use tacit_mpc::simulate::simulate_seeded;
use tacit_nn::{Graph, run};
use tacit_protocols::Replicated;
use tacit_protocols::cost::{CostEngine, Prices};
use tacit_protocols::malicious::{self, MaliciousEngine};
use tacit_protocols::rep3::{self, Depth, Rep3Engine};
use tacit_protocols::suite::random::{inputs, random};
use tacit_protocols::timeline::Timeline;

const F: u32 = 18;

/// Latencies and bandwidths of which now the one, now the other is what takes time.
const PROFILES: [Profile; 3] = [
    Profile::LAN,
    Profile::WAN,
    Profile {
        latency_ns: 7_000,
        bits_per_second: 3_000_000,
    },
];

/// The clocks of the parties after a run from the sharing of its inputs to the release of its outputs.
fn simulated<E: Replicated>(
    profile: Profile,
    graph: &Graph,
    shapes: &[Vec<usize>],
    engine: impl Fn(tacit_mpc::Session) -> E + Sync,
) -> Vec<f64> {
    let nets = MemNet::mesh(3)
        .into_iter()
        .map(|net| Arc::new(Sim::new(net, profile)));
    let nets: Vec<_> = nets.collect();
    let dynamic = nets.iter().map(|net| Arc::clone(net) as Arc<dyn Transport>);
    simulate_seeded(dynamic.collect(), 1, |session| {
        let mut e = engine(session);
        let inputs = shapes.iter().enumerate().map(|(k, shape)| {
            let (owner, x) = (k % 3, ArrayD::from_elem(IxDyn(shape), 0.25));
            let mine = (e.session().me() == owner).then_some(&x);
            e.input(owner, shape, mine).unwrap()
        });
        let inputs: Vec<_> = inputs.collect();
        let outputs = run(graph, &mut e, &inputs).unwrap();
        e.release(&outputs.iter().collect::<Vec<_>>()).unwrap();
    });
    nets.iter().map(|net| net.seconds()).collect()
}

/// The same, as forecast on all networks.
fn forecast<P: Prices>(
    mut e: CostEngine<P>,
    graph: &Graph,
    shapes: &[Vec<usize>],
) -> Vec<Vec<f64>> {
    let replays = PROFILES.map(|profile| Replay::new(3, profile, Rates::default()));
    e.follow(Timeline::of_networks(replays.to_vec()));
    let inputs = shapes.iter().enumerate();
    let inputs: Vec<_> = inputs
        .map(|(k, shape)| e.input(k % 3, shape).unwrap())
        .collect();
    let outputs = run(graph, &mut e, &inputs).unwrap();
    e.release(&outputs.iter().collect::<Vec<_>>()).unwrap();
    let replays = e.timeline().unwrap().replays().iter();
    replays
        .map(|replay| [0, 1, 2].map(|party| replay.seconds(party)).to_vec())
        .collect()
}

/// Some clock moves on every network; whether all of them did, too: in a small graph a party may send and wait for nobody,
/// and its clock stays where it was.
fn agrees(graph: &Graph, shapes: &[Vec<usize>], exact: bool) -> bool {
    let mut moved = true;
    let nodes = || {
        if exact {
            (0..graph.len()).collect()
        } else {
            Default::default()
        }
    };
    for depth in [Depth::Two, Depth::Three] {
        let mut cost = rep3::CostEngine::new(F, depth);
        cost.round_exactly(nodes());
        let foretold = forecast(cost, graph, shapes);
        for (profile, foretold) in PROFILES.iter().zip(foretold) {
            let real = simulated(*profile, graph, shapes, |session| {
                let mut e = Rep3Engine::with_depth(session, F, depth).unwrap();
                e.round_exactly(nodes());
                e
            });
            assert_eq!(real, foretold, "{profile:?}");
            assert!(real.iter().any(|&seconds| seconds > 0.0));
            moved &= real.iter().all(|&seconds| seconds > 0.0);
        }
    }
    for every in [usize::MAX, 1 << 16] {
        let mut cost = malicious::CostEngine::new(F).unwrap();
        cost.round_exactly(nodes());
        cost.verify_every(every);
        let foretold = forecast(cost, graph, shapes);
        for (profile, foretold) in PROFILES.iter().zip(foretold) {
            let real = simulated(*profile, graph, shapes, |session| {
                let mut e = MaliciousEngine::new(session, F).unwrap();
                e.round_exactly(nodes());
                e.verify_every(every);
                e
            });
            assert_eq!(real, foretold, "{profile:?}, a proof every {every} bytes");
        }
    }
    moved
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]
    #[test]
    fn random_graphs_end_when_they_should(
        words in prop::collection::vec((0u8..17, any::<usize>(), any::<usize>()), 1..12),
        exact: bool,
    ) {
        let (g, _) = random(&words, exact);
        let shapes: Vec<_> = inputs(&[0.0; 18]).iter().map(|x| x.shape().to_vec()).collect();
        agrees(&g, &shapes, exact);
    }
}

/// Tensors of more chunks than a window of strands, sums of products, a convolution before a maximum that is rounded later.
#[test]
fn tensors_of_many_chunks_end_when_they_should() {
    let mut g = Graph::new();
    let shapes = [vec![500, 80], vec![80, 250], vec![1, 250], vec![500, 250]];
    let [x, w, b, v] = [0, 1, 2, 3].map(|k: usize| g.input(&shapes[k]));
    let z = g.matmul(x, w).unwrap();
    let z = g.add(z, b).unwrap();
    let h = g.relu(z).unwrap();
    let y = g.mul(h, v).unwrap();
    let two = g.linear(&[(1, y), (2, z)], 0.5).unwrap();
    let s = g.softmax(two, 1).unwrap();
    g.output(s);
    assert!(agrees(&g, &shapes, false));
}
