//! A run in time, followed while its costs are counted.
//!
//! Every pass over a tensor is rehearsed for one chunk of each length and dealer ([`tacit_mpc::rehearsal`]): the gate's own code,
//! on zeros, tells what is sent and awaited and, by a clock, what computing takes. [`Replay`]s put the chunks on networks. So no
//! gate needs a description of what it computes, and one that is changed is forecast as it is.

mod far;
mod local;

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use ndarray::{ArrayD, IxDyn};
use tacit_mpc::chunk::chunks;
use tacit_mpc::rehearsal::Rehearsal;
use tacit_mpc::replay::{Replay, Scripts};
use tacit_mpc::script::{Clock, Script};
use tacit_mpc::session::WINDOW;
use tacit_mpc::{Bilinear, Kernels, PartyId, Tensor, kernels};
use tacit_nn::{Error, Result};

use crate::cost::Term;
pub(crate) use far::Far;
use local::Local;

/// Rehearsals of a window of which the middle counts, after one to warm up.
const REHEARSALS: usize = 3;
/// Multiplications of a matrix product that is measured at most: larger ones are measured in part.
const MULTIPLICATIONS: u64 = 1 << 27;
/// Runs of a local measurement, of which the middle counts.
const RUNS: usize = 3;

/// What a pass does, apart from the number of its values: passes of one gate are rehearsed once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Gate {
    pub(crate) what: &'static str,
    /// What distinguishes gates of that name.
    pub(crate) details: [usize; 4],
}

/// What a rehearsal of a chunk is made of: its length and its dealer.
pub(crate) type Part = (usize, PartyId);

/// Networks and machines on which a run is followed.
pub struct Timeline {
    replays: Vec<Replay>,
    clock: Option<Clock>,
    kernels: Arc<dyn Kernels>,
    far: Rc<Far>,
    local: Local,
    products: HashMap<(Bilinear, Vec<usize>, Vec<usize>, usize), f64>,
    /// By gate and by how many are on their way at once.
    chunks: HashMap<(Gate, usize, Part), Scripts>,
    programs: HashMap<&'static str, Vec<tacit_nn::Program>>,
    /// The most that [`Self::under_way`] came to.
    under_way: u64,
}

impl std::fmt::Debug for Timeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Timeline")
            .field("replays", &self.replays.len())
            .finish_non_exhaustive()
    }
}

impl Timeline {
    /// Of the network alone: computing takes no time.
    #[must_use]
    pub fn of_networks(replays: Vec<Replay>) -> Self {
        Self {
            replays,
            clock: None,
            kernels: Arc::from(kernels::cpu()),
            far: Rc::new(Far::new(false)),
            local: Local::default(),
            products: HashMap::new(),
            chunks: HashMap::new(),
            programs: HashMap::new(),
            under_way: 0,
        }
    }

    /// With what computing takes on this machine, by `clock`, which tells the processor seconds of this thread.
    #[must_use]
    pub fn with_computing(replays: Vec<Replay>, clock: Clock) -> Self {
        Self {
            clock: Some(clock),
            far: Rc::new(Far::new(true)),
            ..Self::of_networks(replays)
        }
    }

    /// The run on each network, in the order in which they were given.
    #[must_use]
    pub fn replays(&self) -> &[Replay] {
        &self.replays
    }

    /// Bytes of messages of a party's chunks that were under way at once at most, in the pass that had most: what they were made
    /// from and what left or came.
    pub(crate) fn under_way(&self) -> u64 {
        self.under_way
    }

    /// Whether computing takes time.
    pub(crate) fn computes(&self) -> bool {
        self.clock.is_some()
    }

    /// What passes of this timeline read and write.
    pub(crate) fn far(&self) -> Rc<Far> {
        Rc::clone(&self.far)
    }

    /// A rehearsal for passes of this timeline.
    pub(crate) fn rehearsal(&self) -> Rehearsal {
        let mut rehearsal = Rehearsal::new(&self.kernels);
        if let Some(clock) = self.clock {
            rehearsal.watch(clock);
        }
        rehearsal
    }

    /// A number for a program, equal for equal ones.
    pub(crate) fn program(&mut self, program: &tacit_nn::Program) -> usize {
        let known = self.programs.entry(program.name).or_default();
        known.iter().position(|p| p == program).unwrap_or_else(|| {
            known.push(program.clone());
            known.len() - 1
        })
    }

