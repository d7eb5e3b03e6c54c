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
