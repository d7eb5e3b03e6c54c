//! What only the inside shows: triples, the dealer's place, and what coalitions see.

use std::num::Wrapping;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tacit_mpc::net::{Gauge, MemNet, Tamper, Transport};
use tacit_mpc::session::{HEADER, parse_frame};
use tacit_mpc::simulate::{mem_of, simulate, simulate_seeded};
use tacit_mpc::{Error, R64, Result, Session, Strand};

use super::triples::{BitTriples, WordTriples};
use super::{Additive, LEAD, Source};
use crate::derived::{Primitives, Words};

/// The protocol with or without a dealer behind `computing` parties.
fn additive(session: &Session, dealer: bool) -> Result<Additive> {
    if dealer {
        Additive::dealt(session, session.parties() - 1)
    } else {
        Additive::oblivious(session)
    }
}

/// What each party holds of `terms` triples of `n` words and of two planes of bits.
fn triples(
    computing: usize,
    dealer: bool,
    terms: usize,
    n: usize,
) -> Vec<(WordTriples, BitTriples)> {
    let nets = mem_of(computing + usize::from(dealer));
    let results = simulate(nets, |session| -> Result<_> {
        let protocol = additive(&session, dealer)?;
        session.begin_run()?;
        let mut chunks = session.fan_out(n, async |strand: Strand<'_>| {
            let words = protocol.word_triples(&strand, terms, n).await?;
            let bits = protocol.bit_triples(&strand, 2).await?;
            Ok((words, bits))
        })?;
        Ok(chunks.swap_remove(0).1)
    });
    results
        .into_iter()
        .take(computing)
        .map(|r| r.unwrap().unwrap())
        .collect()
}

fn sum(parts: impl Iterator<Item = Vec<R64>>) -> Vec<R64> {
    parts
        .reduce(|x, y| x.iter().zip(y).map(|(x, y)| x + y).collect())
        .unwrap()
}

fn xor(parts: impl Iterator<Item = Vec<u64>>) -> Vec<u64> {
    parts
        .reduce(|x, y| x.iter().zip(y).map(|(x, y)| x ^ y).collect())
        .unwrap()
}

#[test]
fn triples_are_products_for_any_number_of_parties() {
    for (computing, dealer) in [
        (2, true),
        (3, true),
        (5, true),
        (2, false),
        (3, false),
        (5, false),
    ] {
        for (terms, n) in [(1, 1), (3, 70), (1, 300)] {
            let all = triples(computing, dealer, terms, n);
            let a = sum(all.iter().map(|t| t.0.a.clone()));
            let b = sum(all.iter().map(|t| t.0.b.clone()));
            let c = sum(all.iter().map(|t| t.0.c.clone()));
            for i in 0..n {
                let want: R64 = (0..terms).map(|t| a[t * n + i] * b[t * n + i]).sum();
                assert_eq!(c[i], want, "{computing} parties, dealer: {dealer}, {i}");
            }
            let a = xor(all.iter().map(|t| t.1.a.clone()));
            let b = xor(all.iter().map(|t| t.1.b.clone()));
            let c = xor(all.iter().map(|t| t.1.c.clone()));
            let tail = u64::MAX >> ((64 - n % 64) % 64);
            for (k, ((a, b), c)) in a.iter().zip(&b).zip(&c).enumerate() {
                let mask = if (k + 1) % n.div_ceil(64) == 0 {
                    tail
                } else {
                    u64::MAX
                };
                assert_eq!(
                    c & mask,
                    a & b & mask,
                    "{computing} parties, dealer: {dealer}"
                );
            }
            // No two parties hold the same, and no entry is what a constant would be.
            let shares: std::collections::HashSet<_> = all.iter().map(|t| t.0.c.clone()).collect();
            assert_eq!(shares.len(), computing);
        }
    }
}

