//! The integer specification against real functions, and its range checks.

use ndarray::array;

use super::*;
use crate::{Graph, program, run};

const F: u32 = 18;

fn ring() -> Ring {
    Ring::new(F)
}

fn grid(lo: f64, hi: f64) -> ArrayD<f64> {
    ndarray::Array1::linspace(lo, hi, 20_001).into_dyn()
}

/// The largest difference between a program's first output and f.
fn worst(program: &Program, x: &ArrayD<f64>, f: impl Fn(f64) -> f64) -> f64 {
    let mut e = ring();
    let words = e.encode(x).unwrap();
    let y = e.map(program, &[&words]).unwrap().remove(0);
    let rounded = e.decode(&words);
    e.decode(&y)
        .iter()
        .zip(&rounded)
        .map(|(y, &x)| (y - f(x)).abs())
        .fold(0.0, f64::max)
}

#[test]
fn functions_are_accurate_over_their_range() {
    let ulp = 2f64.powi(-(F as i32));
    assert!(worst(&program::relu(), &grid(-1e6, 1e6), |x| x.max(0.0)) == 0.0);
    assert!(worst(&program::exp_neg(), &grid(-1e6, 0.99), f64::exp) <= ulp);
    assert!(worst(&program::exp_neg(), &grid(-25.0, 0.99), f64::exp) <= ulp);
    assert!(
        worst(&program::sigmoid(F), &grid(-30.0, 30.0), |x| 1.0
            / (1.0 + (-x).exp()))
            < 2.5 * ulp
    );
    assert!(
        worst(&program::softplus(F), &grid(-30.0, 30.0), |x| x.max(0.0)
            + (-x.abs()).exp().ln_1p())
            < 2.5 * ulp
    );
    assert!(
        worst(&program::negative(), &grid(-3.0, 3.0), |x| f64::from(
            u8::from(x < 0.0)
        )) == 0.0
    );
    assert!(worst(&program::scale(0.3), &grid(-3.0, 3.0), |x| 0.3 * x) < ulp + 2f64.powi(-12));
}

#[test]
fn products_round_down_once() {
    let mut e = ring();
    let (x, y) = (
        e.encode(&array![[1.5, -2.25]].into_dyn()).unwrap(),
        e.encode(&array![[2.0], [0.5]].into_dyn()).unwrap(),
    );
    let z = e.bilinear(Bilinear::MatMul, &x, &y, 0.25).unwrap();
    assert_eq!(e.decode(&z), array![[0.468_75]].into_dyn());
    let small = array![from_signed(-1)].into_dyn();
    let z = e.bilinear(Bilinear::Mul, &small, &small, 1.0).unwrap();
    assert_eq!(signed(z[0]), 0);
    let half = e.encode(&array![0.5].into_dyn()).unwrap();
    assert_eq!(
        signed(e.bilinear(Bilinear::Mul, &small, &half, 1.0).unwrap()[0]),
        -1
    );
}

/// Runs one operation on x and wants a range error that names it.
fn refused(x: f64, want: &str, build: impl Fn(&mut Graph, crate::Edge) -> Result<crate::Edge>) {
    let mut g = Graph::new();
    let input = g.input(&[1]);
    let y = build(&mut g, input).unwrap();
    g.output(y);
    let mut e = ring();
    let x = e.encode(&array![x].into_dyn()).unwrap();
    let error = run(&g, &mut e, &[x]).unwrap_err().to_string();
    assert!(error.starts_with(want), "{error}");
}

#[test]
fn a_logistic_has_no_range() {
    for big in [150.0, 250.0, 4096.0, 2f64.powi(40)] {
        for x in [big, -big] {
            let mut e = ring();
            let input = e.encode(&array![x].into_dyn()).unwrap();
            let y = e.map(&program::logistic(18), &[&input]).unwrap();
            let y: Vec<f64> = y.iter().map(|y| e.decode(y)[[0]]).collect();
            let want = [f64::from(u8::from(x > 0.0)), x.max(0.0)];
            assert!((y[0] - want[0]).abs() < 1e-4, "sigmoid({x}) = {}", y[0]);
            assert!((y[1] - want[1]).abs() < 1e-4, "softplus({x}) = {}", y[1]);
        }
    }
}

