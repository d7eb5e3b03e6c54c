//! `tacit bench --update FILE`: the tables of a page of figures, between markers; what stands around them stays as it is.
//!
//! A table stands between `<!-- tacit bench: NAME -->` and `<!-- end -->`. `exact` holds what is the same on every machine and
//! every day: rounds, bytes, and the seconds of two networks, counted without running anything; a test holds the committed page to
//! it. `measured PROTOCOL NET` holds what was measured when the page was last updated.

use anyhow::{Context, Result, anyhow, bail};
use clap::ValueEnum;
use tacit_mpc::net::Profile;
use tacit_mpc::replay::{Rates, Replay};
use tacit_nn::fixed;
use tacit_protocols::cost::{CostEngine, Prices, Value};
use tacit_protocols::malicious;
use tacit_protocols::rep3::{self, Depth};
use tacit_protocols::timeline::Timeline;

use super::measure::Task;
use super::op::Op;
use super::report::Entry;
use super::training::Training;
use super::{Net, measured};
use crate::forecast::run_copying;
use crate::local::{Comparison, Protocol};

/// The protocols whose costs are told without running them, in the order of the table.
pub(crate) const COUNTED: [Protocol; 2] = [Protocol::Rep3, Protocol::Rep3Malicious];

/// What is the same on every machine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Exact {
    /// The longest chain of messages.
    pub(crate) rounds: u64,
    /// Payload of all parties.
    pub(crate) bytes: u64,
    /// The same for correlations that depend on no input.
    pub(crate) offline_bytes: u64,
    /// Seconds of the network alone: [`Profile::LAN`], [`Profile::WAN`].
    pub(crate) seconds: [f64; 2],
}

/// Counts an operation of a size on shared inputs, with its proof.
pub(super) fn count<P: Prices>(
    op: Op,
    size: usize,
    cost: &mut CostEngine<P>,
) -> tacit_nn::Result<()> {
    let shared = |cost: &CostEngine<P>, inputs: &[ndarray::ArrayD<f64>]| -> Vec<Value> {
        inputs.iter().map(|x| cost.shared(x.shape())).collect()
    };
    match op {
        Op::Gate(gate) => {
            let inputs = shared(cost, &gate.inputs(size));
            gate.run(cost, &inputs).map(drop)?;
        }
        Op::Network(network) => {
            let (graph, inputs) = network.build(size)?;
            let inputs = shared(cost, &inputs);
            run_copying(&graph, cost, &inputs).map(drop)?;
        }
        Op::LogisticRegression => {
            let training = Training::new();
            let training = training.map_err(|e| tacit_nn::Error::Invalid(e.to_string()))?;
            training.counted(cost)?;
        }
    }
    cost.prove()
}

/// What an operation costs by a protocol of [`COUNTED`].
pub(crate) fn exact(protocol: Protocol, op: Op, size: usize) -> Result<Exact> {
    let f = fixed::FRACTION_BITS;
    match protocol {
        Protocol::Rep3 => {
            let depth = Depth::from(Comparison::FewBytes);
            told(rep3::CostEngine::new(f, depth), op, size)
        }
        Protocol::Rep3Malicious => told(malicious::CostEngine::new(f)?, op, size),
        _ => bail!("what {protocol} costs is not told without running it"),
    }
}

/// What an operation costs by additive shares of so many parties: a run over each simulated network, nothing being counted
/// without one.
pub(crate) fn run_exactly(
    protocol: Protocol,
    parties: usize,
    op: Op,
    size: usize,
) -> Result<Exact> {
    let task = Task {
        protocol,
        parties,
        op,
        size,
        runs: 1,
        comparison: Comparison::FewBytes,
        device: tacit_gpu::Choice::Cpu,
    };
    let [lan, wan] = [Net::Lan, Net::Wan].map(|net| measured(task, net));
    let (lan, wan) = (lan?, wan?);
    Ok(Exact {
        rounds: lan.rounds,
        bytes: lan.bytes,
        offline_bytes: lan.offline_bytes,
        seconds: [lan.seconds, wan.seconds],
    })
}

