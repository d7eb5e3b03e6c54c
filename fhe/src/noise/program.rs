//! The noise of a program's values, from node to node.

use std::collections::{BTreeMap, HashMap};

use super::{DEFAULT_LIMIT, LARGEST_LIMIT, Variances, log2_sum, log2_tail};
use crate::lower::{Kind, Looked, Lowered, Row, Wire};
use crate::params::Params;
use crate::program::{self, Node, Program};
use crate::rotation::rotation;

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
    /// Of a program as it was lowered. Results keep as few bits as leave their failures at half of `limit`.
    pub(crate) fn of(program: &Program, lowered: &Lowered, params: &Params, limit: f64) -> Self {
        let size = params.polynomial_size();
        let mut noises = Noises {
            steps: params.variances(),
            size,
            values: Vec::new(),
            kinds: Vec::new(),
            known: HashMap::new(),
        };
        let nodes = &program.parts().nodes;
        let mut fails = vec![f64::NEG_INFINITY; nodes.len()];
        for step in &lowered.steps {
            match &step.kind {
                Kind::Input => {
                    if let Node::Linear(linear) = &nodes[step.node] {
                        noises.inputs(&linear.rows);
                    }
                }
                Kind::Sums(rows) => noises.sums(rows),
                Kind::Lookups(looked, bias) => {
                    let fail = noises.lookups(looked, bias.len());
                    fails[step.node] = log2_sum([fails[step.node], fail]);
                }
            }
        }
        let bootstraps = lowered.bootstraps();
        let last = noises.values.last().map_or(&[][..], Vec::as_slice);
        let packed = bootstraps > 0;
        let leave = if packed {
            params.packing_variance()
        } else {
            0.0
        };
        let results = |bits| {
            let half =
                |noise: &Noise| 0.5 / lowered.result() as f64 - (noise.slack + 1.0) / super::Q;
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
    /// The cheapest set of the catalogue, by bootstraps and what one costs, whose failure probability on `program` is at
    /// most 2^`limit` ([`DEFAULT_LIMIT`](super::DEFAULT_LIMIT) is usual).
    ///
    /// # Errors
    /// If none does, what the last one lacks; or if the program's scales do not fit together.
    pub fn choose(program: &Program, limit: f64) -> Result<&'static Self, crate::LoadError> {
        let (mut chosen, mut refused) = (None, None);
        for set in Self::catalogue() {
            let report = Lowered::best(program, set, limit).map(|(_, report)| report);
            let checked = report.and_then(|report| {
                report.check(set, limit)?;
                Ok(report.bootstraps as f64 * set.bootstrap_seconds())
            });
            match checked {
                Ok(cost) if chosen.is_none_or(|(_, least)| cost < least) => {
                    chosen = Some((set, cost));
                }
                Ok(_) => (),
                Err(error) => refused = Some(error),
            }
        }
        match (chosen, refused) {
            (Some((set, _)), _) => Ok(set),
            (None, Some(error)) => Err(error),
            (None, None) => unreachable!("the catalogue is not empty"),
        }
    }

    /// How likely `program` goes wrong with this set, for the usual limit, and how many bootstraps it takes.
    ///
    /// # Errors
    /// If the program's scales do not fit together, or a value is too wide for its tables.
    pub fn noise(&self, program: &Program) -> Result<NoiseReport, crate::LoadError> {
        Ok(Lowered::best(program, self, DEFAULT_LIMIT)?.1)
    }
}

/// The noise of a lowered program's values, step by step.
struct Noises {
    steps: Variances,
    /// N.
    size: usize,
    values: Vec<Vec<Noise>>,
    /// What each value is but for its bias, as a number: two of one number have the same noise.
    kinds: Vec<Vec<usize>>,
    /// The numbers.
    known: HashMap<Same, usize>,
}

/// What values have to have in common for their noise to be the same. Rotations turn by what is looked up, so that of two
/// values of one noise adds noise that is not independent: *twins*.
#[derive(PartialEq, Eq, Hash)]
enum Same {
    /// The same sum of inputs,
    Inputs(Vec<(usize, i32)>),
    /// or of other values, by their numbers.
    Sum(Vec<(usize, i64)>),
    /// The same table of twins.
    Read(usize, Vec<i64>),
    /// Nothing else is known to be the same as this value.
    Only(Wire),
}

impl Noises {
    fn number(&mut self, what: Same) -> usize {
        let next = self.known.len();
        *self.known.entry(what).or_insert(next)
    }

    /// Sums of inputs, whose noises are independent.
    fn inputs(&mut self, rows: &[program::Row]) {
        let (mut noises, mut kinds) = (Vec::new(), Vec::new());
        for row in rows {
            let mut weights = BTreeMap::<usize, f64>::new();
            for term in &row.terms {
                *weights.entry(term.index).or_default() += f64::from(term.weight).abs();
            }
            noises.push(Noise {
                variance: weights.values().map(|w| w * w * self.steps.fresh).sum(),
                slack: 1.0 + weights.values().sum::<f64>(),
                sources: vec![INPUT],
            });
            let terms = row.terms.iter().map(|t| (t.index, t.weight));
            let mut terms: Vec<_> = terms.collect();
            terms.sort_unstable();
            kinds.push(self.number(Same::Inputs(terms)));
        }
        self.values.push(noises);
        self.kinds.push(kinds);
    }