/// A product is right with the triple that was made, and wrong by what was changed in it.
#[test]
fn a_changed_triple_changes_the_product() {
    let (x, y) = (Wrapping(7u64), Wrapping(1 << 40));
    for wrong in [0, 1u64 << 63] {
        let mut all = triples(2, true, 1, 1);
        all[1].0.c[0] += Wrapping(wrong);
        // P_0 has all of x, P_1 all of y.
        let zero = Wrapping(0);
        let masked: Vec<_> = all
            .iter()
            .zip([(x, zero), (zero, y)])
            .map(|(t, (x, y))| t.0.mask([x].into_iter(), [y].into_iter()))
            .collect();
        let opened = sum(masked.into_iter());
        let z = all
            .into_iter()
            .enumerate()
            .map(|(k, t)| t.0.spend(&opened, k == 0));
        assert_eq!(sum(z)[0], x * y + Wrapping(wrong));
    }
}

/// Whoever computes may not deal: there is no constructor that lets it.
#[test]
fn a_dealer_that_computes_is_refused() {
    for dealer in 0..3 {
        let refused = simulate(mem_of(4), |session| {
            Additive::dealt(&session, dealer).map(|_| ())
        });
        for refused in refused {
            let refused = refused.unwrap();
            assert!(matches!(refused, Err(Error::Part { party, .. }) if party == dealer));
        }
    }
    let none = simulate(mem_of(4), |session| {
        Additive::dealt(&session, 4).map(|_| ())
    });
    assert!(matches!(none[0], Ok(Err(Error::Part { party: 4, .. }))));
    let alone = simulate(mem_of(2), |session| {
        Additive::dealt(&session, 1).map(|_| ())
    });
    assert!(matches!(alone[0], Ok(Err(Error::Parties { have: 2, .. }))));
}

/// Bodies that each link carried, by sender and receiver.
type Seen = Arc<Mutex<Vec<(usize, usize, Bytes)>>>;

fn tapped(parties: usize) -> (Seen, Vec<Arc<dyn Transport>>) {
    let seen = Seen::default();
    let tap = |net: MemNet| {
        let (me, seen) = (net.me(), Arc::clone(&seen));
        Arc::new(Tamper::new(net, move |to, frame: Bytes| {
            let messages = parse_frame(frame.clone()).unwrap();
            let bodies = messages.into_iter().map(|(.., body)| (me, to, body));
            seen.lock().unwrap().extend(bodies);
            vec![frame]
        })) as Arc<dyn Transport>
    };
    let nets = MemNet::mesh(parties).into_iter().map(tap).collect();
    (seen, nets)
}

/// Products, conjunctions and an opening of equal inputs; what P_0 opened.
fn program(session: &Session, dealer: bool, n: usize) -> Result<Vec<R64>> {
    let protocol = additive(session, dealer)?;
    session.begin_run()?;
    let opened = session.fan_out(n, async |strand: Strand<'_>| {
        let (n, planes) = (strand.chunk().len(), 2);
        let (x, bits) = (
            vec![Wrapping(5); n],
            vec![u64::MAX; planes * n.div_ceil(64)],
        );
        let x = protocol.input_words(&strand, &[0, 1], n, Some(&x)).await?;
        let b = protocol
            .input_bits(&strand, &[0, 1], planes, Some(&bits))
            .await?;
        let z = protocol
            .product(&strand, &[(x[0].clone(), x[1].clone())])
            .await?;
        let b = protocol.and(&strand, planes, &b[0], &b[1]).await?;
        protocol.open_bits(&strand, planes, &b).await?;
        protocol.open_words(&strand, &z).await
    })?;
    Ok(opened.into_iter().flat_map(|(_, z)| z).collect())
}

