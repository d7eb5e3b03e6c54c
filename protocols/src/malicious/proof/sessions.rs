//! Requirements 1, 11 and 12 of protocols-malicious, section 12.4: when coins leave, what is compared before the first gate, and what
//! is left of a session after a failed proof.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use ndarray::{ArrayD, IxDyn};
use tacit_mpc::net::Transport;
use tacit_mpc::simulate::{mem, simulate_seeded};
use tacit_mpc::{Bilinear, Error, Purpose, Session, Strand};
use tacit_nn::{Engine, Result};

use super::super::circuit::for_each_chunk;
use super::super::engine::MaliciousEngine;
use super::super::failure::Failures;
use super::super::log::Log;
use super::super::pair::Pair;
use super::super::tests::every::{PARTS, Part, circuit, inputs};
use super::super::tests::wire::{Message, filtered};
use super::strength::{WEAKNESS, Weakness};
use super::verify;
use crate::rep3::uniform::share;

/// A circuit and its proof at one party.
fn proved(s: &Session, part: Part) -> tacit_mpc::Result<()> {
    let (log, inputs) = (Log::default(), inputs());
    let shares = |k: usize, j: usize| share(&inputs[k], s.me() + j, 77 + k as u64);
    let gates = async |c: &super::Circuit<'_>| {
        let range = c.strand.chunk().start..c.strand.chunk().end;
        let cut = |k: usize, j: usize| shares(k, j)[range.clone()].to_vec();
        let x = [0, 1].map(|k| Pair::new(cut(k, 0), cut(k, 1)));
        circuit(c, part, &x).await
    };
    for_each_chunk(s, &log, inputs[0].len(), gates, |_, _| Ok(()))?;
    verify(s, &log)
}

/// Runs a circuit of which one message of `sender` to the party before it is held back, the `held`-th; how many there were, and
/// whether that party gave a part of a coin to `sender`.
fn held_back(part: Part, sender: usize, held: usize, deadline: Duration) -> (usize, bool) {
    let (number, given) = (
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let (count, coin) = (Arc::clone(&number), Arc::clone(&given));
    let nets = filtered(deadline, move |m: Message<'_>| {
        if (m.from, m.to) == ((sender + 2) % 3, sender) && m.of_check() {
            coin.store(true, Ordering::Relaxed);
        }
        let owed = (m.from, m.to) == (sender, (sender + 2) % 3) && !m.of_check();
        !(owed && count.fetch_add(1, Ordering::Relaxed) == held)
    });
    let results = simulate_seeded(nets, 4, |s| proved(&s, part));
    assert!(
        held < usize::MAX || results.iter().all(|r| r.is_ok()),
        "{results:?}"
    );
    (
        number.load(Ordering::Relaxed),
        given.load(Ordering::Relaxed),
    )
}

/// Whichever message of P_i is held back, in whichever gate: P_{i-1} gives P_i no part of a coin.
#[test]
fn req1_no_coin_leaves_before_any_one_message_of_any_gate() {
    let mut tried = 0;
    for part in PARTS {
        for sender in 0..3 {
            let (messages, given) = held_back(part, sender, usize::MAX, Duration::from_secs(60));
            assert!(given, "an honest run tosses coins");
            // Runs mostly wait: several at once.
            let next = AtomicUsize::new(0);
            let held_of_them = AtomicUsize::new(0);
            std::thread::scope(|scope| {
                for _ in 0..16 {
                    scope.spawn(|| {
                        loop {
                            let held = next.fetch_add(1, Ordering::Relaxed);
                            if held >= messages {
                                break;
                            }
                            let deadline = Duration::from_millis(400);
                            let (sent, given) = held_back(part, sender, held, deadline);
                            assert!(!given, "{part:?}: a coin before message {held} of {sender}");
                            // A machine that is too busy may have stopped the run before.
                            held_of_them.fetch_add(usize::from(sent > held), Ordering::Relaxed);
                        }
                    });
                }
            });
            tried += held_of_them.into_inner();
        }
    }
    println!("{tried} messages held back");
    assert!(tried > 300, "{tried}");
}

fn column(values: &[f64]) -> ArrayD<f64> {
    ArrayD::from_shape_vec(IxDyn(&[values.len()]), values.to_vec()).unwrap()
}

/// What an engine says of the settings, where P_1's are changed before the first gate, or between two runs.
fn settings(
    late: bool,
    change: impl Fn(&mut MaliciousEngine) + Sync,
    fraction_bits: u32,
    weakness: Weakness,
) -> Vec<Error> {
    simulate_seeded(mem(), 6, |session| {
        let (me, odd) = (session.me(), session.me() == 1);
        WEAKNESS.set(if odd { weakness } else { Weakness::default() });
        let f = if odd { fraction_bits } else { 18 };
        let mut e = MaliciousEngine::new(session, f).unwrap();
        let x = column(&[1.0, 2.0, 3.0]);
        let step = |e: &mut MaliciousEngine| -> Result<()> {
            let x = e.input(0, &[3], (me == 0).then_some(&x))?;
            e.begin_run()?;
            e.bilinear(Bilinear::Mul, &x, &x, 1.0).map(drop)
        };
        if late {
            step(&mut e).unwrap();
        }
        if odd {
            change(&mut e);
        }
        let sent = e.session().cost().bytes;
        let refused = match e.begin_run().unwrap_err() {
            tacit_nn::Error::Protocol(e) => *e.downcast::<Error>().unwrap(),
            other => panic!("{other}"),
        };
        assert_eq!(
            e.session().cost().bytes - sent,
            2 * 72,
            "settings and nothing else were sent"
        );
        assert!(late || step(&mut e).is_err(), "refused again at a gate");
        refused
    })
}

