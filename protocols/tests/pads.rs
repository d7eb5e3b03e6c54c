//! Requirements on the pads that mask every message (protocols-rep3, section 9), each attacked by a test of its number: R1, R5,
//! R6, R15, R16; and R14, the load of the links. R2 and R4 stand beside the code, in `mpc/src/prss.rs` and `mpc/src/keys.rs`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use common::{Wire, reals, recording, step_inputs, training_step};
use tacit_mpc::chunk::chunks;
use tacit_mpc::prss::probe::{Draw, change};
use tacit_mpc::simulate::{mem, simulate_seeded};
use tacit_mpc::wire::{packed_len, unpack, unpack_planes};
use tacit_mpc::{Bilinear, R64, Session};
use tacit_nn::program::{Instr, Scaled};
use tacit_nn::{Engine, Graph, Program, program, run, run_in_order};
use tacit_protocols::rep3::{Rep3Engine, Value};

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
            .map(|d| (d.1, d.2.clone()))
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
                .all(|(a, words)| a & 0xFFFF_FFFF == 0 && words.len() < 1 << 33)
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

/// Ledgers of the three parties, where a test attaches them.
type Ledger = Arc<Mutex<Vec<Draw>>>;

/// Products and maxima of tensors of one shape.
fn products(e: &mut Rep3Engine, x: &Value) {
    let z = e.product(Bilinear::Mul, x, x).unwrap();
    e.begin_node(1);
    let y = e.bilinear(Bilinear::Mul, &z, x, 0.3).unwrap();
    e.begin_node(2);
    e.map(&program::max(), &[&y, x]).unwrap();
}

/// Every other kind of gate, in groups: a run is repeated for each of its draws.
fn groups() -> Vec<Vec<Program>> {
    let simple = [
        program::scale(0.125),
        program::scale(0.7),
        program::negative(),
    ];
    vec![
        simple.to_vec(),
        vec![program::logistic(18)],
        vec![exact_gates()],
        vec![program::exp_neg()],
        vec![scaled(Scaled::InverseRoot)],
        vec![scaled(Scaled::Ln)],
    ]
}

/// A function over binades: bits of a word, prefixes, combinations of bits, products in smaller rings.
fn scaled(f: Scaled) -> Program {
    let mut p = Program::new("scaled");
    let x = p.push(Instr::Input(0));
    let y = p.push(Instr::Scaled {
        x,
        f,
        lo: -4,
        hi: 3,
    });
    p.outputs = vec![y];
    p
}

/// Equality, conjunction, floor and the exponential with a relative error.
fn exact_gates() -> Program {
    let mut p = Program::new("exact gates");
    let x = p.push(Instr::Input(0));
    let zero = p.push(Instr::Zero(x));
    let negative = p.push(Instr::Negative(x, Some(8)));
    let both = p.push(Instr::And(zero, negative));
    let floor = p.push(Instr::Floor(x));
    let e = p.push(Instr::Exp(x));
    p.outputs = vec![both, floor, e];
    p
}

/// Whether a message moved by exactly what its pad moved: word for word of the width it has on the wire, added or taken off,
/// or plane for plane of `n` bits.
fn moved_by_its_pad(message: (&Bytes, &Bytes), pad: (&[R64], &[R64]), n: usize) -> bool {
    let len = message.0.len();
    // Few words leave several widths open: the last byte is not full.
    let as_words = (1..=64)
        .filter(|bits| packed_len(pad.0.len(), *bits) == len)
        .any(|bits| {
            let mask = u64::MAX >> (64 - bits);
            let read = |b: &Bytes| {
                let mut words = vec![R64::default(); pad.0.len()];
                unpack(b, bits as u32, &mut words);
                words
            };
            let (before, after) = (read(message.0), read(message.1));
            let moved = |sign: fn(R64) -> R64| {
                let mut words = before.iter().zip(&after).zip(pad.0.iter().zip(pad.1));
                words.all(|((b, a), (f, g))| ((a - b).0 ^ sign(g - f).0) & mask == 0)
            };
            // The unused bits of the last byte stay zero.
            let used = bits * pad.0.len();
            let clean = |b: &Bytes| used.is_multiple_of(8) || b[len - 1] >> (used % 8) == 0;
            clean(message.0) && clean(message.1) && (moved(|d| d) || moved(|d| -d))
        });
    let planes = pad.0.len() / n.div_ceil(64);
    let as_planes = planes * n.div_ceil(64) == pad.0.len() && (planes * n).div_ceil(8) == len && {
        let read = |b: &Bytes| {
            let mut words = vec![0; pad.0.len()];
            unpack_planes(b, n, &mut words);
            words
        };
        let (before, after) = (read(message.0), read(message.1));
        (0..planes).all(|p| {
            (0..n).all(|i| {
                let word = p * n.div_ceil(64) + i / 64;
                let pad = (pad.0[word] ^ pad.1[word]).0;
                (before[word] ^ after[word] ^ pad) >> (i % 64) & 1 == 0
            })
        })
    };
    as_words || as_planes
}

