//! The nonlinear functions on shares against double precision, on dense grids over the ranges that the documentation states.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use ndarray::{ArrayD, IxDyn};
use tacit_mpc::simulate::{mem, simulate_seeded};
use tacit_nn::{Edge, Engine, Graph, Result, run};
use tacit_protocols::rep3::Rep3Engine;

const F: u32 = 18;
const UNIT: f64 = 1.0 / (1 << F) as f64;

/// Points of a grid.
const POINTS: usize = 1 << 15;

/// The outputs of a graph on shares of these columns, by rows.
fn on_shares(
    shape: &[usize],
    inputs: &[Vec<f64>],
    build: impl Fn(&mut Graph, &[Edge]) -> Result<Edge> + Sync,
) -> Vec<f64> {
    let outputs = simulate_seeded(mem(), 11, |session| {
        let mut g = Graph::new();
        let edges: Vec<Edge> = inputs.iter().map(|_| g.input(shape)).collect();
        let y = build(&mut g, &edges).unwrap();
        g.output(y);
        let mut e = Rep3Engine::new(session, F).unwrap();
        let values: Vec<_> = inputs
            .iter()
            .map(|x| {
                let x = ArrayD::from_shape_vec(IxDyn(shape), x.clone()).unwrap();
                let mine = e.session().me() == 0;
                e.input(0, shape, mine.then_some(&x)).unwrap()
            })
            .collect();
        e.begin_run().unwrap();
        let y = run(&g, &mut e, &values).unwrap();
        e.reveal(&y[0]).unwrap()
    });
    outputs[0].iter().copied().collect()
}

fn rounded(x: f64) -> f64 {
    (x / UNIT).round() * UNIT
}

fn even(lo: f64, hi: f64) -> Vec<f64> {
    (0..POINTS)
        .map(|i| rounded(lo + (hi - lo) * i as f64 / (POINTS - 1) as f64))
        .collect()
}

/// Evenly in the logarithm.
fn binades(lo: i32, hi: i32) -> Vec<f64> {
    (0..POINTS)
        .map(|i| rounded((f64::from(lo) + f64::from(hi - lo) * i as f64 / POINTS as f64).exp2()))
        .collect()
}

/// Every result is right to a relative 2^-12, or to some units of 2^-18 where it is too small for that.
fn assert_accurate(name: &str, got: &[f64], want: &[f64], units: f64) {
    let relative = |y: f64, w: f64| (y - w).abs() / w.abs();
    let off = |y: f64, w: f64| (y - w).abs() / UNIT;
    let (mut least, mut worst) = (0f64, 0f64);
    for (&y, &w) in got.iter().zip(want) {
        assert!(
            off(y, w) <= units || relative(y, w) <= 2f64.powi(-12),
            "{name}: {y}, not {w}: {:.2} units, relative 2^{:.2}",
            off(y, w),
            relative(y, w).log2()
        );
        if w.abs() < 2f64.powi(-4) {
            least = least.max(off(y, w));
        } else {
            worst = worst.max(relative(y, w));
        }
    }
    println!(
        "{name:>22}: below 1/16 {least:.2} units, from there relative 2^{:.2}",
        worst.log2()
    );
}

/// A function, the grid of its stated range, what it should be, and the units it may be off by.
type Case = (
    &'static str,
    fn(&mut Graph, Edge) -> Result<Edge>,
    Vec<f64>,
    fn(f64) -> f64,
    f64,
);

