//! Nonlinear functions against double precision, on grids over the ranges that their documentation states.

use ndarray::{ArrayD, IxDyn};
use tacit_nn::{Edge, Graph, Result, run};

use super::{UNIT, World, grid, opened, rounded};

/// Functions of one variable, quotients and softmax, on few points.
pub fn step_11_functions_are_right_over_their_ranges(world: &impl World) {
    functions_of_one_variable(world, world.points(500));
    quotients(world, world.points(200));
    softmax_of_few_and_many_entries(world, world.points(1000));
}

/// The output of a graph on shares of these columns, by rows.
fn on_shares(
    world: &impl World,
    shape: &[usize],
    inputs: &[Vec<f64>],
    build: impl Fn(&mut Graph, &[Edge]) -> Result<Edge>,
) -> Vec<f64> {
    let mut g = Graph::new();
    let edges: Vec<Edge> = inputs.iter().map(|_| g.input(shape)).collect();
    let y = build(&mut g, &edges).unwrap();
    g.output(y);
    let inputs = inputs.iter().cloned();
    let inputs: Vec<_> = inputs
        .map(|x| ArrayD::from_shape_vec(IxDyn(shape), x).unwrap())
        .collect();
    let y = opened(world, &inputs, |e, v| run(&g, e, v));
    y[0].iter().copied().collect()
}

/// Evenly in the logarithm.
fn binades(lo: i32, hi: i32, points: usize) -> Vec<f64> {
    let exponent = |i: usize| f64::from(lo) + f64::from(hi - lo) * i as f64 / points as f64;
    (0..points).map(|i| rounded(exponent(i).exp2())).collect()
}

/// Every result is right to a relative 2^-`bits`, or to some units of 2^-18 where it is too small for that. Rounding tosses coins,
/// so the units leave room above the worst that was seen in dozens of runs.
fn assert_accurate(name: &str, got: &[f64], want: &[f64], units: f64, bits: f64) {
    let relative = |y: f64, w: f64| (y - w).abs() / w.abs();
    let off = |y: f64, w: f64| (y - w).abs() / UNIT;
    let (mut least, mut worst) = (0f64, 0f64);
    for (&y, &w) in got.iter().zip(want) {
        assert!(
            off(y, w) <= units || relative(y, w) <= (-bits).exp2(),
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

/// Functions of one variable on so many points each.
pub fn functions_of_one_variable(world: &impl World, points: usize) {
    let even = |lo, hi| grid(lo, hi, points).into_raw_vec_and_offset().0;
    let binades = |lo, hi| binades(lo, hi, points);
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
            2.5,
        ),
        (
            "softplus",
            Graph::softplus,
            even(-20.0, 20.0),
            |x| x.exp().ln_1p(),
            2.5,
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
        let y = on_shares(world, &[x.len()], &[x], |g, e| build(g, e[0]));
        assert_accurate(name, &y, &want, units, 12.0);
    }
}

/// Quotients on so many points each.
pub fn quotients(world: &impl World, points: usize) {
    for (x, lo, hi) in [
        (1.0, -14, 17),
        (100.0, -14, 17),
        (-0.3, -14, 4),
        (5000.0, -12, 17),
        (1e6, -6, 17),
    ] {
        let y = binades(lo, hi, points);
        let x = vec![rounded(x); y.len()];
        let want: Vec<f64> = x.iter().zip(&y).map(|(x, y)| x / y).collect();
        let got = on_shares(world, &[x.len()], &[x.clone(), y], |g, e| g.div(e[0], e[1]));
        assert_accurate(
            &format!("{} over 2^{lo} to 2^{hi}", x[0]),
            &got,
            &want,
            4.0,
            11.9,
        );
    }
}

/// Softmax and its logarithm, of so many entries in all.
pub fn softmax_of_few_and_many_entries(world: &impl World, points: usize) {
    for (n, spread, units) in [
        (2, 4.0, 4.0),
        (10, 4.0, 5.0),
        (10, 1.0, 4.0),
        (10, 1e4, 4.0),
        (128, 3.0, 4.0),
        (1000, 2.0, 4.0),
    ] {
        let rows = (points / n).max(1);
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
        let p = on_shares(world, &[rows, n], std::slice::from_ref(&x), |g, e| {
            g.softmax(e[0], 1)
        });
        let want: Vec<f64> = logs.iter().copied().map(f64::exp).collect();
        assert_accurate(
            &format!("softmax of {n}, ±{spread}"),
            &p,
            &want,
            units,
            12.0,
        );
        let p = on_shares(world, &[rows, n], &[x], |g, e| g.log_softmax(e[0], 1));
        assert_accurate(
            &format!("its log of {n}, ±{spread}"),
            &p,
            &logs,
            units,
            12.0,
        );
    }
}
