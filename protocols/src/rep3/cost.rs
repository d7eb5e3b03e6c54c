//! What a graph will cost on rep3, before it runs: the same gates, counting instead of computing.
//!
//! Rounds follow logical clocks as in a session: a dealer never waits inside a gate, so its messages carry an old time.

mod count;
mod rehearse;

use std::rc::Rc;

use tacit_mpc::chunk::chunks;
use tacit_mpc::net::Profile;
use tacit_mpc::replay::{Rates, Replay, Scripts};
use tacit_mpc::{Bilinear, Cost};
use tacit_nn::program::Instr;
use tacit_nn::{Program, Result, fixed};

use super::choice::{Choice, Compared};
use super::exp_negative;
use super::program::Compiler;
use crate::cost::{self, Term, arrive};
use crate::timeline::{Timeline, local_products};
pub(super) use count::Count;
use rehearse::{Followed, Interactive};

/// What operations cost on [`super::Rep3Engine`].
#[derive(Debug)]
pub struct Prices {
    fraction_bits: u32,
    compiler: Rc<Compiler>,
    parties: [Cost; 3],
    exact: bool,
    /// Where the run is followed in time.
    followed: Option<Followed>,
}

/// Counts rounds, messages and bytes of a graph on [`super::Rep3Engine`], and refuses what that refuses.
pub type CostEngine = cost::CostEngine<Prices>;

impl CostEngine {
    /// For numbers of `fraction_bits` fractional bits and comparisons as in [`super::Rep3Engine::with_depth`].
    #[must_use]
    pub fn new(fraction_bits: u32, depth: impl Into<Choice>) -> Self {
        let choice = depth.into();
        let prices = Prices {
            fraction_bits,
            compiler: Rc::new(Compiler::new(fraction_bits, choice)),
            parties: [Cost::default(); 3],
            exact: false,
            followed: None,
        };
        Self::with_prices(fraction_bits, prices)
    }
}

/// Processor seconds in which a block of a key is hashed and corrected, the same number at all parties: a little more than what
/// processors with vectors for AES were measured to take (benches/README.md).
const SECONDS_A_BLOCK: f64 = 3e-9;

/// Seconds on idle links like these until all parties have what compares `n` values.
pub(super) fn seconds(link: Profile, gate: impl Fn(&mut Count), n: usize) -> f64 {
    let mut parties = [Cost::default(); 3];
    let mut hashed = [0u64; 3];
    let mut replay = Replay::new(3, link, Rates::default());
    let scripts = chunks(n).into_iter().map(|chunk| {
        let mut count = Count::new(chunk, [0; 3], None, &mut parties);
        gate(&mut count);
        for (sum, blocks) in hashed.iter_mut().zip(count.hashed) {
            *sum += blocks;
        }
        Scripts::new(count.exchanges.scripts.into())
    });
    match replay.pass(&scripts.collect::<Vec<_>>()) {
        Ok(()) => {
            let party = |p: usize| replay.seconds(p) + SECONDS_A_BLOCK * hashed[p] as f64;
            [0, 1, 2].map(party).into_iter().fold(0.0, f64::max)
        }
        // Scripts of one gate fit together.
        Err(_) => f64::INFINITY,
    }
}

impl Prices {
    /// What kernels do for f(x, y). Elementwise products of shares are computed chunk by chunk.
    fn local_product(&mut self, Term { f, x, y }: Term<'_>) {
        if !x.public && !y.public && f == Bilinear::Mul {
            return;
        }
        let calls = if x.public && y.public { 1 } else { 2 };
        let multiplications = calls * f.multiplications(&x.shape, &y.shape);
        let parties = self.parties.iter_mut();
        parties.for_each(|party| party.multiplications += multiplications);
    }

    /// Counts one pass over the chunks of `n` values.
    fn pass(&mut self, n: usize, gate: impl Fn(&mut Count)) {
        let start = self.parties.map(|p| p.rounds);
        let mut longest = start;
        let exact = self.exact.then_some(&*self.compiler.methods);
        for chunk in chunks(n) {
            let mut count = Count::new(chunk, start, exact, &mut self.parties);
            gate(&mut count);
            for (longest, clock) in longest.iter_mut().zip(count.exchanges.wires.clock) {
                *longest = clock.max(*longest);
            }
        }
        arrive(&mut self.parties, longest);
    }
}

impl cost::Prices for Prices {
    const ROUNDS_LATER: bool = true;

    fn spent(&self) -> &[Cost; 3] {
        &self.parties
    }

    fn follow(&mut self, timeline: Timeline) {
        self.followed = Some(Followed::new(timeline));
    }

    fn timeline(&self) -> Option<&Timeline> {
        self.followed.as_ref().map(|f| &f.timeline)
    }

    fn begin_run(&mut self) -> Result<()> {
        Ok(())
    }

    fn begin_node(&mut self, exact: bool) {
        self.exact = exact;
    }

