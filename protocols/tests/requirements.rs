//! The numbered requirements on an implementation of rep3 (protocols-rep3, section 9), each attacked by a test of its number.
//! R2 and R4 stand beside the code, in `mpc/src/prss.rs` and `mpc/src/keys.rs`; the second half of R8 in `party`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use ndarray::{ArrayD, IxDyn};
use tacit_mpc::net::{Error as NetError, MemNet, Tamper, Transport};
use tacit_mpc::session::parse_frame;
use tacit_mpc::simulate::{mem, simulate, simulate_seeded};
use tacit_mpc::{Bilinear, Error, Label, Session};
use tacit_nn::program;
use tacit_nn::{Engine, Graph, run, run_in_order};
use tacit_protocols::rep3::{Rep3Engine, Value};

/// (sender, receiver, label) → body.
type Wire = BTreeMap<(Label, usize, usize), Bytes>;

fn reals(shape: &[usize], seed: u64) -> ArrayD<f64> {
    let mut x = seed.wrapping_mul(2) | 1;
    ArrayD::from_shape_fn(IxDyn(shape), |_| {
        x = x
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (x >> 40) as f64 / f64::from(1u32 << 23) - 1.0
    })
}

/// A mesh in memory that records every message.
fn recording(wire: &Arc<Mutex<Wire>>) -> Vec<Arc<dyn Transport>> {
    let tap = |net: MemNet| {
        let (wire, me) = (Arc::clone(wire), net.me());
        Arc::new(Tamper::new(net, move |to, frame| {
            for (label, _, body) in parse_frame(frame.clone()).unwrap() {
                assert!(
                    wire.lock().unwrap().insert((label, me, to), body).is_none(),
                    "a message was sent twice under {label}"
                );
            }
            vec![frame]
        })) as Arc<dyn Transport>
    };
    MemNet::mesh(3).into_iter().map(tap).collect()
}

/// A small training step with every kind of gate: products, matrix products, truncation, comparison, selection, exponential,
/// tables.
fn training_step() -> Graph {
    let mut g = Graph::new();
    let x = g.input(&[6, 4]);
    let y = g.input(&[6, 1]);
    let w = g.input(&[4, 1]);
    let h = g.matmul(x, w).unwrap();
    let r = g.relu(h).unwrap();
    let p = g.sigmoid(h).unwrap();
    let e = g.sub(p, y).unwrap();
    let d = g.mul(e, r).unwrap();
    let xt = g.transpose(x).unwrap();
    let grad = g.matmul(xt, d).unwrap();
    let step = g.scale(grad, 0.1).unwrap();
    let w2 = g.sub(w, step).unwrap();
    g.output(w2);
    g.output(p);
    g
}

fn step_inputs(e: &mut Rep3Engine) -> Vec<Value> {
    [(0, vec![6, 4]), (1, vec![6, 1]), (2, vec![4, 1])]
        .into_iter()
        .map(|(owner, shape)| {
            let x = reals(&shape, owner as u64 + 3);
            let mine = e.session().me() == owner;
            e.input(owner, &shape, mine.then_some(&x)).unwrap()
        })
        .collect()
}

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

