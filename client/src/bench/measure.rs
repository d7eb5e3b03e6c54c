//! One party's side of a measurement.

use ndarray::{ArrayD, IxDyn};
use serde::{Deserialize, Serialize};
use tacit_mpc::{Cost, Session};
use tacit_nn::{Error, Result, fixed};
use tacit_protocols::rep3::{CostEngine, CostValue, Depth, Rates, Rep3Engine, Value};

use super::gate::Gate;
use super::network::Network;
use super::op::Op;
use super::training::Training;
use crate::forecast::{Expected, measured};
use crate::local::Comparison;
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
    /// The operation.
    pub(super) op: Op,
    /// Its size.
    pub(super) size: usize,
    /// Runs that count; one more goes before them, to warm up.
    pub(super) runs: usize,
    /// The variant of comparisons.
    pub(super) comparison: Comparison,
}

/// Runs `task` in `session`. Time is what `clock` says, in seconds: that of the wall or of a simulated network.
pub(super) fn measure(
    session: Session,
    task: Task,
    clock: &dyn Fn() -> f64,
    scope: Scope,
) -> Result<Findings> {
    let depth = Depth::from(task.comparison);
    let mut engine = Rep3Engine::with_depth(session, fixed::FRACTION_BITS, depth)?;
    let rates = measured(&mut engine, scope)?;
    let mut party = Party {
        engine,
        rates,
        cost: CostEngine::new(fixed::FRACTION_BITS, depth),
        forecast: None,
        runs: task.runs,
        clock,
        scope,
        samples: Vec::new(),
    };
    let (max_abs_error, accuracy) = match task.op {
        Op::Gate(gate) => (party.gate(gate, task.size)?, None),
        Op::Network(network) => (party.network(network, task.size)?, None),
        Op::LogisticRegression => party.training()?,
    };
    Ok(Findings {
        samples: party.samples,
        forecast: party.forecast,
        peak_memory_bytes: peak_memory_bytes(),
        max_abs_error,
        accuracy,
    })
}

struct Party<'a> {
    engine: Rep3Engine,
    rates: Rates,
    cost: CostEngine,
    forecast: Option<Expected>,
    runs: usize,
    clock: &'a dyn Fn() -> f64,
    scope: Scope,
    samples: Vec<Sample>,
}

impl Party<'_> {
    /// Counts what `work` will cost on shared inputs like these.
    fn foretell(
        &mut self,
        inputs: &[ArrayD<f64>],
        work: impl Fn(&mut CostEngine, &[CostValue]) -> Result<()>,
    ) -> Result<()> {
        let shared = inputs.iter().map(|x| CostValue::shared(x.shape()));
        work(&mut self.cost, &shared.collect::<Vec<_>>())?;
        let me = self.engine.session().me();
        self.forecast = Some(Expected::of(&self.cost.forecast()[me], &self.rates));
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
        let shares = shares.collect::<Result<Vec<Value>>>()?;
        let shares = gate.prepared(&mut self.engine, shares)?;
        let results = self.timed(|e| gate.run(e, &shares))?;
        let number = gate.openable(&mut self.engine, &results[0])?;
        let opened = self.engine.reveal(&number)?;
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
            error = error.max(distance(&self.engine.reveal(share)?, &plain));
        }
        Ok(error)
    }

    /// Measures a training; the largest error of its model, and its accuracy.
    fn training(&mut self) -> Result<(f64, Option<f64>)> {
        let training = Training::new().map_err(|e| Error::Invalid(e.to_string()))?;
        let released = self.timed(|e| training.on_shares(e))?;
        let mut error = 0f64;
        for ((_, share), plain) in released.model.iter().zip(training.in_plaintext()?) {
            error = error.max(distance(&self.engine.reveal(share)?, &plain));
        }
        let accuracy = released.metrics.iter().find(|(name, _)| name == "accuracy");
        let accuracy = accuracy.map(|(_, share)| self.engine.reveal(share));
        let accuracy = accuracy.transpose()?.and_then(|a| a.first().copied());
        Ok((error, accuracy))
    }

    /// Runs `work` as often as asked, and once before; what the last run gave.
    fn timed<T>(&mut self, mut work: impl FnMut(&mut Rep3Engine) -> Result<T>) -> Result<T> {
        let mut last = work(&mut self.engine)?;
        for _ in 0..self.runs {
            drop(last);
            self.meet()?;
            let before = (self.engine.session().cost(), cpu_seconds(self.scope));
            let start = (self.clock)();
            last = work(&mut self.engine)?;
            let seconds = (self.clock)() - start;
            let cost = self.engine.session().cost();
            self.samples.push(Sample {
                seconds,
                cpu_seconds: cpu_seconds(self.scope) - before.1,
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
            self.engine.reveal(&share)?;
        }
        Ok(())
    }
}

fn difference(after: Cost, before: Cost) -> Sample {
    Sample {
        rounds: (before.rounds, after.rounds),
        bytes: after.bytes - before.bytes,
        header_bytes: after.header_bytes - before.header_bytes,
        messages: after.messages - before.messages,
        ..Sample::default()
    }
}

/// The largest distance between entries.
fn distance(x: &ArrayD<f64>, y: &ArrayD<f64>) -> f64 {
    let distances = x.iter().zip(y).map(|(x, y)| (x - y).abs());
    distances.fold(0.0, f64::max)
}