    fn timeline_mut(&mut self) -> Option<&mut Timeline> {
        self.followed.as_mut().map(|f| &mut f.timeline)
    }

    fn input(&mut self, owner: usize, n: usize) -> Result<()> {
        self.pass(n, |c| c.input(owner));
        match &mut self.followed {
            Some(followed) => followed.input(owner, n),
            None => Ok(()),
        }
    }

    fn release(&mut self, n: usize) -> Result<()> {
        self.pass(n, |c| c.release());
        match &mut self.followed {
            Some(followed) => followed.release(n),
            None => Ok(()),
        }
    }

    fn products(&mut self, terms: &[Term<'_>], shape: &[usize], shift: Option<u32>) -> Result<()> {
        terms.iter().for_each(|t| self.local_product(*t));
        let n = shape.iter().product();
        let public = terms.iter().all(|t| t.x.public && t.y.public);
        let interactive = terms.iter().any(Term::interactive);
        if let Some(followed) = &mut self.followed {
            local_products(&mut followed.timeline, terms)?;
            let rounding = self.compiler.rounding(self.exact);
            let elementwise =
                |t: &&Term<'_>| t.interactive() && t.f == Bilinear::Mul && t.x.shape == t.y.shape;
            let elementwise = terms.iter().filter(elementwise).count();
            let others = elementwise < terms.len();
            let sum = Interactive {
                elementwise,
                others,
            };
            match (interactive, shift) {
                (true, _) => followed.products(sum, n, shift, &rounding)?,
                (false, Some(shift)) if !public => followed.rounded(n, shift, &rounding)?,
                (false, _) => {}
            }
        }
        match (interactive, shift) {
            (true, Some(shift)) => self.pass(n, |c| c.rounded_product(shift)),
            (true, None) => self.pass(n, |c| c.product()),
            (false, Some(shift)) if !public => self.pass(n, |c| c.rounded(shift)),
            (false, _) => {}
        }
        Ok(())
    }

    fn rounded(&mut self, n: usize, shift: u32) -> Result<()> {
        self.pass(n, |c| c.rounded(shift));
        match &mut self.followed {
            Some(followed) => followed.rounded(n, shift, &self.compiler.rounding(self.exact)),
            None => Ok(()),
        }
    }

    fn map(&mut self, program: &Program, n: usize) -> Result<()> {
        let f = self.fraction_bits;
        let rounding = self.compiler.rounding(self.exact);
        self.compiler.compile(program, n, rounding.clone())?;
        if let Some(followed) = &mut self.followed {
            followed.map(&self.compiler, program, n, rounding)?;
        }
        let methods = &self.compiler.methods;
        let gates: Vec<Box<dyn Fn(&mut Count)>> = program
            .code
            .iter()
            .map(|instr| -> Result<Box<dyn Fn(&mut Count)>> {
                Ok(match instr {
                    Instr::Input(_) | Instr::InputBit(_) | Instr::Linear(..) => Box::new(|_| ()),
                    Instr::Scale(_, c) => match fixed::scale_factor(*c)?.1 {
                        0 => Box::new(|_| ()),
                        shift => Box::new(move |s| s.rounded(shift)),
                    },
                    Instr::Mul(..) => Box::new(move |s| s.rounded_product(f)),
                    Instr::Negative(_, bound) => {
                        let bits = bound.map_or(63, |b| (b + f).min(63));
                        let method = methods.method(bits, n);
                        Box::new(move |s| s.negative(bits, &method))
                    }
                    Instr::Select(..) => Box::new(|s| s.select()),
                    Instr::ToArithmetic(_) => Box::new(|s| s.bit_to_number()),
                    Instr::Zero(_) => {
                        let depth = methods.depth(Compared::Zero, n);
                        Box::new(move |s| s.zero(depth))
                    }
                    Instr::And(..) => Box::new(|s| s.all(1, 2)),
                    Instr::Xor(..) | Instr::Not(_) => Box::new(|_| ()),
                    Instr::Floor(_) => {
                        let method = methods.carry(f, n);
                        Box::new(move |s| s.floor(f, &method))
                    }
                    Instr::ExpNeg(_) => {
                        let method = methods.method(exp_negative::compared(f), n);
                        Box::new(move |s| s.exp_negative(f, &method))
                    }
                    Instr::Exp(_) => Box::new(move |s| s.exp(f)),
                    Instr::Table(_, t) => {
                        let t = self.compiler.table(t)?;
                        Box::new(move |s| s.table(&t))
                    }
                    Instr::Scaled { f: of, lo, hi, .. } => {
                        let t = self.compiler.scaled(*of, *lo, *hi)?;
                        Box::new(move |s| s.scaled(&t))
                    }
                })
            })
            .collect::<Result<_>>()?;
        self.pass(n, |count| gates.iter().for_each(|gate| gate(count)));
        Ok(())
    }
}
