//! What the demo ends with: a table for people, an object for programs.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::baseline::Score;
use super::consortium::PARTIES;
use crate::text;
use crate::watch::Totals;

/// Above this distance the private metric and the one recomputed from the file are both shown.
const AGREEMENT: f64 = 1e-3;

/// One job and what it is held against.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Outcome {
    /// The job's name.
    pub(super) name: String,
    /// The metrics that the parties computed on shares.
    pub(super) private: Score,
    /// The metrics of the released file, computed in plaintext.
    pub(super) recomputed: Score,
    /// Plaintext training on the rows of everybody.
    pub(super) pooled: Score,
    /// Plaintext training on the rows of each institution.
    pub(super) alone: Vec<Score>,
    /// What the job cost.
    pub(super) totals: Totals,
    /// The model's files: safetensors and ONNX.
    pub(super) files: [PathBuf; 2],
}

impl Outcome {
    /// The lines of the table.
    pub(super) fn table(&self) -> String {
        let line = |what: &str, score: Score| {
            format!(
                "\n  {what:34} {:>8.2} % {:>9.4}",
                100.0 * score.accuracy,
                score.auc
            )
        };
        let mut text = format!(
            "{}\n  {:34} {:>10} {:>9}",
            self.name, "on held-out rows", "accuracy", "AUC"
        );
        text += &line("private joint model", self.private);
        if !self.agrees() {
            text += &line("  its file, measured in plaintext", self.recomputed);
        }
        text += &line("plaintext on the pooled rows", self.pooled);
        for (party, &score) in PARTIES.iter().zip(&self.alone) {
            text += &line(&format!("{party} alone"), score);
        }
        text += &format!(
            "\n  {:.1} s, {} rounds, {} sent by all parties, from the first link to the result",
            self.totals.seconds,
            self.totals.rounds,
            text::bytes(self.totals.bytes)
        );
        for file in &self.files {
            text += &format!("\n  {}", file.display());
        }
        text
    }

    /// Whether the metrics computed on shares are those of the file.
    pub(super) fn agrees(&self) -> bool {
        let distance =
            |metric: fn(&Score) -> f64| (metric(&self.private) - metric(&self.recomputed)).abs();
        distance(|s| s.accuracy).max(distance(|s| s.auc)) < AGREEMENT
    }

    /// For programs.
    pub(super) fn to_json(&self) -> Value {
        let alone = |metric: fn(&Score) -> f64| self.alone.iter().map(metric).collect::<Vec<_>>();
        json!({
            "name": self.name,
            "accuracy_private": self.private.accuracy,
            "accuracy_recomputed": self.recomputed.accuracy,
            "accuracy_pooled": self.pooled.accuracy,
            "accuracy_alone": alone(|s| s.accuracy),
            "auc_private": self.private.auc,
            "auc_recomputed": self.recomputed.auc,
            "auc_pooled": self.pooled.auc,
            "auc_alone": alone(|s| s.auc),
            "seconds": self.totals.seconds,
            "rounds": self.totals.rounds,
            "bytes": self.totals.bytes,
            "safetensors": self.files[0],
            "onnx": self.files[1],
        })
    }
}

/// What each process saw and did not see, a line each.
pub(super) fn sights() -> String {
    [
        "each party    saw its own rows, row counts and random shares; no result",
        "coordinator   saw jobs, names and shares sealed to another; no row, no result",
        "analyst       saw models, metrics and losses; no row",
    ]
    .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome() -> Outcome {
        let score = |accuracy| Score {
            accuracy,
            auc: 0.99,
        };
        Outcome {
            name: "trial".into(),
            private: score(0.95),
            recomputed: score(0.9502),
            pooled: score(0.96),
            alone: [0.9, 0.8, 0.7].map(score).to_vec(),
            totals: Totals {
                bytes: 2_000_000,
                rounds: 99,
                seconds: 1.25,
            },
            files: ["a.safetensors", "a.onnx"].map(PathBuf::from),
        }
    }

    #[test]
    fn the_table_has_a_line_for_everything() {
        let table = outcome().table();
        for part in [
            "private joint model",
            "95.00 %",
            "pooled",
            "south alone",
            "99 rounds",
            "2.00 MB",
            "a.onnx",
        ] {
            assert!(table.contains(part), "{part} is missing in\n{table}");
        }
        assert!(!table.contains("its file"), "{table}");
        let mut outcome = outcome();
        outcome.recomputed.auc = 0.97;
        assert!(
            outcome.table().contains("its file"),
            "a difference is stated"
        );
    }

    #[test]
    fn lines_fit_a_narrow_terminal() {
        assert!(sights().lines().all(|line| line.len() < 80));
    }

    #[test]
    fn programs_get_the_same_numbers() {
        let json = outcome().to_json();
        assert_eq!(json["accuracy_private"], 0.95);
        assert_eq!(json["accuracy_alone"], json!([0.9, 0.8, 0.7]));
        assert_eq!(json["onnx"], "a.onnx");
    }
}
