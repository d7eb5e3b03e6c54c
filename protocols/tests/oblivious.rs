//! Requirement R11: the secure engine neither fails, nor sends anything else, because of the values it works on.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::{Arc, Mutex};

use common::secure::Secure;
use common::{Wire, recording};
use ndarray::{ArrayD, IxDyn};
use tacit_mpc::Bilinear;
use tacit_mpc::simulate::simulate_seeded;
use tacit_nn::program::{Instr, Scaled};
use tacit_nn::{Function, Program, Table};
use tacit_protocols::malicious::MaliciousEngine;
use tacit_protocols::rep3::Rep3Engine;

fn table() -> Table {
    Table {
        name: "a cube",
        f: |x| x * x * x,
        lo: -1.5,
        hi: 2.0,
        cell: -1,
        log2_cells: 3,
        degree: 3,
        max: 8.0,
    }
}

/// Every instruction on the same input.
fn every_instruction() -> Program {
    let mut p = Program::new("every instruction");
    let x = p.push(Instr::Input(0));
    let negative = p.push(Instr::Negative(x, Some(2)));
    let sign = p.push(Instr::Negative(x, None));
    let zero = p.push(Instr::Zero(x));
    let both = p.push(Instr::And(negative, zero));
    let other = p.push(Instr::Xor(both, sign));
    let not = p.push(Instr::Not(other));
    p.outputs = vec![both, not];
    let scaled = |f, lo, hi| Instr::Scaled { x, f, lo, hi };
    for instr in [
        Instr::Select(not, x),
        Instr::ToArithmetic(other),
        Instr::Linear(vec![(3, x)], 0.5),
        Instr::Scale(x, 0.3),
        Instr::Mul(x, x),
        Instr::Floor(x),
        Instr::Exp(x),
        Instr::ExpNeg(x),
        Instr::Table(x, table()),
        scaled(Scaled::Reciprocal, -14, 14),
        scaled(Scaled::InverseRoot, -8, 8),
        scaled(Scaled::Root, -8, 8),
        scaled(Scaled::Ln, -3, 3),
    ] {
        let y = p.push(instr);
        p.outputs.push(y);
    }
    p
}

/// Label, sender, receiver and length of every message of a run on these words, exactly rounded or not.
fn messages<E: Secure>(words: &[u64], exact: bool) -> Vec<String> {
    let wire = Arc::new(Mutex::new(Wire::new()));
    // Any word is 2^32 times a number that has a real one, and another.
    let part = |of: fn(u64) -> i64| {
        let part = words.iter().map(|&w| of(w) as f64 / f64::from(1 << 18));
        ArrayD::from_shape_vec(IxDyn(&[words.len()]), part.collect()).unwrap()
    };
    let (upper, lower) = (part(|w| w as i64 >> 32), part(|w| (w & 0xFFFF_FFFF) as i64));
    simulate_seeded(recording(&wire), 1, |session| {
        let mut e = E::start(session, 18).unwrap();
        let upper = e.share(1, &upper).unwrap();
        let lower = e.share(1, &lower).unwrap();
        let x = e.linear(&[(1 << 32, &upper), (1, &lower)], 0.0).unwrap();
        if exact {
            e.exactly((0..8).collect());
        }
        e.begin_run().unwrap();
        e.begin_node(0);
        e.map(&every_instruction(), &[&x]).unwrap();
        e.begin_node(1);
        let y = e.bilinear(Bilinear::Mul, &x, &x, 0.7).unwrap();
        for (node, f) in [Function::Logistic, Function::Relu].iter().enumerate() {
            e.begin_node(2 + node);
            e.map(&f.program(), &[&y]).unwrap();
        }
        e.give_out(&y).unwrap();
        e.open(&y).unwrap();
    });
    let wire = wire.lock().unwrap();
    wire.iter()
        .map(|((label, from, to), body)| format!("{label} {from} {to} {}", body.len()))
        .collect()
}

fn same_messages<E: Secure>() {
    let one = 1u64 << 18;
    let ordinary: Vec<u64> = (0..70).map(|i| one + 1000 * i).collect();
    let bad = [
        0,
        1,
        u64::MAX,
        1 << 62,
        1 << 63,
        (1 << 63) - 1,
        300 * one,
        (300 * one).wrapping_neg(),
        0x5555_5555_5555_5555,
        0xAAAA_AAAA_AAAA_AAAA,
    ];
    let bad: Vec<u64> = bad.into_iter().cycle().take(70).collect();
    for exact in [false, true] {
        let want = messages::<E>(&ordinary, exact);
        assert!(want.len() > 500, "{}", want.len());
        assert_eq!(messages::<E>(&bad, exact), want, "exact: {exact}");
    }
}

#[test]
fn r11_values_out_of_every_range_change_neither_messages_nor_success() {
    same_messages::<Rep3Engine>();
}

/// Neither the gates nor the proofs.
#[test]
fn r11_values_out_of_every_range_change_neither_messages_nor_proofs() {
    same_messages::<MaliciousEngine>();
}
