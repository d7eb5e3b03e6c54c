//! The noise of a program's values, from node to node.

use std::collections::{BTreeMap, HashMap};

use super::{DEFAULT_LIMIT, LARGEST_LIMIT, Variances, log2_sum, log2_tail};
use crate::params::Params;
use crate::program::{Linear, Node, Program, Row, Source};
use crate::rotation::{Rotation, rotations};
use crate::scale::Scales;

/// How likely a program goes wrong on a parameter set, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct NoiseReport {
    /// log2 of the probability that any of its lookups or results is wrong.
    pub log2_p_fail: f64,
    /// The same for each node's lookups; minus infinity for linear nodes.
    pub nodes: Vec<f64>,
    /// The same for its results, when they are decrypted.
    pub results: f64,
    /// How many bits of a result's coefficients leave the server.
    pub result_bits: u32,
    /// Whether results leave packed into common ciphertexts: all but those of programs without lookups.
    pub packed: bool,
    /// How many bootstraps an inference takes.
    pub bootstraps: usize,
}

/// A program that would go wrong too often.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error(
    "the parameter set `{params}` fails with probability 2^{:.0} on this program, more than 2^{limit:.0}: {place} weighs \
     most, so {help}", log2_p_fail.min(0.0)
)]
pub struct NoiseError {
    /// The parameter set.
    pub params: &'static str,
    /// log2 of the probability that anything is wrong,
    pub log2_p_fail: f64,
    /// and of what is allowed.
    pub limit: f64,
    /// The node where it is most likely.
    pub node: usize,
    place: String,
    help: &'static str,
}

/// What is known of a value's noise.
#[derive(Clone, Default)]
struct Noise {
    variance: f64,
    /// The rounding of scales, at most, in units of 2^-64.
    slack: f64,
    /// Which bootstraps (or the input, 0) it came from, ascending. Values without a common one are independent.
    sources: Vec<usize>,
}

/// Bits of a result that leaves: at least and at most.
const RESULT_BITS: std::ops::RangeInclusive<u32> = 8..=40;

impl NoiseReport {
    /// Of a program whose scales are known. Results keep as few bits as leave their failures at half of `limit`.
    pub(crate) fn of(program: &Program, scales: &Scales, params: &Params, limit: f64) -> Self {
        let steps = params.variances();
        let nodes = &program.parts().nodes;
        // The first source of each node's values.
        let first = |of: usize| 1 + nodes[..of].iter().map(Node::len).sum::<usize>();
        let mut noises: Vec<Vec<Noise>> = Vec::new();
        let (mut fails, mut bootstraps) = (Vec::new(), 0);
        for node in nodes {
            let (noise, fail) = match node {
                Node::Linear(linear) => (of_linear(linear, &steps, &noises), f64::NEG_INFINITY),
                Node::Lookup(lookup) => {
                    let torus = scales.torus(Source::Node(lookup.node));
                    let size = params.polynomial_size();
                    if torus > 2 * size as u64 {
                        // No rotation tells so many values apart; nor is it worth the memory to write down how.
                        let lost = Noise {
                            variance: 1.0,
                            ..Noise::default()
                        };
                        noises.push(vec![lost; lookup.bias.len()]);
                        fails.push(0.0);
                        continue;
                    }
                    let (rotations, _) = rotations(lookup, torus);
                    bootstraps += rotations.len();
                    let before = &noises[lookup.node];
                    let fail = log2_sum(
                        rotations
                            .iter()
                            .map(|r| of_input(&before[r.from], (torus, size), &steps)),
                    );
                    let twins = twins(&nodes[lookup.node]);
                    let from = (first(lookup.node), &twins[..]);
                    let results = lookup.bias.len();
                    let noise = of_lookup(results, &rotations, from, (torus, size), &steps);
                    (noise, fail)
                }
            };
            noises.push(noise);
            fails.push(fail);
        }
        let last = noises.last().map_or(&[][..], Vec::as_slice);
        let packed = bootstraps > 0;
        let leave = if packed {
            params.packing_variance()
        } else {
            0.0
        };
        let results = |bits| {
            let half =
                |noise: &Noise| 0.5 / scales.result() as f64 - (noise.slack + 1.0) / super::Q;
            let fail = |noise| {
                log2_tail(
                    half(noise),
                    noise.variance + leave + params.result_variance(bits),
                )
            };
            log2_sum(last.iter().map(fail))
        };
        let bits = RESULT_BITS
            .into_iter()
            .find(|&bits| results(bits) <= limit - 1.0);
        let result_bits = bits.unwrap_or(*RESULT_BITS.end());
        let results = results(result_bits);
        Self {
            log2_p_fail: log2_sum(fails.iter().copied().chain([results])),
            nodes: fails,
            results,
            result_bits,
            packed,
            bootstraps,
        }
    }

