//! What a graph will cost on the malicious engine, before it runs, its proofs among it.
//!
//! No gate is described a second time: the engine's own code runs for one chunk of each length that a tensor is cut into, on
//! zeros ([`tacit_mpc::rehearsal`]), and what it sends, draws and logs there is counted as often as there are such chunks. What a
//! proof costs follows from the lengths in the log (`proof/size.rs`).

mod proofs;

use std::collections::HashMap;
use std::collections::hash_map::Entry as Entries;
use std::num::Wrapping;
use std::sync::Arc;

use ndarray::{ArrayD, IxDyn};
use tacit_mpc::chunk::chunks;
use tacit_mpc::rehearsal::{Rehearsal, Rehearsed};
use tacit_mpc::{Bilinear, Chunk, Cost, R64, Strand, Tensor, kernels};
use tacit_nn::program::Instr;
use tacit_nn::{Program, Result};

use super::bilinear::{Rounding, sum_of_chunk, zero_sum};
use super::circuit::Circuit;
use super::engine::{VERIFY_EVERY, precision, reshare, salts_of};
use super::input::input;
use super::log::{Entry, Log};
use super::pair::Pair;
use super::program::Register;
use super::proof::Lengths;
use super::settings;
use super::value::failed;
use crate::compiled::Compiler;
use crate::cost::{self, Exchanges, Term, Wires, arrive};
use crate::release::SALT;
use crate::timeline::{Gate, Timeline, local_products, scripts};
use proofs::ProofTimes;

/// Counts rounds, messages and bytes of a graph on [`super::MaliciousEngine`], and refuses what that refuses.
pub type CostEngine = cost::CostEngine<Prices>;

impl CostEngine {
    /// For numbers of `fraction_bits` fractional bits.
    ///
    /// # Errors
    /// As for [`super::MaliciousEngine::new`].
    pub fn new(fraction_bits: u32) -> Result<Self> {
        let prices = Prices {
            compiler: Compiler::new(precision(fraction_bits)?),
            rehearsal: Rehearsal::new(&Arc::from(kernels::cpu())),
            parties: [Cost::default(); 3],
            proofs: [Cost::default(); 3],
            lengths: Lengths::default(),
            size: 0,
            verify_every: VERIFY_EVERY,
            agreed: false,
            rounding: Rounding::Masked,
            timeline: None,
            proof_times: ProofTimes::default(),
        };
        Ok(Self::with_prices(fraction_bits, prices))
    }

    /// As [`super::MaliciousEngine::verify_every`].
    pub fn verify_every(&mut self, bytes: usize) {
        self.prices.verify_every = bytes;
        self.prices.agreed = false;
    }

    /// As [`super::MaliciousEngine::logged_bytes`].
    #[must_use]
    pub fn logged_bytes(&self) -> usize {
        self.prices.size
    }

    /// Of what each party has spent, what proofs took.
    #[must_use]
    pub fn proofs(&self) -> [Cost; 3] {
        self.prices.proofs
    }
}

/// What operations cost on [`super::MaliciousEngine`].
pub struct Prices {
    compiler: Compiler,
    rehearsal: Rehearsal,
    parties: [Cost; 3],
    proofs: [Cost; 3],
    /// Of what is logged.
    lengths: Lengths,
    /// [`Log::size`].
    size: usize,
    verify_every: usize,
    agreed: bool,
    rounding: Rounding,
    timeline: Option<Timeline>,
    proof_times: ProofTimes,
}

impl std::fmt::Debug for Prices {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prices")
            .field("parties", &self.parties)
            .finish_non_exhaustive()
    }
}

/// What a chunk costs each party, and what it logs.
struct Counted {
    costs: [Cost; 3],
    lengths: Lengths,
    size: usize,
}

