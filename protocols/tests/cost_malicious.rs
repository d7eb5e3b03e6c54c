//! The forecast of a run that is proved is the run: every party's bytes, messages, draws and rounds, exactly, proofs among them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "tamper/graphs.rs"]
mod graphs;

use graphs::{Case, lenet, training_step, transformer};
use ndarray::{ArrayD, IxDyn};
use proptest::prelude::*;
use tacit_mpc::conv::Conv;
use tacit_mpc::simulate::{mem, simulate_seeded};
use tacit_mpc::{Bilinear, Cost};
use tacit_nn::program::{Instr, Scaled};
use tacit_nn::{Engine, Graph, Program, program, run};
use tacit_protocols::cost::Value as Shape;
use tacit_protocols::malicious::{CostEngine, MaliciousEngine};
use tacit_protocols::suite::F;
use tacit_protocols::suite::random::{inputs, random};

/// What the three sessions say of a run from the sharing of its inputs to the release of its outputs.
fn measured(graph: &Graph, shapes: &[Vec<usize>], exact: bool, every: usize) -> Vec<Cost> {
    simulate_seeded(mem(), 1, |session| {
        let mut e = MaliciousEngine::new(session, F).unwrap();
        e.verify_every(every);
        if exact {
            e.round_exactly((0..graph.len()).collect());
        }
        let inputs = shapes.iter().enumerate().map(|(k, shape)| {
            let (owner, x) = (k % 3, ArrayD::from_elem(IxDyn(shape), 0.25));
            let mine = (e.session().me() == owner).then_some(&x);
            e.input(owner, shape, mine).unwrap()
        });
        let inputs: Vec<_> = inputs.collect();
        let outputs = run(graph, &mut e, &inputs).unwrap();
        let logged = e.logged_bytes();
        e.release(&outputs.iter().collect::<Vec<_>>()).unwrap();
        assert!(logged <= every);
        e.session().cost()
    })
}

fn forecast(graph: &Graph, shapes: &[Vec<usize>], exact: bool, every: usize) -> CostEngine {
    let mut e = CostEngine::new(F).unwrap();
    e.verify_every(every);
    if exact {
        e.round_exactly((0..graph.len()).collect());
    }
    let inputs = shapes.iter().enumerate();
    let inputs: Vec<_> = inputs
        .map(|(k, shape)| e.input(k % 3, shape).unwrap())
        .collect();
    let outputs = run(graph, &mut e, &inputs).unwrap();
    e.release(&outputs.iter().collect::<Vec<_>>()).unwrap();
    e
}

fn agrees(graph: &Graph, shapes: &[Vec<usize>], exact: bool, every: usize) -> CostEngine {
    let foretold = forecast(graph, shapes, exact, every);
    let real = measured(graph, shapes, exact, every);
    assert_eq!(real, foretold.parties().to_vec());
    for (proof, all) in foretold.proofs().iter().zip(&real) {
        assert!(0 < proof.bytes && proof.bytes < all.bytes);
        assert!(0 < proof.rounds && proof.rounds < all.rounds);
    }
    foretold
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn random_graphs_cost_what_was_forecast(
        words in prop::collection::vec((0u8..17, any::<usize>(), any::<usize>()), 1..12),
        exact: bool,
        often: bool,
    ) {
        let (g, _) = random(&words, exact);
        let shapes: Vec<_> = inputs(&[0.0; 18]).iter().map(|x| x.shape().to_vec()).collect();
        agrees(&g, &shapes, exact, if often { 1 << 16 } else { usize::MAX });
    }
}

fn shapes(case: &Case) -> Vec<Vec<usize>> {
    case.inputs.iter().map(|x| x.shape().to_vec()).collect()
}

#[test]
fn networks_and_a_training_step_cost_what_was_forecast() {
    for case in [lenet(), transformer(), training_step()] {
        for every in [case.verify_every, usize::MAX, 1] {
            println!("{}, a proof every {every} bytes", case.name);
            agrees(&case.graph, &shapes(&case), false, every);
        }
    }
}

/// A perceptron whose layers have many chunks, of which proofs come between.
#[test]
fn tensors_of_many_chunks_cost_what_was_forecast() {
    let sizes = [[300, 40], [40, 70], [1, 70], [70, 3]].map(|s| s.to_vec());
    let mut g = Graph::new();
    let [x, w, b, v] = sizes.each_ref().map(|s| g.input(s));
    let z = g.matmul(x, w).unwrap();
    let z = g.add(z, b).unwrap();
    let h = g.relu(z).unwrap();
    let y = g.matmul(h, v).unwrap();
    let y = g.softmax(y, 1).unwrap();
    g.output(y);
    agrees(&g, &sizes, false, usize::MAX);
    agrees(&g, &sizes, true, 1 << 22);
}

