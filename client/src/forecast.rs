//! What a run will cost, told before it runs: counted by the protocols, and followed in time on a network and on this machine.

mod calibrate;
mod command;
mod job;
mod links;

use anyhow::{Context, Result, anyhow};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

use tacit_mpc::net::{MemNet, Profile};
use tacit_mpc::replay::{Rates, Replay};
use tacit_mpc::simulate::simulate;
use tacit_nn::{Graph, fixed};
use tacit_protocols::cost::{CostEngine, Prices, Value};
use tacit_protocols::malicious::{self, MaliciousEngine};
use tacit_protocols::rep3::{self, Choice, Depth, Rep3Engine};
use tacit_protocols::timeline::Timeline;

use calibrate::RUNS;
pub(crate) use calibrate::{Proves, calibrated};
pub use command::{Args, run};

use crate::local::{Given, Protocol, Settings};
use crate::usage::{Scope, cpu_seconds};

/// What is expected of all parties together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Expected {
    /// Of the slowest party, computing and sending.
    pub(crate) seconds: f64,
    /// The same if computing took no time.
    pub(crate) network_seconds: f64,
    /// Processor seconds of all parties.
    pub(crate) cpu_seconds: f64,
    /// The longest chain of messages.
    pub(crate) rounds: u64,
    /// Payload bytes sent.
    pub(crate) bytes: u64,
    /// Bytes of message headers besides.
    pub(crate) header_bytes: u64,
    /// Messages sent.
    pub(crate) messages: u64,
    /// The most that a party holds at once, beside the program itself: shares, what is logged for a proof, messages under way.
    pub(crate) memory_bytes: u64,
}

/// Where a run is expected to happen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// The links.
    pub(crate) link: Profile,
    /// What frames and bytes take the processor.
    pub(crate) rates: Rates,
    /// The cores that the parties get together, where they share a machine with each other and with whatever else it does.
    pub(crate) cores: Option<f64>,
}

/// Processor seconds of this thread.
pub(crate) fn thread_seconds() -> f64 {
    cpu_seconds(Scope::Thread)
}

/// What `work` will cost in a place.
pub(crate) fn expected<P: Prices>(
    cost: &mut CostEngine<P>,
    place: Place,
    work: impl FnOnce(&mut CostEngine<P>) -> tacit_nn::Result<()>,
) -> tacit_nn::Result<Expected> {
    let replay = |rates| Replay::new(3, place.link, rates);
    let replays = vec![replay(Rates::default()), replay(place.rates)];
    cost.follow(Timeline::with_computing(replays, thread_seconds));
    work(cost)?;
    let parties = cost.parties();
    let sum = |of: fn(&tacit_mpc::Cost) -> u64| parties.iter().map(of).sum();
    let mut expected = Expected {
        rounds: parties.iter().map(|p| p.rounds).max().unwrap_or(0),
        bytes: sum(|p| p.bytes),
        header_bytes: sum(|p| p.header_bytes),
        messages: sum(|p| p.messages),
        memory_bytes: cost.peak_memory_bytes(),
        ..Expected::default()
    };
    if let Some([network, all]) = cost.timeline().map(Timeline::replays) {
        let slowest = |replay: &Replay| (0..3).map(|p| replay.seconds(p)).fold(0.0, f64::max);
        expected.network_seconds = slowest(network);
        expected.cpu_seconds = (0..3).map(|p| all.cpu_seconds(p)).sum();
        expected.seconds = match place.cores {
            Some(cores) => on_shared_cores(slowest(all), expected.cpu_seconds, cores),
            None => slowest(all),
        };
    }
    Ok(expected)
}

/// Seconds of three parties that share so many cores, of which the slowest would take `alone` with one of its own. Where no core
/// rests while there is work, they end between the longest chain, or all work at once, and what the one leaves to the other
/// (Graham, SIAM Journal on Applied Mathematics 17, 1969): in the middle, as far as one of the three has to wait.
fn on_shared_cores(alone: f64, work: f64, cores: f64) -> f64 {
    let least = alone.max(work / cores);
    let most = work / cores + (1.0 - 1.0 / cores) * alone;
    least + (most - least).max(0.0) / 2.0 * (3.0 - cores).clamp(0.0, 1.0)
}

