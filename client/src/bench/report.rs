//! What the parties found, put together, for people and for programs.

use serde::{Deserialize, Serialize};

use super::Net;
use super::bounds::{Miss, Shares};
use super::measure::{Findings, Proof, Sample, Task};
use crate::forecast::Expected;
use crate::local::Protocol;

/// The result of one benchmark: a median over its runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Entry {
    pub(super) protocol: String,
    pub(super) op: String,
    pub(super) size: usize,
    /// Values of the result, where they are that many.
    #[serde(skip)]
    pub(super) values: Option<usize>,
    pub(super) net: String,
    /// What was asked to compute products, where it is not the processor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) device: Option<String>,
    pub(super) runs: usize,
    /// Of the slowest party.
    pub(super) seconds: f64,
    /// Of all parties together.
    pub(super) cpu_seconds: f64,
    /// The run as forecast.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) forecast: Option<Expected>,
    /// How far the forecast is from what was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) forecast_error: Option<Miss>,
    /// What of it each bound explains alone.
    pub(super) bounds: Shares,
    /// The most that a party has.
    pub(super) rounds: u64,
    /// Payload of all parties together.
    pub(super) bytes: u64,
    /// Besides, payload of all parties for correlations that depend on no input.
    pub(super) offline_bytes: u64,
    /// The most rounds that a party has for them, if all are made at once.
    pub(super) offline_rounds: u64,
    pub(super) header_bytes: u64,
    pub(super) messages: u64,
    /// Of all that, what proofs take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) proof: Option<Proof>,
    /// Of the largest process: a party where the parties are processes, else all of them together.
    pub(super) peak_memory_bytes: u64,
    /// What of it the program itself takes.
    pub(super) program_memory_bytes: u64,
    pub(super) max_abs_error: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) accuracy: Option<f64>,
}

impl Entry {
    /// Puts together what the parties say about the same runs.
    pub(super) fn new(task: Task, net: Net, parties: &[Findings]) -> Self {
        let runs: Vec<Sample> = (0..task.runs)
            .map(|k| combine(parties.iter().filter_map(|party| party.samples.get(k))))
            .collect();
        let middle = |value: fn(&Sample) -> f64| median(runs.iter().map(value).collect());
        let count = |value: fn(&Sample) -> u64| {
            let mut values: Vec<u64> = runs.iter().map(value).collect();
            values.sort_unstable();
            values.get(values.len() / 2).copied().unwrap_or_default()
        };
        let rounds = count(|s| s.rounds.1 - s.rounds.0);
        let forecast = mean(parties.iter().map(|party| party.forecast));
        let middle_run = Sample {
            seconds: middle(|s| s.seconds),
            cpu_seconds: middle(|s| s.cpu_seconds),
            bytes: count(|s| s.bytes),
            header_bytes: count(|s| s.header_bytes),
            drawn: count(|s| s.drawn),
            multiplications: count(|s| s.multiplications),
            ..Sample::default()
        };
        let simulated = matches!(net, Net::Lan | Net::Wan);
        let bounds = parties
            .first()
            .map(|party| Shares::of(&middle_run, rounds, &party.speeds));
        let most = |of: fn(&Findings) -> u64| parties.iter().map(of).max().unwrap_or(0);
        let peak_memory_bytes = most(|p| p.peak_memory_bytes);
        let program_memory_bytes = most(|p| p.program_memory_bytes);
        let miss = |f: Expected| {
            let miss = Miss::of(&middle_run, rounds, &f, simulated);
            match net {
                Net::Loopback => miss.with_memory(peak_memory_bytes, program_memory_bytes, &f),
                _ => miss,
            }
        };
        Self {
            protocol: task.protocol.to_string(),
            op: task.op.to_string(),
            size: task.size,
            values: task.op.values(task.size),
            net: net.to_string(),
            device: Some(task.device)
                .filter(|&device| device != tacit_gpu::Choice::Cpu)
                .map(|device| device.to_string()),
            runs: task.runs,
            seconds: middle(|s| s.seconds),
            cpu_seconds: middle(|s| s.cpu_seconds),
            forecast,
            forecast_error: forecast.map(miss),
            bounds: bounds.unwrap_or_default(),
            rounds,
            bytes: count(|s| s.bytes),
            offline_bytes: count(|s| s.offline_bytes),
            offline_rounds: count(|s| s.offline_rounds),
            header_bytes: count(|s| s.header_bytes),
            messages: count(|s| s.messages),
            proof: (task.protocol == Protocol::Rep3Malicious).then(|| Proof {
                seconds: middle(|s| s.proof.seconds),
                cpu_seconds: middle(|s| s.proof.cpu_seconds),
                rounds: count(|s| s.proof.rounds),
                bytes: count(|s| s.proof.bytes),
            }),
            peak_memory_bytes,
            program_memory_bytes,
            max_abs_error: parties.iter().map(|p| p.max_abs_error).fold(0.0, f64::max),
            accuracy: parties.iter().find_map(|p| p.accuracy),
        }
    }

