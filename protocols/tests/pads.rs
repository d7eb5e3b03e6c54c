//! Requirements on the pads that mask every message (protocols-rep3, section 9), each attacked by a test of its number: R1, R5,
//! R6, R16; and R14, the load of the links. R2 and R4 stand beside the code, in `mpc/src/prss.rs` and `mpc/src/keys.rs`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use common::{Wire, reals, recording, step_inputs, training_step};
use tacit_mpc::simulate::{mem, simulate_seeded};
use tacit_mpc::{Bilinear, Session};
use tacit_nn::{Engine, Graph, program, run, run_in_order};
use tacit_protocols::rep3::Rep3Engine;

#[test]
fn r1_no_address_is_drawn_twice_and_both_holders_draw_the_same() {
    let ledgers: Vec<_> = (0..3).map(|_| Arc::new(Mutex::new(Vec::new()))).collect();
    simulate_seeded(mem(), 1, |session| {
        *session.prss().probe().ledger.borrow_mut() = Some(Arc::clone(&ledgers[session.me()]));
        let mut e = Rep3Engine::new(session, 18).unwrap();
        let mut values = step_inputs(&mut e);
        for _ in 0..3 {
            let out = run(&training_step(), &mut e, &values).unwrap();
            values[2] = out[0].clone();
        }
        e.release(&[&values[2]]).unwrap();
    });
    let by_key = |party: usize, key: usize| {
        let ledger = ledgers[party].lock().unwrap();
        let draws: Vec<_> = ledger
            .iter()
            .filter(|d| d.0 == key)
            .map(|d| (d.1, d.2))
            .collect();
        let addresses: HashSet<_> = draws.iter().map(|d| d.0).collect();
        assert_eq!(
            addresses.len(),
            draws.len(),
            "P_{party} drew from key {key} twice under one address"
        );
        // Streams of neighbouring addresses do not overlap: the block counter has its own 32 bits.
        assert!(
            draws
                .iter()
                .all(|&(a, n)| a & 0xFFFF_FFFF == 0 && n < 1 << 33)
        );
        draws.into_iter().collect::<HashSet<_>>()
    };
    for key in 0..3 {
        let (own, previous) = (by_key(key, key), by_key((key + 2) % 3, key));
        assert!(own.len() > 100, "the ledger saw the run");
        assert_eq!(own, previous, "the holders of key {key}");
    }
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

#[test]
fn r5_the_same_graph_called_again_sends_no_message_again() {
    let wire = Arc::new(Mutex::new(Wire::new()));
    simulate_seeded(recording(&wire), 1, |session| {
        let mut e = Rep3Engine::new(session, 18).unwrap();
        let values = step_inputs(&mut e);
        let g = training_step();
        let first = run(&g, &mut e, &values).unwrap();
        run(&g, &mut e, &values).unwrap();
        first.len()
    });
    let wire = wire.lock().unwrap();
    let mut seen = HashMap::new();
    for (key, body) in wire.iter().filter(|(_, b)| b.len() >= 8) {
        if let Some(other) = seen.insert(body.clone(), key) {
            panic!("{key:?} and {other:?} carry the same bytes");
        }
    }
    assert!(seen.len() > 100);
}

#[test]
fn r6_every_schedule_of_a_graph_sends_the_same_messages() {
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
            let mut engine = Rep3Engine::new(session, 18).unwrap();
            let values = step_inputs(&mut engine);
            run_in_order(&g, &order, &mut engine, &values).unwrap();
        });
        Arc::try_unwrap(wire).unwrap().into_inner().unwrap()
    });
    assert!(runs[0].len() > 60);
    assert_eq!(runs[0], runs[1]);
}

