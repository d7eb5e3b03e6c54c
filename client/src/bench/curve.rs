//! What each variant of a comparison takes on a simulated network, size by size, and which one `auto` takes.
//!
//! Few values are compared on the network itself; more by the cost engine, whose clock is the network's to the nanosecond
//! (`protocols/tests/timeline.rs`).

use std::sync::Arc;

use anyhow::{Result, anyhow};
use ndarray::{ArrayD, IxDyn};
use serde::Serialize;
use tacit_mpc::net::{MemNet, Profile, Sim, Transport};
use tacit_mpc::replay::{Rates, Replay};
use tacit_mpc::simulate::simulate;
use tacit_nn::program::Instr;
use tacit_nn::{Engine, Program, fixed, program};
use tacit_protocols::rep3::{Choice, CostEngine, CostValue, Depth, Rep3Engine};
use tacit_protocols::timeline::Timeline;

use super::Net;
use super::gate::Gate;

/// The numbers of values compared.
const SIZES: [usize; 7] = [1, 10, 100, 1000, 10_000, 100_000, 1_000_000];
/// Up to so many are compared on the network itself.
const RUN: usize = 1000;
/// The variants, fewest rounds first.
const NAMES: [&str; 4] = ["dcf", "depth 1", "depth 2", "depth 3"];

/// What a number of comparisons takes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Point {
    pub(super) net: String,
    pub(super) op: String,
    pub(super) size: usize,
    /// Seconds of the network by each variant, by its name.
    pub(super) seconds: Vec<(&'static str, f64)>,
    /// By the variant that is taken where none is asked for.
    pub(super) auto_seconds: f64,
    /// Which variant is fastest.
    pub(super) best: &'static str,
    /// Whether none of them is faster than what is taken.
    pub(super) auto_is_best: bool,
    /// Whether the parties ran; else the cost engine says.
    pub(super) run: bool,
}

/// The curves of the gates asked for on a simulated network.
pub(super) fn curve(net: Net, gates: &[Gate]) -> Result<Vec<Point>> {
    let link = match net {
        Net::Lan => Profile::LAN,
        Net::Wan => Profile::WAN,
        Net::Mem | Net::Loopback => return Ok(Vec::new()),
    };
    let mut points = Vec::new();
    for gate in gates {
        let program = match gate {
            Gate::Less => sign(),
            Gate::Relu => program::relu().keep("relu", &[0]),
            _ => continue,
        };
        for size in SIZES {
            let time = |choice: Choice| match size <= RUN {
                true => on_the_network(link, choice, &program, size),
                false => by_the_cost_engine(link, choice, &program, size),
            };
            let seconds = Depth::ALL.iter().zip(NAMES);
            let seconds = seconds.map(|(&depth, name)| Ok((name, time(depth.into())?)));
            let seconds = seconds.collect::<Result<Vec<_>>>()?;
            let auto_seconds = time(link.into())?;
            let best = seconds.iter().min_by(|x, y| x.1.total_cmp(&y.1));
            let (best, least) = *best.unwrap_or(&("", 0.0));
            points.push(Point {
                net: net.to_string(),
                op: match gate {
                    Gate::Less => "sign".into(),
                    _ => "relu".into(),
                },
                size,
                seconds,
                auto_seconds,
                best,
                auto_is_best: auto_seconds <= least,
                run: size <= RUN,
            });
        }
    }
    Ok(points)
}

/// The bit \[x < 0\].
fn sign() -> Program {
    let mut p = Program::new("sign");
    let x = p.push(Instr::Input(0));
    let bit = p.push(Instr::Negative(x, None));
    p.outputs = vec![bit];
    p
}

