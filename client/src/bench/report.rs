//! What the parties found, put together, for people and for programs.

use serde::{Deserialize, Serialize};

use super::Net;
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
    pub(super) runs: usize,
    /// Of the slowest party.
    pub(super) seconds: f64,
    /// Of all parties together.
    pub(super) cpu_seconds: f64,
    /// The same, as forecast.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) forecast: Option<Expected>,
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
    /// Of the largest process.
    pub(super) peak_memory_bytes: u64,
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
        Self {
            protocol: task.protocol.to_string(),
            op: task.op.to_string(),
            size: task.size,
            values: task.op.values(task.size),
            net: net.to_string(),
            runs: task.runs,
            seconds: middle(|s| s.seconds),
            cpu_seconds: middle(|s| s.cpu_seconds),
            forecast: mean(parties.iter().map(|party| party.forecast)),
            rounds: count(|s| s.rounds.1 - s.rounds.0),
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
            peak_memory_bytes: parties
                .iter()
                .map(|p| p.peak_memory_bytes)
                .max()
                .unwrap_or(0),
            max_abs_error: parties.iter().map(|p| p.max_abs_error).fold(0.0, f64::max),
            accuracy: parties.iter().find_map(|p| p.accuracy),
        }
    }

    /// The heading above [`Self::row`].
    pub(super) fn heading() -> String {
        format!(
            "{:20} {:>9} {:>9} {:>11} {:>11} {:>11} {:>7} {:>13} {:>9} {:>11} {:>9} {:>10}",
            "op",
            "size",
            "net",
            "seconds",
            "cpu s",
            "forecast",
            "rounds",
            "bytes",
            "B/value",
            "header B",
            "MiB",
            "max error"
        )
    }

    /// One line for people.
    pub(super) fn row(&self) -> String {
        format!(
            "{:20} {:>9} {:>9} {:>11.6} {:>11.6} {:>11} {:>7} {:>13} {:>9} {:>11} {:>9.1} {:>10.2e}",
            self.op,
            self.size,
            self.net,
            self.seconds,
            self.cpu_seconds,
            self.forecast
                .map_or_else(|| "-".into(), |f| format!("{:.6}", f.cpu_seconds)),
            self.rounds,
            self.bytes,
            self.bytes_per_value()
                .map_or_else(|| "-".into(), |b| format!("{b:.2}")),
            self.header_bytes,
            self.peak_memory_bytes as f64 / f64::from(1 << 20),
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
            "{:20} {:>9} {:>9} {seconds:>11.6} {cpu_seconds:>11.6} {:>11} {rounds:>7} {bytes:>13}",
            "  of it proofs", "", "", ""
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
        offline_rounds: all.offline_rounds.max(party.offline_rounds),
        offline_bytes: all.offline_bytes + party.offline_bytes,
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