fn told<P: Prices>(mut cost: CostEngine<P>, op: Op, size: usize) -> Result<Exact> {
    let replay = |link| Replay::new(3, link, Rates::default());
    let replays = [Profile::LAN, Profile::WAN].map(replay).to_vec();
    cost.follow(Timeline::of_networks(replays));
    count(op, size, &mut cost)?;
    let parties = cost.parties();
    let replays = cost.timeline().map(Timeline::replays).unwrap_or_default();
    let slowest = |k: usize| {
        let replay = replays.get(k).context("a run was not followed")?;
        anyhow::Ok((0..3).map(|p| replay.seconds(p)).fold(0.0, f64::max))
    };
    Ok(Exact {
        rounds: parties.iter().map(|p| p.rounds).max().unwrap_or(0),
        bytes: parties.iter().map(|p| p.bytes).sum(),
        offline_bytes: 0,
        seconds: [slowest(0)?, slowest(1)?],
    })
}

/// The table of what is the same on every machine.
pub(super) fn exact_table() -> Result<String> {
    let mut text = String::from(
        "| operation | size | protocol | rounds | bytes | B/value | s, 10 Gbit/s and 0.2 ms | s, 100 Mbit/s and 50 ms |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for &op in Op::value_variants() {
        let size = op.default_size();
        for protocol in COUNTED {
            let Exact {
                rounds,
                bytes,
                seconds: [lan, wan],
                ..
            } = exact(protocol, op, size).with_context(|| format!("{op} by {protocol}"))?;
            let each = op.values(size).filter(|&n| n > 1);
            let each =
                each.map_or_else(|| "–".into(), |n| format!("{:.2}", bytes as f64 / n as f64));
            text += &format!(
                "| `{op}` | {} | `{protocol}` | {} | {} | {each} | {lan:.6} | {wan:.4} |\n",
                grouped(size as u64),
                grouped(rounds),
                grouped(bytes),
            );
        }
    }
    Ok(text)
}

/// A table of what was measured by one protocol on one network.
pub(super) fn measured_table(entries: &[&Entry]) -> String {
    let mut text = String::from(
        "| operation | size | s | CPU s | forecast of CPU s | rounds | bytes | offline bytes | MiB | forecast of MiB | bound, of it | error |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for e in entries {
        let miss = e.forecast_error.map(|m| 100.0 * m.cpu_seconds);
        let miss = miss.map_or_else(|| "–".into(), |m| format!("{m:+.0} %"));
        let memory = e.forecast_error.and_then(|m| m.memory);
        let memory = memory.map_or_else(|| "–".into(), |m| format!("{:+.0} %", 100.0 * m));
        let (bound, share) = e.bounds.binding();
        text += &format!(
            "| `{}` | {} | {:.3} | {:.3} | {miss} | {} | {} | {} | {:.0} | {memory} | {bound} {:.0} % | {:.1e} |\n",
            e.op,
            grouped(e.size as u64),
            e.seconds,
            e.cpu_seconds,
            grouped(e.rounds),
            grouped(e.bytes),
            grouped(e.offline_bytes),
            e.peak_memory_bytes as f64 / f64::from(1 << 20),
            100.0 * share,
            e.max_abs_error,
        );
    }
    text
}

/// A number with a comma before every three digits.
pub(crate) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (k, digit) in digits.chars().enumerate() {
        if k > 0 && (digits.len() - k).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The page with another table between the markers of `name`.
///
/// # Errors
/// The markers are not there, once each.
pub(crate) fn replaced(page: &str, name: &str, table: &str) -> Result<String> {
    let (start, end) = bounds(page, name)?;
    Ok(format!("{}\n{}{}", &page[..start], table, &page[end..]))
}

/// What stands between the markers of `name`, without the line break behind the first.
///
/// # Errors
/// The markers are not there, once each.
#[cfg(test)]
pub(crate) fn between<'p>(page: &'p str, name: &str) -> Result<&'p str> {
    let (start, end) = bounds(page, name)?;
    Ok(page[start..end].trim_start_matches('\n'))
}

