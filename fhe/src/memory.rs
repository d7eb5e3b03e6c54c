//! How much memory a program takes, known before any of it is taken: a file of some MiB can ask for thousands of times
//! as much.
//!
//! Counted is what grows by N or by tables: weights' transforms, test polynomials, what is read off rotations, ciphertexts
//! between steps. What is left out (terms of sums, the program itself) grows with the file alone.

use crate::LoadError;
use crate::lower::{Kind, Lowered, Step};
use crate::packing;
use crate::params::Params;
use crate::program::{Node, Program};
use crate::ring::SPECTRUM;
use crate::weights::Weights;

/// The memory of a program that is served, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Once, whoever asks; what a device keeps of it is not counted apart.
    pub prepared: u64,
    /// Besides, while it is prepared.
    pub loading: u64,
    /// For each question under way, by one thread.
    pub question: u64,
    /// For each further thread of a question.
    pub thread: u64,
}

/// What a program may take, prepared and with one question under way: 4 GiB.
pub(crate) const MOST: u64 = 4 << 30;

/// A word.
const WORD: u64 = 8;
/// A factor and its power.
const TAP: u64 = 16;
/// The vectors of a row over the input, at least.
const ROW: u64 = 320;

impl Memory {
    /// Of a program as it was lowered.
    pub(crate) fn of(program: &Program, lowered: &Lowered, params: &Params) -> Self {
        let nodes = &program.parts().nodes;
        let prepared = lowered
            .steps
            .iter()
            .map(|step| prepared(step, nodes, params));
        let value = (params.long_dimension() as u64 + 1) * WORD;
        let (mut steps, mut thread) = (0, 0);
        let last_uses = lowered.last_uses();
        for (at, step) in lowered.steps.iter().enumerate() {
            let needed = |&k: &usize| last_uses[k] >= at;
            let before = (0..at)
                .filter(needed)
                .map(|k| lowered.steps[k].tori.len() as u64);
            let results = step.tori.len() as u64;
            // Lookups are added up by each thread, then all together.
            let looked = matches!(step.kind, Kind::Lookups(..));
            let copies = if looked { 2 } else { 1 };
            steps = steps.max((before.sum::<u64>() + copies * results) * value);
            thread = thread.max(if looked { results * value } else { 0 });
        }
        let results = lowered
            .steps
            .last()
            .map_or(0, |step| step.tori.len() as u64);
        let loading = lowered.steps.iter().map(|step| match step.kind {
            Kind::Input => polynomials(&nodes[step.node], params) * WORD,
            _ => 0,
        });
        Self {
            prepared: prepared.sum(),
            loading: loading.max().unwrap_or(0),
            question: input(program, params)
                + steps.max(leaving(results, lowered.bootstraps() > 0, params)),
            thread,
        }
    }

    /// How many of these threads a question may have.
    pub(crate) fn threads(self, wanted: usize) -> usize {
        let left = MOST.saturating_sub(self.prepared + self.question);
        let further = left / self.thread.max(1);
        wanted.min(
            usize::try_from(further)
                .unwrap_or(usize::MAX)
                .saturating_add(1),
        )
    }

    /// # Errors
    /// If it is more than a program may take.
    pub(crate) fn check(self) -> Result<(), LoadError> {
        let needed = self
            .prepared
            .saturating_add(self.question.max(self.loading));
        let fits = needed <= MOST;
        fits.then_some(())
            .ok_or(LoadError::Memory { needed, most: MOST })
    }
}

fn prepared(step: &Step, nodes: &[Node], params: &Params) -> u64 {
    let size = params.polynomial_size() as u64;
    match (&step.kind, &nodes[step.node]) {
        (Kind::Input, Node::Linear(linear)) => {
            polynomials(&nodes[step.node], params) * SPECTRUM + linear.rows.len() as u64 * ROW
        }
        (Kind::Lookups(all, _), _) => {
            let entries = all.iter().flat_map(|looked| &looked.tables);
            let entries: u64 = entries.map(|(_, table)| table.len() as u64).sum();
            all.len() as u64 * size * WORD + entries * TAP
        }
        (Kind::Input | Kind::Sums(_), _) => 0,
    }
}

/// Coefficients of all weights of the input that are polynomials.
fn polynomials(node: &Node, params: &Params) -> u64 {
    let size = params.polynomial_size();
    match node {
        Node::Linear(linear) => (Weights::spectra(linear, size) * size) as u64,
        Node::Lookup(_) => 0,
    }
}

/// A question: masks, expanded, and their transforms.
fn input(program: &Program, params: &Params) -> u64 {
    let (size, k) = (
        params.polynomial_size() as u64,
        params.glwe_dimension() as u64,
    );
    let ciphertexts = (program.parts().input.len as u64).div_ceil(size);
    ciphertexts * size * (WORD * (2 * k + 3) + k * SPECTRUM)
}

/// Results that leave: themselves, and once more as they leave, or as polynomials that are packed.
fn leaving(results: u64, packed: bool, params: &Params) -> u64 {
    let value = (params.long_dimension() as u64 + 1) * WORD;
    let polynomials = (params.long_dimension() + params.polynomial_size()) as u64 * WORD;
    let together = results.min(params.polynomial_size() as u64);
    // Of half of them a copy; digits and their transforms of some at a time.
    let digits = u64::from(packing::GADGET.levels) * params.long_dimension() as u64;
    let images = together.min(packing::TOGETHER as u64) * digits * (WORD + SPECTRUM);
    results * value
        + if packed {
            (together + together / 2 + 2) * polynomials + images
        } else {
            results * value
        }
}
