//! One party's side of a measurement.

use std::cell::Cell;
use std::rc::Rc;

use ndarray::{ArrayD, IxDyn};
use serde::{Deserialize, Serialize};
use tacit_mpc::net::Profile;
use tacit_mpc::{Cost, Session};
use tacit_nn::{Error, Result, fixed};
use tacit_protocols::Replicated;
use tacit_protocols::cost::{self, Prices, Value as CostValue};
use tacit_protocols::malicious::{self, MaliciousEngine, Proving};
use tacit_protocols::rep3::{Choice, CostEngine, Depth, Rep3Engine};

use super::additive;
use super::gate::{Gate, Words};
use super::network::Network;
use super::op::Op;
use super::training::Training;
use crate::forecast::{Expected, Place, cores, expected, measured};
use crate::local::{Comparison, Protocol};
use crate::threads::Clock;
use crate::usage::{Scope, cpu_seconds, peak_memory_bytes};

/// What one run cost one party.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Sample {
    /// From the moment when all parties are ready to the result.
    pub(super) seconds: f64,
    /// Processor time.
    pub(super) cpu_seconds: f64,
    /// Length of the longest chain of messages when the run began and when it ended. A single party's difference may be
    /// off by one: what counts is the longest chain anywhere.
    pub(super) rounds: (u64, u64),
    /// Payload bytes sent.
    pub(super) bytes: u64,
    /// Bytes of message headers sent besides.
    pub(super) header_bytes: u64,
    /// Messages sent.
    pub(super) messages: u64,
    /// Rounds for correlations that depend on no input, if all are made at once.
    pub(super) offline_rounds: u64,
    /// Payload bytes sent for them.
    pub(super) offline_bytes: u64,
    /// Of all that, what proofs took.
    pub(super) proof: Proof,
}

/// What proofs took one party.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Proof {
    /// Seconds of the clock.
    pub(super) seconds: f64,
    /// Processor time.
    pub(super) cpu_seconds: f64,
    /// Rounds.
    pub(super) rounds: u64,
    /// Payload bytes sent.
    pub(super) bytes: u64,
}

/// What one party found out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Findings {
    /// One entry a run.
    pub(super) samples: Vec<Sample>,
    /// What was forecast for a run; nothing for a training.
    pub(super) forecast: Option<Expected>,
    /// The most memory that the party's process has had resident.
    pub(super) peak_memory_bytes: u64,
    /// The largest distance of an opened result from plaintext.
    pub(super) max_abs_error: f64,
    /// For a training, the accuracy on the held-out rows.
    pub(super) accuracy: Option<f64>,
}

/// What is run, how large and how often.
#[derive(Clone, Copy, Debug)]
pub(super) struct Task {
    /// How the parties compute.
    pub(super) protocol: Protocol,
    /// How many.
    pub(super) parties: usize,
    /// The operation.
    pub(super) op: Op,
    /// Its size.
    pub(super) size: usize,
    /// Runs that count; one more goes before them, to warm up.
    pub(super) runs: usize,
    /// The variant of comparisons.
    pub(super) comparison: Comparison,
}

/// An engine that is measured. Where it proves what it computes, the proof belongs to the run.
trait Measured: Words + Replicated {
    /// Proves what was computed.
    fn prove(&mut self) -> Result<()>;
}

impl Measured for Rep3Engine {
    fn prove(&mut self) -> Result<()> {
        Ok(())
    }
}

impl Measured for MaliciousEngine {
    fn prove(&mut self) -> Result<()> {
        Self::prove(self).map(drop)
    }
}

