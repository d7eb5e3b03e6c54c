//! What the links of a session carry, by the clock.

use tacit_mpc::net::Profile;
use tacit_mpc::{Session, Strand};
use tacit_nn::{Error, Result};

use crate::usage::{Scope, cpu_seconds};

/// Bytes of a short message and of a long one.
const SHORT: usize = 8;
const LONG: usize = 1 << 20;
/// Rounds of messages that are measured together, and how often: the middle one counts.
const ROUNDS: [usize; 2] = [40, 8];
const OFTEN: usize = 5;

/// The links of this session; all its parties measure at once. Every party sends a message to the one before it and waits for that
/// of the next, `clock` telling seconds. What its processor does meanwhile is no part of it.
pub(super) fn measured(
    session: &Session,
    scope: Scope,
    clock: &dyn Fn() -> f64,
) -> Result<Profile> {
    let [short, long] = [(SHORT, ROUNDS[0]), (LONG, ROUNDS[1])]
        .map(|(bytes, rounds)| round(session, scope, clock, bytes, rounds));
    let (short, long) = (short?, long?);
    let waiting = (short.seconds - short.cpu).max(0.0);
    let taken = long.seconds - short.seconds;
    // Where both ends are here, computing is nearly all of it.
    let carrying = (taken - (long.cpu - short.cpu)).max(taken / 100.0);
    Ok(Profile {
        latency_ns: (waiting * 1e9) as u64,
        bits_per_second: ((8 * (LONG - SHORT)) as f64 / carrying.max(1e-9)) as u64,
    })
}

/// What a round takes, of the clock and of the processor.
struct Round {
    seconds: f64,
    cpu: f64,
}

async fn ping(strand: Strand<'_>, bytes: usize) -> tacit_mpc::Result<()> {
    let label = strand.next_gate()?;
    let (to, from) = (strand.session().prev(), strand.session().next());
    strand.send(to, label, bytes, |out| out.resize(out.len() + bytes, 0))?;
    strand.recv(from, label, bytes).await.map(drop)
}

fn round(
    session: &Session,
    scope: Scope,
    clock: &dyn Fn() -> f64,
    bytes: usize,
    rounds: usize,
) -> Result<Round> {
    let failed = |e| Error::Protocol(Box::new(e));
    let gate = async |strand: Strand<'_>| ping(strand, bytes).await;
    let mut found = (Vec::new(), Vec::new());
    for _ in 0..OFTEN {
        let (start, cpu) = (clock(), cpu_seconds(scope));
        for _ in 0..rounds {
            session.begin_run().map_err(failed)?;
            session.fan_out(1, gate).map_err(failed)?;
        }
        found.0.push((clock() - start) / rounds as f64);
        found.1.push((cpu_seconds(scope) - cpu) / rounds as f64);
    }
    let middle = |mut each: Vec<f64>| {
        each.sort_by(f64::total_cmp);
        each[OFTEN / 2]
    };
    Ok(Round {
        seconds: middle(found.0),
        cpu: middle(found.1),
    })
}