/// Counts a run of a graph.
pub(crate) fn run_copying<P: Prices>(
    graph: &Graph,
    cost: &mut CostEngine<P>,
    inputs: &[Value],
) -> tacit_nn::Result<Vec<Value>> {
    cost.copied(inputs)?;
    let outputs = tacit_nn::run(graph, cost, inputs)?;
    cost.copied(&outputs)?;
    Ok(outputs)
}

/// What is counted of a run on these inputs, as [`crate::local::run`] does it.
fn count<P: Prices>(
    cost: &mut CostEngine<P>,
    graph: &Graph,
    inputs: &[Given],
) -> tacit_nn::Result<()> {
    let mut values = vec![Value::shared(&[]); inputs.len()];
    for owner in 0..3 {
        for (x, value) in inputs.iter().zip(&mut values) {
            if x.owner == owner {
                *value = cost.input(owner, x.value.shape())?;
            }
        }
    }
    let outputs = run_copying(graph, cost, &values)?;
    cost.release(&outputs.iter().collect::<Vec<_>>())
}

/// What `work` will cost by a protocol, in a place; comparisons are as they are chosen there unless they are asked for.
pub(crate) trait Work {
    /// Counts it.
    fn count<P: Prices>(&self, cost: &mut CostEngine<P>) -> tacit_nn::Result<()>;
}

impl Work for (&Graph, &[Given]) {
    fn count<P: Prices>(&self, cost: &mut CostEngine<P>) -> tacit_nn::Result<()> {
        count(cost, self.0, self.1)
    }
}

/// How a run is computed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    pub(crate) protocol: Protocol,
    pub(crate) fraction_bits: u32,
    pub(crate) comparison: Choice,
    /// Bytes that the malicious level logs before it proves them, where it is said.
    pub(crate) verify_every: Option<usize>,
}

/// What `work` will cost in this manner and place.
pub(crate) fn of(manner: Manner, place: Place, work: &impl Work) -> Result<Expected> {
    let Manner {
        protocol,
        fraction_bits,
        ..
    } = manner;
    Ok(match protocol {
        Protocol::Rep3 => {
            let mut cost = rep3::CostEngine::new(fraction_bits, manner.comparison);
            expected(&mut cost, place, |cost| work.count(cost))?
        }
        Protocol::Rep3Malicious => {
            let mut cost = malicious::CostEngine::new(fraction_bits)?;
            if let Some(bytes) = manner.verify_every {
                cost.verify_every(bytes);
            }
            expected(&mut cost, place, |cost| work.count(cost))?
        }
        _ => {
            return Err(anyhow!(
                "{protocol} sends nothing that could be forecast: choose --protocol rep3 or rep3-malicious"
            ));
        }
    })
}

/// Three threads of this process, which hand frames to each other and compute by this protocol: measured.
pub(crate) fn this_machine(protocol: Protocol) -> Result<Place> {
    let f = fixed::FRACTION_BITS;
    let nets = MemNet::mesh(3).into_iter().map(|net| Arc::new(net) as _);
    let start = std::time::Instant::now();
    let parties = simulate(nets.collect(), |session| {
        let clock = || start.elapsed().as_secs_f64();
        let scope = Scope::Thread;
        match protocol {
            Protocol::Rep3Malicious => {
                let mut engine = MaliciousEngine::new(session, f)?;
                let cost = || malicious::CostEngine::new(f);
                calibrated(&mut engine, cost, RUNS, scope, &clock)
            }
            _ => {
                let mut engine = Rep3Engine::new(session, f)?;
                let cost = || Ok(rep3::CostEngine::new(f, Depth::Three));
                calibrated(&mut engine, cost, RUNS, scope, &clock)
            }
        }
    });
    let places = parties
        .into_iter()
        .map(|party| party?.map_err(|e| anyhow!(e)));
    Place::mean(&places.collect::<Result<Vec<Place>>>()?)
}

