use std::sync::Arc;

use bytes::BufMut;

use crate::net::{Gauge, MemNet, Tamper, Transport};
use crate::simulate::{mem, simulate, simulate_seeded};
use crate::{Cut, Error, Result, Session, Strand};

/// Who leads.
const LEADER: usize = 2;
/// Bytes that it sends to each of the others in a strand, header and all.
const MESSAGE: usize = 1020;
const WINDOW: usize = 4;
const PASSES: usize = 10;

/// Passes of twenty strands and of one, in which the leader sends words that the others pass on to each other; the sum that a party
/// saw.
fn program(session: &Session, limit: usize) -> Result<u64> {
    session.set_cut(Cut::Whole(2));
    session.set_window(WINDOW);
    session.bound_lead(LEADER, limit);
    let mut sum = 0;
    for pass in 0..PASSES {
        session.begin_run()?;
        let n = [20 << 12, 1][pass % 2];
        let parts = session.fan_out(n, async |strand: Strand<'_>| {
            let (given, passed) = (strand.next_gate()?, strand.next_gate()?);
            let word = (pass * 1000 + strand.chunk().index) as u64;
            let me = strand.session().me();
            if me == LEADER {
                for to in 0..2 {
                    strand.send(to, given, 1000, |out| out.put_bytes(word as u8, 1000))?;
                }
                return Ok(0);
            }
            let got = strand.recv(LEADER, given, 1000).await?;
            strand.send(1 - me, passed, 1, |out| out.put_u8(got[999]))?;
            let back = strand.recv(1 - me, passed, 1).await?;
            Ok(u64::from(back[0]))
        })?;
        sum += parts.iter().map(|(_, x)| x).sum::<u64>();
    }
    Ok(sum)
}

/// However slow a party is, no more waits for it than the limit and a window; without a limit, all that is ever sent does.
#[test]
fn r8_who_receives_nothing_is_ahead_by_the_limit_and_a_window_at_most() {
    let run = |limit: usize, slow: usize| {
        let (reading, nets) = Gauge::mesh(3, LEADER, slow);
        let nets = nets.into_iter().map(|n| Arc::new(n) as Arc<dyn Transport>);
        let sums = simulate_seeded(nets.collect(), 1, |session| {
            let sum = program(&session, limit)?;
            Ok::<_, Error>((sum, session.cost()))
        });
        let sums: Vec<_> = sums.into_iter().map(Result::unwrap).collect();
        let (peak, sent) = reading.peak_and_sent();
        (
            [sums[0].0, sums[1].0],
            [0, 1, 2].map(|p| sums[p].1),
            peak,
            sent,
        )
    };
    let (free, costs, peak, all) = run(usize::MAX, 1);
    assert_eq!(all, PASSES / 2 * 21 * MESSAGE);
    assert_eq!(peak, all, "it runs through the whole program");
    for (limit, slow) in [(0, 1), (MESSAGE, 0), (3 * WINDOW * MESSAGE, 1)] {
        let (sums, with, peak, sent) = run(limit, slow);
        assert_eq!((sums, sent), (free, all));
        assert!(
            peak <= limit + WINDOW * MESSAGE,
            "{peak} bytes, limit {limit}"
        );
        assert!(
            peak + peak / 50 >= limit,
            "it is ahead as far as it may: {peak}"
        );
        // What is told besides is no message of the program: rounds and bodies are the same.
        for (with, without) in with.iter().zip(&costs) {
            assert_eq!((with.rounds, with.bytes), (without.rounds, without.bytes));
        }
    }
}

/// Runs of a session and new keys in the midst: what is on the way is waited for, and everything is numbered anew.
#[test]
fn new_keys_find_no_ends_of_windows_on_the_way() {
    let results = simulate(mem(), |mut session| {
        let before = program(&session, 1 << 30)?;
        let binding = crate::keys::Binding {
            session: [1; 32],
            program: [2; 32],
            identities: (0..3).map(|k| [k; 32]).collect(),
        };
        session.renew_keys(&binding)?;
        Ok::<_, Error>((before, program(&session, 0)?))
    });
    for result in results {
        let (before, after) = result.unwrap().unwrap();
        assert_eq!(before, after);
    }
}

/// A party that tells of another window than the oldest, or sends more than that, is named.
#[test]
fn a_wrong_end_of_a_window_names_who_told_it() {
    for (byte, name) in [(12, "another window"), (0, "a body"), (8, "another node")] {
        let attack = |net: MemNet| -> Arc<dyn Transport> {
            Arc::new(Tamper::new(net, move |to, frame: bytes::Bytes| {
                let mut bytes = frame.to_vec();
                if to == LEADER {
                    bytes[byte] ^= 1;
                    if byte == 0 {
                        bytes.push(7);
                    }
                }
                vec![bytes.into()]
            }))
        };
        let nets = MemNet::mesh_with_deadline(3, std::time::Duration::from_millis(200));
        let nets = nets.into_iter().enumerate();
        let nets = nets.map(|(k, net)| {
            if k == 1 {
                attack(net)
            } else {
                Arc::new(net) as Arc<dyn Transport>
            }
        });
        let results = simulate_seeded(nets.collect(), 1, |session| program(&session, 0));
        let error = results[LEADER].as_ref().unwrap_err();
        let told = matches!(
            error,
            Error::Desync { peer: 1, .. } | Error::PeerMisbehaved { peer: 1, .. }
        );
        assert!(told, "{name}: {error}");
    }
}
