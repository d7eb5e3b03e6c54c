//! What masks the messages of an engine on shares, whichever it is: addresses drawn once, a pad for every message, fresh words for
//! recipients (requirements R1, R15, R16 of protocols-rep3, section 9).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tacit_mpc::chunk::chunks;
use tacit_mpc::prss::probe::{Draw, change};
use tacit_mpc::simulate::{mem, simulate_seeded};
use tacit_mpc::wire::{packed_len, unpack, unpack_planes};
use tacit_mpc::{Bilinear, Purpose, R64, Session};
use tacit_nn::program::{Instr, Scaled};
use tacit_nn::{Program, program, run};

use super::secure::Secure;
use super::{Wire, reals, recording, step_inputs, training_step};

/// Ledgers of the three parties, where a test attaches them.
type Ledger = Arc<Mutex<Vec<Draw>>>;

/// Products and maxima of tensors of one shape.
pub fn products<E: Secure>(e: &mut E, x: &E::Value) {
    let z = e.bilinear(Bilinear::Mul, x, x, 1.0).unwrap();
    e.begin_node(1);
    let y = e.bilinear(Bilinear::Mul, &z, x, 0.3).unwrap();
    e.begin_node(2);
    e.map(&program::max(), &[&y, x]).unwrap();
}

/// Every other kind of gate, in groups: a run is repeated for each of its draws.
pub fn groups() -> Vec<Vec<Program>> {
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

/// Which bits of a word travel where not all of them do, and how they are masked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Words {
    /// The lower ones, by a sum.
    Lower,
    /// The upper ones, by a sum or bit by bit.
    Upper,
}

/// Whether a message moved by exactly what its pad moved: word for word of the width it has on the wire, added or taken off,
/// or plane for plane of `n` bits.
fn moved_by_its_pad(
    message: (&Bytes, &Bytes),
    pad: (&[R64], &[R64]),
    n: usize,
    words: Words,
) -> bool {
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
            let down = if words == Words::Upper { 64 - bits } else { 0 };
            let moved = |by: fn(R64, R64) -> R64, pad_by: fn(R64, R64) -> R64| {
                let mut words = before.iter().zip(&after).zip(pad.0.iter().zip(pad.1));
                words.all(|((&b, &a), (&f, &g))| {
                    (by(a, b).0 ^ pad_by(g >> down, f >> down).0) & mask == 0
                })
            };
            let moved = moved(|a, b| a - b, |g, f| g - f)
                || moved(|a, b| a - b, |g, f| f - g)
                || words == Words::Upper && moved(|a, b| a ^ b, |g, f| g ^ f);
            // The unused bits of the last byte stay zero.
            let used = bits * pad.0.len();
            let clean = |b: &Bytes| used.is_multiple_of(8) || b[len - 1] >> (used % 8) == 0;
            clean(message.0) && clean(message.1) && moved
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
///
/// What is sent under the nodes of checks is public. Correction words of keys of functions are pseudo-random only: the draw of
/// their root moves about half of the bits of the first message that it moves, and every such message has a root of its own.
pub fn every_message_has_its_pad<E: Secure>(
    words: Words,
    gates: impl Fn(&mut E, &E::Value) + Sync,
) {
    every_message_of_an_engine_has_its_pad(|session| E::start(session, 18).unwrap(), words, gates);
}

/// The same for an engine that is set up in its own way.
pub fn every_message_of_an_engine_has_its_pad<E: Secure>(
    start: impl Fn(Session) -> E + Sync,
    words: Words,
    gates: impl Fn(&mut E, &E::Value) + Sync,
) {
    let run = |session: Session, n| {
        let mut e = start(session);
        let x = e.share(1, &reals(&[n], 9)).unwrap();
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
            let mut wire = Arc::try_unwrap(wire).unwrap().into_inner().unwrap();
            wire.retain(|(label, ..), _| label.node < 1 << 23);
            wire
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
        for (&(key, address), drawn) in &draws {
            let receiver = (key + 1) % 3; // P lacks key P-1.
            let moved = record(Some((key, address)));
            // Labels order the messages of a strand in time; strands of one node do not depend on each other.
            let first = base
                .iter()
                .find(|(k, body)| k.2 == receiver && moved[*k] != **body);
            let Some((at, body)) = first else { continue };
            let n = chunk_lengths[&usize::from(at.0.strand)];
            if address >> 32 & 63 == Purpose::Root as u128 {
                // Correction words are masked by a generator: about half of all bits move.
                let pairs = body.iter().zip(&moved[at]);
                let moved: u32 = pairs.map(|(b, m)| (b ^ m).count_ones()).sum();
                let share = f64::from(moved) / (8 * body.len()) as f64;
                assert!(
                    (share - 0.5).abs() < 0.05,
                    "{at:?}: {share} of the bits moved"
                );
            } else {
                assert!(
                    moved_by_its_pad((body, &moved[at]), (drawn, &change(drawn)), n, words),
                    "{at:?} did not move by its pad"
                );
            }
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

/// What leaves for a recipient is masked: each word of two parties moves with each draw, in opposite directions, and the sum
/// stays.
pub fn released_words_are_fresh<E: Secure>() {
    let n = 7;
    let release = |changed, ledger: Option<Ledger>| {
        simulate_seeded(mem(), 5, |session| {
            *session.prss().probe().changed.borrow_mut() = changed;
            let mut e = E::start(session, 18).unwrap();
            let x = e.share(1, &reals(&[n], 9)).unwrap();
            e.session()
                .prss()
                .probe()
                .ledger
                .borrow_mut()
                .clone_from(&ledger);
            e.give_out(&x).unwrap()
        })
    };
    let ledger = Ledger::default();
    let base = release(None, Some(Arc::clone(&ledger)));
    let draws: BTreeMap<(usize, u128), Vec<R64>> = ledger
        .lock()
        .unwrap()
        .iter()
        .filter(|d| {
            [Purpose::Zero, Purpose::Release]
                .map(|p| p as u128)
                .contains(&(d.1 >> 32 & 63))
        })
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

/// Three runs of a training step and their release: no key is drawn from twice under one address, and both its holders draw the
/// same (R1).
pub fn addresses_are_drawn_once_and_alike<E: Secure>() {
    let ledgers: Vec<_> = (0..3).map(|_| Arc::new(Mutex::new(Vec::new()))).collect();
    simulate_seeded(mem(), 1, |session| {
        *session.prss().probe().ledger.borrow_mut() = Some(Arc::clone(&ledgers[session.me()]));
        let mut e = E::start(session, 18).unwrap();
        let mut values = step_inputs(&mut e);
        for _ in 0..3 {
            let mut out = run(&training_step(), &mut e, &values).unwrap();
            values[2] = out.swap_remove(0);
        }
        e.give_out(&values[2]).unwrap();
        e.open(&values[2]).unwrap();
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