    /// # Errors
    /// If it fails more often than `limit`, or than is ever served.
    pub(crate) fn check(&self, params: &Params, limit: f64) -> Result<(), NoiseError> {
        // Not `>`: what is not a number is no limit.
        let limit = if limit <= LARGEST_LIMIT {
            limit
        } else {
            LARGEST_LIMIT
        };
        if self.log2_p_fail <= limit {
            return Ok(());
        }
        let worst = |a: (usize, f64), b: (usize, f64)| if b.1 > a.1 { b } else { a };
        let (node, fail) = self
            .nodes
            .iter()
            .copied()
            .enumerate()
            .fold((0, f64::NEG_INFINITY), worst);
        let (node, place, help) = if self.results > fail {
            let help =
                "make its tables and weights smaller, or take a set with more digits in bootstraps";
            (self.nodes.len() - 1, "the result".to_owned(), help)
        } else {
            let help = "let its values take fewer values (a smaller modulus or interval), or take a set with larger \
                        polynomials";
            (node, format!("the lookup in node {node}"), help)
        };
        Err(NoiseError {
            params: params.name(),
            log2_p_fail: self.log2_p_fail,
            limit,
            node,
            place,
            help,
        })
    }
}

impl Params {
    /// The cheapest set of the catalogue whose failure probability on `program` is at most 2^`limit`
    /// ([`DEFAULT_LIMIT`](super::DEFAULT_LIMIT) is usual).
    ///
    /// # Errors
    /// If none does, what the last one lacks; or if the program's scales do not fit together.
    pub fn choose(program: &Program, limit: f64) -> Result<&'static Self, crate::LoadError> {
        let scales = Scales::of(program)?;
        let mut refused = None;
        for set in Self::catalogue() {
            match NoiseReport::of(program, &scales, set, limit).check(set, limit) {
                Ok(()) => return Ok(set),
                Err(error) => refused = Some(error),
            }
        }
        Err(refused.map_or_else(
            || unreachable!("the catalogue is not empty"),
            crate::LoadError::Noise,
        ))
    }

    /// How likely `program` goes wrong with this set, for the usual limit.
    ///
    /// # Errors
    /// If the program's scales do not fit together.
    pub fn noise(&self, program: &Program) -> Result<NoiseReport, crate::LoadError> {
        Ok(NoiseReport::of(
            program,
            &Scales::of(program)?,
            self,
            DEFAULT_LIMIT,
        ))
    }
}

/// log2 of the probability that a value leaves its box on the way into a rotation.
fn of_input(noise: &Noise, (torus, size): (u64, usize), steps: &Variances) -> f64 {
    let positions = 2 * size as u64;
    // Boxes part between positions: where a box is no even number of them, up to half a position is lost.
    let parted = if positions.is_multiple_of(2 * torus) {
        0.0
    } else {
        0.5 / positions as f64
    };
    let half = 0.5 / torus as f64 - parted - (noise.slack + 1.0) / super::Q;
    log2_tail(
        half,
        noise.variance + steps.keyswitch + steps.modulus_switch,
    )
}