#[test]
fn req11_settings_are_compared_before_the_first_gate_and_before_every_run() {
    let same = Weakness::default();
    let mut tried = Vec::new();
    for late in [false, true] {
        tried.push((
            "between proofs",
            settings(late, |e| e.verify_every(1), 18, same),
        ));
        let exact = |e: &mut MaliciousEngine| e.round_exactly(BTreeSet::from([3]));
        tried.push(("exactly", settings(late, exact, 18, same)));
    }
    tried.push(("fractional bits", settings(false, |_| (), 17, same)));
    let sigma = Weakness { sigma: 40, ..same };
    tried.push(("strength", settings(false, |_| (), 18, sigma)));
    let bits = Weakness {
        prime_bits: 60,
        ..same
    };
    tried.push(("strength", settings(false, |_| (), 18, bits)));
    for (name, refused) in tried {
        for (me, e) in refused.into_iter().enumerate() {
            let Error::Settings { peer, what, .. } = &e else {
                panic!("{e}");
            };
            assert!(what.contains(name), "{name}: {e}");
            assert!(me == 1 || *peer == 1, "party {me} blames {peer}");
        }
    }
}

/// What is left at an honest party of a session in which party 2 cheats by `nets`.
fn failure(nets: Vec<Arc<dyn Transport>>) -> Vec<(Vec<usize>, String)> {
    let x = column(&[1.0, 2.0, 3.0]);
    let mut left = simulate_seeded(nets, 8, |session| {
        let me = session.me();
        let failures = Failures::default();
        let mut e = MaliciousEngine::new(session, 18).unwrap();
        e.count_failures(&failures);
        let v = e.input(0, &[3], (me == 0).then_some(&x)).unwrap();
        e.begin_run().unwrap();
        let y = e.bilinear(Bilinear::Mul, &v, &v, 1.0).unwrap();
        assert_eq!(failures.count(), 0);
        let first = e.reveal(&y);
        if me == 2 {
            return None;
        }
        let sent = e.session().cost().messages;
        assert!(
            e.reveal(&v).is_err() && e.begin_run().is_err(),
            "party {me} goes on"
        );
        assert!(e.input(0, &[3], (me == 0).then_some(&x)).is_err());
        assert!(e.release(&[&v]).is_err());
        assert_eq!(e.session().cost().messages, sent);
        assert_eq!((failures.count(), e.failures().count()), (1, 1));
        let drawn = e.session().fan_out(1, async |strand: Strand<'_>| {
            let label = strand.next_gate()?;
            strand.draw(me, label, Purpose::Zero, 1)
        });
        assert!(matches!(drawn, Err(Error::KeysWiped)), "{drawn:?}");
        Some(match first.unwrap_err() {
            tacit_nn::Error::Protocol(e) => match *e.downcast::<Error>().unwrap() {
                Error::CheckFailed { what, suspects, .. } => (suspects, what),
                other => panic!("party {me}: {other}"),
            },
            other => panic!("party {me}: {other}"),
        })
    });
    left.truncate(2);
    left.into_iter().map(Option::unwrap).collect()
}

fn cheated(
    change: impl FnMut(&mut Message<'_>) -> bool + Send + 'static,
) -> Vec<(Vec<usize>, String)> {
    let mut change = change;
    let deadline = Duration::from_millis(600);
    failure(filtered(deadline, move |mut m| {
        m.from != 2 || change(&mut m)
    }))
}

/// A wrong product, a silence behind the first coin, a message that is too short, an opening that is refused and one that is wrong:
/// each ends the session, wipes its keys and is counted, and the error names no more parties than the evidence does.
#[test]
fn req12_a_failed_proof_and_a_silence_behind_a_coin_wipe_the_keys_and_are_counted() {
    let products = cheated(|m| {
        if m.label.node == 0 && m.label.invocation == 2 && !m.of_check() {
            m.body[0] ^= 1;
        }
        true
    });
    for (suspects, what) in &products {
        assert!(suspects.contains(&2), "{suspects:?}");
        assert!(what.contains("run "), "the batch is named: {what}");
    }
    // A polynomial, the third gate of the proof, does not come.
    for (suspects, what) in cheated(|m| !(m.of_check() && m.label.gate == 3)) {
        assert!(
            suspects.contains(&2) && what.contains("after a challenge"),
            "{what}"
        );
    }
    // Quotients of a byte less: their receiver P_1 knows whose they are.
    let short = cheated(|m| {
        if m.of_check() && m.label.gate == 1 {
            m.body.pop();
        }
        true
    });
    assert_eq!(short[1].0, [2], "{short:?}");
    // P_0 waits for P_1, who has stopped, or for P_2: it cannot tell.
    assert!(short[0].0.contains(&2));
}

#[test]
fn req12_an_opening_that_fails_ends_the_session() {
    // What follows the last proof: the openings.
    let opening = |m: &Message<'_>| !m.of_check() && m.label.invocation >= 4;
    for (suspects, _) in cheated(move |m| !opening(m)) {
        assert!(suspects.contains(&2));
    }
    let wrong = cheated(move |m| {
        if opening(m) {
            m.body[0] ^= 1;
        }
        true
    });
    for (suspects, what) in wrong {
        assert!(suspects.contains(&2) && what.contains("opening"), "{what}");
    }
}
