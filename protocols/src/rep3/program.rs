//! Runs an elementwise [`Program`] inside a strand.
//!
//! One pass for the whole program: the dealer's steps never wait, so all it deals is on its way before A and B need it, and a
//! program costs one dealer's round plus the swaps on its longest path.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use tacit_mpc::kernels::vectorised;
use tacit_mpc::{R64, Result, Strand};
use tacit_nn::program::{Instr, Scaled, Table};
use tacit_nn::{Error, Program, fixed};

use super::bilinear::{multiply, scale};
use super::bits::Plane;
use super::boolean::{and, complement, exclusive_or};
use super::choice::{Choice, Compared, Methods};
use super::compare::negative;
use super::convert::{select, to_arithmetic};
use super::equal::zero;
use super::exact::floor;
use super::exp::{self, ExpTables, exp};
use super::exp_negative::{self, exp_negative};
use super::held::{Held, Words};
use super::lookup::{Prepared, evaluate};
use super::plan::{Depth, Method};
use super::rounding::Rounding;
use super::scaled::{Normalised, scaled};

/// A register of a program.
#[derive(Clone)]
pub(crate) enum Register {
    Number(Held<Words>),
    Bit(Held<Plane>),
}

/// An instruction with its constants encoded, so that strands only compute.
enum Step {
    Input(usize),
    Linear(Vec<(R64, usize)>, R64),
    Scale(usize, i64, u32),
    Mul(usize, usize),
    Negative(usize, u32, Rc<Method>),
    Zero(usize, Depth),
    And(usize, usize),
    Xor(usize, usize),
    Not(usize),
    Floor(usize, Rc<Method>),
    Select(usize, usize),
    ToArithmetic(usize),
    Exp(usize, Rc<ExpTables>),
    ExpNegative(usize, Rc<ExpTables>, Rc<Method>),
    Scaled(usize, Rc<Normalised>),
    Table(usize, Rc<Prepared>),
}

/// A program made ready for an engine's precision.
pub(crate) struct Compiled {
    steps: Vec<Step>,
    outputs: Vec<usize>,
    f: u32,
    rounding: Rounding,
}

/// Makes programs ready; tables and comparisons are prepared once.
pub(crate) struct Compiler {
    f: u32,
    exp: Rc<ExpTables>,
    exp_negative: Rc<ExpTables>,
    tables: RefCell<HashMap<&'static str, Vec<(Table, Rc<Prepared>)>>>,
    scaled: RefCell<HashMap<(Scaled, i32, i32), Rc<Normalised>>>,
    pub(super) methods: Rc<Methods>,
}

impl std::fmt::Debug for Compiler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { f: bits, .. } = self;
        f.debug_struct("Compiler")
            .field("f", bits)
            .finish_non_exhaustive()
    }
}

impl Compiler {
    /// For f fractional bits.
    pub(crate) fn new(f: u32, choice: Choice) -> Self {
        Self {
            f,
            exp: Rc::new(ExpTables::new(exp::RELATIVE, f)),
            exp_negative: Rc::new(ExpTables::new(exp_negative::range(f), f)),
            tables: RefCell::default(),
            scaled: RefCell::default(),
            methods: Rc::new(Methods::new(choice)),
        }
    }

    /// A table at this precision.
    pub(crate) fn table(&self, t: &Table) -> std::result::Result<Rc<Prepared>, Error> {
        let mut tables = self.tables.borrow_mut();
        let known = tables.entry(t.name).or_default();
        if let Some((_, prepared)) = known.iter().find(|(other, _)| other == t) {
            return Ok(Rc::clone(prepared));
        }
        let prepared = Rc::new(Prepared::new(t, self.f)?);
        known.push((*t, Rc::clone(&prepared)));
        Ok(prepared)
    }

