//! The passes of a run on a timeline: the engine's own gates, rehearsed for one chunk of each length.

use std::rc::Rc;

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
use super::super::share::input_chunk;
use crate::timeline::{Far, Gate, Timeline, scripts};

/// A run that is followed.
pub(super) struct Followed {
    pub(super) timeline: Timeline,
    rehearsal: Rehearsal,
    far: Rc<Far>,
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
        let (rehearsal, far) = (timeline.rehearsal(), timeline.far());
        Self {
            timeline,
            rehearsal,
            far,
        }
    }

    /// A pass over `n` values, which reads its operands from tensors and puts what it gives into one.
    fn pass(
        &mut self,
        (what, details): (&'static str, [usize; 4]),
        n: usize,
        gate: impl AsyncFn(Strand<'_>) -> tacit_mpc::Result<()>,
    ) -> Result<()> {
        self.timeline.pass(&Gate { what, details }, n, |window| {
            let parties = self.rehearsal.window(window, &gate);
            parties
                .map(scripts)
                .map_err(|e| Error::Protocol(Box::new(e)))
        })
    }

    pub(super) fn input(&mut self, owner: usize, n: usize) -> Result<()> {
        let far = Rc::clone(&self.far);
        self.pass(("input", [owner, 0, 0, 0]), n, async |strand| {
            let words = far.words(strand.chunk().end);
            put(&far, input_chunk(&strand, owner, words).await?);
            Ok(())
        })
    }

    pub(super) fn release(&mut self, n: usize) -> Result<()> {
        let far = Rc::clone(&self.far);
        self.pass(("release", [0; 4]), n, async |strand| {
            far.put(&release_masks(&strand)?);
            Ok(())
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
        let far = Rc::clone(&self.far);
        self.pass(("sum of products", details), n, async |strand| {
            let n = strand.chunk().len();
            let ready = others || elementwise == 0;
            let p = Summands::rehearsed(elementwise, ready, || far.words(n));
            let one = std::num::Wrapping(1);
            let shares = match shift {
                Some(shift) => round_summands_of_chunk(&strand, &p, one, shift, rounding).await,
                None => share_summands_of_chunk(&strand, &p).await,
            };
            put(&far, shares?);
            Ok(())
        })
    }

    /// A sharing without its last bits.
    pub(super) fn rounded(&mut self, n: usize, shift: u32, rounding: &Rounding) -> Result<()> {
        let exact = usize::from(matches!(rounding, Rounding::Exact(_)));
        let details = [shift as usize, exact, 0, 0];
        let far = Rc::clone(&self.far);
        self.pass(("rounded", details), n, async |strand| {
            let n = strand.chunk().len();
            let shares = [far.words(n), far.words(n)];
            put(
                &far,
                round_shared_chunk(&strand, shares, 1, shift, rounding).await?,
            );
            Ok(())
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
        // The number of values decides between variants.
        let details = [number, exact, 1, n];
        let far = Rc::clone(&self.far);
        self.pass((program.name, details), n, async |strand| {
            let (n, role) = (strand.chunk().len(), strand.role());
            let words = |n: usize| far.words(n).to_vec();
            let registers = bits.iter().map(|&bit| match bit {
                true => {
                    let plane = || words(words_of(n)).into_iter().map(|w| w.0).collect();
                    Register::Bit(Held::from_party_order(role, plane(), plane()))
                }
                false => Register::Number(Held::from_party_order(role, words(n), words(n))),
            });
            for output in compiled.run(&strand, registers.collect()).await? {
                if let Register::Number(x) = output {
                    put(&far, x.into_party_order(role));
                }
            }
            Ok(())
        })
    }
}

fn put(far: &Far, (own, next): (Vec<R64>, Vec<R64>)) {
    far.put(&own);
    far.put(&next);
}