    /// The heading above [`Self::row`].
    pub(super) fn heading() -> String {
        format!(
            "{:20} {:>8} {:>8} {:>11} {:>7} {:>10} {:>7} {:>7} {:>6} {:>13} {:>9} {:>10} {:>8} {:>7} {:>12} {:>9}",
            "op",
            "size",
            "net",
            "seconds",
            "fc err",
            "cpu s",
            "fc err",
            "rounds",
            "fc err",
            "bytes",
            "B/value",
            "offline B",
            "MiB",
            "fc err",
            "bound",
            "max error"
        )
    }

    /// One line for people: a forecast's errors stand behind what they are about.
    pub(super) fn row(&self) -> String {
        let miss = self.forecast_error;
        let percent = |of: fn(&Miss) -> f64| {
            miss.map_or_else(|| "-".into(), |m| format!("{:+.1}%", 100.0 * of(&m)))
        };
        let (bound, share) = self.bounds.binding();
        format!(
            "{:20} {:>8} {:>8} {:>11.6} {:>7} {:>10.6} {:>7} {:>7} {:>6} {:>13} {:>9} {:>10} {:>8.1} {:>7} {:>12} {:>9.1e}",
            self.op,
            self.size,
            self.net,
            self.seconds,
            percent(|m| m.seconds),
            self.cpu_seconds,
            percent(|m| m.cpu_seconds),
            self.rounds,
            miss.map_or_else(|| "-".into(), |m| format!("{:+}", m.rounds)),
            self.bytes,
            self.bytes_per_value()
                .map_or_else(|| "-".into(), |b| format!("{b:.2}")),
            self.offline_bytes,
            self.peak_memory_bytes as f64 / f64::from(1 << 20),
            miss.and_then(|m| m.memory)
                .map_or_else(|| "-".into(), |m| format!("{:+.0}%", 100.0 * m)),
            match share {
                0.0 => "-".into(),
                share => format!("{bound} {:.0}%", 100.0 * share),
            },
            self.max_abs_error,
        )
    }

    /// What correlations take besides, as a line below [`Self::row`].
    pub(super) fn offline_row(&self) -> Option<String> {
        let (rounds, bytes) = (self.offline_rounds, self.offline_bytes);
        let values = self.values.map(|n| bytes as f64 / n.max(1) as f64);
        (bytes > 0).then(|| {
            format!(
                "{:20} {:>9} {:>9} {:>11} {:>11} {:>11} {rounds:>7} {bytes:>13} {:>9}",
                "  correlations",
                "",
                "",
                "",
                "",
                "",
                values.map_or_else(|| "-".into(), |b| format!("{b:.2}"))
            )
        })
    }

    /// What of it proofs take, as a line below [`Self::row`].
    pub(super) fn proof_row(&self) -> Option<String> {
        let Proof {
            seconds,
            cpu_seconds,
            rounds,
            bytes,
        } = self.proof?;
        Some(format!(
            "{:20} {:>8} {:>8} {seconds:>11.6} {:>7} {cpu_seconds:>10.6} {:>7} {rounds:>7} {:>6} {bytes:>13}",
            "  of it proofs", "", "", "", "", ""
        ))
    }

