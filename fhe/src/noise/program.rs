//! How likely a program goes wrong, and the parameter set that suits it.

use super::values::{Noise, Noises};
use super::{DEFAULT_LIMIT, LARGEST_LIMIT, log2_sum, log2_tail};
use crate::LoadError;
use crate::lower::Lowered;
use crate::lower::profile::Profiles;
use crate::params::Params;
use crate::program::Program;

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

/// Bits of a result that leaves: at least and at most.
const RESULT_BITS: std::ops::RangeInclusive<u32> = 8..=40;

impl NoiseReport {
    /// Of a program as it was lowered. Results keep as few bits as leave their failures at half of `limit`.
    ///
    /// # Errors
    /// If that would take too much memory.
    pub(crate) fn of(
        program: &Program,
        lowered: &Lowered,
        params: &Params,
        limit: f64,
    ) -> Result<Self, LoadError> {
        let (noises, fails) = Noises::of(program, lowered, params)?;
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
        Ok(Self {
            log2_p_fail: log2_sum(fails.iter().copied().chain([results])),
            nodes: fails,
            results,
            result_bits,
            packed,
            bootstraps,
        })
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
    pub fn choose(program: &Program, limit: f64) -> Result<&'static Self, LoadError> {
        let (mut chosen, mut refused) = (None, None);
        let profiles = Profiles::of(program);
        for set in Self::catalogue() {
            let report = Lowered::best_of(program, &profiles, set, limit).map(|(_, report)| report);
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
    pub fn noise(&self, program: &Program) -> Result<NoiseReport, LoadError> {
        Ok(Lowered::best(program, self, DEFAULT_LIMIT)?.1)
    }
}
