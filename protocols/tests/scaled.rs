//! Functions over many binades against real arithmetic: errors, rounds and bytes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::gate::{N, column, map, run};
use ndarray::ArrayD;
use tacit_mpc::simulate::{mem, simulate_seeded};
use tacit_nn::program::{Instr, Scaled};
use tacit_nn::{Engine, Program};
use tacit_protocols::rep3::{Depth, Rep3Engine};

fn program(f: Scaled, lo: i32, hi: i32) -> Program {
    let mut p = Program::new("scaled");
    let x = p.push(Instr::Input(0));
    let y = p.push(Instr::Scaled { x, f, lo, hi });
    p.outputs = vec![y];
    p
}

/// N words of [2^lo, 2^hi): both sides of every power of two, both ends, and the rest evenly in the logarithm.
fn words(lo: i32, hi: i32, f: u32) -> ArrayD<f64> {
    let unit = 2f64.powi(-(f as i32));
    let (first, last) = (2f64.powi(lo), 2f64.powi(hi) - unit);
    let edges =
        (lo..=hi).flat_map(|e| [-2.0, -1.0, 0.0, 1.0, 2.0].map(|d| 2f64.powi(e) + d * unit));
    let mut x: Vec<f64> = edges.filter(|x| (first..=last).contains(x)).collect();
    let rest = N - x.len();
    x.extend((0..rest).map(|i| {
        let e = f64::from(lo) + f64::from(hi - lo) * i as f64 / rest as f64;
        ((e.exp2() / unit).round() * unit).clamp(first, last)
    }));
    column(x)
}

/// (largest relative error beyond three units, largest error in units).
fn errors(x: &ArrayD<f64>, y: &ArrayD<f64>, f: u32, of: Scaled) -> (f64, f64) {
    let unit = 2f64.powi(-(f as i32));
    x.iter()
        .zip(y)
        .fold((0.0, 0.0), |(r, a): (f64, f64), (&x, y)| {
            let want = of.of(x);
            let error = (y - want).abs();
            (
                r.max((error - 3.0 * unit) / want.abs()),
                a.max(error / unit),
            )
        })
}

#[test]
fn errors_and_costs_over_the_whole_range() {
    // Relative errors beyond three units, as exponents of two; bytes and rounds.
    let reciprocal = [
        (16, -14.8, 462.375),
        (18, -18.5, 539.25),
        (20, -18.8, 571.875),
    ];
    let root = [
        (16, -16.6, 506.875),
        (18, -19.4, 582.75),
        (20, -20.0, 614.375),
    ];
    let cases = [
        (Scaled::Reciprocal, reciprocal),
        (Scaled::InverseRoot, root),
        (
            Scaled::Root,
            [(16, -17.5, 501.5), (18, -19.4, 576.375), (20, -20.6, 608.0)],
        ),
    ];
    for (of, expected) in cases {
        for (f, exponent, bytes) in expected {
            let (lo, hi) = (-14, 14);
            let x = words(lo, hi, f);
            let r = run(
                f,
                Depth::Three,
                std::slice::from_ref(&x),
                map(program(of, lo, hi)),
            );
            let (relative, units) = errors(&x, &r.outputs[0], f, of);
            assert!(
                relative < 2f64.powf(exponent),
                "{} at f = {f}: 2^{:.2}, {units} units",
                of.name(),
                relative.log2()
            );
            r.costs(15, bytes * N as f64);
        }
    }
    for (f, bytes) in [(16, 385.625), (18, 460.25), (20, 491.625)] {
        let x = words(-14, 14, f);
        let r = run(
            f,
            Depth::Three,
            std::slice::from_ref(&x),
            map(program(Scaled::Ln, -14, 14)),
        );
        let (_, units) = errors(&x, &r.outputs[0], f, Scaled::Ln);
        assert!(units < 2.0, "ln at f = {f}: {units} units");
        r.costs(12, bytes * N as f64);
    }
}

/// Ranges of one binade, far from one, and up to the ends of what words can hold.
#[test]
fn other_ranges_are_as_good() {
    let f = 18;
    for (lo, hi) in [
        (0, 1),
        (0, 11),
        (-14, -12),
        (-18, -17),
        (-18, 18),
        (10, 26),
        (20, 26),
    ] {
        let x = words(lo, hi, f);
        for of in [
            Scaled::Reciprocal,
            Scaled::InverseRoot,
            Scaled::Root,
            Scaled::Ln,
        ] {
            let r = run(
                f,
                Depth::Three,
                std::slice::from_ref(&x),
                map(program(of, lo, hi)),
            );
            let (relative, units) = errors(&x, &r.outputs[0], f, of);
            let name = of.name();
            assert!(
                relative < 2f64.powf(-17.0) && (of != Scaled::Ln || units < 2.0),
                "{name} on [2^{lo}, 2^{hi}): {relative}, {units} units"
            );
        }
    }
}

/// A range without words, upside down, or too wide for the ring is refused before anything is sent.
#[test]
fn impossible_ranges_are_refused() {
    for (lo, hi) in [(-19, 3), (3, 3), (4, 3), (0, 44), (-18, 43)] {
        let refused = simulate_seeded(mem(), 1, |session| {
            let mut e = Rep3Engine::new(session, 18).unwrap();
            let x = e.trivial(&column([1.0])).unwrap();
            let error = e
                .map(&program(Scaled::Reciprocal, lo, hi), &[&x])
                .map(|_| ())
                .unwrap_err();
            (error.to_string(), e.session().cost().messages)
        });
        let (error, messages) = &refused[0];
        assert!(error.contains("reciprocal on [2^"), "{error}");
        assert_eq!(*messages, 0);
    }
}