    /// A function of many binades at this precision.
    pub(crate) fn scaled(
        &self,
        f: Scaled,
        lo: i32,
        hi: i32,
    ) -> std::result::Result<Rc<Normalised>, Error> {
        let mut scaled = self.scaled.borrow_mut();
        if let Some(known) = scaled.get(&(f, lo, hi)) {
            return Ok(Rc::clone(known));
        }
        let prepared = Rc::new(Normalised::new(f, lo, hi, self.f)?);
        scaled.insert((f, lo, hi), Rc::clone(&prepared));
        Ok(prepared)
    }

    /// The rounding without error, where it is asked for.
    pub(crate) fn rounding(&self, exact: bool) -> Rounding {
        if exact {
            Rounding::Exact(Rc::clone(&self.methods))
        } else {
            Rounding::Dithered
        }
    }

    /// Checks registers and types, encodes constants; for tensors of `n` values. Every truncation is a `rounding`.
    pub(crate) fn compile(
        &self,
        p: &Program,
        n: usize,
        rounding: Rounding,
    ) -> std::result::Result<Compiled, Error> {
        p.types()?;
        let mut steps = Vec::with_capacity(p.code.len());
        for instr in &p.code {
            let step = match instr {
                Instr::Input(i) | Instr::InputBit(i) => Step::Input(*i),
                Instr::Linear(terms, bias) => {
                    let terms = terms
                        .iter()
                        .map(|&(c, r)| (fixed::from_signed(c), r))
                        .collect();
                    Step::Linear(terms, fixed::encode(*bias, self.f)?)
                }
                Instr::Scale(r, c) => {
                    let (c, shift) = fixed::scale_factor(*c)?;
                    Step::Scale(*r, c, shift)
                }
                Instr::Mul(r, s) => Step::Mul(*r, *s),
                Instr::Negative(r, bound) => {
                    // The bound is on the real number; its word has f more bits.
                    let k_bits = bound.map_or(63, |b| (b + self.f).min(63));
                    Step::Negative(*r, k_bits, self.methods.method(k_bits, n))
                }
                Instr::Zero(r) => Step::Zero(*r, self.methods.depth(Compared::Zero, n)),
                Instr::And(a, b) => Step::And(*a, *b),
                Instr::Xor(a, b) => Step::Xor(*a, *b),
                Instr::Not(b) => Step::Not(*b),
                Instr::Floor(r) => Step::Floor(*r, self.methods.carry(self.f, n)),
                Instr::Select(b, r) => Step::Select(*b, *r),
                Instr::ToArithmetic(b) => Step::ToArithmetic(*b),
                Instr::ExpNeg(r) => {
                    let method = self.methods.method(exp_negative::compared(self.f), n);
                    Step::ExpNegative(*r, Rc::clone(&self.exp_negative), method)
                }
                Instr::Exp(r) => Step::Exp(*r, Rc::clone(&self.exp)),
                Instr::Table(r, t) => Step::Table(*r, self.table(t)?),
                Instr::Scaled { x, f, lo, hi } => Step::Scaled(*x, self.scaled(*f, *lo, *hi)?),
            };
            steps.push(step);
        }
        Ok(Compiled {
            steps,
            outputs: p.outputs.clone(),
            f: self.f,
            rounding,
        })
    }
}