impl Place {
    /// What each party has measured for itself, put together.
    fn mean(places: &[Self]) -> Result<Self> {
        let first = places.first().context("there are three parties")?;
        let mean =
            |of: &dyn Fn(&Self) -> f64| places.iter().map(of).sum::<f64>() / places.len() as f64;
        Ok(Self {
            link: Profile {
                latency_ns: mean(&|p| p.link.latency_ns as f64) as u64,
                bits_per_second: mean(&|p| p.link.bits_per_second as f64) as u64,
            },
            rates: Rates {
                compute: mean(&|p| p.rates.compute),
                frame: mean(&|p| p.rates.frame),
                byte: mean(&|p| p.rates.byte),
            },
            cores: first.cores.map(|_| mean(&|p| p.cores.unwrap_or(1.0))),
        })
    }
}

/// A run of three threads of this process on these inputs, as [`crate::local::run`] does it.
pub(crate) fn on_this_machine(
    protocol: Protocol,
    graph: &Graph,
    inputs: &[Given],
    settings: Settings,
) -> Result<Expected> {
    let manner = Manner {
        protocol,
        fraction_bits: settings.fraction_bits,
        comparison: Depth::from(settings.comparison).into(),
        verify_every: None,
    };
    of(manner, this_machine(protocol)?, &(graph, inputs))
}

#[cfg(test)]
mod tests {
    use ndarray::{ArrayD, IxDyn};

    use super::*;
    use crate::local::{Comparison, run};

    /// Three parties that compute for 2 seconds each: on a core each, on two, on one; and one that waits for the most part.
    #[test]
    fn parties_share_cores() {
        let all = [3.0, 2.0, 1.0].map(|cores| on_shared_cores(2.0, 6.0, cores));
        assert_eq!(all, [2.0, 3.5, 6.0]);
        assert_eq!(on_shared_cores(10.0, 4.0, 2.0), 10.0);
    }

    /// Rounds and bytes of a whole run are those of its forecast, and the variants of a comparison differ as they should.
    #[test]
    fn a_run_costs_what_was_forecast_in_both_variants() {
        let mut g = Graph::new();
        let (x, w) = (g.input(&[6, 64]), g.input(&[64, 32]));
        let z = g.matmul(x, w).unwrap();
        let y = g.relu(z).unwrap();
        let y = g.relu(y).unwrap();
        g.output(y);
        let given = |owner, shape: &[usize]| Given {
            name: "x".into(),
            owner,
            value: ArrayD::from_elem(IxDyn(shape), 0.25),
        };
        let inputs = [given(0, &[6, 64]), given(1, &[64, 32])];
        let runs = [Comparison::FewBytes, Comparison::FewRounds].map(|comparison| {
            let settings = Settings {
                comparison,
                ..Settings::from(18)
            };
            let want = on_this_machine(Protocol::Rep3, &g, &inputs, settings).unwrap();
            let run = run(Protocol::Rep3, &g, &inputs, settings, None).unwrap();
            assert_eq!(
                (run.rounds, run.bytes),
                (want.rounds, want.bytes),
                "{comparison}"
            );
            assert!(want.cpu_seconds > 0.0 && want.seconds >= want.network_seconds);
            (run.rounds, run.bytes)
        });
        // Two comparisons one after the other; 64 bits more for each of 192 values.
        assert_eq!(runs[0].0 - runs[1].0, 2);
        assert_eq!(runs[1].1 - runs[0].1, 2 * 192 * 8);
        let want = on_this_machine(Protocol::Rep3Malicious, &g, &inputs, 18.into()).unwrap();
        let run = run(Protocol::Rep3Malicious, &g, &inputs, 18, None).unwrap();
        assert_eq!((run.rounds, run.bytes), (want.rounds, want.bytes));
    }
}