/// Every instruction, in one program.
fn every_instruction() -> Program {
    let mut p = Program::new("every instruction");
    let (x, y) = (p.push(Instr::Input(0)), p.push(Instr::Input(1)));
    let floor = p.push(Instr::Floor(x));
    let rest = p.push(Instr::Linear(vec![(1, x), (-1, floor)], -1.0));
    let e = p.push(Instr::Exp(rest));
    let small = p.push(Instr::ExpNeg(rest));
    let product = p.push(Instr::Mul(e, small));
    let scaled = p.push(Instr::Scale(product, 0.3));
    let negative = p.push(Instr::Negative(y, Some(30)));
    let zero = p.push(Instr::Zero(floor));
    let both = p.push(Instr::And(negative, zero));
    let other = p.push(Instr::Xor(both, zero));
    let not = p.push(Instr::Not(other));
    let chosen = p.push(Instr::Select(not, scaled));
    let one = p.push(Instr::ToArithmetic(other));
    p.outputs = vec![chosen, one, both];
    for (f, lo, hi) in [
        (Scaled::Reciprocal, -14, 14),
        (Scaled::InverseRoot, -3, 9),
        (Scaled::Ln, 0, 1),
    ] {
        let y = p.push(Instr::Scaled { x, f, lo, hi });
        p.outputs.push(y);
    }
    p
}

/// Takes a bit.
fn as_number() -> Program {
    let mut p = Program::new("bit as number");
    let bit = p.push(Instr::InputBit(0));
    let out = p.push(Instr::ToArithmetic(bit));
    p.outputs = vec![out];
    p
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn every_instruction_costs_what_was_forecast(n in 1usize..700, f in 16u32..=20, exact: bool) {
        let (p, sigmoid) = (every_instruction(), program::sigmoid(f));
        let mut e = CostEngine::new(f).unwrap();
        let x = Shape::shared(&[n]);
        if exact { e.round_exactly([7].into()); }
        e.begin_run().unwrap();
        e.begin_node(7);
        let y = e.map(&p, &[&x, &x]).unwrap();
        e.begin_node(8);
        e.map(&sigmoid, &[&x]).unwrap();
        e.begin_node(9);
        e.map(&as_number(), &[&y[2]]).unwrap();
        let logged = e.logged_bytes();
        e.prove().unwrap();
        let got = simulate_seeded(mem(), 1, |session| {
            let mut e = MaliciousEngine::new(session, f).unwrap();
            if exact { e.round_exactly([7].into()); }
            let x = e.trivial(&ArrayD::from_elem(IxDyn(&[n]), -0.25)).unwrap();
            e.begin_run().unwrap();
            e.begin_node(7);
            let y = e.map(&p, &[&x, &x]).unwrap();
            e.begin_node(8);
            e.map(&sigmoid, &[&x]).unwrap();
            e.begin_node(9);
            e.map(&as_number(), &[&y[2]]).unwrap();
            assert_eq!(e.logged_bytes(), logged);
            e.prove().unwrap();
            e.session().cost()
        });
        prop_assert_eq!(got, e.parties().to_vec());
    }
}

/// Products of every kind, of shared and of public values, alone and in sums.
#[test]
fn products_cost_what_was_forecast() {
    let mut conv = Conv::new(&[9, 9], &[3, 3]);
    (conv.groups, conv.stride) = (2, [2, 2, 1]);
    let cases = [
        (Bilinear::Mul, vec![5, 7], vec![5, 7]),
        (Bilinear::MatMul, vec![3, 60, 30], vec![3, 30, 70]),
        (Bilinear::MatMul, vec![7, 5], vec![5, 2]),
        (Bilinear::Conv(conv), vec![2, 4, 9, 9], vec![6, 2, 3, 3]),
        (
            Bilinear::ConvInput(conv),
            vec![2, 6, 4, 4],
            vec![6, 2, 3, 3],
        ),
        (
            Bilinear::ConvWeights(conv),
            vec![2, 4, 9, 9],
            vec![2, 6, 4, 4],
        ),
    ];
    for (f, x, y) in cases {
        for (x_public, y_public) in [(false, false), (true, false), (false, true), (true, true)] {
            let mut cost = CostEngine::new(18).unwrap();
            let zeros = |shape: &[usize]| ArrayD::zeros(IxDyn(shape));
            let mut value = |shape: &[usize], public| match public {
                true => cost.public(&zeros(shape)).unwrap(),
                false => Shape::shared(shape),
            };
            let (a, b) = (value(&x, x_public), value(&y, y_public));
            cost.bilinear(f, &a, &b, 0.25).unwrap();
            cost.product(f, &a, &b).unwrap();
            cost.prove().unwrap();
            let got = simulate_seeded(mem(), 1, |session| {
                let mut e = MaliciousEngine::new(session, 18).unwrap();
                let mut value = |shape: &[usize], public| match public {
                    true => e.public(&zeros(shape)).unwrap(),
                    false => e.trivial(&zeros(shape)).unwrap(),
                };
                let (a, b) = (value(&x, x_public), value(&y, y_public));
                e.bilinear(f, &a, &b, 0.25).unwrap();
                e.product(f, &a, &b).unwrap();
                e.prove().unwrap();
                e.session().cost()
            });
            let want = cost.parties().to_vec();
            assert_eq!(got, want, "{f}, public {x_public} {y_public}");
        }
    }
}
