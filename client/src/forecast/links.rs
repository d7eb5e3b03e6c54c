//! What the links of a session take: delay and bandwidth by the clock, frames and bytes by the processor.

use std::sync::Arc;

use tacit_mpc::net::Profile;
use tacit_mpc::rehearsal::Rehearsal;
use tacit_mpc::replay::Rates;
use tacit_mpc::{Session, Strand, kernels};
use tacit_nn::{Error, Result};

use super::thread_seconds;
use crate::usage::{Scope, cpu_seconds};

/// Bytes of a short message and of a long one.
const SHORT: usize = 8;
const LONG: usize = 1 << 20;
/// Rounds of messages that are measured together, and how often: the middle one counts.
const ROUNDS: [usize; 2] = [40, 8];
const OFTEN: usize = 5;

/// Links and rates of this session; all its parties measure at once. Every party sends a message to the one before it and waits
/// for that of the next, `clock` telling seconds.
pub(crate) fn measured(
    session: &Session,
    scope: Scope,
    clock: &dyn Fn() -> f64,
) -> Result<(Profile, Rates)> {
    let [short, long] = [(SHORT, ROUNDS[0]), (LONG, ROUNDS[1])]
        .map(|(bytes, rounds)| round(session, scope, clock, bytes, rounds));
    let (short, long) = (short?, long?);
    // Both ends of a link are a party's: it sends as much as it receives.
    let byte = ((long.cpu - short.cpu) / (2 * (LONG - SHORT)) as f64).max(0.0);
    let rates = Rates {
        compute: 1.0,
        memory: 1.0,
        frame: (short.cpu / 2.0).max(0.0),
        byte,
    };
    let carrying = (long.seconds - short.seconds).max(1e-9);
    let link = Profile {
        latency_ns: ((short.seconds - short.cpu).max(0.0) * 1e9) as u64,
        bits_per_second: ((8 * (LONG - SHORT)) as f64 / carrying) as u64,
    };
    Ok((link, rates))
}

/// What a round takes, of the clock and of the processor besides what its strand takes.
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
    let mut rehearsal = Rehearsal::new(&Arc::from(kernels::cpu()));
    rehearsal.watch(thread_seconds);
    let mut found = (Vec::new(), Vec::new());
    for _ in 0..OFTEN {
        let parties = rehearsal.chunk(1, 2, [0; 3], gate).map_err(failed)?;
        let strand = parties[session.me()].script.seconds();
        let (start, cpu) = (clock(), cpu_seconds(scope));
        for _ in 0..rounds {
            session.begin_run().map_err(failed)?;
            session.fan_out(1, gate).map_err(failed)?;
        }
        found.0.push((clock() - start) / rounds as f64);
        let cpu = (cpu_seconds(scope) - cpu) / rounds as f64;
        found.1.push(cpu - strand);
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