/// Simulated seconds from when all three are ready until all have the result.
fn on_the_network(link: Profile, choice: Choice, p: &Program, n: usize) -> Result<f64> {
    let sims = MemNet::mesh(3).into_iter();
    let sims: Vec<_> = sims.map(|net| Arc::new(Sim::new(net, link))).collect();
    let nets = sims.iter().map(|sim| Arc::clone(sim) as Arc<dyn Transport>);
    let times = simulate(nets.collect(), |session| -> tacit_nn::Result<[f64; 2]> {
        let sim = &sims[session.me()];
        let mut e = Rep3Engine::with_depth(session, fixed::FRACTION_BITS, choice)?;
        let x = e.trivial(&ArrayD::from_elem(IxDyn(&[n]), -0.25))?;
        e.begin_run()?;
        let start = sim.seconds();
        e.map(p, &[&x])?;
        Ok([start, sim.seconds()])
    });
    let (mut first, mut last) = (0f64, 0f64);
    for party in times {
        let [start, end] = party?.map_err(|e| anyhow!(e))?;
        (first, last) = (first.max(start), last.max(end));
    }
    Ok(nanoseconds(last - first))
}

/// The same, counted.
fn by_the_cost_engine(link: Profile, choice: Choice, p: &Program, n: usize) -> Result<f64> {
    let mut cost = CostEngine::new(fixed::FRACTION_BITS, choice);
    let replay = Replay::new(3, link, Rates::default());
    cost.follow(Timeline::of_networks(vec![replay]));
    cost.map(p, &[&CostValue::shared(&[n])])?;
    let replays = cost.timeline().map(Timeline::replays).unwrap_or_default();
    let ends = replays.iter().flat_map(|r| (0..3).map(|p| r.seconds(p)));
    Ok(nanoseconds(ends.fold(0.0, f64::max)))
}

/// Seconds to the nanosecond.
fn nanoseconds(seconds: f64) -> f64 {
    (seconds * 1e9).round() * 1e-9
}

/// The curves as a table, the fastest of each row marked; the last line says whether `auto` was it everywhere.
pub(super) fn table(points: &[Point]) -> String {
    let mut lines = vec![format!(
        "\nsimulated seconds of the variants of a comparison (* the fastest; from runs up to {RUN} values, beyond by the cost engine)\n\
         {:6} {:>5} {:>9} {:>13} {:>13} {:>13} {:>13} {:>13}  auto",
        "op", "net", "values", NAMES[0], NAMES[1], NAMES[2], NAMES[3], "auto"
    )];
    for p in points {
        let cells = p.seconds.iter().map(|(name, seconds)| {
            let mark = if *name == p.best { "*" } else { "" };
            format!(" {:>13}", format!("{mark}{seconds:.6}"))
        });
        let verdict = if p.auto_is_best { "best" } else { "NOT best" };
        lines.push(format!(
            "{:6} {:>5} {:>9}{} {:>13.6}  {verdict}",
            p.op,
            p.net,
            p.size,
            cells.collect::<String>(),
            p.auto_seconds,
        ));
    }
    let missed = points.iter().filter(|p| !p.auto_is_best).count();
    lines.push(match missed {
        0 => "auto takes the fastest variant at every size".into(),
        _ => format!(
            "auto takes a slower variant at {missed} of {} sizes",
            points.len()
        ),
    });
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two runs take the same to the digit, the cost engine says the same, and the best is marked.
    #[test]
    fn runs_repeat_and_the_cost_engine_agrees() {
        let p = program::relu().keep("relu", &[0]);
        for link in [Profile::LAN, Profile::WAN] {
            for choice in [Depth::Dcf.into(), Depth::Two.into(), link.into()] {
                let run = || on_the_network(link, choice, &p, 100).unwrap();
                assert_eq!(run(), run());
                let counted = by_the_cost_engine(link, choice, &p, 100).unwrap();
                // The runs begin at other times of each party, by the end of the agreement on keys.
                assert!((run() - counted).abs() < 1e-6, "{} {counted}", run());
            }
        }
        let point = |auto_is_best| Point {
            net: "wan".into(),
            op: "relu".into(),
            size: 1,
            seconds: vec![("dcf", 0.05), ("depth 1", 0.075)],
            auto_seconds: 0.05,
            best: "dcf",
            auto_is_best,
            run: true,
        };
        let told = table(&[point(true), point(true)]);
        assert!(told.contains("*0.050000") && told.contains("at every size"));
        assert!(table(&[point(true), point(false)]).contains("at 1 of 2 sizes"));
    }
}