/// Nothing but empty messages is ever sent to the dealer, and what it sends goes to one party for each chunk.
#[test]
fn the_dealer_receives_nothing() {
    let (seen, nets) = tapped(4);
    let results = simulate_seeded(nets, 3, |session| program(&session, true, 100).unwrap());
    assert!(results[..3].iter().all(|z| z.iter().all(|z| z.0 == 25)));
    let seen = seen.lock().unwrap();
    assert!(
        seen.iter().all(|(_, to, body)| *to != 3 || body.is_empty()),
        "the dealer was sent something"
    );
    let dealt: std::collections::HashSet<_> = seen
        .iter()
        .filter(|(from, ..)| *from == 3)
        .map(|(_, to, _)| *to)
        .collect();
    assert_eq!(dealt.len(), 1);
}

/// A dealer is no further ahead of a slow party than its bound and a window of strands, also where it deals many times as much.
#[test]
fn r8_a_dealer_is_ahead_by_its_bound_at_most() {
    let (n, terms) = (4096 * 24 * 4, 1);
    let run = |limit: usize| {
        let (reading, nets) = Gauge::mesh(3, 2, 1);
        let nets = nets.into_iter().map(|n| Arc::new(n) as Arc<dyn Transport>);
        let results = simulate_seeded(nets.collect(), 1, |session| -> Result<()> {
            let protocol = additive(&session, true)?;
            if limit != LEAD {
                session.bound_lead(2, limit);
            }
            for _ in 0..24 {
                session.begin_run()?;
                session.for_each_chunk(
                    n,
                    async |strand: Strand<'_>| {
                        let n = strand.chunk().len();
                        protocol.word_triples(&strand, terms, n).await.map(drop)
                    },
                    |_, ()| Ok(()),
                )?;
            }
            Ok(())
        });
        results.into_iter().for_each(Result::unwrap);
        reading.peak_and_sent()
    };
    // 8 bytes a word, of which every second chunk goes to that party.
    let window = 24 / 2 * (8 * 4096 + HEADER);
    let (peak, sent) = run(LEAD);
    assert!(sent > 2 * LEAD, "{sent}");
    assert!(
        (LEAD - (1 << 16)..=LEAD + window).contains(&peak),
        "{peak} of {sent}"
    );
    let (peak, _) = run(1 << 16);
    assert!(peak <= (1 << 16) + window, "{peak}");
    let (peak, sent) = run(usize::MAX);
    assert_eq!(peak, sent, "without a bound all of it waits");
}

/// All parties but P_0 together: what it sends them in a product of equal numbers, and every sum of it with their own shares, is
/// uniform, bit by bit.
#[test]
fn all_but_one_see_uniform_openings() {
    let n = 2000;
    for (computing, dealer) in [(3, true), (3, false)] {
        let (seen, nets) = tapped(computing + usize::from(dealer));
        let results = simulate_seeded(nets, 5, |session| program(&session, dealer, n).unwrap());
        assert!(results[0].iter().all(|z| z.0 == 25));
        let seen = seen.lock().unwrap();
        let words = |from: usize| -> Vec<u64> {
            let bodies = seen
                .iter()
                .filter(|(f, to, b)| *f == from && *to == (from + 1) % 3 && b.len() == 16 * n);
            let bodies: Vec<_> = bodies.collect();
            assert_eq!(
                bodies.len(),
                1,
                "one message of two words each is the masked factors"
            );
            let words = bodies[0].2.as_chunks::<8>().0.iter();
            words.map(|b| u64::from_le_bytes(*b)).collect()
        };
        let all = [words(0), words(1), words(2)];
        let opened: Vec<u64> = (0..2 * n)
            .map(|k| all.iter().fold(0, |s: u64, w| s.wrapping_add(w[k])))
            .collect();
        for view in [&all[0], &opened] {
            for bit in 0..64 {
                let ones = view.iter().filter(|w| *w >> bit & 1 == 1).count() as f64;
                let half = view.len() as f64 / 2.0;
                assert!(
                    (ones - half).abs() < 5.5 * (half / 2.0).sqrt(),
                    "bit {bit}: {ones} of {half}"
                );
            }
            let distinct: std::collections::HashSet<_> = view.iter().collect();
            assert_eq!(distinct.len(), 2 * n);
        }
    }
}

