//! Runs an elementwise [`Program`] inside a circuit.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use tacit_mpc::{R64, Result};
use tacit_nn::program::{Instr, Scaled, Table};
use tacit_nn::{Error, Program, fixed};

use super::bilinear::Rounding;
use super::circuit::Circuit;
use super::compare::{negative, zero};
use super::convert::{select, to_arithmetic};
use super::exact::floor;
use super::exp::exp;
use super::pair::{Bits, Pair, Words};
use super::product::{Support, and, product};
use super::scaled::scaled;
use super::table::evaluate;
use crate::rep3::exp::{ExpTables, NEGATIVE, RELATIVE};
use crate::rep3::lookup::Prepared;
use crate::rep3::scaled::Normalised;

/// A register of a program.
#[derive(Clone)]
pub(crate) enum Register {
    Number(Words),
    Bit(Bits),
}

/// An instruction with its constants encoded, so that circuits only compute.
enum Step {
    Input(usize),
    Linear(Vec<(R64, usize)>, R64),
    Scale(usize, R64, u32),
    Mul(usize, usize),
    Negative(usize, u32),
    Zero(usize),
    And(usize, usize),
    Xor(usize, usize),
    Not(usize),
    Floor(usize),
    Select(usize, usize),
    ToArithmetic(usize),
    Exp(usize, Rc<ExpTables>),
    ExpNegative(usize, Rc<ExpTables>),
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

/// Makes programs ready; tables are prepared once.
pub(crate) struct Compiler {
    f: u32,
    exp: Rc<ExpTables>,
    exp_negative: Rc<ExpTables>,
    tables: RefCell<HashMap<&'static str, Vec<(Table, Rc<Prepared>)>>>,
    scaled: RefCell<HashMap<(Scaled, i32, i32), Rc<Normalised>>>,
}

impl Compiler {
    /// For f fractional bits.
    pub(crate) fn new(f: u32) -> Self {
        Self {
            f,
            exp: Rc::new(ExpTables::new(RELATIVE, f)),
            exp_negative: Rc::new(ExpTables::new(NEGATIVE, f)),
            tables: RefCell::default(),
            scaled: RefCell::default(),
        }
    }

    fn table(&self, t: &Table) -> std::result::Result<Rc<Prepared>, Error> {
        let mut tables = self.tables.borrow_mut();
        let known = tables.entry(t.name).or_default();
        if let Some((_, prepared)) = known.iter().find(|(other, _)| other == t) {
            return Ok(Rc::clone(prepared));
        }
        let prepared = Rc::new(Prepared::new(t, self.f)?);
        known.push((*t, Rc::clone(&prepared)));
        Ok(prepared)
    }

    fn scaled(&self, f: Scaled, lo: i32, hi: i32) -> std::result::Result<Rc<Normalised>, Error> {
        let mut scaled = self.scaled.borrow_mut();
        if let Some(known) = scaled.get(&(f, lo, hi)) {
            return Ok(Rc::clone(known));
        }
        let prepared = Rc::new(Normalised::new(f, lo, hi, self.f)?);
        scaled.insert((f, lo, hi), Rc::clone(&prepared));
        Ok(prepared)
    }

