//! The passes of a run on a timeline: the engine's own gates, rehearsed for one chunk of each length.

use ndarray::{ArrayD, IxDyn};
use tacit_mpc::rehearsal::Rehearsal;
use tacit_mpc::{R64, Strand};
use tacit_nn::program::Instr;
use tacit_nn::{Error, Program, Result};

use super::super::bilinear::{
    Summands, round_shared_chunk, round_summands_of_chunk, share_summands_of_chunk,
};
use super::super::bits::words_of;
use super::super::engine::release_masks;
use super::super::held::Held;
use super::super::program::{Compiler, Register};
use super::super::rounding::Rounding;
use super::super::share::{Rep3, input_chunk};
use crate::timeline::{Gate, Timeline, scripts};

/// A run that is followed.
pub(super) struct Followed {
    pub(super) timeline: Timeline,
    rehearsal: Rehearsal,
}

impl std::fmt::Debug for Followed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.timeline.fmt(f)
    }
}

/// What of a sum of products nobody can form alone: so many elementwise products, and whether there is anything besides.
#[derive(Clone, Copy)]
pub(super) struct Interactive {
    pub(super) elementwise: usize,
    pub(super) others: bool,
}

impl Followed {
    pub(super) fn new(timeline: Timeline) -> Self {
        let rehearsal = timeline.rehearsal();
        Self {
            timeline,
            rehearsal,
        }
    }

    /// A pass over `n` values, each of so many words that come from whole tensors or go to them.
    fn pass(
        &mut self,
        (what, details): (&'static str, [usize; 4]),
        n: usize,
        words: usize,
        gate: impl AsyncFn(Strand<'_>) -> tacit_mpc::Result<()>,
    ) -> Result<()> {
        self.timeline.moved((words * n) as u64);
        self.timeline
            .pass(&Gate { what, details }, n, |(len, dealer)| {
                let parties = self.rehearsal.chunk(len, dealer, [0; 3], &gate);
                parties
                    .map(scripts)
                    .map_err(|e| Error::Protocol(Box::new(e)))
            })
    }

    pub(super) fn input(&mut self, owner: usize, n: usize) -> Result<()> {
        self.pass(("input", [owner, 0, 0, 0]), n, 2, async |strand| {
            let words = zeros(strand.chunk().len());
            input_chunk(&strand, owner, &words).await.map(drop)
        })
    }

    pub(super) fn release(&mut self, n: usize) -> Result<()> {
        self.pass(("release", [0; 4]), n, 2, async |strand| {
            release_masks(&strand).map(drop)
        })
    }

    /// A sum of products of which nobody can form all alone, rounded by `shift` bits or not at all.
    pub(super) fn products(
        &mut self,
        Interactive {
            elementwise,
            others,
        }: Interactive,
        n: usize,
        shift: Option<u32>,
        rounding: &Rounding,
    ) -> Result<()> {
        let exact = usize::from(matches!(rounding, Rounding::Exact(_)));
        let shifted = shift.map_or(0, |shift| 1 + shift as usize);
        let details = [elementwise, others.into(), shifted, exact];
        self.pass(("sum of products", details), n, 2, async |strand| {
            let tensor = || ArrayD::from_elem(IxDyn(&[strand.chunk().len()]), R64::default());
            let (a, b) = (tensor(), tensor());
            let x = Rep3 { a, b };
            let p = Summands::zeros(&x, elementwise, others || elementwise == 0);
            let one = std::num::Wrapping(1);
            match shift {
                Some(shift) => round_summands_of_chunk(&strand, &p, one, shift, rounding).await,
                None => share_summands_of_chunk(&strand, &p).await,
            }
            .map(drop)
        })
    }

    /// A sharing without its last bits.
    pub(super) fn rounded(&mut self, n: usize, shift: u32, rounding: &Rounding) -> Result<()> {
        let exact = usize::from(matches!(rounding, Rounding::Exact(_)));
        let details = [shift as usize, exact, 0, 0];
        self.pass(("rounded", details), n, 2, async |strand| {
            let words = zeros(strand.chunk().len());
            let shares: [&[R64]; 2] = [&words, &words];
            round_shared_chunk(&strand, shares, 1, shift, rounding)
                .await
                .map(drop)
        })
    }

    /// A program, for tensors of `n` values.
    pub(super) fn map(
        &mut self,
        compiler: &Compiler,
        program: &Program,
        n: usize,
        rounding: Rounding,
    ) -> Result<()> {
        let exact = usize::from(matches!(rounding, Rounding::Exact(_)));
        let compiled = compiler.compile(program, n, rounding)?;
        let number = self.timeline.program(program);
        let mut bits = vec![false; program.inputs()];
        for instr in &program.code {
            if let Instr::InputBit(i) = instr {
                bits[*i] = true;
            }
        }
        let numbers = bits.iter().filter(|&&bit| !bit).count();
        // The number of values decides between variants.
        let details = [number, exact, 1, n];
        let words = 2 * (numbers + program.outputs.len());
        self.pass((program.name, details), n, words, async |strand| {
            let (n, role) = (strand.chunk().len(), strand.role());
            let registers = bits.iter().map(|&bit| match bit {
                true => {
                    let planes = || vec![0; words_of(n)];
                    Register::Bit(Held::from_party_order(role, planes(), planes()))
                }
                false => Register::Number(Held::from_party_order(role, zeros(n), zeros(n))),
            });
            compiled.run(&strand, registers.collect()).await.map(drop)
        })
    }
}

fn zeros(n: usize) -> Vec<R64> {
    vec![R64::default(); n]
}
