//! How long proofs compute: logs of a few chunks of a gate, proved in rehearsal.

use std::collections::HashMap;

use tacit_mpc::rehearsal::Rehearsal;
use tacit_mpc::{Bilinear, Strand};
use tacit_nn::Result;

use super::super::circuit::Circuit;
use super::super::log::{Entry, Log};
use super::super::proof::{Relations, closed, rehearse};
use super::super::value::failed;
use crate::timeline::Gate;

/// Chunks in two logs, of each dealer as many: what the larger takes longer is for the chunks, the rest is for any proof.
const CHUNKS: [usize; 2] = [3, 9];
/// Proofs of a log of which the middle counts, after one to warm up.
const RUNS: usize = 3;

/// Processor seconds of a party for proofs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Time {
    /// For each value, or for the whole tensor of a bilinear gate.
    each: f64,
    /// For a proof, whatever its length.
    base: f64,
}

/// What proofs were measured to take, and what is logged.
#[derive(Debug, Default)]
pub(super) struct ProofTimes {
    gates: HashMap<(Gate, usize), Time>,
    tensors: HashMap<(Bilinear, Vec<usize>, Vec<usize>), Time>,
    logged: Time,
}

impl ProofTimes {
    /// So many values went through a gate, by chunks of `chunk` values. `log` gives what all parties log for so many chunks.
    pub(super) fn gate(
        &mut self,
        rehearsal: &Rehearsal,
        (gate, chunk): (&Gate, usize),
        values: usize,
        log: impl Fn(usize) -> Result<[Log; 3]>,
    ) -> Result<()> {
        let key = (gate.clone(), chunk);
        let time = match self.gates.get(&key) {
            Some(&time) => time,
            None => {
                let time = measured(rehearsal, chunk, log)?;
                self.gates.insert(key, time);
                time
            }
        };
        self.log(time, values);
        Ok(())
    }

    /// A bilinear gate on tensors, of which `entry` makes the entry.
    pub(super) fn tensor(
        &mut self,
        rehearsal: &Rehearsal,
        (f, x, y): (Bilinear, &[usize], &[usize]),
        entry: impl Fn() -> Entry,
    ) -> Result<()> {
        let key = (f, x.to_vec(), y.to_vec());
        let time = match self.tensors.get(&key) {
            Some(&time) => time,
            None => {
                let seconds = |n: usize| {
                    let entries = || (0..n).map(|_| entry()).collect();
                    proved(rehearsal, [entries(), entries(), entries()])
                };
                let (one, two) = (seconds(1)?, seconds(2)?);
                let each = (two - one).max(0.0);
                let base = (one - each).max(0.0);
                let time = Time { each, base };
                self.tensors.insert(key, time);
                time
            }
        };
        self.log(time, 1);
        Ok(())
    }

    fn log(&mut self, time: Time, n: usize) {
        self.logged.each += time.each * n as f64;
        self.logged.base = self.logged.base.max(time.base);
    }

    /// What a proof of what is logged takes; nothing is logged afterwards.
    pub(super) fn take(&mut self) -> f64 {
        let logged = std::mem::take(&mut self.logged);
        logged.each + logged.base
    }
}

fn measured(
    rehearsal: &Rehearsal,
    chunk: usize,
    log: impl Fn(usize) -> Result<[Log; 3]>,
) -> Result<Time> {
    let [fewer, more] = CHUNKS.map(|chunks| (chunks * chunk) as f64);
    let [few, many] = CHUNKS.map(|chunks| {
        let logs = log(chunks)?;
        proved(rehearsal, logs.map(|log| log.take()))
    });
    let (few, many) = (few?, many?);
    let each = ((many - few) / (more - fewer)).max(0.0);
    let base = (few - each * fewer).max(0.0);
    Ok(Time { each, base })
}

/// Processor seconds of a party for a proof of these logs, on the average of the three.
fn proved(rehearsal: &Rehearsal, logs: [Vec<Entry>; 3]) -> Result<f64> {
    if logs[0].is_empty() {
        return Ok(0.0);
    }
    let relations: [Relations; 3] = logs.map(closed);
    let empty = Log::default();
    let proof = async |strand: Strand<'_>| {
        let me = strand.session().me();
        let log = &empty;
        rehearse(&Circuit { strand, log }, &relations[me]).await
    };
    let mut found = Vec::new();
    for _ in 0..=RUNS {
        let parties = rehearsal.chunk(1, 2, [0; 3], proof).map_err(failed)?;
        let seconds = parties.iter().map(|party| party.script.seconds());
        found.push(seconds.sum::<f64>() / 3.0);
    }
    found.remove(0);
    found.sort_by(f64::total_cmp);
    Ok(found[RUNS / 2])
}