/// Runs `task` in `session`, over a network that may be simulated. Time is what `clock` says.
pub(super) fn measure(
    session: Session,
    task: Task,
    simulated: Option<Profile>,
    clock: Clock,
    scope: Scope,
) -> Result<Findings> {
    if task.protocol.is_additive() {
        return additive::measure(session, task, clock, scope);
    }
    let f = fixed::FRACTION_BITS;
    let proofs = Rc::new(Cell::new(Proof::default()));
    let (link, rates) = measured(&session, scope, &*clock)?;
    let place = match simulated {
        Some(link) => Place {
            link,
            rates,
            cores: None,
        },
        None => Place {
            link,
            rates,
            cores: Some(cores()),
        },
    };
    match task.protocol {
        Protocol::Rep3Malicious => {
            let mut engine = MaliciousEngine::new(session, f)?;
            engine.watch_proofs(watch(&proofs, &clock, scope));
            let cost = malicious::CostEngine::new(f)?;
            let mut party = Party::new(engine, cost, place, clock, scope);
            (party.runs, party.proofs) = (task.runs, proofs);
            party.findings(task)
        }
        _ => {
            let depth = match (task.comparison, simulated) {
                (Comparison::Auto, Some(link)) => Choice::For(link),
                (comparison, _) => Depth::from(comparison).into(),
            };
            let engine = Rep3Engine::with_depth(session, f, depth)?;
            let cost = CostEngine::new(f, depth);
            let mut party = Party::new(engine, cost, place, clock, scope);
            party.runs = task.runs;
            party.findings(task)
        }
    }
}

/// Adds up what proofs take.
fn watch(proofs: &Rc<Cell<Proof>>, clock: &Clock, scope: Scope) -> Box<malicious::ProofWatch> {
    let (proofs, clock) = (Rc::clone(proofs), Rc::clone(clock));
    let mut began = (0.0, 0.0, Cost::default());
    Box::new(move |session, proving| {
        let now = (clock(), cpu_seconds(scope), session.cost());
        if proving == Proving::Begins {
            began = now;
            return;
        }
        let sum = proofs.get();
        proofs.set(Proof {
            seconds: sum.seconds + now.0 - began.0,
            cpu_seconds: sum.cpu_seconds + now.1 - began.1,
            rounds: sum.rounds + now.2.rounds - began.2.rounds,
            bytes: sum.bytes + now.2.bytes - began.2.bytes,
        });
    })
}

struct Party<E, P> {
    engine: E,
    cost: cost::CostEngine<P>,
    place: Place,
    forecast: Option<Expected>,
    runs: usize,
    clock: Clock,
    scope: Scope,
    samples: Vec<Sample>,
    /// What proofs took so far.
    proofs: Rc<Cell<Proof>>,
}

impl<E: Measured, P: Prices> Party<E, P> {
    fn new(engine: E, cost: cost::CostEngine<P>, place: Place, clock: Clock, scope: Scope) -> Self {
        Self {
            engine,
            cost,
            place,
            forecast: None,
            runs: 0,
            clock,
            scope,
            samples: Vec::new(),
            proofs: Rc::default(),
        }
    }

    fn findings(mut self, task: Task) -> Result<Findings> {
        let (max_abs_error, accuracy) = match task.op {
            Op::Gate(gate) => (self.gate(gate, task.size)?, None),
            Op::Network(network) => (self.network(network, task.size)?, None),
            Op::LogisticRegression => self.training()?,
        };
        Ok(Findings {
            samples: self.samples,
            forecast: self.forecast,
            peak_memory_bytes: peak_memory_bytes(),
            max_abs_error,
            accuracy,
        })
    }

    /// The value, opened to all.
    fn reveal(&mut self, x: &E::Value) -> Result<ArrayD<f64>> {
        let opened = self.engine.open(&[x])?.pop();
        opened.ok_or_else(|| Error::Invalid("an opening gave nothing".into()))
    }

    /// Counts what `work` will cost on shared inputs like these.
    fn foretell(
        &mut self,
        inputs: &[ArrayD<f64>],
        work: impl Fn(&mut cost::CostEngine<P>, &[CostValue]) -> Result<()>,
    ) -> Result<()> {
        let shared = inputs.iter().map(|x| CostValue::shared(x.shape()));
        let shared = shared.collect::<Vec<_>>();
        let expected = expected(&mut self.cost, self.place, |cost| work(cost, &shared));
        self.forecast = Some(expected?);
        Ok(())
    }

