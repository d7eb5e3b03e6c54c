//! Elementwise programs with their constants encoded and their tables prepared, for the engines whose gates are made of products:
//! [`crate::malicious`] and [`crate::derived`].

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use tacit_mpc::R64;
use tacit_nn::program::{Instr, Scaled, Table};
use tacit_nn::{Program, Result, fixed};

use crate::rep3::exp::{ExpTables, NEGATIVE, RELATIVE};
use crate::rep3::lookup::Prepared;
use crate::rep3::scaled::Normalised;

/// An instruction with its constants encoded, so that circuits only compute.
pub(crate) enum Step {
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
    Exp(usize, Arc<ExpTables>),
    ExpNegative(usize, Arc<ExpTables>),
    Scaled(usize, Arc<Normalised>),
    Table(usize, Arc<Prepared>),
}

/// A program made ready for an engine's precision.
pub(crate) struct Compiled {
    pub(crate) steps: Vec<Step>,
    pub(crate) outputs: Vec<usize>,
    pub(crate) f: u32,
}

/// Makes programs ready; tables are prepared once.
pub(crate) struct Compiler {
    f: u32,
    exp: Arc<ExpTables>,
    exp_negative: Arc<ExpTables>,
    tables: RefCell<HashMap<&'static str, Vec<(Table, Arc<Prepared>)>>>,
    scaled: RefCell<HashMap<(Scaled, i32, i32), Arc<Normalised>>>,
}

impl Compiler {
    /// For f fractional bits.
    pub(crate) fn new(f: u32) -> Self {
        Self {
            f,
            exp: Arc::new(ExpTables::new(RELATIVE, f)),
            exp_negative: Arc::new(ExpTables::new(NEGATIVE, f)),
            tables: RefCell::default(),
            scaled: RefCell::default(),
        }
    }

    fn table(&self, t: &Table) -> Result<Arc<Prepared>> {
        let mut tables = self.tables.borrow_mut();
        let known = tables.entry(t.name).or_default();
        if let Some((_, prepared)) = known.iter().find(|(other, _)| other == t) {
            return Ok(Arc::clone(prepared));
        }
        let prepared = Arc::new(Prepared::new(t, self.f)?);
        known.push((*t, Arc::clone(&prepared)));
        Ok(prepared)
    }

    fn scaled(&self, f: Scaled, lo: i32, hi: i32) -> Result<Arc<Normalised>> {
        let mut scaled = self.scaled.borrow_mut();
        if let Some(known) = scaled.get(&(f, lo, hi)) {
            return Ok(Arc::clone(known));
        }
        let prepared = Arc::new(Normalised::new(f, lo, hi, self.f)?);
        scaled.insert((f, lo, hi), Arc::clone(&prepared));
        Ok(prepared)
    }

    /// Encodes constants.
    ///
    /// # Errors
    /// Registers of the wrong type, or constants without a word.
    pub(crate) fn compile(&self, p: &Program) -> Result<Compiled> {
        p.types()?;
        let step = |instr: &Instr| -> Result<Step> {
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
                Instr::ExpNeg(r) => Step::ExpNegative(*r, Arc::clone(&self.exp_negative)),
                Instr::Exp(r) => Step::Exp(*r, Arc::clone(&self.exp)),
                Instr::Table(r, t) => Step::Table(*r, self.table(t)?),
                Instr::Scaled { x, f, lo, hi } => Step::Scaled(*x, self.scaled(*f, *lo, *hi)?),
            })
        };
        Ok(Compiled {
            steps: p.code.iter().map(step).collect::<Result<_>>()?,
            outputs: p.outputs.clone(),
            f: self.f,
        })
    }
}
