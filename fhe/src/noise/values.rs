//! The noise of a lowered program's values, from step to step.

use std::collections::{BTreeMap, HashMap};

use super::classes::Classes;
use super::mask::Mask;
use super::{Variances, log2_sum, log2_tail};
use crate::LoadError;
use crate::lower::{Kind, Looked, Lowered, Row};
use crate::params::Params;
use crate::program::{self, Node, Program};
use crate::rotation::rotation;

/// What is known of a value's noise.
#[derive(Clone, Default)]
pub(super) struct Noise {
    /// In units of the torus squared.
    pub(super) variance: f64,
    /// The rounding of scales, at most, in units of 2^-64.
    pub(super) slack: f64,
    /// Which twins' bootstraps (or [`INPUT`]) it came from, ascending. Noises of values without a common one are
    /// taken to be independent, which they are but for the key that all rotations share.
    sources: Vec<usize>,
}

/// The noise of a lowered program's values, step by step.
pub(super) struct Noises {
    steps: Variances,
    /// N.
    size: usize,
    pub(super) values: Vec<Vec<Noise>>,
    /// What each value is but for its bias ([`Mask`]).
    masks: Vec<Vec<Mask>>,
    /// The numbers of twins.
    known: HashMap<u64, usize>,
    /// How many sources all values have.
    sources: usize,
    /// How many sources of summands were gone through.
    visits: usize,
}

impl Noises {
    /// With it log2 of the probability that a lookup of each node is wrong.
    ///
    /// # Errors
    /// If values have more sources together than are stored, or sums more than are gone through.
    pub(super) fn of(
        program: &Program,
        lowered: &Lowered,
        params: &Params,
    ) -> Result<(Self, Vec<f64>), LoadError> {
        let mut noises = Self {
            steps: params.variances(),
            size: params.polynomial_size(),
            values: Vec::new(),
            masks: Vec::new(),
            known: HashMap::new(),
            sources: 0,
            visits: 0,
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
                Kind::Sums(rows) => noises.sums(step.node, rows)?,
                Kind::Lookups(looked, bias) => {
                    let fail = noises.lookups(step.node, looked, bias.len())?;
                    fails[step.node] = log2_sum([fails[step.node], fail]);
                }
            }
        }
        Ok((noises, fails))
    }

    /// The number of the twins that a value is one of.
    fn twin(&mut self, mask: Mask) -> usize {
        let next = self.known.len();
        *self.known.entry(mask.key()).or_insert(next)
    }

    /// Sums of inputs, whose noises are independent.
    fn inputs(&mut self, rows: &[program::Row]) {
        let (mut noises, mut masks) = (Vec::new(), Vec::new());
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
            let terms = row.terms.iter();
            masks.push(Mask::sum(
                terms.map(|t| (Mask::drawn(&("input", t.index)), i64::from(t.weight))),
            ));
        }
        self.values.push(noises);
        self.masks.push(masks);
    }

    fn sums(&mut self, node: usize, rows: &[Row]) -> Result<(), LoadError> {
        let mut noises = Vec::with_capacity(rows.len());
        for row in rows {
            self.visit(node, row)?;
            let noise = self.of_row(row);
            self.sources += noise.sources.len();
            if self.sources > MOST_SOURCES {
                let what = "sums have more than 2^25 summands that came from lookups, counted through sums of sums";
                return Err(LoadError::Large { node, what });
            }
            noises.push(noise);
        }
        let masks = rows.iter().map(|row| self.mask(row)).collect();
        self.values.push(noises);
        self.masks.push(masks);
        Ok(())
    }

    /// Before a sum is gone through.
    fn visit(&mut self, node: usize, row: &Row) -> Result<(), LoadError> {
        let terms = row.terms.iter();
        let sources = terms.map(|(wire, _)| self.values[wire.step][wire.at].sources.len());
        self.visits += sources.sum::<usize>();
        let what = "sums and lookups have more than 2^27 summands, counted through sums of sums";
        let fits = self.visits <= MOST_VISITS;
        fits.then_some(()).ok_or(LoadError::Large { node, what })
    }

    fn mask(&self, row: &Row) -> Mask {
        let terms = row.terms.iter();
        Mask::sum(terms.map(|&(wire, weight)| (self.masks[wire.step][wire.at], weight)))
    }

    /// Terms fall into classes with common sources: within a class deviations add up, the squares of the classes' sums
    /// between them.
    fn of_row(&self, row: &Row) -> Noise {
        let mut slack = 1.0;
        let mut classes = Classes::default();
        for &(wire, weight) in &row.terms {
            let (noise, weight) = (&self.values[wire.step][wire.at], (weight as f64).abs());
            slack += weight * noise.slack;
            classes.add(weight * noise.variance.sqrt(), &noise.sources);
        }
        Noise {
            variance: classes.variance(),
            slack,
            sources: classes.sources(),
        }
    }

    /// Each of `results` values is a sum over rotations, independent but for those of twins, whose deviations add up.
    /// Returns log2 of the probability that one of them reads a wrong box.
    fn lookups(&mut self, node: usize, all: &[Looked], results: usize) -> Result<f64, LoadError> {
        let mut deviations = vec![BTreeMap::<usize, f64>::new(); results];
        let mut slacks = vec![1.0; results];
        let mut masks = vec![Mask::default(); results];
        let mut fails = Vec::with_capacity(all.len());
        for looked in all {
            let mask = self.mask(&looked.input);
            let twin = self.twin(mask);
            for (to, table) in &looked.tables {
                masks[*to] = masks[*to].plus(mask.read(looked.boxes, looked.out, table));
            }
            if looked.boxes > 2 * self.size as u64 {
                // No rotation tells so many boxes apart; nor is it worth the memory to write down how.
                fails.push(0.0);
                for (to, _) in &looked.tables {
                    *deviations[*to].entry(twin).or_default() += 1.0;
                }
                continue;
            }
            self.visit(node, &looked.input)?;
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
        self.masks.push(masks);
        Ok(log2_sum(fails))
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
        // In the middle of a box, up to its ends.
        let off = |tolerance: u64| tolerance as f64 / looked.torus as f64;
        let allowed = looked.tolerance.map_or(1.0 / boxes as f64, off) - 0.5 / boxes as f64;
        let half = allowed - parted - (noise.slack + 1.0) / super::Q;
        let added = self.steps.keyswitch + self.steps.modulus_switch;
        log2_tail(half, noise.variance + added)
    }
}

/// More sources are not stored, of all values together: a quarter of a gigabyte.
const MOST_SOURCES: usize = 1 << 25;

/// More are not gone through: some seconds for each parameter set and way of lowering.
const MOST_VISITS: usize = 1 << 27;

/// The source of what comes from inputs, which no rotation has.
const INPUT: usize = usize::MAX;

/// The variance of what each of these rows adds up, in units of the torus squared.
#[cfg(test)]
pub(super) fn variances_of(
    rows: &[&Row],
    program: &Program,
    lowered: &Lowered,
    params: &Params,
) -> Vec<f64> {
    let (noises, _) = Noises::of(program, lowered, params).unwrap();
    rows.iter().map(|row| noises.of_row(row).variance).collect()
}
