//! The gates against the executable specification, on the vectors that `spec/vectors.py` has written from it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use ndarray::{ArrayD, IxDyn};
use tacit_mpc::simulate::{mem, simulate_seeded};
use tacit_mpc::{Bilinear, Tensor};
use tacit_nn::program::{self, Instr, Scaled};
use tacit_nn::{Engine, Program, fixed};
use tacit_protocols::rep3::{Rep3Engine, Value, input, open};

/// Inputs and output of each value of a gate at a precision.
type Vectors = BTreeMap<(String, u32), Vec<Vec<i64>>>;

fn vectors() -> Vectors {
    let mut vectors = Vectors::new();
    for line in include_str!("spec/vectors.txt")
        .lines()
        .filter(|l| !l.starts_with('#'))
    {
        let mut words = line.split(' ');
        let gate = words.next().unwrap().to_owned();
        let f = words.next().unwrap().parse().unwrap();
        let row = words.map(|w| w.parse().unwrap()).collect();
        vectors.entry((gate, f)).or_default().push(row);
    }
    vectors
}

/// The words that a gate of this crate opens for the same inputs.
fn ours(gate: &str, f: u32, rows: &[Vec<i64>]) -> Vec<i64> {
    let column = |k: usize| -> Tensor {
        let words = rows.iter().map(|row| fixed::from_signed(row[k])).collect();
        ArrayD::from_shape_vec(IxDyn(&[rows.len()]), words).unwrap()
    };
    let opened = simulate_seeded(mem(), u64::from(f), |session| {
        let mut e = Rep3Engine::new(session, f).unwrap();
        let shared: Vec<Value> = (0..rows[0].len() - 1)
            .map(|k| {
                e.begin_run().unwrap();
                let x = input(e.session(), k, &[rows.len()], Some(&column(k))).unwrap();
                Value::Numbers(x)
            })
            .collect();
        let inputs: Vec<&Value> = shared.iter().collect();
        e.begin_run().unwrap();
        let y = match gate {
            "product" => e
                .bilinear(Bilinear::Mul, inputs[0], inputs[1], 1.0)
                .unwrap(),
            _ => e.map(&program_of(gate, f), &inputs).unwrap().swap_remove(0),
        };
        e.begin_run().unwrap();
        open(e.session(), y.numbers().unwrap()).unwrap()
    });
    opened[0].iter().map(|&w| fixed::signed(w)).collect()
}

fn program_of(gate: &str, f: u32) -> Program {
    let scaled = |f| Instr::Scaled {
        x: 0,
        f,
        lo: -8,
        hi: 12,
    };
    let (instr, bit) = match gate {
        "floor" => (Instr::Floor(0), false),
        "negative" => (Instr::Negative(0, None), true),
        "zero" => (Instr::Zero(0), true),
        "exp" => (Instr::Exp(0), false),
        "exp_neg" => (Instr::ExpNeg(0), false),
        "reciprocal" => (scaled(Scaled::Reciprocal), false),
        "rsqrt" => (scaled(Scaled::InverseRoot), false),
        "log" => (scaled(Scaled::Ln), false),
        "relu" => return program::relu().keep("relu", &[0]),
        "max" => return program::max(),
        "sigmoid" => return program::sigmoid(f),
        other => panic!("no gate named {other}"),
    };
    let mut p = Program::new("gate");
    p.push(Instr::Input(0));
    let mut y = p.push(instr);
    if bit {
        y = p.push(Instr::ToArithmetic(y));
    }
    p.outputs = vec![y];
    p
}

/// By how much the two may differ: units, and a part of the result; both have their errors.
fn tolerance(gate: &str, f: u32) -> (f64, f64) {
    let fine = |coarse: i32, more: i32, most: i32| match f {
        16 => 2f64.powi(coarse),
        18 => 2f64.powi(more),
        _ => 2f64.powi(most),
    };
    match gate {
        "product" => (1.0, 0.0),
        "exp" => (6.0, 2f64.powi(-17)),
        "exp_neg" => (6.0, 0.0),
        "sigmoid" => (fine(3, 3, 4) + 4.0, 0.0),
        "reciprocal" => (6.0, fine(-13, -14, -17)),
        "rsqrt" => (6.0, fine(-15, -15, -18)),
        "log" => (6.0, 0.0),
        _ => (0.0, 0.0),
    }
}

#[test]
fn gates_agree_with_the_executable_specification() {
    let vectors = vectors();
    assert_eq!(vectors.len(), 13 * 3, "gates and precisions");
    for ((gate, f), rows) in vectors.iter().filter(|((gate, _), _)| gate != "leading") {
        let (units, part) = tolerance(gate, *f);
        for (row, got) in rows.iter().zip(ours(gate, *f, rows)) {
            let want = *row.last().unwrap();
            // A bit is opened as a number here.
            let want = match gate.as_str() {
                "negative" | "zero" => want << f,
                _ => want,
            };
            let allowed = units + part * want.abs() as f64;
            let differ = (got - want).abs() as f64;
            assert!(
                differ <= allowed,
                "{gate} at f = {f}, {row:?}: {got} instead of {want}"
            );
            if gate == "product" {
                let floor = (i128::from(row[0]) * i128::from(row[1])) >> f;
                assert!(
                    [0, 1].contains(&(i128::from(got) - floor)),
                    "{row:?}: {got}"
                );
            }
        }
    }
}
