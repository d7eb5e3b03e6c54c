//! The forecast of a run is the run: every party's bytes, messages and rounds, exactly.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use ndarray::{ArrayD, IxDyn};
use proptest::prelude::*;
use proptest::sample::select;
use tacit_mpc::conv::Conv;
use tacit_mpc::simulate::{mem, simulate_seeded};
use tacit_mpc::{Bilinear, Cost};
use tacit_nn::program::{Instr, Scaled};
use tacit_nn::{Engine, Function, Graph, Program, Result, Ring, program, run};
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
    e.parties()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn bytes_messages_and_rounds_are_exact(rows in 1usize..60, columns in 1usize..9, f in 16u32..=20, depth in select(&Depth::ALL[..])) {
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
    fn every_instruction_costs_what_was_forecast(n in 1usize..700, f in 16u32..=20, depth in select(&Depth::ALL[..])) {
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

/// Of a product whose maxima alone are kept these alone are rounded: a unit off the ring engine at most, and forecast.
#[test]
fn products_that_are_rounded_later_cost_what_was_forecast() {
    let (rows, columns) = (70, 16);
    let n = rows * columns;
    let mut g = Graph::new();
    let shapes = [[rows, 5], [5, columns], [1, columns]];
    let [x, w, b] = shapes.map(|s| g.input(&s));
    let product = g.matmul(x, w).unwrap();
    let mut y = g.add(product, b).unwrap();
    for half in [columns / 2, columns / 4] {
        let left = g.slice(y, 1, 0..half).unwrap();
        let right = g.slice(y, 1, half..2 * half).unwrap();
        y = g.max(left, right).unwrap();
    }
    let y = g.relu(y).unwrap();
    g.output(y);
    let inputs = shapes.map(|s| {
        ArrayD::from_shape_fn(IxDyn(&s), |i| {
            ((31 * i[0] + 17 * i[1]) % 23) as f64 / 7.3 - 1.5
        })
    });
    let want = forecast(Depth::Three, 18, |e| {
        run(&g, e, &shapes.map(|s| CostValue::shared(&s)))
    });
    let got = simulate_seeded(mem(), 1, |session| {
        let mut e = Rep3Engine::new(session, 18).unwrap();
        let inputs: Vec<_> = inputs.iter().map(|x| e.trivial(x).unwrap()).collect();
        let y = run(&g, &mut e, &inputs).unwrap().remove(0);
        let cost = e.session().cost();
        (cost, e.reveal(&y).unwrap())
    });
    for ((cost, _), want) in got.iter().zip(&want) {
        assert_eq!(cost, want);
    }
    // Maxima of a half and of a quarter, the relu and the rounding of a quarter.
    let bytes: u64 = want.iter().map(|c| c.bytes).sum();
    let stated = 24.0 + 73.75 * (0.5 + 0.25 + 0.25) + 14.75 * 0.25;
    // Messages end with whole bytes.
    assert!(
        (1.0..1.01).contains(&(bytes as f64 / (stated * n as f64))),
        "{bytes}"
    );
    let mut ring = Ring::new(18);
    let words = inputs.each_ref().map(|x| ring.encode(x).unwrap());
    let exact = run(&g, &mut ring, &words).unwrap().remove(0);
    let exact = ring.decode(&exact);
    assert!(exact.iter().any(|&y| y > 0.0));
    for (got, want) in got[0].1.iter().zip(&exact) {
        let units = (got - want) * 2f64.powi(18);
        assert!((0.0..=1.0).contains(&units), "{got} {want}");
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

/// Products of every kind, of shared and of public values: messages, words drawn and multiplications.
#[test]
fn products_multiply_as_often_as_was_forecast() {
    let mut conv = Conv::new(&[9, 9], &[3, 3]);
    (conv.groups, conv.stride) = (2, [2, 2, 1]);
    let cases = [
        (Bilinear::Mul, vec![5, 7], vec![5, 7]),
        (Bilinear::MatMul, vec![3, 20, 30], vec![3, 30, 10]),
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
    let multiplications = [
        0,
        3 * 20 * 30 * 10,
        2 * 6 * 16 * 18,
        2 * 6 * 16 * 18,
        2 * 6 * 16 * 18,
    ];
    for ((f, x, y), each) in cases.into_iter().zip(multiplications) {
        for (x_public, y_public) in [(false, false), (true, false), (false, true), (true, true)] {
            let mut forecast = CostEngine::new(18, Depth::Three);
            let mut value = |shape: &[usize], public| {
                if public {
                    forecast.public(&ArrayD::zeros(shape)).unwrap()
                } else {
                    CostValue::shared(shape)
                }
            };
            let (a, b) = (value(&x, x_public), value(&y, y_public));
            forecast.bilinear(f, &a, &b, 0.25).unwrap();
            let private = !x_public && !y_public;
            if private {
                forecast.product(f, &a, &b).unwrap();
            }
            let got = simulate_seeded(mem(), 1, |session| {
                let mut e = Rep3Engine::new(session, 18).unwrap();
                let mut value = |shape: &[usize], public| {
                    let x = ArrayD::from_elem(IxDyn(shape), 0.25);
                    if public { e.public(&x) } else { e.trivial(&x) }.unwrap()
                };
                let (a, b) = (value(&x, x_public), value(&y, y_public));
                e.bilinear(f, &a, &b, 0.25).unwrap();
                if private {
                    e.product(f, &a, &b).unwrap();
                }
                e.session().cost()
            });
            assert_eq!(
                got,
                forecast.parties().to_vec(),
                "{f}, public {x_public} {y_public}"
            );
            let calls = if x_public && y_public { 1 } else { 2 };
            let runs = if private { 2 } else { 1 };
            assert_eq!(got[0].multiplications, runs * calls * each, "{f}");
        }
    }
}
