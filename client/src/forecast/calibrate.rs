//! What this machine and the links of a session make of a forecast.
//!
//! Computing is rehearsed as it is; what sending and receiving take the processor depends on who sleeps meanwhile and on what the
//! threads of a connection find in the caches, so it is measured by gates on the session at hand, by its own engine. A comparison
//! of a few values sends short frames and computes next to nothing: what it takes more than rehearsed is what its frames take.
//! A product of many values sends long ones: what that takes more is what their bytes take, and by the clock it tells how many
//! cores the parties get.

use ndarray::{ArrayD, IxDyn};
use tacit_mpc::Bilinear;
use tacit_mpc::net::Profile;
use tacit_mpc::replay::{Rates, Replay};
use tacit_nn::{Engine, Result, program};
use tacit_protocols::Replicated;
use tacit_protocols::cost::{CostEngine, Prices, Value};
use tacit_protocols::malicious::MaliciousEngine;
use tacit_protocols::rep3::Rep3Engine;
use tacit_protocols::timeline::Timeline;

use super::links::measured;
use super::{Place, on_shared_cores, thread_seconds};
use crate::usage::{Scope, cpu_seconds};

/// Values of the comparison, a chunk for each dealer, and how often it runs between two looks at the clock.
const COMPARED: (usize, usize) = (3, 50);
/// Values of the product, which is run once.
const MULTIPLIED: (usize, usize) = (1 << 19, 1);
/// Measurements of which the middle counts, after one to warm up; who wants an answer soon asks for fewer.
pub(super) const RUNS: usize = 7;

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

/// A run of a gate.
struct Gate {
    /// By the clock.
    seconds: f64,
    /// Processor seconds, and those of them that are computing.
    cpu: f64,
    computing: f64,
    /// Frames and bytes, sent and received.
    frames: f64,
    bytes: f64,
}

/// The place of a session, over links that are measured: all its parties measure at once. `cost` makes an engine that counts as
/// `engine` computes, `clock` tells seconds; of so many `runs` the middle counts, [`RUNS`] at most.
pub(crate) fn calibrated<E: Proves, P: Prices>(
    engine: &mut E,
    cost: impl Fn() -> Result<CostEngine<P>>,
    runs: usize,
    scope: Scope,
    clock: &dyn Fn() -> f64,
) -> Result<Place> {
    ready(engine)?;
    let link = measured(engine.session(), scope, clock)?;
    let relu = program::relu().keep("relu", &[0]);
    let compared = gate(
        engine,
        cost()?,
        (scope, clock, runs, COMPARED),
        &|e, x| e.map(&relu, &[x]).map(drop),
        &|e, x| e.map(&relu, &[x]).map(drop),
    )?;
    let multiplied = gate(
        engine,
        cost()?,
        (scope, clock, runs, MULTIPLIED),
        &|e, x| e.product(Bilinear::Mul, x, x).map(drop),
        &|e, x| e.product(Bilinear::Mul, x, x).map(drop),
    )?;
    let (frame, byte) = sending(&compared, &multiplied);
    let rates = Rates {
        compute: 1.0,
        frame,
        byte,
    };
    Ok(Place {
        link,
        rates,
        cores: Some(cores(&multiplied)),
    })
}

/// So many cores let three parties, each of which computes all the time, end when they did.
fn cores(gate: &Gate) -> f64 {
    let (mut few, mut many) = (0.1, 3.0);
    for _ in 0..30 {
        let middle = (few + many) / 2.0;
        if on_shared_cores(gate.cpu, 3.0 * gate.cpu, middle) > gate.seconds {
            few = middle;
        } else {
            many = middle;
        }
    }
    many
}

/// What a frame and a byte take: of short frames their number counts, of long ones their bytes.
fn sending(short: &Gate, long: &Gate) -> (f64, f64) {
    let rest = |gate: &Gate| (gate.cpu - gate.computing).max(0.0);
    let frame = rest(short) / short.frames.max(1.0);
    let byte = (rest(long) - frame * long.frames).max(0.0) / long.bytes.max(1.0);
    (frame, byte)
}

fn gate<E: Proves, P: Prices>(
    e: &mut E,
    mut cost: CostEngine<P>,
    (scope, clock, runs, (n, often)): (Scope, &dyn Fn() -> f64, usize, (usize, usize)),
    run: &dyn Fn(&mut E, &E::Value) -> Result<()>,
    count: &dyn Fn(&mut CostEngine<P>, &Value) -> Result<()>,
) -> Result<Gate> {
    let me = e.session().me();
    let none = Rates::default();
    let parts = [
        Rates {
            compute: 1.0,
            ..none
        },
        Rates { frame: 1.0, ..none },
        Rates { byte: 1.0, ..none },
    ];
    let replays = parts.map(|rates| Replay::new(3, Profile::LAN, rates));
    cost.follow(Timeline::with_computing(replays.to_vec(), thread_seconds));
    cost.begin_run()?;
    count(&mut cost, &Value::shared(&[n]))?;
    cost.prove()?;
    let replays = cost.timeline().map(Timeline::replays).unwrap_or_default();
    let part = |k: usize| replays.get(k).map_or(0.0, |replay| replay.cpu_seconds(me));

    let values = ArrayD::from_elem(IxDyn(&[n]), 0.5);
    let x = e.input(0, &[n], (me == 0).then_some(&values))?;
    let mut spent = (Vec::new(), Vec::new());
    for _ in 0..=runs.clamp(1, RUNS) {
        ready(e)?;
        let start = (clock(), cpu_seconds(scope));
        for _ in 0..often {
            e.begin_run()?;
            run(e, &x)?;
            e.prove()?;
        }
        let end = (clock(), cpu_seconds(scope));
        spent.0.push((end.0 - start.0) / often as f64);
        spent.1.push((end.1 - start.1) / often as f64);
    }
    let middle = |mut each: Vec<f64>| {
        each.remove(0);
        each.sort_by(f64::total_cmp);
        each[each.len() / 2]
    };
    Ok(Gate {
        seconds: middle(spent.0),
        cpu: middle(spent.1),
        computing: part(0),
        frames: part(1),
        bytes: part(2),
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
    fn frames_and_bytes_explain_what_is_not_computing() {
        let gate = |cpu, computing, frames, bytes| Gate {
            seconds: 0.0,
            cpu,
            computing,
            frames,
            bytes,
        };
        // 8 frames in 4 seconds; 10 of them in 5, so that 40 bytes take 10.
        let short = gate(5.0, 1.0, 8.0, 4.0);
        assert_eq!(sending(&short, &gate(18.0, 3.0, 10.0, 40.0)), (0.5, 0.25));
        // Less than was rehearsed: sending takes nothing.
        let little = gate(1.0, 2.0, 8.0, 4.0);
        assert_eq!(sending(&little, &gate(2.0, 3.0, 10.0, 40.0)), (0.0, 0.0));
    }

    #[test]
    fn cores_explain_when_parties_end() {
        let gate = |seconds| Gate {
            seconds,
            cpu: 2.0,
            computing: 0.0,
            frames: 0.0,
            bytes: 0.0,
        };
        for (seconds, want) in [(2.0, 3.0), (3.5, 2.0), (6.0, 1.0), (1.0, 3.0), (600.0, 0.1)] {
            let found = cores(&gate(seconds));
            assert!((found - want).abs() < 1e-6, "{seconds}: {found}");
        }
    }
}
