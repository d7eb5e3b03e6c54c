//! Requirement R9: what is opened repeatedly from the same secrets is rounded without a coin.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeSet;

use common::gate::{N, grid, run};
use common::reals;
use ndarray::ArrayD;
use tacit_mpc::Bilinear;
use tacit_mpc::simulate::{mem, simulate_seeded};
use tacit_nn::program::{Instr, Scaled};
use tacit_nn::{Engine, Graph, Program, Ring, run as run_graph};
use tacit_protocols::rep3::{CostEngine, CostValue, Depth, Rep3Engine};

const F: u32 = 18;

/// The linear model y = (x·w + b)·0.3, whose answers are rearranged.
fn model(rows: usize) -> Graph {
    let mut g = Graph::new();
    let (x, w) = (g.input(&[rows, 5]), g.input(&[5, 4]));
    let z = g.matmul(x, w).unwrap();
    let y = g.scale(z, 0.3).unwrap();
    let y = g.transpose(y).unwrap();
    let y = g.linear(&[(1, y)], 0.25).unwrap();
    g.output(y);
    g
}

/// The answers to the same query, served `times` times.
fn served(times: usize, exact: bool) -> Vec<ArrayD<f64>> {
    let g = model(7);
    let answers = simulate_seeded(mem(), 3, |session| {
        let mut e = Rep3Engine::new(session, F).unwrap();
        let inputs: Vec<_> = [(0, vec![7, 5]), (1, vec![5, 4])]
            .into_iter()
            .map(|(owner, shape)| {
                let x = reals(&shape, owner as u64 + 9);
                let mine = e.session().me() == owner;
                e.input(owner, &shape, mine.then_some(&x)).unwrap()
            })
            .collect();
        if exact {
            e.round_exactly(g.last_roundings());
        }
        (0..times)
            .map(|_| {
                let y = run_graph(&g, &mut e, &inputs).unwrap();
                e.reveal(&y[0]).unwrap()
            })
            .collect::<Vec<_>>()
    });
    answers.into_iter().next().unwrap()
}

/// With coins, the answers to one query differ, and their mean tells the bits that were dropped; without, every answer is the
/// floor that the specification in integers gives, and a hundred openings tell what one tells.
#[test]
fn r9_the_same_query_has_the_same_answer() {
    let (g, mut ring) = (model(7), Ring::new(F));
    let words =
        [(7, 5, 9), (5, 4, 10)].map(|(r, c, seed)| ring.encode(&reals(&[r, c], seed)).unwrap());
    let want = run_graph(&g, &mut ring, &words).unwrap();
    let want = ring.decode(&want[0]);
    for answer in served(100, true) {
        assert_eq!(answer, want);
    }
    let dithered = served(100, false);
    let differing = (0..want.len())
        .filter(|&i| {
            let of = |a: &ArrayD<f64>| (a.as_slice().unwrap()[i] * 2f64.powi(F as i32)) as i64;
            dithered.iter().map(of).collect::<BTreeSet<_>>().len() == 2
        })
        .count();
    assert!(differing > want.len() / 2, "{differing} of {}", want.len());
}

#[test]
fn r9_last_roundings_are_found_behind_local_nodes() {
    let mut g = Graph::new();
    let x = g.input(&[2, 2]);
    let early = g.matmul(x, x).unwrap();
    let r = g.relu(early).unwrap();
    let a = g.matmul(r, x).unwrap();
    let b = g.mul(r, x).unwrap();
    let sum = g.sub(a, b).unwrap();
    let y = g.transpose(sum).unwrap();
    g.output(y);
    let last = g.last_roundings();
    for (name, node) in (0..g.len()).map(|n| (g.op(n).unwrap().to_string(), n)) {
        assert_eq!(last.contains(&node), node >= 3, "node {node}: {name}");
    }
}

/// A graph may end in a function that does not round: the product before it is the last rounding then.
#[test]
fn r9_last_roundings_are_found_behind_functions_that_do_not_round() {
    let mut g = Graph::new();
    let x = g.input(&[2, 2]);
    let product = g.matmul(x, x).unwrap();
    let y = g.relu(product).unwrap();
    g.output(y);
    let op = |name: &str| (0..g.len()).find(|&n| g.op(n).unwrap().to_string() == name);
    let last = g.last_roundings();
    assert!(last.contains(&op("matmul").unwrap()) && last.contains(&op("relu").unwrap()));
}