#[test]
fn r14_links_carry_the_same_load() {
    let side = 288;
    let wire = Arc::new(Mutex::new(Wire::new()));
    let clocks = simulate_seeded(recording(&wire), 1, |session| {
        let mut e = Rep3Engine::new(session, 16).unwrap();
        let x = e.public(&reals(&[side, 8], 1)).unwrap();
        let w = e.public(&reals(&[8, side], 2)).unwrap();
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

/// The all-order pad test: for every receiver P and every draw of the key that P lacks, flipping the lowest bit of the draw
/// moves the first message to P that moves at all by exactly ±1 in each word, and every message to P has a draw of its own.
/// Then all messages to P are jointly uniform, whatever the secrets.
#[test]
fn r16_every_message_is_masked_by_a_draw_of_its_own_of_the_key_its_receiver_lacks() {
    // 64 values a strand: a plane of bits is one word, and flipping its lowest bit is ±1 as well.
    let shape = [192];
    let everything = |session: Session,
                      flip: Option<(usize, u128)>,
                      ledger: Option<Arc<Mutex<Vec<(usize, u128, usize)>>>>| {
        *session.prss().probe().flip.borrow_mut() = flip;
        *session.prss().probe().ledger.borrow_mut() = ledger;
        let me = session.me();
        let mut e = Rep3Engine::new(session, 18).unwrap();
        let data = reals(&shape, 9);
        let x = e.input(1, &shape, (me == 1).then_some(&data)).unwrap();
        e.begin_run().unwrap();
        let mut node = 0;
        let mut next = |e: &mut Rep3Engine| {
            e.begin_node(node);
            node += 1;
        };
        let z = e.product(Bilinear::Mul, &x, &x).unwrap();
        next(&mut e);
        next(&mut e);
        let z2 = e.bilinear(Bilinear::Mul, &z, &x, 0.3).unwrap();
        for p in [
            program::scale(0.125),
            program::scale(0.7),
            program::negative(),
            program::logistic(18),
        ] {
            next(&mut e);
            e.map(&p, &[&x]).unwrap();
        }
        next(&mut e);
        e.map(&program::max(), &[&z2, &x]).unwrap();
    };
    let record = |flip| {
        let wire = Arc::new(Mutex::new(Wire::new()));
        simulate_seeded(recording(&wire), 5, |s| everything(s, flip, None));
        Arc::try_unwrap(wire).unwrap().into_inner().unwrap()
    };
    let base = record(None);
    let ledger = Arc::new(Mutex::new(Vec::new()));
    simulate_seeded(mem(), 5, |s| everything(s, None, Some(Arc::clone(&ledger))));
    let draws: BTreeMap<(usize, u128), usize> = ledger
        .lock()
        .unwrap()
        .iter()
        .map(|d| ((d.0, d.1), d.2))
        .collect();
    let mut pads: [HashMap<_, _>; 3] = Default::default();
    for (&(key, address), &words) in &draws {
        let receiver = (key + 1) % 3; // P lacks key P-1.
        let moved = record(Some((key, address)));
        // Labels order the messages of a strand in time; strands of one node do not depend on each other.
        let first = base
            .iter()
            .filter(|((_, _, to), _)| *to == receiver)
            .find(|(k, body)| moved[*k] != **body)
            .map(|(k, body)| (*k, body.clone()));
        let Some((at, body)) = first else { continue };
        let bits = body.len() * 8 / words;
        assert_eq!(
            (bits * words).div_ceil(8),
            body.len(),
            "{at:?} has the size of its pad"
        );
        let unpack = |b: &Bytes| tacit_mpc::wire::Unpacker::new(b).words(words, bits as u32);
        let mask = u64::MAX >> (64 - bits);
        for (a, b) in unpack(&body).into_iter().zip(unpack(&moved[&at])) {
            let difference = (a - b).0 & mask;
            assert!(
                difference == 1 || difference == mask,
                "{at:?} moved by {difference} instead of its pad's shift"
            );
        }
        if let Some(other) = pads[receiver].insert(at, address) {
            panic!("draws {other:x} and {address:x} both move {at:?} first");
        }
    }
    for (receiver, pads) in pads.iter().enumerate() {
        let messages: Vec<_> = base.keys().filter(|(_, _, to)| *to == receiver).collect();
        assert!(messages.len() > 40);
        let bare: Vec<_> = messages.iter().filter(|m| !pads.contains_key(m)).collect();
        assert!(
            bare.is_empty(),
            "messages to P_{receiver} without a pad: {bare:?}"
        );
    }
}