#[test]
fn functions_of_one_variable() {
    let cases: [Case; 17] = [
        ("exp", Graph::exp, even(-16.0, 11.98), f64::exp, 2.0),
        (
            "exp_negative",
            Graph::exp_negative,
            even(-20.0, 0.0),
            f64::exp,
            2.0,
        ),
        ("log", Graph::log, binades(-17, 22), f64::ln, 2.0),
        (
            "reciprocal",
            Graph::reciprocal_of,
            binades(-14, 20),
            f64::recip,
            2.0,
        ),
        (
            "rsqrt",
            Graph::rsqrt_of,
            binades(-18, 22),
            |x| x.sqrt().recip(),
            2.0,
        ),
        ("sqrt", Graph::sqrt, binades(-18, 22), f64::sqrt, 2.0),
        (
            "sigmoid",
            Graph::sigmoid,
            even(-20.0, 20.0),
            |x| 1.0 / (1.0 + (-x).exp()),
            2.0,
        ),
        (
            "softplus",
            Graph::softplus,
            even(-20.0, 20.0),
            |x| x.exp().ln_1p(),
            2.0,
        ),
        ("tanh", Graph::tanh, even(-20.0, 20.0), f64::tanh, 2.0),
        ("erf", Graph::erf, even(-20.0, 20.0), libm::erf, 2.0),
        (
            "softsign",
            Graph::softsign,
            even(-20.0, 20.0),
            |x| x / (1.0 + x.abs()),
            2.0,
        ),
        (
            "gelu",
            Graph::gelu,
            even(-20.0, 20.0),
            |x| 0.5 * x * libm::erfc(-x / 2f64.sqrt()),
            2.0,
        ),
        (
            "silu",
            |g, x| g.swish(x, 1.0),
            even(-20.0, 20.0),
            |x| x / (1.0 + (-x).exp()),
            3.0,
        ),
        (
            "mish",
            Graph::mish,
            even(-20.0, 20.0),
            |x| x * x.exp().ln_1p().tanh(),
            2.0,
        ),
        (
            "elu",
            |g, x| g.elu(x, 1.0),
            even(-20.0, 20.0),
            |x| if x > 0.0 { x } else { x.exp_m1() },
            2.0,
        ),
        (
            "selu",
            |g, x| g.selu(x, 1.673_263_2, 1.050_701),
            even(-20.0, 20.0),
            |x| 1.050_701 * if x > 0.0 { x } else { 1.673_263_2 * x.exp_m1() },
            5.0,
        ),
        (
            "1/x of -x",
            |g, x| {
                let x = g.neg(x)?;
                g.reciprocal_of(x)
            },
            binades(-14, 6),
            |x| -x.recip(),
            2.0,
        ),
    ];
    for (name, build, x, of, units) in cases {
        let want: Vec<f64> = x.iter().copied().map(of).collect();
        let y = on_shares(&[x.len()], &[x], |g, e| build(g, e[0]));
        assert_accurate(name, &y, &want, units);
    }
}

#[test]
fn quotients() {
    for (x, lo, hi) in [
        (1.0, -14, 17),
        (100.0, -14, 17),
        (-0.3, -14, 4),
        (5000.0, -12, 17),
        (1e6, -6, 17),
    ] {
        let y = binades(lo, hi);
        let x = vec![rounded(x); y.len()];
        let want: Vec<f64> = x.iter().zip(&y).map(|(x, y)| x / y).collect();
        let got = on_shares(&[x.len()], &[x.clone(), y], |g, e| g.div(e[0], e[1]));
        assert_accurate(&format!("{} over 2^{lo} to 2^{hi}", x[0]), &got, &want, 3.0);
    }
}

#[test]
fn softmax_of_few_and_many_entries() {
    for (n, spread, units) in [
        (2, 4.0, 4.0),
        (10, 4.0, 5.0),
        (10, 1.0, 4.0),
        (10, 1e4, 4.0),
        (128, 3.0, 4.0),
        (1000, 2.0, 4.0),
    ] {
        let rows = POINTS / n;
        let mut state = 1u64;
        let x: Vec<f64> = (0..rows * n)
            .map(|_| {
                // Knuth's linear congruential generator for MMIX.
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                rounded(((state >> 33) as f64 / 2f64.powi(30) - 1.0) * spread)
            })
            .collect();
        let logs: Vec<f64> = x
            .chunks(n)
            .flat_map(|row| {
                let most = row.iter().copied().fold(f64::MIN, f64::max);
                let ln = row.iter().map(|v| (v - most).exp()).sum::<f64>().ln();
                row.iter().map(move |v| v - most - ln)
            })
            .collect();
        let p = on_shares(&[rows, n], std::slice::from_ref(&x), |g, e| {
            g.softmax(e[0], 1)
        });
        let want: Vec<f64> = logs.iter().copied().map(f64::exp).collect();
        assert_accurate(&format!("softmax of {n}, ±{spread}"), &p, &want, units);
        let p = on_shares(&[rows, n], &[x], |g, e| g.log_softmax(e[0], 1));
        assert_accurate(&format!("its log of {n}, ±{spread}"), &p, &logs, units);
    }
}
