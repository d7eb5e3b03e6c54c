//! From integer programs to bootstraps: lookups over values of any width become several over a few boxes each.
//!
//! A bootstrap tells some 32 boxes apart on the whole torus at N = 2048 (64 at N = 4096), while a sum of many inputs can
//! take thousands of values. Sums are exact however many they are, for they cost no precision; only what is *looked up*
//! has to be brought down to boxes. Write a for a value less the least that it can be, R for how many it can take, and
//! let it stand on a torus of T units. Three tools do it, all of them exact:
//!
//! - **Removing low digits** (after HomFloor of Liu, Micciancio, Polyakov, "Large-precision homomorphic sign evaluation
//!   using FHEW/TFHE bootstrapping", ASIACRYPT 2022). v, a multiple of 2^p, times T/2^(p+c) has nothing but the c bits
//!   from p on left, on the whole torus. A first bootstrap tells the top one of them (a constant test: antiperiodic, so
//!   no half of the torus is needed for padding), a second one, of the same less that bit, the others, which now lie in
//!   half of the torus. Both are subtracted from v. One bit alone takes the first only. c <= 5 at N = 2048: low digits
//!   are taken off at 2½ bits a bootstrap.
//! - **Folding** a value whose tables are constant beyond a window of w values: one bootstrap of v on a torus of at
//!   least 2R reads it to within ±s/2, s a box, and hands out how far v is beyond the window and a margin of s/2;
//!   subtracted, that leaves w + 2s values. *Both* ways of reading a value near an end are right, so no digit has to be
//!   removed before: R shrinks to little more than w + R/8 in one bootstrap at N = 2048, three bits, and what remains
//!   stands on a smaller torus. (New as far as the authors know, and not peer reviewed; exactness is not a matter of
//!   trust, the tests run it with the worst errors that the noise analysis allows.)
//! - **The whole torus without padding.** n <= M boxes on a torus of M: a function f with f(b) + f(b + M/2) constant
//!   (n <= M/2; or two plateaus, a sign; or a slope of M/2 boxes between plateaus) takes one bootstrap. Any other takes
//!   two, however many tables there are: f = A + P, A(b) = (f(b) - f(b + M/2))/2 is antiperiodic and read off the same
//!   rotation that tells the upper half from the lower, P(b) = (f(b) + f(b + M/2))/2 off that of the value less half the
//!   torus where it is in the upper half.
//!
//! T is chosen for all values that sums tie together, and the tools for each, so that there are few bootstraps: each tool
//! goes as far as it can ([`plan`]; not always the fewest there are). At N = 2048, for a sum of this many bits:
//!
//! | table | 6 | 8 | 10 | 12 | 14 |
//! |---|---|---|---|---|---|
//! | 16 bins, whatever they say | 3 | 3 | 4 | 5 | 5 |
//! | 32 bins, whatever they say | 3 | 4 | 4 | 6 | 6 |
//! | a sign | 2 | 3 | 3 | 4 | 5 |
//! | 16 steps over a quarter of the range, constant beyond | 3 | 5 | 5 | 6 | 7 |
//! | 16 steps over a sixteenth of the range | 3 | 4 | 6 | 6 | 7 |
//!
//! (A test holds these numbers.) A bootstrap takes 10 ms of a core with `tacit-2048-2`. Digits of wide sums of bootstraps'
//! results need `tacit-2048-3` or `tacit-2048-4`, whose rotations are 30 and 200 times less noisy and take 13 and 17 ms.
//! Removing one digit after the other, as was usual before, would take 9 where 5 are written for 12 bits.
//!
//! Values of the lowered program are counted in *halves* of their units, for A and P can be odd multiples of a half;
//! every result is whole again.

pub(crate) mod build;
pub(crate) mod plan;
pub(crate) mod profile;
#[cfg(test)]
mod run;
#[cfg(test)]
mod tests;
mod value;

use std::collections::HashMap;

use crate::LoadError;
use crate::noise::NoiseReport;
use crate::params::Params;
use crate::program::Program;
use plan::Reach;
use profile::Profiles;