/// The all-order pad test: for every receiver P and every draw of the key that P lacks, changing the draw moves the first
/// message to P that moves at all by exactly the change, word for word, and every message to P has a draw of its own. Then all
/// messages to P are jointly uniform, whatever the secrets. Sizes with tail bits, odd numbers of units and empty chunks.
fn every_message_has_its_pad(gates: impl Fn(&mut Rep3Engine, &Value) + Sync) {
    let run = |session: Session, n| {
        let me = session.me();
        let mut e = Rep3Engine::new(session, 18).unwrap();
        let data = reals(&[n], 9);
        let x = e.input(1, &[n], (me == 1).then_some(&data)).unwrap();
        e.begin_run().unwrap();
        gates(&mut e, &x);
    };
    for n in [1, 2, 65, 192, 200] {
        let record = |changed| {
            let wire = Arc::new(Mutex::new(Wire::new()));
            simulate_seeded(recording(&wire), 5, |s| {
                *s.prss().probe().changed.borrow_mut() = changed;
                run(s, n);
            });
            Arc::try_unwrap(wire).unwrap().into_inner().unwrap()
        };
        let base = record(None);
        assert!(base.len() > 6, "{n}: {} messages", base.len());
        let ledger: Ledger = Arc::default();
        simulate_seeded(mem(), 5, |s| {
            *s.prss().probe().ledger.borrow_mut() = Some(Arc::clone(&ledger));
            run(s, n);
        });
        let draws: BTreeMap<(usize, u128), Vec<R64>> = ledger
            .lock()
            .unwrap()
            .iter()
            .map(|d| ((d.0, d.1), d.2.clone()))
            .collect();
        let chunk_lengths: HashMap<usize, usize> =
            chunks(n).iter().map(|c| (c.index, c.len())).collect();
        let mut pads: [HashMap<_, _>; 3] = Default::default();
        for (&(key, address), words) in &draws {
            let receiver = (key + 1) % 3; // P lacks key P-1.
            let moved = record(Some((key, address)));
            // Labels order the messages of a strand in time; strands of one node do not depend on each other.
            let first = base
                .iter()
                .find(|(k, body)| k.2 == receiver && moved[*k] != **body);
            let Some((at, body)) = first else { continue };
            let n = chunk_lengths[&usize::from(at.0.strand)];
            assert!(
                moved_by_its_pad((body, &moved[at]), (words, &change(words)), n),
                "{at:?} did not move by its pad"
            );
            if let Some(other) = pads[receiver].insert(*at, address) {
                panic!("draws {other:x} and {address:x} both move {at:?} first");
            }
        }
        for (receiver, pads) in pads.iter().enumerate() {
            let messages: Vec<_> = base.keys().filter(|k| k.2 == receiver).collect();
            let bare: Vec<_> = messages.iter().filter(|m| !pads.contains_key(m)).collect();
            assert!(
                bare.is_empty(),
                "messages to P_{receiver} without a pad: {bare:?}"
            );
        }
    }
}

#[test]
fn r16_every_message_of_a_product_has_a_pad_of_the_key_its_receiver_lacks() {
    every_message_has_its_pad(products);
}

#[test]
fn r16_every_message_of_a_program_has_a_pad_of_the_key_its_receiver_lacks() {
    for group in groups() {
        every_message_has_its_pad(|e, x| {
            for (node, p) in group.iter().enumerate() {
                e.begin_node(node);
                e.map(p, &[x]).unwrap();
            }
        });
    }
}

#[test]
fn r16_every_message_of_an_exact_rounding_has_a_pad_of_the_key_its_receiver_lacks() {
    every_message_has_its_pad(|e, x| {
        e.round_exactly([3].into());
        e.begin_node(3);
        e.bilinear(Bilinear::Mul, x, x, 0.3).unwrap();
    });
}

/// What leaves for a recipient is masked: each word of two parties moves with each draw, in opposite directions, and the sum
/// stays.
#[test]
fn r15_released_words_are_fresh() {
    let n = 7;
    let release = |changed, ledger: Option<Ledger>| {
        simulate_seeded(mem(), 5, |session| {
            *session.prss().probe().changed.borrow_mut() = changed;
            let me = session.me();
            let mut e = Rep3Engine::new(session, 18).unwrap();
            let data = reals(&[n], 9);
            let x = e.input(1, &[n], (me == 1).then_some(&data)).unwrap();
            e.session()
                .prss()
                .probe()
                .ledger
                .borrow_mut()
                .clone_from(&ledger);
            e.release(&[&x]).unwrap()
        })
    };
    let ledger = Ledger::default();
    let base = release(None, Some(Arc::clone(&ledger)));
    let draws: BTreeMap<(usize, u128), Vec<R64>> = ledger
        .lock()
        .unwrap()
        .iter()
        .map(|d| ((d.0, d.1), d.2.clone()))
        .collect();
    assert_eq!(draws.len(), 9, "three keys, three chunks");
    let mut masked = vec![[0; 3]; n];
    for ((key, address), words) in &draws {
        let moved = release(Some((*key, *address)), None);
        let mut pad = words.iter().zip(change(words)).map(|(f, g)| (g - f).0);
        for i in 0..n {
            let by: Vec<u64> = (0..3)
                .map(|p| moved[p][i].wrapping_sub(base[p][i]))
                .collect();
            if by == [0; 3] {
                continue; // another chunk
            }
            let delta = pad.next().unwrap();
            let (holder, other) = (*key, (key + 2) % 3);
            assert_eq!((by[holder], by[other]), (delta, delta.wrapping_neg()));
            masked[i][holder] += 1;
            masked[i][other] += 1;
        }
        assert_eq!(pad.next(), None, "a word of the draw masks nothing");
    }
    assert_eq!(
        masked,
        vec![[2; 3]; n],
        "every word of every party under both its keys"
    );
}