/// T3 on products up to the bound, exactly the floor; bytes and rounds of the specification less 4.
#[test]
fn exact_products_are_floors_up_to_the_bound() {
    let x = grid(-3.9e6, 3.9e6, N);
    for (f, comparison) in [(16, 9.375), (18, 10.5), (20, 12.125)] {
        // |x·y| just below 2^(62-2f).
        let y = grid(4.0, 17.1, N) * 2f64.powi(36 - 2 * f as i32);
        let r = run(f, Depth::Three, &[x.clone(), y.clone()], |e, v| {
            e.round_exactly([0].into());
            e.begin_node(0);
            vec![e.bilinear(Bilinear::Mul, &v[0], &v[1], 1.0).unwrap()]
        });
        let e = f64::from(f) / 8.0;
        r.costs(5, (16.0 + comparison + e + 32.0) * N as f64);
        let unit = 2f64.powi(f as i32);
        let word = |x: f64| (x * unit).round() as i128;
        for (z, (x, y)) in r.outputs[0].iter().zip(x.iter().zip(&y)) {
            assert_eq!(word(*z), (word(*x) * word(*y)) >> f, "{x}·{y}");
        }
    }
}

/// Every truncation of every instruction has its exact form, in results and in costs.
#[test]
fn exact_programs_are_right_and_cost_what_was_forecast() {
    let mut p = Program::new("roundings");
    let x = p.push(Instr::Input(0));
    let half = p.push(Instr::Scale(x, 0.5));
    let scaled = p.push(Instr::Scale(x, 0.3));
    let square = p.push(Instr::Mul(x, x));
    let e = p.push(Instr::Exp(x));
    let small = p.push(Instr::Linear(vec![(-1, x)], 0.0));
    let small = p.push(Instr::ExpNeg(small));
    let root = p.push(Instr::Scaled {
        x,
        f: Scaled::InverseRoot,
        lo: -6,
        hi: 4,
    });
    let ln = p.push(Instr::Scaled {
        x,
        f: Scaled::Ln,
        lo: -6,
        hi: 4,
    });
    p.outputs = vec![half, scaled, square, e, small, root, ln];
    let n = 700;
    let x = grid(0.02, 10.0, n);
    let results = simulate_seeded(mem(), 2, |session| {
        let me = session.me();
        let mut e = Rep3Engine::new(session, F).unwrap();
        let v = e.input(1, &[n], (me == 1).then_some(&x)).unwrap();
        e.round_exactly([4].into());
        let before = e.session().cost();
        e.begin_run().unwrap();
        e.begin_node(4);
        let y = e.map(&p, &[&v]).unwrap();
        let after = e.session().cost();
        let y: Vec<_> = y.iter().map(|y| e.reveal(y).unwrap()).collect();
        (
            y,
            after.bytes - before.bytes,
            after.messages - before.messages,
        )
    });
    let mut cost = CostEngine::new(F, Depth::Three);
    cost.round_exactly([4].into());
    cost.begin_node(4);
    cost.map(&p, &[&CostValue::shared(&[n])]).unwrap();
    for (forecast, (_, bytes, messages)) in cost.parties().iter().zip(&results) {
        assert_eq!((forecast.bytes, forecast.messages), (*bytes, *messages));
    }
    let (unit, y) = (2f64.powi(F as i32), &results[0].0);
    for (i, x) in x.iter().enumerate() {
        let word = (x * unit).round() as i128;
        let x = word as f64 / unit;
        let got: Vec<f64> = y.iter().map(|y| y.as_slice().unwrap()[i]).collect();
        let floors = [word >> 1, (word * 2458) >> 13, (word * word) >> F];
        for (got, want) in got.iter().zip(floors) {
            assert_eq!((got * unit) as i128, want, "at {x}");
        }
        let reals = [x.exp(), (-x).exp(), 1.0 / x.sqrt(), x.ln()];
        for (got, want) in got[3..].iter().zip(reals) {
            let tolerance = 4.0 / unit + want.abs() * 2f64.powi(-18);
            assert!((got - want).abs() < tolerance, "{got} {want} at {x}");
        }
    }
}