    /// Every party computes so long.
    pub(crate) fn everybody(&mut self, seconds: f64) {
        for replay in &mut self.replays {
            (0..3).for_each(|party| replay.local(party, seconds));
        }
    }

    /// Every party computes a sum of so many f(x, y) of these shapes by its kernels.
    pub(crate) fn product(
        &mut self,
        f: Bilinear,
        x: &[usize],
        y: &[usize],
        terms: usize,
    ) -> Result<()> {
        let Some(clock) = self.clock else {
            return Ok(());
        };
        let key = (f, x.to_vec(), y.to_vec(), terms);
        let seconds = match self.products.get(&key) {
            Some(&seconds) => seconds,
            None => {
                let seconds = self.measured(clock, f, x, y, terms)?;
                self.products.insert(key, seconds);
                seconds
            }
        };
        self.everybody(seconds);
        Ok(())
    }

    fn measured(
        &self,
        clock: Clock,
        f: Bilinear,
        x: &[usize],
        y: &[usize],
        terms: usize,
    ) -> Result<f64> {
        let ([x, y], part) = part_of(f, x, y);
        let ones = |shape: &[usize]| -> Tensor { ArrayD::ones(IxDyn(shape)) };
        let operands: Vec<_> = (0..terms).map(|_| (ones(&x), ones(&y))).collect();
        let terms: Vec<_> = operands.iter().map(|(x, y)| (x, y)).collect();
        let mut failed = None;
        let seconds = seconds(clock, || {
            let product = self.kernels.bilinear(f, &terms);
            product.map_err(|e| failed = Some(e)).ok()
        });
        match failed {
            Some(e) => Err(Error::Protocol(Box::new(e))),
            None => Ok(seconds / part),
        }
    }

    /// A pass over `n` values. `rehearse` runs a window of chunks of these lengths with these dealers, and gives what each party
    /// did in each of them.
    pub(crate) fn pass(
        &mut self,
        gate: &Gate,
        n: usize,
        rehearse: impl Fn(&[Part]) -> Result<[Vec<Script>; 3]>,
    ) -> Result<()> {
        let parts: Vec<Part> = chunks(n).iter().map(|c| (c.len(), c.dealer)).collect();
        let at_once = parts.len().min(WINDOW);
        let key = |part: Part| (gate.clone(), at_once, part);
        let mut unknown: Vec<Part> = Vec::new();
        for &part in &parts {
            if !unknown.contains(&part) && !self.chunks.contains_key(&key(part)) {
                unknown.push(part);
            }
        }
        for (&part, scripts) in unknown
            .iter()
            .zip(self.rehearsed(&unknown, at_once, rehearse)?)
        {
            self.chunks.insert(key(part), scripts);
        }
        let known = parts.iter().filter_map(|&part| self.chunks.get(&key(part)));
        let chunks: Vec<Scripts> = known.cloned().collect();
        let of = |chunk: &Scripts| chunk.iter().map(Script::bytes).max().unwrap_or(0);
        let longest = chunks.iter().map(of).max().unwrap_or(0);
        let under_way = 2 * longest * at_once as u64;
        self.under_way = self.under_way.max(under_way);
        self.follow(&chunks)
    }

    /// What chunks take among so many, all of which are like one of them.
    fn rehearsed(
        &self,
        parts: &[Part],
        at_once: usize,
        rehearse: impl Fn(&[Part]) -> Result<[Vec<Script>; 3]>,
    ) -> Result<Vec<Scripts>> {
        if parts.is_empty() {
            return Ok(Vec::new());
        }
        let (strands, runs) = match self.clock {
            None => (parts.len(), 1),
            Some(_) => (parts.len().max(at_once), REHEARSALS),
        };
        let window: Vec<Part> = parts.iter().copied().cycle().take(strands).collect();
        if self.clock.is_some() {
            rehearse(&window)?;
        }
        let runs = (0..runs).map(|_| rehearse(&window));
        let runs: Vec<[Vec<Script>; 3]> = runs.collect::<Result<_>>()?;
        let of = |part: usize, party: usize| {
            let mean = |run: &[Vec<Script>; 3]| {
                let alike = run[party].iter().skip(part).step_by(parts.len());
                Script::mean(&alike.cloned().collect::<Vec<_>>())
            };
            Script::middle(&runs.iter().map(mean).collect::<Vec<_>>())
        };
        let scripts = (0..parts.len()).map(|part| Rc::new((0..3).map(|p| of(part, p)).collect()));
        Ok(scripts.collect())
    }

