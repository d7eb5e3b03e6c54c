use bytes::BufMut;

use super::*;
use crate::Strand;
use crate::simulate::{mem, mem_of, simulate};

/// One message of one run, from each party to the next.
fn run(session: &Session) -> Result<()> {
    session.begin_run()?;
    session.fan_out(1, async |strand: Strand<'_>| {
        let label = strand.next_gate()?;
        strand.send(session.next(), label, 1, |out| out.put_u8(7))?;
        strand.recv(session.prev(), label, 1).await
    })?;
    Ok(())
}

/// A check in the midst of a node leaves the session where it was, also for a peer that is ahead.
#[test]
fn a_check_returns_to_its_node_and_pass() {
    let pass = |session: &Session| {
        session.fan_out(1, async |strand: Strand<'_>| {
            let label = strand.next_gate()?;
            let me = session.me() as u8;
            strand.send(session.next(), label, 1, |out| out.put_u8(me))?;
            let got = strand.recv(session.prev(), label, 1).await?;
            Ok((label, got[0]))
        })
    };
    let results = simulate(mem(), |session| -> Result<Vec<Label>> {
        session.begin_run()?;
        session.begin_node(5);
        let mut labels = Vec::new();
        for _ in 0..3 {
            let (_, (label, from)) = pass(&session)?[0];
            assert_eq!(usize::from(from), session.prev());
            labels.push(label);
            let (_, (label, _)) = session.in_check(|| pass(&session))?[0];
            labels.push(label);
        }
        Ok(labels)
    });
    for labels in results {
        let places: Vec<_> = labels.unwrap().unwrap();
        let places: Vec<_> = places.iter().map(|l| (l.node, l.gate >> 12)).collect();
        let last = (1 << 24) - 1;
        assert_eq!(
            places,
            [
                (5, 0),
                (last, 0),
                (5, 1),
                (last - 1, 0),
                (5, 2),
                (last - 2, 0)
            ]
        );
    }
}

/// After a wipe no draw is made, whatever the index.
#[test]
fn wiped_keys_give_nothing() {
    let results = simulate(mem(), |session| {
        run(&session).unwrap();
        session.wipe_keys();
        session.fan_out(1, async |strand: Strand<'_>| {
            let label = strand.next_gate()?;
            let mut draws = [session.me(), session.next()].into_iter();
            Ok(draws.all(|j| {
                let draw = strand.draw(j, label, Purpose::Zero, 1);
                matches!(draw, Err(Error::KeysWiped))
            }))
        })
    });
    for refused in results {
        assert!(refused.unwrap().unwrap()[0].1);
    }
}

/// Labels number 2^32 runs; new keys make them new.
#[test]
fn runs_begin_anew_with_new_keys() {
    let binding = Binding {
        session: [1; 32],
        program: [2; 32],
        identities: vec![[3; 32], [4; 32], [5; 32]],
    };
    let results = simulate(mem(), |mut session| {
        session.limit_runs(4);
        for _ in 0..10 {
            for begun in 0..4 {
                assert_eq!(session.wants_new_keys(), begun > 2);
                run(&session).unwrap();
            }
            let exhausted = session.begin_run();
            assert!(matches!(exhausted, Err(Error::Exhausted { .. })));
            session.renew_keys(&binding).unwrap();
        }
    });
    assert!(results.into_iter().all(|r| r.is_ok()));
}

/// Two and five parties run what three do; chunks are cut as few as can be.
#[test]
fn any_number_of_parties_runs_a_program() {
    for n in [2, 5] {
        let results = simulate(mem_of(n), |session| {
            run(&session).unwrap();
            (session.parties(), session.cost().messages)
        });
        assert_eq!(results.len(), n);
        for result in results {
            assert_eq!(result.unwrap(), (n, 1));
        }
    }
}

/// What is sent for correlations is counted apart, nested ones before what needs them; the rest goes on from where it was.
#[test]
fn correlations_are_counted_apart() {
    async fn round(strand: &Strand<'_>, len: usize) -> Result<()> {
        let (s, label) = (strand.session(), strand.next_gate()?);
        strand.send(s.next(), label, len, |out| out.put_bytes(0, len))?;
        strand.recv(s.prev(), label, len).await.map(|_| ())
    }
    let costs = simulate(mem_of(2), |session| {
        session.begin_run().unwrap();
        let gate = async |strand: Strand<'_>| {
            round(&strand, 1).await?;
            for _ in 0..2 {
                let making = async {
                    round(&strand, 10).await?;
                    let inside = async {
                        round(&strand, 10).await?;
                        round(&strand, 10).await?;
                        round(&strand, 10).await
                    };
                    strand.offline(inside).await?;
                    round(&strand, 10).await
                };
                strand.offline(making).await?;
            }
            round(&strand, 1).await
        };
        session.fan_out(1, gate).unwrap();
        session.cost()
    });
    for cost in costs {
        let want = Cost {
            bytes: 2,
            header_bytes: 2 * HEADER as u64,
            messages: 2,
            rounds: 2,
            offline: Offline {
                bytes: 100,
                header_bytes: 10 * HEADER as u64,
                messages: 10,
                rounds: 4,
            },
            ..Cost::default()
        };
        assert_eq!(cost.unwrap(), want);
    }
}