    /// Whether both measured the same work in the same way.
    pub(super) fn same_work(&self, o: &Self) -> bool {
        (&self.protocol, &self.op, self.size, &self.net) == (&o.protocol, &o.op, o.size, &o.net)
    }

    /// Bytes of all parties a value of the result; none for a network or a training.
    pub(super) fn bytes_per_value(&self) -> Option<f64> {
        let values = self.values?.max(1);
        Some(self.bytes as f64 / values as f64)
    }
}

/// One run, of all parties: times of the slowest, work of all.
fn combine<'a>(parties: impl Iterator<Item = &'a Sample>) -> Sample {
    parties.fold(Sample::default(), |all, party| Sample {
        seconds: all.seconds.max(party.seconds),
        cpu_seconds: all.cpu_seconds + party.cpu_seconds,
        rounds: (
            all.rounds.0.max(party.rounds.0),
            all.rounds.1.max(party.rounds.1),
        ),
        bytes: all.bytes + party.bytes,
        header_bytes: all.header_bytes + party.header_bytes,
        messages: all.messages + party.messages,
        offline_bytes: all.offline_bytes + party.offline_bytes,
        offline_rounds: all.offline_rounds.max(party.offline_rounds),
        drawn: all.drawn + party.drawn,
        multiplications: all.multiplications + party.multiplications,
        proof: Proof {
            seconds: all.proof.seconds.max(party.proof.seconds),
            cpu_seconds: all.proof.cpu_seconds + party.proof.cpu_seconds,
            rounds: all.proof.rounds.max(party.proof.rounds),
            bytes: all.proof.bytes + party.proof.bytes,
        },
    })
}

/// What all parties forecast of the whole run: they count alike, and each has measured for itself.
fn mean(parties: impl Iterator<Item = Option<Expected>>) -> Option<Expected> {
    let each: Vec<Expected> = parties.collect::<Option<_>>()?;
    let mean = |of: fn(&Expected) -> f64| each.iter().map(of).sum::<f64>() / each.len() as f64;
    each.first().map(|first| Expected {
        seconds: mean(|e| e.seconds),
        network_seconds: mean(|e| e.network_seconds),
        cpu_seconds: mean(|e| e.cpu_seconds),
        ..*first
    })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.len() {
        0 => 0.0,
        n if n % 2 == 1 => values[half],
        _ => (values[half - 1] + values[half]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Op;
    use super::super::gate::Gate;
    use super::*;
    use crate::local::Comparison;

    fn party(seconds: [f64; 3]) -> Findings {
        let sample = |seconds| Sample {
            seconds,
            cpu_seconds: 1.0,
            rounds: (5, 7),
            bytes: 80,
            ..Sample::default()
        };
        Findings {
            samples: seconds.map(sample).to_vec(),
            peak_memory_bytes: 7,
            ..Findings::default()
        }
    }

    #[test]
    fn the_slowest_party_counts_and_the_middle_run() {
        let task = Task {
            op: Op::Gate(Gate::Mul),
            protocol: Protocol::Rep3,
            parties: 3,
            size: 10,
            runs: 3,
            comparison: Comparison::FewBytes,
            device: tacit_gpu::Choice::Cpu,
        };
        let parties = [
            party([1.0, 9.0, 2.0]),
            party([1.0, 1.0, 3.0]),
            party([2.0, 1.0, 1.0]),
        ];
        let entry = Entry::new(task, Net::Mem, &parties);
        assert_eq!(
            (entry.seconds, entry.cpu_seconds, entry.rounds, entry.bytes),
            (3.0, 3.0, 2, 240)
        );
        assert_eq!(
            (entry.peak_memory_bytes, entry.bytes_per_value()),
            (7, Some(24.0))
        );
        let (heading, row) = (Entry::heading(), entry.row());
        assert_eq!(heading.len(), row.len(), "{heading}\n{row}");
    }

    #[test]
    fn a_median_of_an_even_number_is_the_mean_of_the_middle_two() {
        assert_eq!(median(vec![4.0, 1.0, 2.0, 9.0]), 3.0);
        assert_eq!(median(vec![]), 0.0);
    }
}