impl Compiled {
    /// Runs the program on this strand's part of the inputs.
    pub(crate) async fn run(
        &self,
        strand: &Strand<'_>,
        inputs: Vec<Register>,
    ) -> Result<Vec<Register>> {
        let mut registers: Vec<Slot> = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            if let Step::Input(i) = step {
                registers.push(Slot::Input(*i));
                continue;
            }
            let register = |r: usize| registers[r].of(&inputs);
            let number = |r: usize| match register(r) {
                Register::Number(x) => x,
                Register::Bit(_) => unreachable!("compile has checked the types"),
            };
            let bit = |r: usize| match register(r) {
                Register::Bit(x) => x,
                Register::Number(_) => unreachable!("compile has checked the types"),
            };
            let result = match step {
                Step::Input(_) => continue,
                Step::Linear(terms, bias) => Register::Number(linear(
                    strand,
                    terms.iter().map(|&(c, r)| (c, number(r))),
                    *bias,
                )),
                Step::Scale(r, c, shift) => {
                    Register::Number(scale(strand, number(*r), *c, *shift, &self.rounding).await?)
                }
                Step::Mul(r, s) => Register::Number(
                    multiply(strand, number(*r), number(*s), self.f, &self.rounding).await?,
                ),
                Step::Negative(r, k, method) => {
                    Register::Bit(negative(strand, &number(*r).side(), *k, method).await?)
                }
                Step::Zero(r, depth) => {
                    Register::Bit(zero(strand, &number(*r).side(), *depth).await?)
                }
                Step::And(a, b) => Register::Bit(and(strand, bit(*a), bit(*b)).await?),
                Step::Xor(a, b) => Register::Bit(exclusive_or(bit(*a), bit(*b))),
                Step::Not(b) => Register::Bit(complement(bit(*b).clone())),
                Step::Floor(r, method) => {
                    Register::Number(floor(strand, &number(*r).side(), self.f, method).await?)
                }
                Step::Select(b, r) => Register::Number(select(strand, bit(*b), number(*r)).await?),
                Step::ToArithmetic(b) => {
                    // The integer bit as a fixed-point number.
                    let one = to_arithmetic(strand, bit(*b)).await?;
                    Register::Number(
                        one.each(|v| v.iter().map(|&w| w << self.f as usize).collect()),
                    )
                }
                Step::Exp(r, t) => {
                    Register::Number(exp(strand, t, &number(*r).side(), &self.rounding).await?)
                }
                Step::ExpNegative(r, t, method) => Register::Number(
                    exp_negative(strand, t, &number(*r).side(), method, &self.rounding).await?,
                ),
                Step::Table(r, t) => Register::Number(
                    evaluate(strand, t, &number(*r).side(), None, &self.rounding).await?,
                ),
                Step::Scaled(r, t) => {
                    Register::Number(scaled(strand, t, number(*r), &self.rounding).await?)
                }
            };
            registers.push(Slot::Result(result));
        }
        let outputs = self.outputs.iter().enumerate().map(|(k, r)| {
            if self.outputs[k + 1..].contains(r) {
                return registers[*r].of(&inputs).clone();
            }
            match std::mem::replace(&mut registers[*r], Slot::Taken) {
                Slot::Result(result) => result,
                Slot::Input(i) => inputs[i].clone(),
                Slot::Taken => unreachable!("a register is given out for the last time once"),
            }
        });
        Ok(outputs.collect())
    }
}

/// Where a register's value lies.
enum Slot {
    Input(usize),
    Result(Register),
    Taken,
}

impl Slot {
    fn of<'a>(&'a self, inputs: &'a [Register]) -> &'a Register {
        match self {
            Self::Input(i) => &inputs[*i],
            Self::Result(result) => result,
            Self::Taken => unreachable!("no register is read after it was given out"),
        }
    }
}

/// Σ c·x + bias.
fn linear<'a>(
    strand: &Strand<'_>,
    mut terms: impl Iterator<Item = (R64, &'a Held<Words>)>,
    bias: R64,
) -> Held<Words> {
    let mut sum = match terms.next() {
        Some((c, x)) => x.each(|v| vectorised(|| v.iter().map(|&w| c * w).collect::<Words>())),
        None => {
            let zero = || vec![R64::default(); strand.chunk().len()];
            Held::from_party_order(strand.role(), zero(), zero())
        }
    };
    for (c, x) in terms {
        sum.zip_mut(x, |sum, x| {
            vectorised(|| sum.iter_mut().zip(x).for_each(|(s, &w)| *s += c * w));
        });
    }
    sum.add_public(bias);
    sum
}
