//! One party's side of a measurement.

use std::cell::Cell;
use std::rc::Rc;

use ndarray::{ArrayD, IxDyn};
use serde::{Deserialize, Serialize};
use tacit_mpc::net::Profile;
use tacit_mpc::{Cost, Session};
use tacit_nn::{Error, Result, fixed};
use tacit_protocols::cost::{self, Prices};
use tacit_protocols::malicious::{self, MaliciousEngine, Proving};
use tacit_protocols::rep3::{Choice, CostEngine, Depth, Rep3Engine};

use tacit_party::memory::give_back;

use super::additive;
use super::bounds::Speeds;
use super::figures::count;
use super::gate::{Gate, Words};
use super::network::Network;
use super::op::Op;
use super::training::Training;
use crate::forecast::{Expected, Place, Proves, calibrated, expected};
use crate::local::{Comparison, Protocol};
use crate::threads::{Clock, Meet};
use crate::usage::{Scope, cpu_seconds, forget_peak_memory, peak_memory_bytes, resident_bytes};

/// What one run cost one party.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Sample {
    /// From the moment when all parties are ready to the result.
    pub(super) seconds: f64,
    /// Processor time.
    pub(super) cpu_seconds: f64,
    /// Length of the longest chain of messages when the run began, the same at all parties, and when it ended.
    pub(super) rounds: (u64, u64),
    /// Payload bytes sent.
    pub(super) bytes: u64,
    /// Bytes of message headers sent besides.
    pub(super) header_bytes: u64,
    /// Messages sent.
    pub(super) messages: u64,
    /// Payload bytes sent for correlations, apart from those above, and the longest chain of messages for one of them.
    pub(super) offline_bytes: u64,
    /// See there.
    pub(super) offline_rounds: u64,
    /// Words drawn from keys.
    pub(super) drawn: u64,
    /// Multiplications inside of matrix products.
    pub(super) multiplications: u64,
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

/// A network that is simulated.
pub(super) struct Simulated {
    /// Its links.
    pub(super) link: Profile,
    /// Brings the clocks of all parties, none of which is sending, to the same time.
    pub(super) meet: Meet,
}

/// Rounds that a meeting takes at most.
const MEETING: u32 = 1024;

/// What one party found out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Findings {
    /// One entry a run.
    pub(super) samples: Vec<Sample>,
    /// What was forecast for a run.
    pub(super) forecast: Option<Expected>,
    /// What this party's machine and links can do.
    pub(super) speeds: Speeds,
    /// The most memory that the party's process has had resident in its runs.
    pub(super) peak_memory_bytes: u64,
    /// What of it was there before there were any values: the program, its threads and links.
    pub(super) program_memory_bytes: u64,
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
    /// What computes products.
    pub(super) device: tacit_gpu::Choice,
}