/// Kill each party at each of its messages: the others fail with an error that names it, none hangs, and the next session has
/// other keys, so no address can mask two byte strings.
#[test]
fn r3_a_party_that_dies_at_any_message_ends_the_session_and_a_new_one_has_new_keys() {
    let program = |session: Session| -> Result<(), Error> {
        let me = session.me();
        let mut e = Rep3Engine::new(session, 18).unwrap();
        let mut step = || -> tacit_nn::Result<()> {
            let x = reals(&[9, 1], 5);
            let x = e.input(0, &[9, 1], (me == 0).then_some(&x))?;
            e.begin_run()?;
            let y = e.map(&program::relu(), &[&x])?;
            e.reveal(&y[0])?;
            Ok(())
        };
        step().map_err(|e| match e {
            tacit_nn::Error::Protocol(e) => *e.downcast::<Error>().unwrap(),
            other => panic!("{other}"),
        })
    };
    let mut ended = 0;
    for victim in 0..3 {
        for at in 0.. {
            let sent = Arc::new(AtomicUsize::new(0));
            let nets = MemNet::mesh_with_deadline(3, Duration::from_millis(150));
            let counter = Arc::clone(&sent);
            let nets = nets
                .into_iter()
                .map(|net| {
                    let counter = Arc::clone(&counter);
                    let dies = net.me() == victim;
                    Arc::new(Tamper::new(net, move |_, f| {
                        if dies && counter.fetch_add(1, Ordering::Relaxed) >= at {
                            Vec::new()
                        } else {
                            vec![f]
                        }
                    })) as Arc<dyn Transport>
                })
                .collect();
            let results: Vec<_> = simulate(nets, program)
                .into_iter()
                .map(|r| r.and_then(|r| r))
                .collect();
            if sent.load(Ordering::Relaxed) <= at {
                assert!(results.iter().all(Result::is_ok), "{results:?}");
                break;
            }
            let (first, second) = (&results[(victim + 1) % 3], &results[(victim + 2) % 3]);
            let blamed = [first, second]
                .into_iter()
                .filter_map(|r| r.as_ref().err()?.culprit())
                .any(|p| p == victim);
            assert!(blamed, "P_{victim} fell silent at frame {at}: {results:?}");
            ended += 1;
        }
    }
    assert!(ended > 12, "{ended} deaths tried");
    let wires: Vec<_> = (0..2)
        .map(|_| {
            let seen = Arc::new(Mutex::new(Vec::new()));
            let nets = MemNet::mesh(3).into_iter().map(|net| {
                let seen = Arc::clone(&seen);
                Arc::new(Tamper::new(net, move |_, f| {
                    seen.lock().unwrap().push(f.clone());
                    vec![f]
                })) as Arc<dyn Transport>
            });
            assert!(
                simulate(nets.collect(), program)
                    .into_iter()
                    .all(|r| r.is_ok_and(|r| r.is_ok()))
            );
            Arc::try_unwrap(seen).unwrap().into_inner().unwrap()
        })
        .collect();
    let bodies = |w: &[Bytes]| -> HashSet<Bytes> {
        w.iter()
            .filter_map(|f| parse_frame(f.clone()).ok())
            .flatten()
            .map(|m| m.2)
            .filter(|b| b.len() >= 8)
            .collect()
    };
    // The opened share is an output of the session, everything else is masked by its keys.
    assert!(
        bodies(&wires[0]).is_disjoint(&bodies(&wires[1])),
        "two sessions sent the same masked bytes"
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

/// A transport that knows how many bytes are under way, and one of whose parties is slow.
struct Flight {
    inner: MemNet,
    under_way: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    slow: bool,
}

impl Transport for Flight {
    fn me(&self) -> usize {
        self.inner.me()
    }

    fn send(&self, to: usize, frame: Bytes) -> Result<(), NetError> {
        let now = self.under_way.fetch_add(frame.len(), Ordering::Relaxed) + frame.len();
        self.most.fetch_max(now, Ordering::Relaxed);
        self.inner.send(to, frame)
    }

    fn recv(&self, from: usize) -> Result<Bytes, NetError> {
        if self.slow {
            std::thread::sleep(Duration::from_millis(2));
        }
        let frame = self.inner.recv(from)?;
        self.under_way.fetch_sub(frame.len(), Ordering::Relaxed);
        Ok(frame)
    }
}

#[test]
fn r8_a_dealer_runs_ahead_by_a_window_only() {
    let n = 1 << 20;
    let most_with = |window: usize| {
        let (under_way, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let nets = MemNet::mesh(3).into_iter().map(|inner| {
            let slow = inner.me() == 2;
            Arc::new(Flight {
                inner,
                under_way: Arc::clone(&under_way),
                most: Arc::clone(&most),
                slow,
            }) as Arc<dyn Transport>
        });
        simulate_seeded(nets.collect(), 1, |session| {
            session.set_window(window);
            let mut e = Rep3Engine::new(session, 16).unwrap();
            let x = e.public(&ArrayD::from_elem(IxDyn(&[n]), -1.5)).unwrap();
            e.map(&program::relu(), &[&x]).unwrap();
        });
        most.load(Ordering::Relaxed)
    };
    // ReLU deals 43 bytes a value; a chunk has 2^12 values; three parties each deal for a third of the chunks in the window.
    let chunk = 43 << 12;
    for window in [1, 3, 6] {
        let most = most_with(window);
        assert!(
            most < 3 * (window + 1) * chunk,
            "window {window}: {most} bytes under way of {} in all",
            74 * n
        );
    }
}

#[test]
fn r12_wrong_lengths_labels_and_garbage_end_the_session_and_name_the_peer() {
    type Attack = fn(Bytes) -> Vec<Bytes>;
    let rebuild = |frame: Bytes, change: fn(usize, &mut Label, &mut Vec<u8>)| {
        let mut out = BytesMut::new();
        for (k, (mut label, clock, body)) in parse_frame(frame).unwrap().into_iter().enumerate() {
            let mut body = body.to_vec();
            change(k, &mut label, &mut body);
            out.put_u32_le(body.len() as u32);
            out.put_u32_le(label.invocation);
            out.put_u32_le(label.node);
            out.put_u16_le(label.strand);
            out.put_u16_le(label.gate);
            out.put_u32_le(clock);
            out.put_slice(&body);
        }
        vec![out.freeze()]
    };
    let attacks: [(&str, Box<dyn Fn(Bytes) -> Vec<Bytes> + Send + Sync>); 9] = [
        (
            "body cut",
            Box::new(move |f| rebuild(f, |_, _, b| b.truncate(b.len() - 1))),
        ),
        (
            "body longer",
            Box::new(move |f| rebuild(f, |_, _, b| b.push(0))),
        ),
        (
            "another gate",
            Box::new(move |f| rebuild(f, |_, l, _| l.gate += 1)),
        ),
        (
            "an old run",
            Box::new(move |f| rebuild(f, |_, l, _| l.invocation = 0)),
        ),
        ("sent twice", Box::new((|f| vec![f.clone(), f]) as Attack)),
        (
            "frame cut",
            Box::new((|f| vec![f.slice(..f.len() - 3)]) as Attack),
        ),
        ("empty frame", Box::new((|_| vec![Bytes::new()]) as Attack)),
        (
            "noise",
            Box::new((|f| vec![Bytes::from(vec![0xA5; f.len()])]) as Attack),
        ),
        ("nothing", Box::new((|_| Vec::new()) as Attack)),
    ];
    for (name, attack) in attacks {
        let attack = Arc::new(attack);
        let nets = MemNet::mesh_with_deadline(3, Duration::from_millis(200))
            .into_iter()
            .map(|net| {
                let (attack, cheats, mut sent) = (Arc::clone(&attack), net.me() == 1, 0);
                Arc::new(Tamper::new(net, move |_, f| {
                    sent += 1;
                    if cheats && sent == 3 {
                        attack(f)
                    } else {
                        vec![f]
                    }
                })) as Arc<dyn Transport>
            });
        let results = simulate_seeded(nets.collect(), 1, |session| {
            let me = session.me();
            let mut e = Rep3Engine::new(session, 18).unwrap();
            let x = reals(&[9, 1], 5);
            let x = e.input(0, &[9, 1], (me == 0).then_some(&x))?;
            e.begin_run()?;
            let y = e.map(&program::relu(), &[&x])?;
            e.reveal(&y[0])
        });
        let said: Vec<String> = results
            .iter()
            .map(|r| {
                r.as_ref()
                    .map_or_else(ToString::to_string, |_| "no error".into())
            })
            .collect();
        assert!(
            said[0].contains("party 1") || said[2].contains("party 1"),
            "{name}: {said:?}"
        );
    }
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
