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
    assert!(worst(&program::exp_clamped(), &grid(-1e6, 0.99), f64::exp) <= ulp);
    assert!(worst(&program::exp_neg(), &grid(-239.0, 0.99), f64::exp) <= ulp);
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
        "node 1: exp_neg_clamped: exp: 1 lies outside [-239, 1)",
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

#[test]
fn bounded_comparisons_check_their_bound() {
    let mut p = Program::new("narrow");
    let x = p.push(Instr::Input(0));
    let s = p.push(Instr::Negative(x, Some(20)));
    p.outputs = vec![s];
    let mut e = ring();
    let inside = e.encode(&array![-3.9, 3.9].into_dyn()).unwrap();
    assert_eq!(
        e.map(&p, &[&inside]).unwrap()[0],
        array![from_signed(1), from_signed(0)].into_dyn()
    );
    let outside = e.encode(&array![-4.0].into_dyn()).unwrap();
    assert!(matches!(e.map(&p, &[&outside]), Err(Error::Range { .. })));
}
