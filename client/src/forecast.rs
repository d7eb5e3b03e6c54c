//! What a run will cost, told before it runs: counted by the protocols, and timed at what this machine was measured to do.

use std::sync::Arc;

use anyhow::{Result, anyhow};
use ndarray::{ArrayD, IxDyn};
use serde::{Deserialize, Serialize};
use tacit_mpc::net::MemNet;
use tacit_mpc::simulate::simulate;
use tacit_mpc::{Bilinear, kernels};
use tacit_nn::{Engine, Graph, fixed, program};
use tacit_protocols::cost::{self, Prices};
use tacit_protocols::malicious;
use tacit_protocols::rep3::{CostEngine, CostValue, Depth, Forecast, Rates, Rep3Engine, calibrate};

use crate::local::{Given, Settings};
use crate::usage::{Scope, cpu_seconds};

/// What is expected of one party, or of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Expected {
    /// Processor seconds, where they can be told.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) cpu_seconds: Option<f64>,
    /// The longest chain of messages.
    pub(crate) rounds: u64,
    /// Payload bytes sent.
    pub(crate) bytes: u64,
}

impl Expected {
    /// What a party that works at these rates is expected to take.
    pub(crate) fn of(forecast: &Forecast, rates: Option<&Rates>) -> Self {
        Self {
            cpu_seconds: rates.map(|rates| rates.seconds(&forecast.work)),
            rounds: forecast.cost.rounds,
            bytes: forecast.cost.bytes,
        }
    }

    /// The work of both, the longer chain.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            cpu_seconds: self.cpu_seconds.zip(other.cpu_seconds).map(|(x, y)| x + y),
            rounds: self.rounds.max(other.rounds),
            bytes: self.bytes + other.bytes,
        }
    }
}

/// Products of few values and of many, by which links are measured.
const FEW: usize = 3;
const MANY: usize = 1 << 18;
/// How often.
const OFTEN: usize = 200;
const SELDOM: usize = 3;

/// The rates of this party's machine and of its links; all parties of the session measure at once.
///
/// What a round takes follows from products of three values, what a message from comparisons of three, and a byte from
/// products of many values: each time what remains of the processor time when the rest is taken off.
pub(crate) fn measured(e: &mut Rep3Engine, scope: Scope) -> tacit_nn::Result<Rates> {
    let thread = || cpu_seconds(Scope::Thread);
    let mut rates = calibrate(&*kernels::cpu(), fixed::FRACTION_BITS, &thread)?;
    let me = e.session().me();
    let mut cost = CostEngine::new(fixed::FRACTION_BITS, Depth::Three);
    let few = CostValue::shared(&[FEW]);
    cost.product(Bilinear::Mul, &few, &few)?;
    let product = cost.forecast()[me].work;
    let mut cost = CostEngine::new(fixed::FRACTION_BITS, Depth::Three);
    let relu = program::relu();
    cost.map(&relu, &[&few])?;
    let comparison = cost.forecast()[me].work;

    let shared = |e: &Rep3Engine, n: usize| e.trivial(&ArrayD::zeros(IxDyn(&[n])));
    let mut seconds = |times: usize, n: usize, work: &dyn Fn(&mut Rep3Engine, &_) -> _| {
        let x = shared(e, n)?;
        e.begin_run()?;
        work(e, &x)?;
        let start = cpu_seconds(scope);
        for _ in 0..times {
            e.begin_run()?;
            work(e, &x)?;
        }
        tacit_nn::Result::Ok((cpu_seconds(scope) - start) / times as f64)
    };
    let multiply = |e: &mut Rep3Engine, x: &_| e.product(Bilinear::Mul, x, x).map(drop);
    let per_product = seconds(OFTEN, FEW, &multiply)? - rates.seconds(&product);
    let compare = |e: &mut Rep3Engine, x: &_| e.map(&relu, &[x]).map(drop);
    let per_comparison = seconds(OFTEN, FEW, &compare)? - rates.seconds(&comparison);
    // Two equations: rounds and messages of each.
    let (r1, m1) = (product.rounds as f64, product.messages as f64);
    let (r2, m2) = (comparison.rounds as f64, comparison.messages as f64);
    let message = (per_comparison * r1 - per_product * r2) / (m2 * r1 - m1 * r2);
    rates.message = message.clamp(0.0, per_comparison.max(0.0) / m2);
    rates.round = ((per_product - m1 * rates.message) / r1).max(0.0);

    let mut cost = CostEngine::new(fixed::FRACTION_BITS, Depth::Three);
    let many = CostValue::shared(&[MANY]);
    cost.product(Bilinear::Mul, &many, &many)?;
    let product = cost.forecast()[me].work;
    let rest = seconds(SELDOM, MANY, &multiply)? - rates.seconds(&product);
    rates.byte = (rest / product.bytes as f64).max(0.0);
    Ok(rates)
}

