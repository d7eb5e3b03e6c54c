//! Every function that a graph can hold: accuracy on the ring engine against double precision over a dense grid, and its
//! derivative against central differences. One table of words serves both, and it must reach every [`Function`] there is.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod axes;
mod words;

use std::collections::BTreeSet;

use ndarray::{ArrayD, IxDyn};
use tacit_nn::graph::Op;
use tacit_nn::{Clear, Edge, Engine, Function, Graph, Ring, gradients, run};
use words::{WORDS, Word};

const F: i32 = 18;

fn unit() -> f64 {
    2f64.powi(-F)
}

fn column(x: &[f64]) -> ArrayD<f64> {
    ArrayD::from_shape_vec(IxDyn(&[x.len()]), x.to_vec()).unwrap()
}

/// The graph of one word on vectors of n entries.
fn graph_of(word: &Word, n: usize) -> (Graph, Vec<Edge>, Edge) {
    let mut g = Graph::new();
    let inputs: Vec<Edge> = (0..word.arity).map(|_| g.input(&[n])).collect();
    let y = (word.build)(&mut g, &inputs).unwrap();
    (g, inputs, y)
}

fn round(x: &mut [f64]) {
    x.iter_mut()
        .for_each(|x| *x = (*x / unit()).round() * unit());
}

#[test]
fn every_word_is_accurate_on_the_ring() {
    let mut failed = Vec::new();
    for word in WORDS {
        let mut operands = (word.grid)();
        operands.iter_mut().for_each(|x| round(x));
        let n = operands[0].len();
        let (mut g, _, y) = graph_of(word, n);
        g.output(y);
        let mut e = Ring::new(F as u32);
        let inputs: Vec<_> = operands
            .iter()
            .map(|x| e.public(&column(x)).unwrap())
            .collect();
        let got = run(&g, &mut e, &inputs).unwrap_or_else(|e| panic!("{}: {e}", word.name));
        let got = e.decode(&got[0]);
        // The worst error in units of what is allowed.
        let mut worst = (0.0, vec![], 0.0, 0.0);
        for (k, &y) in got.iter().enumerate() {
            let at: Vec<f64> = operands.iter().map(|x| x[k]).collect();
            let want = (word.want)(&at);
            let allowed = (word.units * unit()).max(word.relative * want.abs());
            let off = if y == want {
                0.0
            } else {
                (y - want).abs() / allowed
            };
            if off > worst.0 || off.is_nan() {
                worst = (off, at, y, want);
            }
        }
        let (off, at, y, want) = worst;
        println!(
            "{:>16}: {:6.2} units, relative 2^{:.1} at {at:?}: {y} for {want}",
            word.name,
            (y - want).abs() / unit(),
            ((y - want) / want).abs().log2()
        );
        if off > 1.0 || off.is_nan() {
            failed.push(word.name);
        }
    }
    assert!(failed.is_empty(), "too far off: {failed:?}");
}

#[test]
fn every_derivative_agrees_with_differences() {
    const STEP: f64 = 1e-5;
    let mut seen = BTreeSet::new();
    for word in WORDS {
        let points: Vec<Vec<f64>> = word
            .points
            .iter()
            .map(|p| p[..word.arity].to_vec())
            .collect();
        let (mut g, inputs, y) = graph_of(word, points.len());
        let weights: Vec<f64> = (0..points.len()).map(|k| 0.7 + 0.1 * k as f64).collect();
        let scaled = g.public(column(&weights));
        let weighted = g.mul(y, scaled).unwrap();
        let loss = g.sum(weighted, 0).unwrap();
        g.output(loss);
        for dx in gradients(&mut g, loss, &inputs).unwrap_or_else(|e| panic!("{}: {e}", word.name))
        {
            g.output(dx);
        }
        (0..g.len()).for_each(|k| {
            if let Some(Op::Map(f)) = g.op(k) {
                seen.insert(place(f));
            }
        });
        let values = |points: &[Vec<f64>]| -> Vec<ArrayD<f64>> {
            (0..word.arity)
                .map(|i| column(&points.iter().map(|p| p[i]).collect::<Vec<_>>()))
                .collect()
        };
        let loss_at = |points: &[Vec<f64>]| run(&g, &mut Clear, &values(points)).unwrap()[0][[0]];
        let found = run(&g, &mut Clear, &values(&points)).unwrap();
        for i in 0..word.arity {
            for k in 0..points.len() {
                let moved = |by: f64| {
                    let mut points = points.clone();
                    points[k][i] += by;
                    loss_at(&points)
                };
                let difference = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
                let dx = found[i + 1][[k]];
                assert!(
                    (difference - dx).abs() < 1e-6 * (1.0 + dx.abs()),
                    "{} by operand {i} at {:?}: {difference} against {dx}",
                    word.name,
                    points[k]
                );
            }
        }
    }
    axes::functions_seen(&mut seen);
    let missing: Vec<usize> = (0..FUNCTIONS).filter(|k| !seen.contains(k)).collect();
    assert!(
        missing.is_empty(),
        "no word of the table reaches the functions {missing:?}"
    );
}

/// The number of kinds of functions.
const FUNCTIONS: usize = 30;

/// The place of a function in the closed list: a new one does not compile here until it has a place and a word.
fn place(f: &Function) -> usize {
    match f {
        Function::Relu => 0,
        Function::ReluGrad => 1,
        Function::Mask => 2,
        Function::Max => 3,
        Function::MaxIndex => 4,
        Function::Negative => 5,
        Function::Zero => 6,
        Function::Sign => 7,
        Function::Clip { .. } => 8,
        Function::Threshold(_) => 9,
        Function::Floor => 10,
        Function::Round => 11,
        Function::Logistic => 12,
        Function::ExpNegative => 13,
        Function::Exp => 14,
        Function::ExpWithin => 15,
        Function::Tanh => 16,
        Function::Erf => 17,
        Function::Gelu => 18,
        Function::GeluTanh => 19,
        Function::Silu => 20,
        Function::Mish => 21,
        Function::Softsign => 22,
        Function::Log => 23,
        Function::Sqrt => 24,
        Function::InverseRoot => 25,
        Function::Reciprocal => 26,
        Function::Divide => 27,
        Function::Scaled(..) => 28,
        Function::Table(_) => 29,
    }
}