/// A value of a lowered program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Wire {
    /// Of which step,
    pub(crate) step: usize,
    /// and which of its values.
    pub(crate) at: usize,
}

/// A program in terms of bootstraps. The values of its last step are the result.
#[derive(Debug)]
pub(crate) struct Lowered {
    /// T of the input.
    pub(crate) input: u64,
    /// In the order of computation.
    pub(crate) steps: Vec<Step>,
}

/// Values that are computed together.
#[derive(Debug)]
pub(crate) struct Step {
    /// Which node of the program they are part of.
    pub(crate) node: usize,
    /// T of each of them.
    pub(crate) tori: Vec<u64>,
    /// How they are computed.
    pub(crate) kind: Kind,
}

/// How the values of a step are computed.
#[derive(Debug)]
pub(crate) enum Kind {
    /// As the node says, from the input.
    Input,
    /// Sums of earlier values.
    Sums(Vec<Row>),
    /// Sums of tables: bias (in halves) and everything that is read off to it.
    Lookups(Vec<Looked>, Vec<i64>),
}

/// A sum on the torus, bias + Σ weight · value. Values on a torus that is less fine than the sum's count for as many of
/// its units as they are worth.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Row {
    /// In units of the sum's torus.
    pub(crate) bias: i64,
    pub(crate) terms: Vec<(Wire, i64)>,
}

/// One bootstrap.
#[derive(Debug)]
pub(crate) struct Looked {
    /// What is looked up,
    pub(crate) input: Row,
    /// in units of this torus,
    pub(crate) torus: u64,
    /// by which of these boxes on the whole torus it is in, an even number. Box b is around b/boxes.
    pub(crate) boxes: u64,
    /// It may be read as a box whose middle is less than this many units away. None of values that stand in the middles
    /// of their boxes, and are read as that one.
    pub(crate) tolerance: Option<u64>,
    /// The torus on which the tables count,
    pub(crate) out: u64,
    /// in halves of its unit, by box, for the lower half of the boxes; the others say the negative. With each the value
    /// of this step that it is added to, whose torus is `out` or less fine.
    pub(crate) tables: Vec<(usize, Vec<i64>)>,
}

impl Row {
    /// `times` over, its bias modulo the torus.
    fn times(&self, times: u64, torus: u64) -> Self {
        let bias = i128::from(self.bias) * i128::from(times);
        let terms = self.terms.iter();
        Self {
            bias: bias.rem_euclid(i128::from(torus)) as i64,
            terms: terms.map(|&(wire, w)| (wire, w * times as i64)).collect(),
        }
    }
}

impl Lowered {
    /// How many bootstraps it takes.
    pub(crate) fn bootstraps(&self) -> usize {
        let count = |step: &Step| match &step.kind {
            Kind::Lookups(looked, _) => looked.len(),
            Kind::Input | Kind::Sums(_) => 0,
        };
        self.steps.iter().map(count).sum()
    }

    /// T of the result.
    pub(crate) fn result(&self) -> u64 {
        let last = self.steps.last().and_then(|step| step.tori.first());
        last.copied().unwrap_or(2)
    }

    /// For each step, the last one that needs its values.
    pub(crate) fn last_uses(&self) -> Vec<usize> {
        let mut last: Vec<usize> = (0..self.steps.len()).collect();
        for (k, step) in self.steps.iter().enumerate() {
            let rows: Vec<&Row> = match &step.kind {
                Kind::Input => Vec::new(),
                Kind::Sums(rows) => rows.iter().collect(),
                Kind::Lookups(looked, _) => looked.iter().map(|l| &l.input).collect(),
            };
            for (wire, _) in rows.iter().flat_map(|row| &row.terms) {
                last[wire.step] = k;
            }
        }
        last
    }

    /// The way that takes the fewest bootstraps among those that fail with probability at most 2^`limit`; if there is
    /// none, the one that fails least.
    ///
    /// # Errors
    /// If values cannot stand on the torus as they are needed, or are too wide.
    pub(crate) fn best(
        program: &Program,
        params: &Params,
        limit: f64,
    ) -> Result<(Self, NoiseReport), LoadError> {
        Self::best_of(program, &profile::Profiles::of(program), params, limit)
    }

