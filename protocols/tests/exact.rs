//! Gates that are exact or have a stated error: equality, Boolean gates, floor, e^x. Results, rounds and bytes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::gate::{N, column, grid, map, run};
use ndarray::ArrayD;
use tacit_nn::Program;
use tacit_nn::program::Instr;
use tacit_protocols::rep3::Depth;

fn unary(instr: Instr) -> Program {
    let mut p = Program::new("unary");
    p.push(Instr::Input(0));
    let y = p.push(instr);
    p.outputs = vec![y];
    p
}

/// A program that gives a bit, and the bit as a number: 24 bytes and 2 rounds more.
fn as_number(mut p: Program) -> Program {
    let bit = p.outputs[0];
    let y = p.push(Instr::ToArithmetic(bit));
    p.outputs = vec![y];
    p
}

fn word(x: f64, f: u32) -> f64 {
    (x * 2f64.powi(f as i32)).round() / 2f64.powi(f as i32)
}

#[test]
fn equality_is_exact_and_costs_31_6_bytes() {
    let unit = 2f64.powi(-16);
    let mut x = grid(-3e9, 3e9, N);
    for (i, v) in [
        0.0,
        unit,
        -unit,
        2f64.powi(45),
        -(2f64.powi(45)),
        65536.0,
        2f64.powi(-8),
    ]
    .into_iter()
    .cycle()
    .take(700)
    .enumerate()
    {
        x[i * 10] = v;
    }
    for (depth, rounds, bits) in [
        (Depth::Three, 5, 253.0),
        (Depth::Two, 4, 305.0),
        (Depth::One, 3, 1793.0),
        (Depth::Dcf, 2, 2.0 * 128.0 * 58.0 + 2.0),
    ] {
        let p = as_number(unary(Instr::Zero(0)));
        let r = run(16, depth, std::slice::from_ref(&x), map(p));
        // The bit's λ is dealt in the meantime: one round for the conversion.
        r.costs(rounds + 1, (bits / 8.0 + 24.0) * N as f64);
        for (b, x) in r.outputs[0].iter().zip(&x) {
            assert_eq!(*b, f64::from(u8::from(*x == 0.0)), "{x}");
        }
    }
}

#[test]
fn boolean_gates_follow_their_truth_tables() {
    let sign = |i: usize, by: usize| {
        if (i / by).is_multiple_of(2) {
            1.0
        } else {
            -1.0
        }
    };
    let (x, y) = (
        column((0..N).map(|i| sign(i, 1))),
        column((0..N).map(|i| sign(i, 2))),
    );
    let build = |gate: fn(usize, usize) -> Instr| {
        let mut p = Program::new("boolean");
        let (x, y) = (p.push(Instr::Input(0)), p.push(Instr::Input(1)));
        let a = p.push(Instr::Negative(x, None));
        let b = p.push(Instr::Negative(y, None));
        let z = p.push(gate(a, b));
        p.outputs = vec![z];
        as_number(p)
    };
    let base = 2.0 * 41.75 + 24.0;
    type Case = (fn(usize, usize) -> Instr, fn(bool, bool) -> bool, f64);
    let cases: [Case; 3] = [
        (Instr::And, |a, b| a && b, 3.0 / 8.0),
        (Instr::Xor, |a, b| a ^ b, 0.0),
        (|a, _| Instr::Not(a), |a, _| !a, 0.0),
    ];
    for (gate, truth, bytes) in cases {
        let r = run(18, Depth::Three, &[x.clone(), y.clone()], map(build(gate)));
        assert_eq!(r.bytes(), (base + bytes) * N as f64);
        for (z, (x, y)) in r.outputs[0].iter().zip(x.iter().zip(&y)) {
            assert_eq!(
                *z,
                f64::from(u8::from(truth(*x < 0.0, *y < 0.0))),
                "{x} {y}"
            );
        }
    }
}

#[test]
fn floor_is_exact_for_every_word() {
    for (f, bytes) in [(16, 33.375), (18, 33.5), (20, 34.125)] {
        let unit = 2f64.powi(-(f as i32));
        let mut x = grid(-1e6, 1e6, N);
        let edges = [
            0.0,
            unit,
            -unit,
            1.0,
            -1.0,
            1.0 - unit,
            -1.0 - unit,
            0.5,
            -0.5,
        ];
        let far = [2f64.powi(61 - f as i32), -(2f64.powi(61 - f as i32)) + unit];
        for (i, v) in edges.into_iter().chain(far).cycle().take(660).enumerate() {
            x[i * 11] = v;
        }
        let r = run(
            f,
            Depth::Three,
            std::slice::from_ref(&x),
            map(unary(Instr::Floor(0))),
        );
        for (y, x) in r.outputs[0].iter().zip(&x) {
            assert_eq!(*y, word(*x, f).floor(), "floor({x}) at f = {f}");
        }
        r.costs(5, bytes * N as f64);
    }
}

/// The largest relative error beyond three units of the last place.
fn relative_error(y: &ArrayD<f64>, x: &ArrayD<f64>, f: u32, of: fn(f64) -> f64) -> f64 {
    let slack = 3.0 * 2f64.powi(-(f as i32));
    let error = |(y, x): (&f64, &f64)| {
        let want = of(word(*x, f));
        ((y - want).abs() - slack).max(0.0) / want.abs()
    };
    y.iter().zip(x).map(error).fold(0.0, f64::max)
}

#[test]
fn exponential_is_right_to_two_to_the_minus_18_over_its_range() {
    for f in [16, 18, 20] {
        let unit = 2f64.powi(-(f as i32));
        for (lo, hi) in [
            (-16.0, 12.0 - unit),
            (-16.0, -15.99),
            (11.9, 12.0 - unit),
            (-1.0, 1.0),
        ] {
            let x = grid(lo, hi, N);
            let r = run(
                f,
                Depth::Three,
                std::slice::from_ref(&x),
                map(unary(Instr::Exp(0))),
            );
            let shift = 44.0 - f64::from(f);
            r.costs(
                3,
                (8.0 * 64.0 + 2.0 * 64.0 + 64.0 + 3.0 * shift) / 8.0 * N as f64,
            );
            let error = relative_error(&r.outputs[0], &x, f, f64::exp);
            println!("exp f={f} [{lo},{hi}): 2^{:.1}", error.log2());
            assert!(error < 2f64.powf(-18.0), "{} at f = {f}", error.log2());
        }
    }
}
