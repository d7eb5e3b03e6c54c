//! Requirements on the pads that mask every message (protocols-rep3, section 9), each attacked by a test of its number: R1, R5,
//! R6, R15, R16; and R14, the load of the links. R2 and R4 stand beside the code, in `mpc/src/prss.rs` and `mpc/src/keys.rs`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use common::pads::{
    Words, addresses_are_drawn_once_and_alike, every_message_has_its_pad,
    every_message_of_an_engine_has_its_pad, groups, products, released_words_are_fresh,
};
use common::secure::Secure;
use common::{Wire, reals, recording, step_inputs, training_step};
use tacit_mpc::Bilinear;
use tacit_mpc::simulate::{mem, simulate_seeded};
use tacit_nn::program::Instr;
use tacit_nn::{Engine, Graph, Program, program, run, run_in_order};
use tacit_protocols::malicious::MaliciousEngine;
use tacit_protocols::rep3::{Depth, Rep3Engine};

#[test]
fn r1_no_address_is_drawn_twice_and_both_holders_draw_the_same() {
    addresses_are_drawn_once_and_alike::<Rep3Engine>();
    addresses_are_drawn_once_and_alike::<MaliciousEngine>();
}

#[test]
fn r1_a_node_run_twice_in_one_invocation_is_refused() {
    let results = simulate_seeded(mem(), 1, |session| {
        let mut e = Rep3Engine::new(session, 18).unwrap();
        let values = step_inputs(&mut e);
        e.begin_run().unwrap();
        e.begin_node(4);
        e.map(&program::relu(), &[&values[0]]).unwrap();
        e.begin_node(4);
        e.map(&program::relu(), &[&values[0]])
            .map(|_| ())
            .unwrap_err()
            .to_string()
    });
    assert!(
        results.iter().all(|e| e.contains("never used twice")),
        "{results:?}"
    );
}

/// What is public and said in every run alike has `public` bytes.
fn no_message_is_sent_again<E: Secure>(public: usize) {
    let wire = Arc::new(Mutex::new(Wire::new()));
    simulate_seeded(recording(&wire), 1, |session| {
        let mut e = E::start(session, 18).unwrap();
        let values = step_inputs(&mut e);
        let g = training_step();
        let first = run(&g, &mut e, &values).unwrap();
        let second = run(&g, &mut e, &values).unwrap();
        e.open(&first[0]).unwrap();
        e.open(&second[1]).unwrap();
    });
    let wire = wire.lock().unwrap();
    let mut seen = HashMap::new();
    let masked = |b: &[u8]| b.len() >= 8 && b.len() != public;
    for (key, body) in wire.iter().filter(|(_, b)| masked(b)) {
        if let Some(other) = seen.insert(body.clone(), key) {
            panic!("{key:?} and {other:?} carry the same bytes");
        }
    }
    assert!(seen.len() > 100);
}

#[test]
fn r5_the_same_graph_called_again_sends_no_message_again() {
    no_message_is_sent_again::<Rep3Engine>(usize::MAX);
    no_message_is_sent_again::<MaliciousEngine>(72);
}

fn every_schedule_sends_the_same<E: Secure>() {
    let mut g = Graph::new();
    let (x, y, w) = (g.input(&[6, 4]), g.input(&[6, 1]), g.input(&[4, 1]));
    // Each of these adds one node, the last one of the graph then.
    let mut nodes = Vec::new();
    let mut note = |g: &Graph| nodes.push(g.len() - 1);
    let a = g.relu(x).unwrap();
    note(&g);
    let b = g.matmul(x, w).unwrap();
    note(&g);
    let c = g.sigmoid(y).unwrap();
    note(&g);
    let d = g.mul(b, c).unwrap();
    note(&g);
    let e = g.matmul(a, w).unwrap();
    note(&g);
    for out in [d, e] {
        g.output(out);
    }
    let forward: Vec<usize> = (0..g.len()).collect();
    // The nodes after the inputs in an order that differs wherever dependencies allow it.
    let chosen = [2, 1, 0, 4, 3].map(|k| nodes[k]);
    let mut backward: Vec<usize> = forward
        .iter()
        .copied()
        .filter(|n| !chosen.contains(n))
        .collect();
    backward.extend(chosen);
    let runs = [forward, backward].map(|order| {
        let wire = Arc::new(Mutex::new(Wire::new()));
        simulate_seeded(recording(&wire), 1, |session| {
            let mut engine = E::start(session, 18).unwrap();
            let values = step_inputs(&mut engine);
            run_in_order(&g, &order, &mut engine, &values).unwrap();
        });
        Arc::try_unwrap(wire).unwrap().into_inner().unwrap()
    });
    assert!(runs[0].len() > 60);
    assert_eq!(runs[0], runs[1]);
}

