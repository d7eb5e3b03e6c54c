//! A run of a graph beside plaintext, node by node.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use anyhow::{Result, ensure};
use ndarray::ArrayD;
use serde::Serialize;
use tacit_nn::{Error, Graph};

use super::gauge::{Peak, peaks};
use crate::local::{Failed, Given, Protocol, Run, Settings, place, run};

/// What a value may be off by: `absolute` plus `relative` times the plaintext value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    /// The relative part.
    pub relative: f64,
    /// The absolute part.
    pub absolute: f64,
}

impl Default for Tolerance {
    /// A thousandth and 2^-9.
    fn default() -> Self {
        Self {
            relative: 1e-3,
            absolute: 2f64.powi(-9),
        }
    }
}

impl std::str::FromStr for Tolerance {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let number = |text: &str| text.trim().parse::<f64>().ok().filter(|x| *x >= 0.0);
        let parts = text.split_once(',').map(|(r, a)| (number(r), number(a)));
        match parts {
            Some((Some(relative), Some(absolute))) => Ok(Self { relative, absolute }),
            _ => Err("two numbers that are not negative, REL,ABS, such as 1e-3,0.002".into()),
        }
    }
}

/// Bits before overflow below which a node is reported.
pub const MARGIN_BITS: f64 = 4.0;

/// What was found at one node of the model.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Finding {
    /// The node of the model.
    pub node: String,
    /// Whether the protocol's run came to it.
    pub compared: bool,
    /// The largest distance of a result of the node from plaintext.
    pub max_abs_error: f64,
    /// The largest distance as a fraction of the plaintext value, those below the absolute tolerance counted as that large.
    pub max_rel_error: f64,
    /// Whether all results are within the tolerance.
    pub within: bool,
    /// The largest magnitude inside the node.
    pub max_value: f64,
    /// Bits that were left before the node, or a product inside it, overflowed; negative beyond.
    pub bits_left: f64,
}

/// What overflowed in the ring.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Overflow {
    /// The node of the model.
    pub node: String,
    /// The value that left its range.
    pub value: Option<f64>,
    /// The whole message.
    pub message: String,
}

/// What a check found.
#[derive(Clone, Debug)]
pub struct Report {
    /// The nodes of the model that were run, in order.
    pub findings: Vec<Finding>,
    /// The first node that leaves its range in the ring.
    pub overflow: Option<Overflow>,
    /// What the protocol's run cost; its outputs are empty where it did not come to an end.
    pub run: Run,
}

impl Report {
    /// The first node outside the tolerance.
    #[must_use]
    pub fn first_outside(&self) -> Option<&Finding> {
        self.findings.iter().find(|finding| !finding.within)
    }

    /// The nodes with less than [`MARGIN_BITS`] before overflow.
    pub fn near_overflow(&self) -> impl Iterator<Item = &Finding> {
        let near = |finding: &&Finding| finding.bits_left <= MARGIN_BITS;
        self.findings.iter().filter(near)
    }

    /// Whether everything stayed within tolerance and range.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.overflow.is_none() && self.first_outside().is_none()
    }
}

