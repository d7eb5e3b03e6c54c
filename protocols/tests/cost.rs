//! The forecast of a run is the run: every party's bytes, messages and rounds, exactly.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use ndarray::{ArrayD, IxDyn};
use proptest::prelude::*;
use tacit_mpc::Cost;
use tacit_mpc::simulate::{mem, simulate_seeded};
use tacit_nn::program::{Instr, Scaled};
use tacit_nn::{Engine, Function, Graph, Program, Result, program, run};
use tacit_protocols::rep3::{CostEngine, CostValue, Depth, Rep3Engine};

fn graph(rows: usize, columns: usize) -> Graph {
    let mut g = Graph::new();
    let (x, w) = (g.input(&[rows, columns]), g.input(&[columns, 3]));
    let z = g.matmul(x, w).unwrap();
    let r = g.relu(z).unwrap();
    let s = g.sigmoid(z).unwrap();
    let p = g.mul(r, s).unwrap();
    let q = g.scale(p, 0.3).unwrap();
    let m = g.max(q, s).unwrap();
    let n = g.negative(m).unwrap();
    g.output(n);
    g.output(q);
    g
}

fn forecast<T>(depth: Depth, f: u32, work: impl Fn(&mut CostEngine) -> Result<T>) -> [Cost; 3] {
    let mut e = CostEngine::new(f, depth);
    work(&mut e).unwrap();
    *e.parties()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn bytes_messages_and_rounds_are_exact(rows in 1usize..60, columns in 1usize..9, f in 16u32..=20, two: bool) {
        let depth = if two { Depth::Two } else { Depth::Three };
        let g = graph(rows, columns);
        let shapes = [vec![rows, columns], vec![columns, 3]];
        let want = forecast(depth, f, |e| run(&g, e, &shapes.clone().map(|s| CostValue::shared(&s))));
        let got = simulate_seeded(mem(), 1, |session| {
            let mut e = Rep3Engine::with_depth(session, f, depth).unwrap();
            let inputs: Vec<_> = shapes.iter().map(|s| e.trivial(&ArrayD::from_elem(IxDyn(s), 0.25)).unwrap()).collect();
            run(&g, &mut e, &inputs).unwrap();
            e.session().cost()
        });
        prop_assert_eq!(got, want.to_vec());
    }
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn every_instruction_costs_what_was_forecast(n in 1usize..700, f in 16u32..=20, two: bool) {
        let depth = if two { Depth::Two } else { Depth::Three };
        let p = every_instruction();
        let want = forecast(depth, f, |e| e.map(&p, &[&CostValue::shared(&[n]), &CostValue::shared(&[n])]));
        let got = simulate_seeded(mem(), 1, |session| {
            let mut e = Rep3Engine::with_depth(session, f, depth).unwrap();
            let x = e.trivial(&ArrayD::from_elem(IxDyn(&[n]), -0.25)).unwrap();
            e.map(&p, &[&x, &x]).unwrap();
            e.session().cost()
        });
        prop_assert_eq!(got, want.to_vec());
    }
}

#[test]
fn a_tensor_of_many_chunks_costs_what_was_forecast() {
    let n = 200_000;
    let p: Program = Function::Relu.program();
    let want = forecast(Depth::Three, 18, |e| e.map(&p, &[&CostValue::shared(&[n])]));
    let got = simulate_seeded(mem(), 1, |session| {
        let mut e = Rep3Engine::new(session, 18).unwrap();
        let x = e.trivial(&ArrayD::from_elem(IxDyn(&[n]), -0.25)).unwrap();
        e.map(&program::relu(), &[&x]).unwrap();
        e.session().cost()
    });
    assert_eq!(got, want.to_vec());
}
