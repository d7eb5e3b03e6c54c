//! Requirements on what happens when a party or the network fails (protocols-rep3, section 9), by number: R3, R8, R12. The
//! second half of R8, reading while sending blocks, is tested on real sockets in `party`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use common::{message, reals};
use ndarray::{ArrayD, IxDyn};
use tacit_mpc::net::{Error as NetError, MemNet, Tamper, Transport};
use tacit_mpc::session::parse_frame;
use tacit_mpc::simulate::{simulate, simulate_seeded};
use tacit_mpc::{Error, Label, Session};
use tacit_nn::{Engine, program};
use tacit_protocols::rep3::{Depth, Rep3Engine};

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
            let x = e.trivial(&ArrayD::from_elem(IxDyn(&[n]), -1.5)).unwrap();
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
            out.put_slice(&message(label, clock, &body));
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

/// A bit flipped in any one message, whatever the variant of the comparison: a wrong result at most, which semi-honest parties do
/// not notice. Nobody fails, and nobody waits for anything.
#[test]
fn a_flipped_bit_of_any_variant_of_a_comparison_is_a_wrong_result_at_most() {
    let x = reals(&[5], 5);
    for depth in Depth::ALL {
        let run = |at: usize| -> (usize, Vec<ArrayD<f64>>) {
            let seen = Arc::new(AtomicUsize::new(0));
            let nets = MemNet::mesh_with_deadline(3, Duration::from_secs(20));
            let nets = nets.into_iter().map(|net| {
                let seen = Arc::clone(&seen);
                // The messages of one party in the order in which it sends them.
                let flips = net.me() == at % 3;
                Arc::new(Tamper::new(net, move |_, frame| {
                    let mut out = BytesMut::new();
                    for (label, clock, body) in parse_frame(frame).unwrap() {
                        let mut body = body.to_vec();
                        if flips && seen.fetch_add(1, Ordering::Relaxed) == at / 3 {
                            body[0] ^= 1;
                        }
                        out.extend_from_slice(&message(label, clock, &body));
                    }
                    vec![out.freeze()]
                })) as Arc<dyn Transport>
            });
            let opened = simulate_seeded(nets.collect(), 3, |session| {
                let mut e = Rep3Engine::with_depth(session, 18, depth).unwrap();
                let x = e.trivial(&x).unwrap();
                e.begin_run().unwrap();
                let y = e.map(&program::negative(), &[&x]).unwrap();
                e.reveal(&y[0]).unwrap()
            });
            (seen.load(Ordering::Relaxed), opened)
        };
        let (_, right) = run(3 * 1000);
        assert!(right.iter().all(|y| {
            y.iter()
                .zip(&x)
                .all(|(y, x)| *y == f64::from(u8::from(*x < 0.0)))
        }));
        let (mut tried, mut wrong) = (0, 0);
        for party in 0..3 {
            for at in 0.. {
                let (messages, opened) = run(3 * at + party);
                if at >= messages {
                    break;
                }
                tried += 1;
                wrong += usize::from(opened != right);
            }
        }
        assert!(
            tried > 8 && wrong > tried / 4,
            "{depth:?}: {wrong} of {tried}"
        );
    }
}