    /// A pass whose scripts are known.
    pub(crate) fn follow(&mut self, chunks: &[Scripts]) -> Result<()> {
        let stuck = |e| Error::Protocol(Box::new(e));
        self.replays
            .iter_mut()
            .try_for_each(|replay| replay.pass(chunks).map_err(stuck))
    }
}

/// What the kernels of every party do for products of these shapes: those of shares are two terms of one call, elementwise ones
/// are computed chunk by chunk.
pub(crate) fn local_products(timeline: &mut Timeline, terms: &[Term<'_>]) -> Result<()> {
    for Term { f, x, y } in terms {
        let (x, y, public) = (&x.shape, &y.shape, [x.public, y.public]);
        match public {
            [false, false] if *f == Bilinear::Mul && x == y => {}
            [false, false] => {
                timeline.linear(2, y, 1)?;
                timeline.product(*f, x, y, 2)?;
            }
            [true, true] => timeline.product(*f, x, y, 1)?,
            _ => {
                timeline.product(*f, x, y, 1)?;
                timeline.product(*f, x, y, 1)?;
            }
        }
    }
    Ok(())
}

/// What the parties did in a rehearsed window.
pub(crate) fn scripts<T>(parties: [Vec<(T, Script)>; 3]) -> [Vec<Script>; 3] {
    parties.map(|strands| strands.into_iter().map(|(_, script)| script).collect())
}

/// Seconds of one run, the middle of a few after one to warm up.
fn seconds<T>(clock: Clock, mut run: impl FnMut() -> T) -> f64 {
    drop(run());
    let mut found: Vec<f64> = (0..RUNS)
        .map(|_| {
            let start = clock();
            drop(run());
            clock() - start
        })
        .collect();
    found.sort_by(f64::total_cmp);
    found[RUNS / 2]
}

/// Operands for a part of f(x, y) that is quick to measure, and which part of it that is: fewer rows of a matrix, fewer
/// elements of a batch.
fn part_of(f: Bilinear, x: &[usize], y: &[usize]) -> ([Vec<usize>; 2], f64) {
    let (mut x, mut y) = (x.to_vec(), y.to_vec());
    let all = f.multiplications(&x, &y);
    let (rows, least) = match (f, x.len()) {
        (Bilinear::MatMul, 2) => (x[0], 64),
        (Bilinear::Mul, _) | (Bilinear::MatMul, ..2) => (1, 1),
        _ => (x.first().copied().unwrap_or(1), 1),
    };
    let wanted = (rows as f64 * MULTIPLICATIONS as f64 / all.max(1) as f64).ceil() as usize;
    let part = wanted.max(least).min(rows);
    if part == rows {
        return ([x, y], 1.0);
    }
    x[0] = part;
    // Both operands have the batch.
    if matches!(f, Bilinear::ConvWeights(_)) || (f == Bilinear::MatMul && x.len() > 2) {
        y[0] = part;
    }
    ([x, y], part as f64 / rows as f64)
}

#[cfg(test)]
mod tests {
    use tacit_mpc::Conv;

    use super::*;

    #[test]
    fn large_products_are_measured_in_part() {
        let all = |f, x: &[usize], y: &[usize]| part_of(f, x, y);
        let (shapes, part) = all(Bilinear::MatMul, &[1024, 1024], &[1024, 1024]);
        assert_eq!((shapes, part), ([vec![128, 1024], vec![1024, 1024]], 0.125));
        let (shapes, part) = all(Bilinear::MatMul, &[512, 512], &[512, 512]);
        assert_eq!((shapes, part), ([vec![512, 512], vec![512, 512]], 1.0));
        let (shapes, part) = all(Bilinear::MatMul, &[64, 512, 512], &[64, 512, 512]);
        assert_eq!(
            (shapes, part),
            ([vec![1, 512, 512], vec![1, 512, 512]], 1.0 / 64.0)
        );
        let conv = Conv::new(&[28, 28], &[5, 5]);
        let f = Bilinear::Conv(conv);
        let (x, w) = ([4096, 1, 28, 28], [20, 1, 5, 5]);
        let ([x, w], part) = all(f, &x, &w);
        assert_eq!(w, [20, 1, 5, 5]);
        assert!(x[0] < 4096 && part == x[0] as f64 / 4096.0);
        assert!(f.output_shape(&x, &w).is_some());
    }
}