#[test]
fn r6_every_schedule_of_a_graph_sends_the_same_messages() {
    every_schedule_sends_the_same::<Rep3Engine>();
    every_schedule_sends_the_same::<MaliciousEngine>();
}

#[test]
fn r14_links_carry_the_same_load() {
    let side = 288;
    let wire = Arc::new(Mutex::new(Wire::new()));
    let clocks = simulate_seeded(recording(&wire), 1, |session| {
        let mut e = Rep3Engine::new(session, 16).unwrap();
        let x = e.trivial(&reals(&[side, 8], 1)).unwrap();
        let w = e.trivial(&reals(&[8, side], 2)).unwrap();
        e.begin_run().unwrap();
        let z = e.bilinear(Bilinear::MatMul, &x, &w, 1.0).unwrap();
        e.begin_node(1);
        e.map(&program::relu(), &[&z]).unwrap();
        e.session().cost().rounds
    });
    let values = (side * side) as f64;
    for from in 0..3 {
        for to in (0..3).filter(|&to| to != from) {
            let bytes: usize = wire
                .lock()
                .unwrap()
                .iter()
                .filter(|((_, f, t), _)| (*f, *t) == (from, to))
                .map(|(_, b)| b.len())
                .sum();
            let share = bytes as f64 / (values * 103.75 / 6.0);
            assert!(
                (share - 1.0).abs() < 0.02,
                "link {from} → {to} carries {share} of a sixth"
            );
        }
    }
    // The specification counts 7, with the dealer's messages of the ReLU already sent during the product. Here a gate starts
    // when the one before has ended at this party: one round more.
    assert_eq!(clocks.into_iter().max(), Some(8));
}

#[test]
fn r16_every_message_of_a_product_has_a_pad_of_the_key_its_receiver_lacks() {
    every_message_has_its_pad::<Rep3Engine>(Words::Lower, |e, x| {
        let z = e.product(Bilinear::Mul, x, x).unwrap();
        e.begin_node(1);
        e.bilinear(Bilinear::Mul, &z, x, 0.3).unwrap();
    });
    every_message_has_its_pad::<Rep3Engine>(Words::Lower, products);
    every_message_has_its_pad::<MaliciousEngine>(Words::Upper, products);
}

/// A sign, a zero and a choice by every variant of the comparison.
#[test]
fn r16_every_message_of_every_variant_of_a_comparison_has_a_pad_of_the_key_its_receiver_lacks() {
    let mut p = Program::new("comparisons");
    let x = p.push(Instr::Input(0));
    let sign = p.push(Instr::Negative(x, None));
    let zero = p.push(Instr::Zero(x));
    let y = p.push(Instr::Select(sign, x));
    p.outputs = vec![y, zero];
    for depth in Depth::ALL {
        every_message_of_an_engine_has_its_pad(
            |session| Rep3Engine::with_depth(session, 18, depth).unwrap(),
            Words::Lower,
            |e, x| drop(e.map(&p, &[x]).unwrap()),
        );
    }
}

fn programs<E: Secure>(words: Words) {
    for group in groups() {
        every_message_has_its_pad::<E>(words, |e, x| {
            for (node, p) in group.iter().enumerate() {
                e.begin_node(node);
                e.map(p, &[x]).unwrap();
            }
        });
    }
}

#[test]
fn r16_every_message_of_a_program_has_a_pad_of_the_key_its_receiver_lacks() {
    programs::<Rep3Engine>(Words::Lower);
}

#[test]
fn r16_every_message_of_a_program_that_is_proved_has_a_pad_of_the_key_its_receiver_lacks() {
    programs::<MaliciousEngine>(Words::Upper);
}

fn exact<E: Secure>(e: &mut E, x: &E::Value) {
    e.exactly([3].into());
    e.begin_node(3);
    e.bilinear(Bilinear::Mul, x, x, 0.3).unwrap();
}

#[test]
fn r16_every_message_of_an_exact_rounding_has_a_pad_of_the_key_its_receiver_lacks() {
    every_message_has_its_pad::<Rep3Engine>(Words::Lower, exact);
    every_message_has_its_pad::<MaliciousEngine>(Words::Upper, exact);
}

#[test]
fn r15_released_words_are_fresh() {
    released_words_are_fresh::<Rep3Engine>();
    released_words_are_fresh::<MaliciousEngine>();
}
