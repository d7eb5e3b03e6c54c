//! What compares a tensor is chosen by the links: on simulated ones, the variant that is fastest there.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use ndarray::{ArrayD, IxDyn};
use tacit_mpc::Cost;
use tacit_mpc::net::{MemNet, Profile, Sim, Transport};
use tacit_mpc::simulate::simulate_seeded;
use tacit_nn::program::Instr;
use tacit_nn::{Engine, Program, program};
use tacit_protocols::rep3::{Choice, CostEngine, CostValue, Depth, Rep3Engine};

/// Seconds of the simulated network until all parties have the result, and what it cost each.
fn run(link: Profile, choice: Choice, p: &Program, n: usize, exactly: bool) -> (f64, Vec<Cost>) {
    let nets = MemNet::mesh(3)
        .into_iter()
        .map(|net| Arc::new(Sim::new(net, link)));
    let nets: Vec<_> = nets.collect();
    let dynamic = nets.iter().map(|net| Arc::clone(net) as Arc<dyn Transport>);
    let costs = simulate_seeded(dynamic.collect(), 1, |session| {
        let mut e = Rep3Engine::with_depth(session, 18, choice).unwrap();
        if exactly {
            e.round_exactly([0].into());
        }
        let x = e.trivial(&ArrayD::from_elem(IxDyn(&[n]), -0.25)).unwrap();
        e.begin_run().unwrap();
        e.begin_node(0);
        e.map(p, &[&x]).unwrap();
        e.session().cost()
    });
    let seconds = nets.iter().map(|net| net.seconds()).fold(0.0, f64::max);
    (seconds, costs)
}

fn unary(instr: Instr) -> Program {
    let mut p = Program::new("unary");
    p.push(Instr::Input(0));
    let y = p.push(instr);
    p.outputs = vec![y];
    p
}

/// Signs, signs of bounded numbers, zeros, choices, floors and exact roundings, of one value and of many windows of strands: on a
/// local, a wide and a slow network no other variant would have been faster.
#[test]
fn the_fastest_variant_is_taken_at_every_size() {
    let slow = Profile {
        latency_ns: 5_000_000,
        bits_per_second: 2_000_000,
    };
    let programs = [
        (unary(Instr::Negative(0, None)), false),
        (unary(Instr::Negative(0, Some(12))), false),
        (unary(Instr::Zero(0)), false),
        (program::relu().keep("relu", &[0]), false),
        (unary(Instr::Floor(0)), false),
        (program::scale(0.3), true),
    ];
    let mut taken = [0; Depth::ALL.len()];
    for link in [Profile::LAN, Profile::WAN, slow] {
        for n in [1, 10, 100, 3000, 10_000, 100_000] {
            for (p, exactly) in &programs {
                // Nobody would wait for keys of so many values.
                let variants = &Depth::ALL[usize::from(n > 3000)..];
                let each = variants
                    .iter()
                    .map(|&depth| run(link, depth.into(), p, n, *exactly).0);
                let each: Vec<f64> = each.collect();
                let least = each.iter().copied().fold(f64::INFINITY, f64::min);
                let (auto, cost) = run(link, link.into(), p, n, *exactly);
                // Keys take time to compute, which is no time here: they are taken where they are faster with it.
                let others = each[usize::from(variants.len() == 4)..].iter().copied();
                let others = others.fold(f64::INFINITY, f64::min);
                let what = format!("{} of {n} on {link:?}: {each:?}", p.name);
                assert!(auto <= others, "{auto} {what}");
                let hashing = 4e-7 * n as f64;
                assert!(auto <= least || others - least < hashing, "{auto} {what}");
                assert_eq!(run(link, link.into(), p, n, *exactly), (auto, cost.clone()));
                if let Some(at) = each.iter().position(|&s| s == auto) {
                    taken[at + Depth::ALL.len() - variants.len()] += 1;
                }
                // The cost engine takes the same.
                let mut forecast = CostEngine::new(18, link);
                if *exactly {
                    forecast.round_exactly([0].into());
                }
                forecast.begin_node(0);
                forecast.map(p, &[&CostValue::shared(&[n])]).unwrap();
                assert_eq!(cost, forecast.parties().to_vec());
            }
        }
    }
    assert!(taken.iter().all(|&times| times > 0), "{taken:?}");
}

/// What the specification says of links: few values take few rounds, many few bytes.
#[test]
fn long_links_prefer_few_rounds_and_large_tensors_few_bytes() {
    let p = unary(Instr::Negative(0, None));
    let rounds = |n: usize| {
        let mut e = CostEngine::new(18, Profile::WAN);
        e.map(&p, &[&CostValue::shared(&[n])]).unwrap();
        e.parties().iter().map(|p| p.rounds).max().unwrap()
    };
    let of = [1, 1000, 5000, 20_000, 50_000].map(rounds);
    assert_eq!(of, [2, 2, 3, 4, 4]);
}

/// Rounds are latencies: with a dealer for each third, too, no third waits for another. What is sent takes less than a hundredth
/// of one.
#[test]
fn a_run_takes_as_many_latencies_as_rounds() {
    let relu = program::relu().keep("relu", &[0]);
    for n in [1, 2, 3, 50] {
        for (depth, rounds) in Depth::ALL.into_iter().zip([3, 4, 5, 6]) {
            let (seconds, costs) = run(Profile::WAN, depth.into(), &relu, n, false);
            assert_eq!(costs.iter().map(|c| c.rounds).max(), Some(rounds));
            let latencies = seconds / (Profile::WAN.latency_ns as f64 * 1e-9);
            let carrying = latencies - rounds as f64;
            assert!(
                (0.0..0.06).contains(&carrying),
                "{n} {depth:?}: {latencies}"
            );
        }
    }
}
