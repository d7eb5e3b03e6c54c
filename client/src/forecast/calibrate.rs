//! What this machine makes of forecasts: runs that are known in parts, measured, give each part its factor.
//!
//! Rehearsals have their chunk to themselves, with caches that are warm; a run has many under way, and tensors that are not in
//! the cache. A product of many values is copying and sending for the most part, a comparison of some is computing: two runs on
//! the session at hand, by its own engine, say by what computing and copying are to be multiplied.

use ndarray::{ArrayD, IxDyn};
use tacit_mpc::Bilinear;
use tacit_mpc::replay::{Rates, Replay};
use tacit_nn::{Engine, Result, program};
use tacit_protocols::Replicated;
use tacit_protocols::cost::{CostEngine, Prices, Value};
use tacit_protocols::malicious::MaliciousEngine;
use tacit_protocols::rep3::Rep3Engine;
use tacit_protocols::timeline::Timeline;

use super::links::measured;
use super::{Place, thread_seconds};
use crate::usage::{Scope, cpu_seconds};

/// Values of the two runs.
const PRODUCTS: usize = 1 << 18;
const COMPARISONS: usize = 1 << 16;
/// Runs of which the middle counts, after one to warm up.
const RUNS: usize = 3;
/// What a factor may be: beyond it something else was measured.
const FACTORS: [f64; 2] = [0.5, 4.0];

/// An engine that proves what it has computed, if that is what it does.
pub(crate) trait Proves: Replicated {
    /// Proves it.
    fn prove(&mut self) -> Result<()>;
}

impl Proves for Rep3Engine {
    fn prove(&mut self) -> Result<()> {
        Ok(())
    }
}

impl Proves for MaliciousEngine {
    fn prove(&mut self) -> Result<()> {
        Self::prove(self).map(drop)
    }
}

/// A run that is known in parts, and what it took this party.
struct Known {
    /// Computing, and copying with sending, as rehearsed.
    parts: [f64; 2],
    /// What is left when frames are taken off.
    cpu: f64,
    /// Seconds of the clock and of the processor, all of it.
    spent: [f64; 2],
}

/// The place of a session over `link`, or over what is measured where there is none: all its parties measure at once. `cost`
/// makes an engine that counts as `engine` computes, `clock` tells seconds.
pub(crate) fn calibrated<E: Proves, P: Prices>(
    engine: &mut E,
    cost: impl Fn() -> Result<CostEngine<P>>,
    scope: Scope,
    clock: &dyn Fn() -> f64,
) -> Result<Place> {
    let (link, rates) = measured(engine.session(), scope, clock)?;
    let relu = program::relu().keep("relu", &[0]);
    let runs = [
        known(
            engine,
            cost()?,
            (scope, clock, rates),
            PRODUCTS,
            &|e, x| e.product(Bilinear::Mul, x, x).map(drop),
            &|e, x| e.product(Bilinear::Mul, x, x).map(drop),
        )?,
        known(
            engine,
            cost()?,
            (scope, clock, rates),
            COMPARISONS,
            &|e, x| e.map(&relu, &[x]).map(drop),
            &|e, x| e.map(&relu, &[x]).map(drop),
        )?,
    ];
    let [compute, memory] = factors(runs.each_ref().map(|run| (run.parts, run.cpu)));
    let [seconds, cpu] = runs[1].spent;
    let rates = Rates {
        compute,
        memory,
        byte: rates.byte * memory,
        ..rates
    };
    let cores = (3.0 * cpu / seconds.max(1e-9)).clamp(0.2, 3.0);
    Ok(Place {
        link,
        rates,
        cores: Some(cores),
    })
}