    /// Encodes constants; every truncation is a `rounding`.
    ///
    /// # Errors
    /// Registers of the wrong type, or constants without a word.
    pub(crate) fn compile(
        &self,
        p: &Program,
        rounding: Rounding,
    ) -> std::result::Result<Compiled, Error> {
        p.types()?;
        let step = |instr: &Instr| -> std::result::Result<Step, Error> {
            Ok(match instr {
                Instr::Input(i) | Instr::InputBit(i) => Step::Input(*i),
                Instr::Linear(terms, bias) => {
                    let terms = terms.iter().map(|&(c, r)| (fixed::from_signed(c), r));
                    Step::Linear(terms.collect(), fixed::encode(*bias, self.f)?)
                }
                Instr::Scale(r, c) => {
                    let (c, shift) = fixed::scale_factor(*c)?;
                    Step::Scale(*r, fixed::from_signed(c), shift)
                }
                Instr::Mul(r, s) => Step::Mul(*r, *s),
                // The bound is on the real number; its word has f more bits.
                Instr::Negative(r, bound) => {
                    Step::Negative(*r, bound.map_or(63, |b| (b + self.f).min(63)))
                }
                Instr::Zero(r) => Step::Zero(*r),
                Instr::And(a, b) => Step::And(*a, *b),
                Instr::Xor(a, b) => Step::Xor(*a, *b),
                Instr::Not(b) => Step::Not(*b),
                Instr::Floor(r) => Step::Floor(*r),
                Instr::Select(b, r) => Step::Select(*b, *r),
                Instr::ToArithmetic(b) => Step::ToArithmetic(*b),
                Instr::ExpNeg(r) => Step::ExpNegative(*r, Rc::clone(&self.exp_negative)),
                Instr::Exp(r) => Step::Exp(*r, Rc::clone(&self.exp)),
                Instr::Table(r, t) => Step::Table(*r, self.table(t)?),
                Instr::Scaled { x, f, lo, hi } => Step::Scaled(*x, self.scaled(*f, *lo, *hi)?),
            })
        };
        Ok(Compiled {
            steps: p
                .code
                .iter()
                .map(step)
                .collect::<std::result::Result<_, _>>()?,
            outputs: p.outputs.clone(),
            f: self.f,
            rounding,
        })
    }
}

impl Compiled {
    /// Runs the program on this chunk's part of the inputs.
    pub(crate) async fn run(&self, c: &Circuit<'_>, inputs: &[Register]) -> Result<Vec<Register>> {
        let mut registers: Vec<Register> = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            let number = |r: usize| match &registers[r] {
                Register::Number(x) => x,
                Register::Bit(_) => unreachable!("compile has checked the types"),
            };
            let bit = |r: usize| match &registers[r] {
                Register::Bit(x) => x,
                Register::Number(_) => unreachable!("compile has checked the types"),
            };
            let result = match step {
                Step::Input(i) => inputs[*i].clone(),
                Step::Linear(terms, bias) => {
                    Register::Number(linear(c, terms.iter().map(|&(k, r)| (k, number(r))), *bias))
                }
                Step::Scale(r, k, shift) => {
                    let x = number(*r).times(*k);
                    Register::Number(self.rounding.apply(c, &x, *shift).await?)
                }
                Step::Mul(r, s) => {
                    let terms = [(number(*r).clone(), number(*s).clone())];
                    let x = product(c, &terms, Support::Full).await?;
                    Register::Number(self.rounding.apply(c, &x, self.f).await?)
                }
                Step::Negative(r, k) => Register::Bit(negative(c, number(*r), *k).await?),
                Step::Zero(r) => Register::Bit(zero(c, number(*r)).await?),
                Step::And(x, y) => Register::Bit(and(c, bit(*x), bit(*y)).await?),
                Step::Xor(x, y) => Register::Bit(bit(*x).xor(bit(*y))),
                Step::Not(x) => Register::Bit(bit(*x).not(c.me())),
                Step::Floor(r) => Register::Number(floor(c, number(*r), self.f).await?),
                Step::Select(b, r) => Register::Number(select(c, bit(*b), number(*r)).await?),
                Step::ToArithmetic(b) => {
                    // The integer bit as a fixed-point number.
                    let one = to_arithmetic(c, bit(*b), 64).await?;
                    Register::Number(one.times(R64::default() + std::num::Wrapping(1 << self.f)))
                }
                Step::Exp(r, t) => Register::Number(exp(c, t, number(*r), self.rounding).await?),
                Step::ExpNegative(r, t) => {
                    let x = at_least(c, number(*r), LEAST_EXPONENT, self.f).await?;
                    Register::Number(exp(c, t, &x, self.rounding).await?)
                }
                Step::Table(r, t) => {
                    Register::Number(evaluate(c, t, number(*r), None, self.rounding).await?)
                }
                Step::Scaled(r, t) => {
                    Register::Number(scaled(c, t, number(*r), self.rounding).await?)
                }
            };
            registers.push(result);
        }
        Ok(self.outputs.iter().map(|&r| registers[r].clone()).collect())
    }
}

/// Below this e^x is 0 in fixed point, and above the lower end of its table.
const LEAST_EXPONENT: i64 = -200;

/// max(x, lo).
async fn at_least(c: &Circuit<'_>, x: &Words, lo: i64, f: u32) -> Result<Words> {
    let lo = fixed::from_signed(lo << f);
    let above = linear(c, [(ONE, x)].into_iter(), -lo);
    let below = negative(c, &above, 63).await?;
    let lost = select(c, &below, &above).await?;
    Ok(linear(c, [(ONE, &above), (-ONE, &lost)].into_iter(), lo))
}

const ONE: R64 = std::num::Wrapping(1);

/// Σ k·x + bias.
fn linear<'a>(c: &Circuit<'_>, terms: impl Iterator<Item = (R64, &'a Words)>, bias: R64) -> Words {
    let sum = terms.fold(None, |sum: Option<Words>, (k, x)| {
        let x = x.times(k);
        Some(sum.map_or_else(|| x.clone(), |s| s.plus(&x)))
    });
    let zero = || vec![R64::default(); c.len()];
    let sum = sum.unwrap_or_else(|| Pair::new(zero(), zero()));
    sum.offset(c.me(), bias)
}