/// Runs `task` in `session`, over a network that may be simulated. Time is what `clock` says.
pub(super) fn measure(
    session: Session,
    task: Task,
    simulated: Option<Simulated>,
    clock: Clock,
    scope: Scope,
) -> Result<Findings> {
    if task.protocol.is_additive() {
        return additive::measure(session, task, clock, scope);
    }
    let f = fixed::FRACTION_BITS;
    let proofs = Rc::new(Cell::new(Proof::default()));
    // Over a simulated network only the processor's part is this machine's.
    let place = |place: Place| match &simulated {
        Some(net) => Place {
            link: net.link,
            cores: None,
            ..place
        },
        None => place,
    };
    match task.protocol {
        Protocol::Rep3Malicious => {
            let mut engine = MaliciousEngine::new(session, f)?;
            let cost = || malicious::CostEngine::new(f);
            let place = place(calibrated(&mut engine, cost, task.runs, scope, &*clock)?);
            engine.watch_proofs(watch(&proofs, &clock, scope));
            let mut party = Party::new(engine, cost()?, place, clock, scope);
            (party.runs, party.proofs, party.simulated) = (task.runs, proofs, simulated);
            party.findings(task)
        }
        _ => {
            let depth = match (task.comparison, &simulated) {
                (Comparison::Auto, Some(net)) => Choice::For(net.link),
                (comparison, _) => Depth::from(comparison).into(),
            };
            let mut engine = Rep3Engine::with_depth(session, f, depth)?;
            let cost = || Ok(CostEngine::new(f, depth));
            let place = place(calibrated(&mut engine, cost, task.runs, scope, &*clock)?);
            let mut party = Party::new(engine, cost()?, place, clock, scope);
            (party.runs, party.simulated) = (task.runs, simulated);
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
    /// Until the costs are told.
    cost: Option<cost::CostEngine<P>>,
    place: Place,
    forecast: Option<Expected>,
    runs: usize,
    simulated: Option<Simulated>,
    /// [`Findings::program_memory_bytes`] and [`Findings::peak_memory_bytes`].
    memory: [u64; 2],
    clock: Clock,
    scope: Scope,
    samples: Vec<Sample>,
    /// What proofs took so far.
    proofs: Rc<Cell<Proof>>,
}

impl<E: Words + Proves, P: Prices> Party<E, P> {
    fn new(engine: E, cost: cost::CostEngine<P>, place: Place, clock: Clock, scope: Scope) -> Self {
        Self {
            engine,
            cost: Some(cost),
            place,
            forecast: None,
            runs: 0,
            simulated: None,
            memory: [0; 2],
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
        let [program_memory_bytes, peak_memory_bytes] = self.memory;
        Ok(Findings {
            samples: self.samples,
            forecast: self.forecast,
            speeds: Speeds::measured(self.place.link),
            peak_memory_bytes,
            program_memory_bytes,
            max_abs_error,
            accuracy,
        })
    }

    /// The value, opened to all.
    fn reveal(&mut self, x: &E::Value) -> Result<ArrayD<f64>> {
        let opened = self.engine.open(&[x])?.pop();
        opened.ok_or_else(|| Error::Invalid("an opening gave nothing".into()))
    }

    /// Counts what an operation will cost. What that took is given back, so that the memory of runs can be told apart.
    fn foretell(&mut self, op: Op, size: usize) -> Result<()> {
        if let Some(mut cost) = self.cost.take() {
            let expected = expected(&mut cost, self.place, |cost| count(op, size, cost));
            self.forecast = Some(expected?);
        }
        give_back();
        self.memory[0] = resident_bytes();
        Ok(())
    }

    /// Measures a gate; the largest error of its results.
    fn gate(&mut self, gate: Gate, size: usize) -> Result<f64> {
        self.foretell(Op::Gate(gate), size)?;
        let plain = gate.inputs(size);
        let shares = plain.iter().enumerate().map(|(owner, x)| {
            let mine = (self.engine.session().me() == owner).then_some(x);
            self.engine.input(owner, x.shape(), mine)
        });
        let shares = shares.collect::<Result<Vec<E::Value>>>()?;
        drop(plain);
        let shares = gate.prepared(&mut self.engine, shares)?;
        let results = self.timed(|e| gate.run(e, &shares))?;
        let number = gate.openable(&mut self.engine, &results[0])?;
        let opened = self.reveal(&number)?;
        Ok(distance(&opened, &gate.plain(&gate.inputs(size))))
    }

    /// Measures a network; the largest error of its results.
    fn network(&mut self, network: Network, batch: usize) -> Result<f64> {
        self.foretell(Op::Network(network), batch)?;
        let (graph, inputs) = network.build(batch)?;
        let shares = Network::share(&mut self.engine, &inputs)?;
        drop(inputs);
        let results = self.timed(|e| tacit_nn::run(&graph, e, &shares))?;
        let (_, inputs) = network.build(batch)?;
        let mut error = 0f64;
        for (share, plain) in results.iter().zip(Network::in_plaintext(&graph, &inputs)?) {
            error = error.max(distance(&self.reveal(share)?, &plain));
        }
        Ok(error)
    }

    /// Measures a training; the largest error of its model, and its accuracy.
    fn training(&mut self) -> Result<(f64, Option<f64>)> {
        let training = Training::new().map_err(|e| Error::Invalid(e.to_string()))?;
        self.foretell(Op::LogisticRegression, 0)?;
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
        give_back();
        forget_peak_memory();
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
            let mut seconds = (self.clock)() - start;
            if self.simulated.is_some() {
                // The clock of a simulated network counts nanoseconds.
                seconds = (seconds * 1e9).round() * 1e-9;
            }
            let cost = self.engine.session().cost();
            self.samples.push(Sample {
                seconds,
                cpu_seconds: cpu_seconds(self.scope) - before.1,
                proof: self.proofs.get(),
                ..difference(cost, before.0)
            });
        }
        self.memory[1] = peak_memory_bytes();
        Ok(last)
    }

    /// Waits for the others, so that nobody's clock runs while another is still getting ready: the rounds of each party are
    /// opened to all.
    fn meet(&mut self) -> Result<()> {
        let now = self.engine.session().cost().rounds;
        let ready = ArrayD::from_elem(IxDyn(&[1]), now as f64);
        let mut latest = 0f64;
        for owner in 0..3 {
            let mine = (self.engine.session().me() == owner).then_some(&ready);
            let share = self.engine.input(owner, &[1], mine)?;
            let opened = self.engine.open(&[&share])?;
            let opened = opened.iter().flatten();
            latest = opened.fold(latest, |latest, &rounds| latest.max(rounds));
        }
        // Later than what any party has come to by telling it: all count from there.
        self.engine.session().begin_at(latest as u32 + MEETING);
        self.simulated.iter().for_each(|net| (net.meet)());
        Ok(())
    }
}

pub(super) fn difference(after: Cost, before: Cost) -> Sample {
    let spent = after.since(&before);
    Sample {
        rounds: (before.rounds, after.rounds),
        bytes: spent.bytes,
        header_bytes: spent.header_bytes,
        messages: spent.messages,
        offline_bytes: spent.offline.bytes,
        offline_rounds: spent.offline.rounds,
        drawn: spent.drawn,
        multiplications: spent.multiplications,
        ..Sample::default()
    }
}

/// The largest distance between entries.
pub(super) fn distance(x: &ArrayD<f64>, y: &ArrayD<f64>) -> f64 {
    let distances = x.iter().zip(y).map(|(x, y)| (x - y).abs());
    distances.fold(0.0, f64::max)
}