/// A message that is shorter, or a point that is none, ends the run at its receivers with the sender's name.
#[test]
fn messages_of_another_length_and_points_that_are_none_name_their_sender() {
    // Lengths of bodies that are attacked: the first point, answers, corrections of trees, choices, and openings.
    for (len, garbage) in [
        (32, true),
        (4096, true),
        (32, false),
        (4096, false),
        (64 * 32 * 8, false),
        (16, false),
    ] {
        let attack = move |net: MemNet| -> Arc<dyn Transport> {
            if net.me() != 1 {
                return Arc::new(net);
            }
            Arc::new(Tamper::new(net, move |_, frame: Bytes| {
                let Some(first) = parse_frame(frame.clone())
                    .ok()
                    .and_then(|m| m.first().cloned())
                else {
                    return vec![frame];
                };
                if first.2.len() != len {
                    return vec![frame];
                }
                let mut bytes = frame.to_vec();
                if garbage {
                    bytes[20..20 + len].fill(0xFF);
                } else {
                    bytes.truncate(20 + len - 1);
                    bytes[..4].copy_from_slice(&(len as u32 - 1).to_le_bytes());
                }
                vec![bytes.into()]
            }))
        };
        let nets = MemNet::mesh_with_deadline(2, std::time::Duration::from_secs(2));
        let nets = nets.into_iter().map(attack).collect();
        let results = simulate_seeded(nets, 1, |session| program(&session, false, 1));
        let error = results[0].as_ref().unwrap_err();
        assert!(
            matches!(error, Error::PeerMisbehaved { peer: 1, .. }),
            "{len} {garbage}: {error}"
        );
    }
}

/// Transfers go with the session in which they were set up, also where another one has keys of the same epoch.
#[test]
fn transfers_do_not_move_to_another_session() {
    let kept = std::sync::Mutex::new(Vec::new());
    let uses = |session: &Session, protocol: &Additive| {
        session.begin_run().unwrap();
        let used = session.fan_out(1, async |strand: Strand<'_>| {
            let one = Words::new(vec![vec![Wrapping(1)]]);
            protocol.product(&strand, &[(one.clone(), one)]).await
        });
        used.map(drop)
    };
    let first = simulate_seeded(mem_of(2), 1, |session| {
        let protocol = Additive::oblivious(&session).unwrap();
        let used = uses(&session, &protocol);
        kept.lock().unwrap().push((session.me(), protocol));
        used.is_ok()
    });
    assert_eq!(first, [true, true]);
    let second = simulate_seeded(mem_of(2), 2, |session| {
        let mut kept = kept.lock().unwrap();
        let at = kept.iter().position(|(me, _)| *me == session.me()).unwrap();
        let (_, protocol) = kept.swap_remove(at);
        drop(kept);
        matches!(uses(&session, &protocol), Err(Error::Exhausted { .. }))
    });
    assert_eq!(second, [true, true]);
}

/// Transfers go with the keys under which they were set up.
#[test]
fn new_keys_need_new_transfers() {
    let results = simulate(mem_of(2), |mut session| {
        let protocol = Additive::oblivious(&session).unwrap();
        let binding = tacit_mpc::keys::Binding {
            session: [1; 32],
            program: [2; 32],
            identities: vec![[3; 32], [4; 32]],
        };
        session.renew_keys(&binding).unwrap();
        session.begin_run().unwrap();
        let refused = session.fan_out(1, async |strand: Strand<'_>| {
            let one = Words::new(vec![vec![Wrapping(1)]]);
            protocol.product(&strand, &[(one.clone(), one)]).await
        });
        assert!(matches!(protocol.source, Source::Transfers { .. }));
        matches!(refused, Err(Error::Exhausted { .. }))
    });
    assert!(results.into_iter().all(|r| r.unwrap()));
}