fn bounds(page: &str, name: &str) -> Result<(usize, usize)> {
    let marker = format!("<!-- tacit {name} -->");
    let missing = || anyhow!("the page has no line {marker}");
    let start = page.find(&marker).ok_or_else(missing)? + marker.len();
    if page[start..].contains(&marker) {
        bail!("the page has {marker} twice");
    }
    let end = page[start..].find("<!-- end -->");
    let end = end.ok_or_else(|| anyhow!("nothing ends {marker}: <!-- end --> is missing"))?;
    Ok((start, start + end))
}

/// The page with new tables: those of what was measured, and that of what is exact.
///
/// # Errors
/// The page lacks markers for one of them.
pub(super) fn updated(page: &str, measured: &[Entry]) -> Result<String> {
    let mut page = replaced(page, "bench: exact", &exact_table()?)?;
    let mut kinds: Vec<(&str, &str)> = Vec::new();
    for e in measured {
        if !kinds.contains(&(&e.protocol, &e.net)) {
            kinds.push((&e.protocol, &e.net));
        }
    }
    for (protocol, net) in kinds {
        let entries = measured.iter();
        let entries = entries.filter(|e| (&*e.protocol, &*e.net) == (protocol, net));
        let table = measured_table(&entries.collect::<Vec<_>>());
        page = replaced(&page, &format!("bench: measured {protocol} {net}"), &table)?;
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_stand_between_their_markers() {
        let page = "a\n<!-- tacit x -->\nold\n<!-- end -->\nb\n<!-- tacit y -->\n<!-- end -->\n";
        let new = replaced(page, "x", "| 1 |\n").unwrap();
        assert_eq!(between(&new, "x").unwrap(), "| 1 |\n");
        assert_eq!(replaced(&new, "x", "old\n").unwrap(), page);
        assert!(replaced(page, "z", "").is_err());
        assert!(replaced("<!-- tacit x -->", "x", "").is_err());
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!([0, 999, 1000].map(grouped), ["0", "999", "1,000"]);
    }

    /// The page of figures as it is committed holds what the code gives now: rounds, bytes and simulated seconds, to the digit.
    #[test]
    fn the_committed_figures_are_those_of_this_code() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../benches/README.md");
        let page = std::fs::read_to_string(path).unwrap();
        let (committed, now) = (
            between(&page, "bench: exact").unwrap(),
            exact_table().unwrap(),
        );
        for (committed, now) in committed.lines().zip(now.lines()) {
            assert_eq!(
                committed, now,
                "run: tacit bench --update benches/README.md"
            );
        }
        assert_eq!(committed.lines().count(), now.lines().count());
    }

    /// What is counted without running is what a simulated run measures, to the digit, and a second run the same.
    #[test]
    fn simulated_figures_repeat_to_the_digit() {
        use super::super::gate::Gate;
        use super::super::network::Network;
        for (op, size) in [
            (Op::Gate(Gate::Mul), 20_000),
            (Op::Gate(Gate::Relu), 1_000),
            (Op::Network(Network::MlpTrain), 3),
        ] {
            for protocol in COUNTED {
                let counted = exact(protocol, op, size).unwrap();
                for (net, seconds) in [Net::Lan, Net::Wan].into_iter().zip(counted.seconds) {
                    let task = Task {
                        protocol,
                        parties: 3,
                        op,
                        size,
                        runs: 2,
                        comparison: Comparison::FewBytes,
                        device: tacit_gpu::Choice::Cpu,
                    };
                    let runs = [(); 2].map(|()| measured(task, net).unwrap());
                    for run in &runs {
                        assert_eq!(run.seconds, seconds, "{op} by {protocol} over {net}");
                        assert_eq!((run.rounds, run.bytes), (counted.rounds, counted.bytes));
                        let miss = run.forecast_error.unwrap();
                        assert_eq!((miss.bytes, miss.rounds), (0.0, 0));
                        // A quotient of equal seconds may be rounded.
                        assert!(miss.seconds.abs() < 1e-12, "{}", miss.seconds);
                        assert_eq!(run.header_bytes, runs[0].header_bytes);
                        assert_eq!(run.messages, runs[0].messages);
                    }
                }
            }
        }
    }
}