impl Prices {
    /// Counts one pass over the chunks of `n` values, all of which begin at the same time.
    fn pass(
        &mut self,
        n: usize,
        (what, details): (&'static str, [usize; 3]),
        gate: impl AsyncFn(&Circuit<'_>) -> tacit_mpc::Result<()>,
    ) -> Result<()> {
        let start = self.parties.map(|p| p.rounds);
        // Only differences matter, and labels hold 32 bits.
        let least = start.into_iter().min().unwrap_or(0);
        let mut longest = start;
        let mut known: HashMap<(usize, usize), Counted> = HashMap::new();
        for chunk in chunks(n) {
            let key = (chunk.len(), chunk.dealer);
            let chunk = match known.entry(key) {
                Entries::Occupied(known) => known.into_mut(),
                Entries::Vacant(new) => {
                    let clocks = start.map(|clock| clock - least);
                    new.insert(chunk_of(&self.rehearsal, key, clocks, &gate)?)
                }
            };
            for ((party, longest), cost) in
                self.parties.iter_mut().zip(&mut longest).zip(&chunk.costs)
            {
                add(party, cost);
                *longest = (least + cost.rounds).max(*longest);
            }
            self.lengths += chunk.lengths;
            self.size += chunk.size;
        }
        arrive(&mut self.parties, longest);
        if let Some(timeline) = &mut self.timeline {
            let [a, b, c] = details;
            let details = [a, b, c, usize::from(self.rounding == Rounding::Exact)];
            let key = Gate { what, details };
            timeline.pass(&key, n, |window| {
                let logs: [Log; 3] = Default::default();
                let parties = self.rehearsal.window(window, logging(&logs, &gate));
                parties.map(scripts).map_err(failed)
            })?;
            let longest = chunks(n).iter().map(Chunk::len).max();
            if let (Some(longest), true) = (longest, timeline.computes()) {
                let log = |count: usize| {
                    let logs: [Log; 3] = Default::default();
                    for dealer in 0..count {
                        let part = (longest, dealer % 3);
                        rehearsed(&self.rehearsal, part, [0; 3], &gate, &logs)?;
                    }
                    Ok(logs)
                };
                self.proof_times
                    .gate(&self.rehearsal, (&key, longest), n, log)?;
            }
        }
        Ok(())
    }

    /// Before a step that sends something.
    fn ready(&mut self) -> Result<()> {
        if !std::mem::replace(&mut self.agreed, true) {
            self.wires(settings::price)?;
        }
        Ok(())
    }

    fn price_proof(&mut self) -> Result<()> {
        self.ready()?;
        let before = self.parties;
        let lengths = std::mem::take(&mut self.lengths);
        self.size = 0;
        if let Some(timeline) = &mut self.timeline {
            timeline.everybody(self.proof_times.take());
        }
        self.wires(|wires| lengths.price(wires))?;
        for ((proof, party), before) in self.proofs.iter_mut().zip(&self.parties).zip(before) {
            proof.bytes += party.bytes - before.bytes;
            proof.header_bytes += party.header_bytes - before.header_bytes;
            proof.messages += party.messages - before.messages;
            proof.drawn += party.drawn - before.drawn;
            proof.rounds += party.rounds - before.rounds;
        }
        Ok(())
    }

    /// A strand of its own.
    fn wires(&mut self, step: impl FnOnce(&mut Exchanges<'_>)) -> Result<()> {
        let clock = self.parties.map(|p| p.rounds);
        let mut exchanges = Exchanges::new(Wires {
            clock,
            parties: &mut self.parties,
        });
        step(&mut exchanges);
        let (clock, scripts) = (exchanges.wires.clock, exchanges.scripts);
        arrive(&mut self.parties, clock);
        if let Some(timeline) = &mut self.timeline {
            timeline.follow(&[scripts.to_vec().into()])?;
        }
        Ok(())
    }

    /// After a node.
    fn bound(&mut self) -> Result<()> {
        if self.size > self.verify_every {
            self.price_proof()?;
        }
        Ok(())
    }
}

/// Rehearses one chunk of a length and a dealer from these times on, at each party with its log.
fn rehearsed(
    rehearsal: &Rehearsal,
    (len, dealer): (usize, usize),
    clocks: [u64; 3],
    gate: &impl AsyncFn(&Circuit<'_>) -> tacit_mpc::Result<()>,
    logs: &[Log; 3],
) -> Result<[Rehearsed<()>; 3]> {
    let parties = rehearsal.chunk(len, dealer, clocks, logging(logs, gate));
    parties.map_err(failed)
}

/// The gate in a rehearsal, where each party logs to its own.
fn logging(
    logs: &[Log; 3],
    gate: &impl AsyncFn(&Circuit<'_>) -> tacit_mpc::Result<()>,
) -> impl AsyncFn(Strand<'_>) -> tacit_mpc::Result<()> {
    async |strand| {
        let log = &logs[strand.session().me()];
        gate(&Circuit { strand, log }).await
    }
}

/// What one chunk of a length and a dealer costs from these times on.
fn chunk_of(
    rehearsal: &Rehearsal,
    part: (usize, usize),
    clocks: [u64; 3],
    gate: &impl AsyncFn(&Circuit<'_>) -> tacit_mpc::Result<()>,
) -> Result<Counted> {
    let logs: [Log; 3] = Default::default();
    let parties = rehearsed(rehearsal, part, clocks, gate, &logs)?;
    // The parties log alike in size and lengths.
    let log = &logs[0];
    let costs = parties.each_ref().map(|party| party.cost);
    let size = log.size();
    let mut lengths = Lengths::default();
    log.take()
        .iter()
        .for_each(|entry| lengths += Lengths::of(entry));
    Ok(Counted {
        costs,
        lengths,
        size,
    })
}

/// Adds what was sent and drawn; times are of their own.
fn add(sum: &mut Cost, more: &Cost) {
    sum.bytes += more.bytes;
    sum.header_bytes += more.header_bytes;
    sum.messages += more.messages;
    sum.drawn += more.drawn;
    sum.multiplications += more.multiplications;
}

/// A sharing of zeros.
fn zeros<W: Clone + Default>(n: usize) -> Pair<Vec<W>> {
    Pair::new(vec![W::default(); n], vec![W::default(); n])
}

impl cost::Prices for Prices {
    const ROUNDS_LATER: bool = false;

    fn spent(&self) -> &[Cost; 3] {
        &self.parties
    }

    fn logged(&self) -> usize {
        self.size
    }

    fn follow(&mut self, timeline: Timeline) {
        self.rehearsal = timeline.rehearsal();
        self.timeline = Some(timeline);
    }

    fn timeline(&self) -> Option<&Timeline> {
        self.timeline.as_ref()
    }

    fn begin_run(&mut self) -> Result<()> {
        self.agreed = false;
        self.ready()
    }

    fn prove(&mut self) -> Result<()> {
        self.price_proof()
    }

    fn begin_node(&mut self, exact: bool) {
        self.rounding = Rounding::of(exact);
    }

    fn settings_changed(&mut self) {
        self.agreed = false;
    }

    fn timeline_mut(&mut self) -> Option<&mut Timeline> {
        self.timeline.as_mut()
    }

    fn input(&mut self, owner: usize, n: usize) -> Result<()> {
        self.ready()?;
        self.pass(n, ("input", [owner, 0, 0]), async |c| {
            let words = vec![R64::default(); c.len()];
            input(c, owner, c.len(), Some(&words)).await.map(drop)
        })
    }

    fn release(&mut self, n: usize) -> Result<()> {
        self.ready()?;
        let fresh = ("reshare", [0; 3]);
        self.pass(n, fresh, async |c| {
            reshare(c, zeros(c.len())).await.map(drop)
        })?;
        let salts = ("salts", [0; 3]);
        self.pass(SALT, salts, async |c| salts_of(c).await.map(drop))?;
        cost::Prices::prove(self)
    }

    fn products(&mut self, terms: &[Term<'_>], shape: &[usize], shift: Option<u32>) -> Result<()> {
        self.ready()?;
        if let Some(timeline) = &mut self.timeline {
            local_products(timeline, terms)?;
        }
        for Term { f, x, y } in terms {
            let calls = if x.public && y.public { 1 } else { 2 };
            let multiplications = calls * f.multiplications(&x.shape, &y.shape);
            for party in &mut self.parties {
                party.multiplications += multiplications;
            }
        }
        let n = shape.iter().product();
        let interactive = terms.iter().filter(|t| t.interactive());
        // As `bilinear.rs` tells gates from elementwise products.
        let elementwise = |t: &&Term<'_>| t.f == Bilinear::Mul && t.x.shape == t.y.shape;
        let (elementwise, gates): (Vec<&Term<'_>>, Vec<_>) = interactive.partition(elementwise);
        let public = terms.iter().all(|t| t.x.public && t.y.public);
        let (shift, rounding) = (shift.unwrap_or(0), self.rounding);
        if !public {
            let counts = (elementwise.len(), gates.len());
            let details = [counts.0, counts.1, shift as usize];
            self.pass(n, ("sum of products", details), async |c| {
                let zero = Pair::new(zeros_of(&[c.len()]), zeros_of(&[c.len()]));
                let sum = zero_sum(&zero, counts);
                let sum = sum_of_chunk(c, &sum, Wrapping(1), shift, rounding).await;
                sum.map(drop)
            })?;
        }
        for t in gates.into_iter().filter(|_| n > 0) {
            let tensor = |shape: &[usize]| Pair::new(zeros_of(shape), zeros_of(&[0]));
            let entry = Entry::Bilinear {
                f: t.f,
                x: tensor(&t.x.shape),
                y: tensor(&t.y.shape),
                left: tensor(shape),
                right: tensor(shape),
            };
            self.size += entry.size();
            self.lengths += Lengths::of(&entry);
            if self.timeline.as_ref().is_some_and(Timeline::computes) {
                let both = |shape: &[usize]| Pair::new(zeros_of(shape), zeros_of(shape));
                let entry = || Entry::Bilinear {
                    f: t.f,
                    x: both(&t.x.shape),
                    y: both(&t.y.shape),
                    left: both(shape),
                    right: both(shape),
                };
                let shapes = (t.f, &t.x.shape[..], &t.y.shape[..]);
                self.proof_times.tensor(&self.rehearsal, shapes, entry)?;
            }
        }
        self.bound()
    }

    fn map(&mut self, program: &Program, n: usize) -> Result<()> {
        self.ready()?;
        let compiled = self.compiler.compile(program)?;
        let number = self.timeline.as_mut().map_or(0, |t| t.program(program));
        let mut bits = vec![false; program.inputs()];
        for instr in &program.code {
            if let Instr::InputBit(i) = instr {
                bits[*i] = true;
            }
        }
        let rounding = self.rounding;
        self.pass(n, (program.name, [number, 0, 1]), async |c| {
            let register = |&bit: &bool| match bit {
                true => Register::Bit(zeros(c.len().div_ceil(64))),
                false => Register::Number(zeros(c.len())),
            };
            let inputs: Vec<Register> = bits.iter().map(register).collect();
            compiled.run(c, rounding, &inputs).await.map(drop)
        })?;
        self.bound()
    }

    fn rounded(&mut self, n: usize, shift: u32) -> Result<()> {
        let rounding = self.rounding;
        self.pass(n, ("rounded", [shift as usize, 0, 0]), async |c| {
            rounding.apply(c, &zeros(c.len()), shift).await.map(drop)
        })
    }
}

/// A tensor of zeros.
fn zeros_of(shape: &[usize]) -> Tensor {
    ArrayD::from_elem(IxDyn(shape), R64::default())
}