/// Runs `graph` by `protocol` and in plaintext, and compares each value that one node of the model hands to another, or out.
///
/// # Errors
/// What stops a run other than a value out of range, which the report holds.
pub fn compare(
    protocol: Protocol,
    graph: &Graph,
    inputs: &[Given],
    settings: impl Into<Settings>,
    tolerance: Tolerance,
) -> Result<Report> {
    let settings @ Settings { fraction_bits, .. } = settings.into();
    let groups = Groups::of(graph);
    let mut findings: BTreeMap<usize, Finding> = BTreeMap::new();
    for (node, peak) in peaks(graph, inputs, fraction_bits)? {
        let finding = findings.entry(groups.first[node]);
        let finding = finding.or_insert_with(|| Finding {
            node: place(graph, node),
            within: true,
            bits_left: f64::INFINITY,
            ..Finding::default()
        });
        finding.include(&peak);
    }
    let plain: Mutex<BTreeMap<(usize, usize), ArrayD<f64>>> = Mutex::default();
    let remember = |node, port, x| {
        if groups.leaves.contains(&node) {
            let mut plain = plain.lock().unwrap_or_else(PoisonError::into_inner);
            plain.insert((node, port), x);
        }
    };
    run(
        Protocol::Plain,
        graph,
        inputs,
        fraction_bits,
        Some(&remember),
    )?;
    let plain = plain.into_inner().unwrap_or_else(PoisonError::into_inner);

    let shared = Mutex::new(findings);
    let judge = |node: usize, port, x: ArrayD<f64>| {
        if let Some(want) = plain.get(&(node, port)) {
            let mut findings = shared.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(finding) = findings.get_mut(&groups.first[node]) {
                finding.judge(&x, want, tolerance);
            }
        }
    };
    let in_ring = match protocol {
        Protocol::Ring | Protocol::Plain => None,
        _ => Some(run(Protocol::Ring, graph, inputs, fraction_bits, None)),
    };
    let done = run(protocol, graph, inputs, settings, Some(&judge));
    let mut overflow = None;
    if let Some(Err(failed)) = in_ring {
        overflow = Some(range_error(failed)?);
    }
    let run = match done {
        Ok(run) => run,
        Err(failed) => {
            let found = range_error(failed)?;
            overflow.get_or_insert(found);
            Run::default()
        }
    };
    let findings = shared.into_inner().unwrap_or_else(PoisonError::into_inner);
    ensure!(!findings.is_empty(), "the model computes nothing");
    Ok(Report {
        findings: findings.into_values().collect(),
        overflow,
        run,
    })
}

/// The overflow that an error is about, if it is about one.
fn range_error(failed: Failed) -> Result<Overflow, Failed> {
    let Error::Range { value, .. } = failed.error else {
        return Err(failed);
    };
    Ok(Overflow {
        node: failed.place.clone(),
        value: value.is_finite().then_some(value),
        message: failed.to_string(),
    })
}

impl Finding {
    fn include(&mut self, peak: &Peak) {
        self.max_value = self.max_value.max(peak.value);
        self.bits_left = self.bits_left.min(peak.left());
    }

    fn judge(&mut self, got: &ArrayD<f64>, want: &ArrayD<f64>, tolerance: Tolerance) {
        self.compared = true;
        if got.shape() != want.shape() {
            self.within = false;
        }
        for (&got, &want) in got.iter().zip(want) {
            let error = if got == want { 0.0 } else { (got - want).abs() };
            let error = if error.is_nan() { f64::INFINITY } else { error };
            let scale = want.abs().max(tolerance.absolute);
            self.max_abs_error = self.max_abs_error.max(error);
            if error > 0.0 {
                self.max_rel_error = self.max_rel_error.max(error / scale);
            }
            self.within &= error <= tolerance.absolute + tolerance.relative * want.abs();
        }
    }
}

/// Which nodes of a graph were made for one node of the model.
struct Groups {
    /// For each node the first one that was made for the same.
    first: Vec<usize>,
    /// Nodes whose values another group uses, or nobody: the results of a node of the model.
    leaves: BTreeSet<usize>,
}