#[test]
fn words_that_leave_their_range_are_located() {
    refused(
        2f64.powi(14),
        "node 1: mul: 18446744073709552000",
        |g, x| g.mul(x, x),
    );
    refused(
        1.0,
        "node 1: exp_neg: exp: 1 lies outside [-inf, 1)",
        |g, x| g.exp_negative(x),
    );
    refused(2f64.powi(43), "node 1: linear:", |g, x| {
        g.linear(&[(3, x)], 0.0)
    });
    refused(2f64.powi(40), "node 1: scale:", |g, x| g.scale(x, 0.3));
    refused(2f64.powi(43), "node 2: sum:", |g, x| {
        let wide = g.broadcast(x, &[4])?;
        g.sum(wide, 0)
    });
    let table = Table::within("1/x", f64::recip, (1.0, 2.0), 2.0, 1e-5).unwrap();
    refused(100.0, "node 1: 1/x: 100 lies outside [1,", |g, x| {
        g.map(crate::Function::Table(table), &[x])
    });
}

/// A gate, and for each of its bounds the words of its inputs just inside and just outside.
type Bounds<'a> = (&'a str, Program, Vec<(Vec<i64>, Vec<i64>)>);

fn program_of(inputs: usize, instr: Instr) -> Program {
    let mut p = Program::new("gate");
    (0..inputs).for_each(|k| {
        p.push(Instr::Input(k));
    });
    let y = p.push(instr);
    p.outputs = vec![y];
    p
}

/// Requirement R10: where a secure engine would be wrong without notice, this one refuses the first word outside and takes
/// the last one inside.
#[test]
fn r10_every_range_ends_where_it_should() {
    let (one, top) = (1i64 << F, 1i64 << 62);
    let interval = |lo: i64, hi: i64| vec![(vec![lo], vec![lo - 1]), (vec![hi - 1], vec![hi])];
    let table = Table {
        name: "a cube",
        f: |x| x * x * x,
        lo: -1.5,
        hi: 2.0,
        cell: -1,
        log2_cells: 3,
        degree: 3,
        max: 8.0,
    };
    let scaled = |f, lo, hi| program_of(1, Instr::Scaled { x: 0, f, lo, hi });
    let third = (top - 1) / 3;
    let cases: Vec<Bounds<'_>> = vec![
        (
            "a product before its truncation",
            program_of(2, Instr::Mul(0, 1)),
            vec![
                (vec![1 << 31, (1 << 31) - 1], vec![1 << 31, 1 << 31]),
                (vec![-1 << 31, (1 << 31) - 1], vec![-1 << 31, 1 << 31]),
            ],
        ),
        (
            "a scaled number before its truncation",
            program_of(1, Instr::Scale(0, 0.375)),
            vec![
                (vec![third], vec![third + 1]),
                (vec![-third], vec![-third - 1]),
            ],
        ),
        (
            "a sum",
            program_of(2, Instr::Linear(vec![(1, 0), (1, 1)], 0.0)),
            vec![(vec![top / 2, top / 2 - 1], vec![top / 2, top / 2])],
        ),
        (
            "the difference that a maximum compares",
            program::max(),
            vec![
                (vec![-top / 2, top / 2 - 1], vec![-top / 2, top / 2]),
                (vec![top / 2 - 1, -top / 2], vec![top / 2, -top / 2]),
            ],
        ),
        (
            "a bounded comparison",
            program_of(1, Instr::Negative(0, Some(2))),
            vec![
                (vec![4 * one - 1], vec![4 * one]),
                (vec![1 - 4 * one], vec![-4 * one]),
            ],
        ),
        (
            "e^x below one",
            program_of(1, Instr::ExpNeg(0)),
            vec![(vec![-top, one - 1], vec![one])],
        ),
        (
            "e^x with a relative error",
            program_of(1, Instr::Exp(0)),
            interval(-16 * one, 12 * one),
        ),
        (
            "a table",
            program_of(1, Instr::Table(0, table)),
            interval(-3 * one / 2, 2 * one),
        ),
        (
            "a reciprocal",
            scaled(program::Scaled::Reciprocal, -14, 14),
            interval(one >> 14, one << 14),
        ),
        (
            "an inverse root",
            scaled(program::Scaled::InverseRoot, -18, 22),
            interval(1, one << 22),
        ),
        (
            "a logarithm",
            scaled(program::Scaled::Ln, 0, 1),
            interval(one, 2 * one),
        ),
    ];
    for (what, program, bounds) in cases {
        for (inside, outside) in bounds {
            let run = |words: &[i64]| {
                let inputs: Vec<Tensor> = words
                    .iter()
                    .map(|&w| array![from_signed(w)].into_dyn())
                    .collect();
                ring().map(&program, &inputs.iter().collect::<Vec<_>>())
            };
            assert!(run(&inside).is_ok(), "{what}: {inside:?} is inside");
            let refused = run(&outside);
            assert!(
                matches!(refused, Err(Error::Range { .. })),
                "{what}: {outside:?} is outside"
            );
        }
    }
}