/// What is counted of a run on these inputs, as [`crate::local::run`] does it.
fn count<P: Prices>(cost: &mut cost::CostEngine<P>, graph: &Graph, inputs: &[Given]) -> Result<()> {
    let mut values = vec![CostValue::shared(&[]); inputs.len()];
    for owner in 0..3 {
        for (x, value) in inputs.iter().zip(&mut values) {
            if x.owner == owner {
                *value = cost.input(owner, x.value.shape())?;
            }
        }
    }
    let outputs = tacit_nn::run(graph, cost, &values)?;
    Ok(cost.release(&outputs.iter().collect::<Vec<_>>())?)
}

/// The same for a run that is proved: how long its proofs take is not told.
pub(crate) fn proved(graph: &Graph, inputs: &[Given], fraction_bits: u32) -> Result<Expected> {
    let mut cost = malicious::CostEngine::new(fraction_bits)?;
    count(&mut cost, graph, inputs)?;
    let parties = cost
        .forecast()
        .iter()
        .map(|party| Expected::of(party, None));
    Ok(parties.reduce(Expected::and).unwrap_or_default())
}

/// A run of three threads of this process on these inputs, as [`crate::local::run`] does it.
pub(crate) fn on_this_machine(
    graph: &Graph,
    inputs: &[Given],
    settings: Settings,
) -> Result<Expected> {
    let mut cost = CostEngine::new(settings.fraction_bits, Depth::from(settings.comparison));
    count(&mut cost, graph, inputs)?;
    let nets = MemNet::mesh(3).into_iter().map(|net| Arc::new(net) as _);
    let rates = simulate(nets.collect(), |session| {
        let mut e = Rep3Engine::new(session, fixed::FRACTION_BITS)?;
        measured(&mut e, Scope::Thread)
    });
    let mut all = Expected {
        cpu_seconds: Some(0.0),
        ..Expected::default()
    };
    for (forecast, rates) in cost.forecast().iter().zip(rates) {
        let rates = rates?.map_err(|e: tacit_nn::Error| anyhow!(e))?;
        all = all.and(Expected::of(forecast, Some(&rates)));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::{Comparison, Protocol, run};

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
                fraction_bits: 18,
                comparison,
            };
            let want = on_this_machine(&g, &inputs, settings).unwrap();
            let run = run(Protocol::Rep3, &g, &inputs, settings, None).unwrap();
            assert_eq!(
                (run.rounds, run.bytes),
                (want.rounds, want.bytes),
                "{comparison}"
            );
            assert!(want.cpu_seconds.is_some_and(|seconds| seconds > 0.0));
            (run.rounds, run.bytes)
        });
        // Two comparisons one after the other; 64 bits more for each of 192 values.
        assert_eq!(runs[0].0 - runs[1].0, 2);
        assert_eq!(runs[1].1 - runs[0].1, 2 * 192 * 8);
        let want = proved(&g, &inputs, 18).unwrap();
        let run = run(Protocol::Rep3Malicious, &g, &inputs, 18, None).unwrap();
        assert_eq!((run.rounds, run.bytes), (want.rounds, want.bytes));
    }
}