    /// The same, where profiles are known.
    pub(crate) fn best_of(
        program: &Program,
        profiles: &Profiles,
        params: &Params,
        limit: f64,
    ) -> Result<(Self, NoiseReport), LoadError> {
        let mut best: Option<(Self, NoiseReport)> = None;
        let mut refused = None;
        for reach in reaches(program, params, limit) {
            let lowered = match build::lower(program, profiles, reach, params) {
                Ok(lowered) => lowered,
                Err(error) => {
                    refused.get_or_insert(error);
                    continue;
                }
            };
            let report = NoiseReport::of(program, &lowered, params, limit)?;
            let better = best
                .as_ref()
                .is_none_or(|(_, before)| report.log2_p_fail < before.log2_p_fail);
            if better {
                best = Some((lowered, report));
            }
            // Fewer boxes take no fewer bootstraps, and without intervals nothing depends on them.
            let fits = best
                .as_ref()
                .is_some_and(|(_, report)| report.log2_p_fail <= limit);
            if fits || profiles.all.is_empty() {
                break;
            }
        }
        best.ok_or_else(|| refused.unwrap_or_else(|| unreachable!("one number of boxes is tried")))
    }
}

/// What to ask of a rotation: all that it tells apart when its input is without noise; and less, which a noisy one may
/// need.
fn reaches(program: &Program, params: &Params, limit: f64) -> Vec<Reach> {
    let steps = params.variances();
    let added = steps.keyswitch + steps.modulus_switch;
    // Each of many rotations has to be right, by far.
    let limit = limit.min(-64.0) - 8.0 - (program.lookups().max(1) as f64).log2();
    let fits = |noise: f64| crate::noise::log2_tail(noise, added) <= limit;
    let boxes = (2..=params.polynomial_size() as u64).step_by(2);
    let most = boxes.take_while(|&boxes| fits(0.5 / boxes as f64)).last();
    let most = most.unwrap_or(2);
    let halves = (0..200).map(|k| 0.5 / most as f64 * (1.0 - f64::from(k) / 200.0));
    let noise = halves.take_while(|&noise| fits(noise)).last();
    let noise = noise.unwrap_or(0.5 / most as f64);
    let power = 1 << most.ilog2();
    let mut all = vec![Reach {
        boxes: most,
        digits: most,
        noise,
        room: 8,
    }];
    for (boxes, digits, room) in [
        (1, 1, 8),
        (1, 2, 8),
        (1, 1, 2),
        (1, 2, 2),
        (1, 4, 2),
        (2, 4, 2),
    ] {
        let [boxes, digits] = [boxes, digits].map(|part| power / part);
        if digits >= 2 {
            let noise = 0.5 / boxes as f64;
            all.push(Reach {
                boxes,
                digits,
                noise,
                room,
            });
        }
    }
    all
}

/// All that makes two lookups one: the same value, read alike, and the same said of it.
#[derive(PartialEq, Eq, Hash)]
struct Once {
    input: Row,
    torus: u64,
    boxes: u64,
    tolerance: Option<u64>,
    table: Vec<i64>,
    bias: i64,
}

/// What has been made.
#[derive(Default)]
struct Known {
    /// What is made once.
    wires: HashMap<Once, Wire>,
    /// How many entries of tables are stored.
    entries: usize,
}

/// More entries of lowered tables are not stored: half a gigabyte, or one where tables are shared, which are stored twice.
const MOST_ENTRIES: usize = 1 << 26;

impl Known {
    /// Counts what is about to be stored.
    fn count(&mut self, node: usize, entries: usize) -> Result<(), LoadError> {
        self.entries += entries;
        let what = "the tables of its lookups have more than 2^26 entries";
        let fits = self.entries <= MOST_ENTRIES;
        fits.then_some(()).ok_or(LoadError::Large { node, what })
    }
}