    /// Measures a gate; the largest error of its results.
    fn gate(&mut self, gate: Gate, size: usize) -> Result<f64> {
        let plain = gate.inputs(size);
        self.foretell(&plain, |cost, x| gate.run(cost, x).map(drop))?;
        let shares = plain.iter().enumerate().map(|(owner, x)| {
            let mine = (self.engine.session().me() == owner).then_some(x);
            self.engine.input(owner, x.shape(), mine)
        });
        let shares = shares.collect::<Result<Vec<E::Value>>>()?;
        let shares = gate.prepared(&mut self.engine, shares)?;
        let results = self.timed(|e| gate.run(e, &shares))?;
        let number = gate.openable(&mut self.engine, &results[0])?;
        let opened = self.reveal(&number)?;
        Ok(distance(&opened, &gate.plain(&plain)))
    }

    /// Measures a network; the largest error of its results.
    fn network(&mut self, network: Network, batch: usize) -> Result<f64> {
        let (graph, inputs) = network.build(batch)?;
        self.foretell(&inputs, |cost, x| tacit_nn::run(&graph, cost, x).map(drop))?;
        let shares = Network::share(&mut self.engine, &inputs)?;
        let results = self.timed(|e| tacit_nn::run(&graph, e, &shares))?;
        let mut error = 0f64;
        for (share, plain) in results.iter().zip(Network::in_plaintext(&graph, &inputs)?) {
            error = error.max(distance(&self.reveal(share)?, &plain));
        }
        Ok(error)
    }

    /// Measures a training; the largest error of its model, and its accuracy.
    fn training(&mut self) -> Result<(f64, Option<f64>)> {
        let training = Training::new().map_err(|e| Error::Invalid(e.to_string()))?;
        let released = self.timed(|e| training.on_shares(e))?;
        let mut error = 0f64;
        for ((_, share), plain) in released.model.iter().zip(training.in_plaintext()?) {
            error = error.max(distance(&self.reveal(share)?, &plain));
        }
        let accuracy = released.metrics.iter().find(|(name, _)| name == "accuracy");
        let accuracy = accuracy.map(|(_, share)| self.reveal(share));
        let accuracy = accuracy.transpose()?.and_then(|a| a.first().copied());
        Ok((error, accuracy))
    }

    /// Runs `work` as often as asked, and once before; what the last run gave.
    fn timed<T>(&mut self, mut work: impl FnMut(&mut E) -> Result<T>) -> Result<T> {
        let mut last = work(&mut self.engine)?;
        self.engine.prove()?;
        for _ in 0..self.runs {
            drop(last);
            self.meet()?;
            self.proofs.take();
            let before = (self.engine.session().cost(), cpu_seconds(self.scope));
            let start = (self.clock)();
            last = work(&mut self.engine)?;
            self.engine.prove()?;
            let seconds = (self.clock)() - start;
            let cost = self.engine.session().cost();
            self.samples.push(Sample {
                seconds,
                cpu_seconds: cpu_seconds(self.scope) - before.1,
                proof: self.proofs.get(),
                ..difference(cost, before.0)
            });
        }
        Ok(last)
    }

    /// Waits for the others, so that nobody's clock runs while another is still getting ready: a value of each party is
    /// opened to all.
    fn meet(&mut self) -> Result<()> {
        let ready = ArrayD::zeros(IxDyn(&[1]));
        for owner in 0..3 {
            let mine = (self.engine.session().me() == owner).then_some(&ready);
            let share = self.engine.input(owner, &[1], mine)?;
            self.engine.open(&[&share])?;
        }
        Ok(())
    }
}

pub(super) fn difference(after: Cost, before: Cost) -> Sample {
    let between = after.since(&before);
    Sample {
        rounds: (before.rounds, after.rounds),
        bytes: between.bytes,
        header_bytes: between.header_bytes,
        messages: between.messages,
        offline_rounds: between.offline.rounds,
        offline_bytes: between.offline.bytes,
        ..Sample::default()
    }
}

/// The largest distance between entries.
pub(super) fn distance(x: &ArrayD<f64>, y: &ArrayD<f64>) -> f64 {
    let distances = x.iter().zip(y).map(|(x, y)| (x - y).abs());
    distances.fold(0.0, f64::max)
}