impl Groups {
    fn of(graph: &Graph) -> Self {
        let mut by_origin: BTreeMap<&str, usize> = BTreeMap::new();
        let first: Vec<usize> = (0..graph.len())
            .map(|node| match graph.origin(node) {
                "" => node,
                origin => *by_origin.entry(origin).or_insert(node),
            })
            .collect();
        let mut leaves: BTreeSet<usize> = (0..graph.len()).collect();
        // Whatever is used by its own group alone is on the way to a result.
        for node in 0..graph.len() {
            for operand in graph.operands(node) {
                if first[operand] == first[node] {
                    leaves.remove(&operand);
                }
            }
        }
        for node in 0..graph.len() {
            for operand in graph.operands(node) {
                if first[operand] != first[node] {
                    leaves.insert(operand);
                }
            }
        }
        Self { first, leaves }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::arr1;

    use super::*;

    /// Three nodes of a model; x·x in the second.
    fn chain() -> Graph {
        let mut g = Graph::new();
        g.set_origin("inputs");
        let x = g.input(&[2]);
        g.set_origin("Sub a");
        let a = g.linear(&[(1, x)], -1.0).unwrap();
        g.set_origin("Pow b");
        let b = g.mul(a, a).unwrap();
        let b = g.mul(b, b).unwrap();
        g.set_origin("Relu c");
        let c = g.relu(b).unwrap();
        g.output(c);
        g
    }

    fn check(protocol: Protocol, x: [f64; 2], tolerance: Tolerance) -> Report {
        let x = Given {
            name: "x".into(),
            owner: 0,
            value: arr1(&x).into_dyn(),
        };
        compare(protocol, &chain(), &[x], 18, tolerance).unwrap()
    }

    #[test]
    fn within_tolerance_every_node_is_listed_once() {
        for protocol in [Protocol::Plain, Protocol::Ring, Protocol::Rep3] {
            let report = check(protocol, [1.7, -2.3], Tolerance::default());
            let nodes: Vec<&str> = report.findings.iter().map(|f| &f.node[..]).collect();
            assert_eq!(nodes, ["inputs", "Sub a", "Pow b", "Relu c"]);
            assert!(
                report.passed() && report.near_overflow().count() == 0,
                "{report:?}"
            );
            let exact = protocol == Protocol::Plain;
            assert_eq!(report.findings[2].max_abs_error == 0.0, exact, "{report:?}");
            assert_eq!(report.run.outputs.len(), 1);
        }
    }

    #[test]
    fn the_first_node_that_leaves_the_tolerance_is_named() {
        // The fourth power of 2^-6 is a unit and a half of 2^-24: gone at 18 bits.
        let strict = Tolerance {
            relative: 0.1,
            absolute: 1e-9,
        };
        for protocol in [Protocol::Ring, Protocol::Rep3] {
            let report = check(protocol, [1.0 + 2f64.powi(-6), 3.0], strict);
            let first = report.first_outside().unwrap();
            assert_eq!(first.node, "Pow b");
            assert!(first.max_rel_error > 0.1 && !report.passed());
            assert!(report.findings[1].within);
        }
    }

    #[test]
    fn overflow_and_its_neighbourhood_are_located() {
        // (2^6)^4 = 2^24 < 2^26 is representable as a product before rounding, with two bits left.
        for protocol in [Protocol::Plain, Protocol::Ring, Protocol::Rep3] {
            let report = check(protocol, [65.0, 0.0], Tolerance::default());
            let near: Vec<_> = report.near_overflow().collect();
            assert!(near.len() == 1 && near[0].node == "Pow b", "{near:?}");
            assert_eq!((near[0].bits_left, near[0].max_value), (2.0, 2f64.powi(24)));
            assert!(report.passed(), "{report:?}");
        }
        // 2^28 is not.
        for protocol in [Protocol::Ring, Protocol::Rep3] {
            let report = check(protocol, [129.0, 0.0], Tolerance::default());
            let overflow = report.overflow.as_ref().unwrap();
            assert_eq!(overflow.node, "Pow b");
            assert_eq!(overflow.value, Some(2f64.powi(64)));
            assert!(!report.passed());
            assert_eq!(report.findings[2].bits_left, -2.0);
            assert_eq!(report.findings[3].compared, protocol == Protocol::Rep3);
        }
        let report = check(Protocol::Ring, [2f64.powi(45), 0.0], Tolerance::default());
        assert_eq!(report.overflow.unwrap().node, "x");
    }

    #[test]
    fn tolerances_are_two_numbers() {
        assert_eq!(
            "1e-3, 0.5".parse(),
            Ok(Tolerance {
                relative: 1e-3,
                absolute: 0.5
            })
        );
        for bad in ["", "1", "1,", "-1,2", "1,NaN", "1,2,3"] {
            assert!(bad.parse::<Tolerance>().is_err(), "{bad}");
        }
    }
}