/// Each value is a sum over rotations, independent but for those of [`twins`], whose deviations add up.
fn of_lookup(
    results: usize,
    rotations: &[Rotation],
    (first, twins): (usize, &[usize]),
    (torus, size): (u64, usize),
    steps: &Variances,
) -> Vec<Noise> {
    let mut deviations = vec![BTreeMap::<usize, f64>::new(); results];
    let mut noises = vec![
        Noise {
            slack: 1.0,
            ..Noise::default()
        };
        results
    ];
    for rotation in rotations {
        for read in &rotation.reads {
            let noise = &mut noises[read.to];
            let white = read.white();
            let coloured = read.coloured(torus, size).max(white);
            let variance = (steps.rotation - steps.coloured) * white + steps.coloured * coloured;
            let twin = first + twins.get(rotation.from).copied().unwrap_or(rotation.from);
            *deviations[read.to].entry(twin).or_default() += variance.sqrt();
            noise.slack += read
                .taps
                .iter()
                .map(|&(_, f)| f.unsigned_abs() as f64)
                .sum::<f64>();
        }
    }
    for (noise, deviations) in noises.iter_mut().zip(deviations) {
        noise.variance = deviations
            .values()
            .map(|deviation| deviation * deviation)
            .sum();
        noise.sources = deviations.into_keys().collect();
    }
    noises
}

/// For each value of a node, the first one that is the same sum but for its bias: rotations of the two turn by the same
/// noise.
fn twins(node: &Node) -> Vec<usize> {
    let Node::Linear(linear) = node else {
        return Vec::new();
    };
    let mut first: HashMap<Vec<(Source, usize, i32)>, usize> = HashMap::new();
    let twin = |(k, row): (usize, &Row)| {
        let mut terms: Vec<_> = row
            .terms
            .iter()
            .map(|t| (t.source, t.index, t.weight))
            .collect();
        terms.sort_unstable_by_key(|&(source, index, weight)| (place(source), index, weight));
        *first.entry(terms).or_insert(k)
    };
    linear.rows.iter().enumerate().map(twin).collect()
}

fn place(source: Source) -> usize {
    match source {
        Source::Input => 0,
        Source::Node(k) => k + 1,
    }
}

fn of_linear(linear: &Linear, steps: &Variances, before: &[Vec<Noise>]) -> Vec<Noise> {
    linear
        .rows
        .iter()
        .map(|row| of_row(row, steps, before))
        .collect()
}

/// Terms of the input are independent. Others fall into classes with common sources: within a class deviations add up,
/// the squares of the classes' sums between them.
fn of_row(row: &Row, steps: &Variances, before: &[Vec<Noise>]) -> Noise {
    let mut sum = Noise {
        slack: 1.0,
        ..Noise::default()
    };
    let mut classes: Vec<(f64, Vec<usize>)> = Vec::new();
    let mut inputs: BTreeMap<usize, f64> = BTreeMap::new();
    for term in &row.terms {
        let weight = f64::from(term.weight).abs();
        match term.source {
            Source::Input => {
                *inputs.entry(term.index).or_default() += weight;
                sum.slack += weight;
                sum.sources = vec![0];
            }
            Source::Node(k) => {
                let noise = &before[k][term.index];
                sum.slack += weight * noise.slack;
                let mut class = (weight * noise.variance.sqrt(), noise.sources.clone());
                classes.retain_mut(|other| {
                    let joined = meet(&other.1, &class.1);
                    if joined {
                        class.0 += other.0;
                        class.1.append(&mut other.1);
                        class.1.sort_unstable();
                        class.1.dedup();
                    }
                    !joined
                });
                classes.push(class);
            }
        }
    }
    sum.variance = inputs.values().map(|w| w * w * steps.fresh).sum();
    for (deviation, mut sources) in classes {
        sum.variance += deviation * deviation;
        sum.sources.append(&mut sources);
    }
    sum.sources.sort_unstable();
    sum
}

/// Whether two ascending lists have an element in common.
fn meet(a: &[usize], b: &[usize]) -> bool {
    let (short, long) = if a.len() < b.len() { (a, b) } else { (b, a) };
    short.iter().any(|x| long.binary_search(x).is_ok())
}