    fn sums(&mut self, rows: &[Row]) {
        let noises = rows.iter().map(|row| self.of_row(row)).collect();
        let kinds = rows.iter().map(|row| self.sum(row)).collect();
        self.values.push(noises);
        self.kinds.push(kinds);
    }

    /// The number of a sum.
    fn sum(&mut self, row: &Row) -> usize {
        let terms = row.terms.iter();
        let mut terms: Vec<_> = terms
            .map(|&(wire, w)| (self.kinds[wire.step][wire.at], w))
            .collect();
        terms.sort_unstable();
        self.number(Same::Sum(terms))
    }

    /// Terms fall into classes with common sources: within a class deviations add up, the squares of the classes' sums
    /// between them.
    fn of_row(&self, row: &Row) -> Noise {
        let mut sum = Noise {
            slack: 1.0,
            ..Noise::default()
        };
        let mut classes: Vec<(f64, Vec<usize>)> = Vec::new();
        for &(wire, weight) in &row.terms {
            let (noise, weight) = (&self.values[wire.step][wire.at], (weight as f64).abs());
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
        for (deviation, mut sources) in classes {
            sum.variance += deviation * deviation;
            sum.sources.append(&mut sources);
        }
        sum.sources.sort_unstable();
        sum
    }

    /// Each of `results` values is a sum over rotations, independent but for those of twins, whose deviations add up.
    /// Returns log2 of the probability that one of them reads a wrong box.
    fn lookups(&mut self, all: &[Looked], results: usize) -> f64 {
        let mut deviations = vec![BTreeMap::<usize, f64>::new(); results];
        let mut slacks = vec![1.0; results];
        let mut tables = vec![Vec::new(); results];
        let mut fails = Vec::with_capacity(all.len());
        for looked in all {
            let twin = self.sum(&looked.input);
            for (to, table) in &looked.tables {
                tables[*to].push((twin, table));
            }
            if looked.boxes > 2 * self.size as u64 {
                // No rotation tells so many boxes apart; nor is it worth the memory to write down how.
                fails.push(0.0);
                for (to, _) in &looked.tables {
                    *deviations[*to].entry(twin).or_default() += 1.0;
                }
                continue;
            }
            fails.push(self.fail(looked));
            for read in &rotation(looked).reads {
                let (white, steps) = (read.white(), &self.steps);
                let coloured = read.coloured(looked.boxes, self.size).max(white);
                let variance =
                    (steps.rotation - steps.coloured) * white + steps.coloured * coloured;
                *deviations[read.to].entry(twin).or_default() += variance.sqrt();
                let factors = read.taps.iter().map(|&(_, f)| f.unsigned_abs() as f64);
                slacks[read.to] += factors.sum::<f64>();
            }
        }
        let step = self.values.len();
        let mut kinds = Vec::with_capacity(results);
        for (at, tables) in tables.iter().enumerate() {
            let same = match tables[..] {
                [(twin, table)] => Same::Read(twin, table.clone()),
                _ => Same::Only(Wire { step, at }),
            };
            kinds.push(self.number(same));
        }
        let noises = deviations
            .into_iter()
            .zip(slacks)
            .map(|(deviations, slack)| Noise {
                variance: deviations
                    .values()
                    .map(|deviation| deviation * deviation)
                    .sum(),
                slack,
                sources: deviations.into_keys().collect(),
            });
        self.values.push(noises.collect());
        self.kinds.push(kinds);
        log2_sum(fails)
    }

    /// log2 of the probability that a value is read as a box that it may not be read as.
    fn fail(&self, looked: &Looked) -> f64 {
        let noise = self.of_row(&looked.input);
        let (positions, boxes) = (2 * self.size as u64, looked.boxes);
        // Boxes part between positions: where a box is no even number of them, up to half a position is lost.
        let parted = if positions.is_multiple_of(2 * boxes) {
            0.0
        } else {
            0.5 / positions as f64
        };
        let allowed = looked.tolerance as f64 / looked.torus as f64 - 0.5 / boxes as f64;
        let half = allowed - parted - (noise.slack + 1.0) / super::Q;
        let added = self.steps.keyswitch + self.steps.modulus_switch;
        log2_tail(half, noise.variance + added)
    }
}

/// The source of what comes from inputs, which no rotation has.
const INPUT: usize = usize::MAX;

/// Whether two ascending lists have an element in common.
fn meet(a: &[usize], b: &[usize]) -> bool {
    let (short, long) = if a.len() < b.len() { (a, b) } else { (b, a) };
    short.iter().any(|x| long.binary_search(x).is_ok())
}
