use super::*;
use crate::Strand;
use crate::simulate::{mem, simulate};

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
        identities: [[3; 32], [4; 32], [5; 32]],
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
