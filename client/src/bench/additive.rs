//! One party's side of a measurement on additive shares: gates and networks.

use ndarray::{ArrayD, IxDyn};
use tacit_mpc::{Bilinear, Session};
use tacit_nn::engine::Product;
use tacit_nn::{Engine, Error, Result, fixed};
use tacit_protocols::additive::AdditiveEngine;
use tacit_protocols::derived::Value;

use super::gate::Words;
use super::measure::{Findings, Sample, Task, difference, distance};
use super::network::Network;
use super::op::Op;
use crate::local::{Protocol, additive};
use crate::threads::Clock;
use crate::usage::{Scope, cpu_seconds, peak_memory_bytes};

impl Words for AdditiveEngine {
    fn product(&mut self, f: Bilinear, x: &Value, y: &Value) -> Result<Value> {
        let coefficient = 1;
        self.products_unrounded(&[Product {
            f,
            coefficient,
            x,
            y,
        }])
    }
}

/// Runs `task` in `session`. Time is what `clock` says. Nothing is forecast.
pub(super) fn measure(
    session: Session,
    task: Task,
    clock: Clock,
    scope: Scope,
) -> Result<Findings> {
    let dealer = task.protocol == Protocol::AdditiveDealer;
    let mut party = Party {
        engine: additive::engine(session, dealer, fixed::FRACTION_BITS)?,
        task,
        clock,
        scope,
        samples: Vec::new(),
    };
    let max_abs_error = match task.op {
        Op::Gate(gate) => {
            let plain = gate.inputs(task.size);
            let shares = party.shares(&plain)?;
            let shares = gate.prepared(&mut party.engine, shares)?;
            let results = party.timed(|e| gate.run(e, &shares))?;
            let number = gate.openable(&mut party.engine, &results[0])?;
            let opened = party.engine.reveal(&number)?;
            distance(&opened, &gate.plain(&plain))
        }
        Op::Network(network) => {
            let (graph, inputs) = network.build(task.size)?;
            let shares = party.shares(&inputs)?;
            let results = party.timed(|e| tacit_nn::run(&graph, e, &shares))?;
            let mut error = 0f64;
            for (share, plain) in results.iter().zip(Network::in_plaintext(&graph, &inputs)?) {
                error = error.max(distance(&party.engine.reveal(share)?, &plain));
            }
            error
        }
        Op::LogisticRegression => {
            let what = "trainings do not run on additive shares: choose --protocol rep3";
            return Err(Error::Invalid(what.into()));
        }
    };
    // What a dealer opens means nothing.
    let computes = party.engine.session().me() < task.parties;
    Ok(Findings {
        samples: party.samples,
        peak_memory_bytes: peak_memory_bytes(),
        max_abs_error: if computes { max_abs_error } else { 0.0 },
        ..Findings::default()
    })
}

struct Party {
    engine: AdditiveEngine,
    task: Task,
    clock: Clock,
    scope: Scope,
    samples: Vec<Sample>,
}

impl Party {
    fn input(&mut self, owner: usize, x: &ArrayD<f64>) -> Result<Value> {
        let mine = (self.engine.session().me() == owner).then_some(x);
        self.engine.input(owner, x.shape(), mine)
    }

    /// Of two owners in turn.
    fn shares(&mut self, inputs: &[ArrayD<f64>]) -> Result<Vec<Value>> {
        let shares = inputs.iter().enumerate();
        shares.map(|(k, x)| self.input(k.min(1), x)).collect()
    }

    /// Runs `work` as often as asked, and once before; what the last run gave.
    fn timed<T>(&mut self, work: impl Fn(&mut AdditiveEngine) -> Result<T>) -> Result<T> {
        let mut last = work(&mut self.engine)?;
        for _ in 0..self.task.runs {
            drop(last);
            // Everybody who computes has got here.
            let ready = self.input(0, &ArrayD::zeros(IxDyn(&[1])))?;
            self.engine.reveal(&ready)?;
            let before = (self.engine.session().cost(), cpu_seconds(self.scope));
            let start = (self.clock)();
            last = work(&mut self.engine)?;
            self.samples.push(Sample {
                seconds: (self.clock)() - start,
                cpu_seconds: cpu_seconds(self.scope) - before.1,
                ..difference(self.engine.session().cost(), before.0)
            });
        }
        Ok(last)
    }
}