/// The factors c, m of c·parts\[0\] + m·parts\[1\] = cpu in both runs, or the same for both where these say nothing of them.
fn factors([(p, a), (q, b)]: [([f64; 2], f64); 2]) -> [f64; 2] {
    let within = |x: f64| x.clamp(FACTORS[0], FACTORS[1]);
    let both = within((a + b) / (p[0] + p[1] + q[0] + q[1]).max(1e-12));
    let det = p[0] * q[1] - p[1] * q[0];
    let [compute, memory] = [(a * q[1] - b * p[1]) / det, (p[0] * b - q[0] * a) / det];
    if compute.is_finite() && memory.is_finite() && compute > 0.0 && memory > 0.0 {
        [within(compute), within(memory)]
    } else {
        [both; 2]
    }
}

fn known<E: Proves, P: Prices>(
    e: &mut E,
    mut cost: CostEngine<P>,
    (scope, clock, rates): (Scope, &dyn Fn() -> f64, Rates),
    n: usize,
    run: &dyn Fn(&mut E, &E::Value) -> Result<()>,
    count: &dyn Fn(&mut CostEngine<P>, &Value) -> Result<()>,
) -> Result<Known> {
    let (link, me) = (tacit_mpc::net::Profile::LAN, e.session().me());
    let none = Rates::default();
    let parts = [
        Rates {
            compute: 1.0,
            ..none
        },
        Rates {
            memory: 1.0,
            byte: rates.byte,
            ..none
        },
        Rates {
            frame: rates.frame,
            ..none
        },
    ];
    let replays = parts.map(|rates| Replay::new(3, link, rates));
    cost.follow(Timeline::with_computing(replays.to_vec(), thread_seconds));
    cost.begin_run()?;
    count(&mut cost, &Value::shared(&[n]))?;
    cost.prove()?;
    let replays = cost.timeline().map(Timeline::replays).unwrap_or_default();
    let parts: Vec<f64> = replays
        .iter()
        .map(|replay| replay.cpu_seconds(me))
        .collect();

    let values = ArrayD::from_elem(IxDyn(&[n]), 0.5);
    let x = e.input(0, &[n], (me == 0).then_some(&values))?;
    let mut spent = Vec::new();
    for _ in 0..=RUNS {
        ready(e)?;
        let start = (clock(), cpu_seconds(scope));
        e.begin_run()?;
        run(e, &x)?;
        e.prove()?;
        spent.push([clock() - start.0, cpu_seconds(scope) - start.1]);
    }
    spent.remove(0);
    let middle = |of: usize| {
        let mut each: Vec<f64> = spent.iter().map(|s| s[of]).collect();
        each.sort_by(f64::total_cmp);
        each[RUNS / 2]
    };
    let spent = [middle(0), middle(1)];
    let [computing, copying, frames] = [0, 1, 2].map(|k| parts.get(k).copied().unwrap_or(0.0));
    Ok(Known {
        parts: [computing, copying],
        cpu: spent[1] - frames,
        spent,
    })
}

/// Waits for the others.
fn ready<E: Replicated>(e: &mut E) -> Result<()> {
    let one = ArrayD::zeros(IxDyn(&[1]));
    for owner in 0..3 {
        let mine = (e.session().me() == owner).then_some(&one);
        let share = e.input(owner, &[1], mine)?;
        e.open(&[&share])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_explain_both_runs() {
        // c = 1.5, m = 3: 1.5·2 + 3·1 = 6, 1.5·4 + 3·0.5 = 7.5.
        assert_eq!(factors([([2.0, 1.0], 6.0), ([4.0, 0.5], 7.5)]), [1.5, 3.0]);
        // Two runs that are alike, and one that would make copying negative: one factor for all.
        assert_eq!(factors([([2.0, 1.0], 6.0), ([2.0, 1.0], 6.0)]), [2.0; 2]);
        assert_eq!(factors([([1.0, 1.0], 1.0), ([1.0, 0.0], 2.0)]), [1.0; 2]);
        assert_eq!(factors([([1.0, 0.0], 99.0), ([0.0, 1.0], 1.0)]), [4.0, 1.0]);
    }
}
