//! Elementwise programs: nonlinear functions written once, as straight-line code over six primitives that every engine has.
//!
//! An interactive engine runs a whole program in one pass, so that what a dealer prepares for its later steps travels ahead
//! of the earlier ones (protocols-rep3, section 0: "D runs ahead").

mod binades;
mod choice;
mod curves;
mod exponentials;
mod steps;

pub use crate::table::Table;
use crate::{Error, Result};
pub use binades::{divide, log, reciprocal, rsqrt, scaled, softsign, sqrt};
pub use choice::{
    clip, mask, max, max_index, negative, relu, relu_grad, scale, sign, threshold, zero,
};
pub use curves::{erf, gelu, gelu_tanh, mish, silu, table, tanh};
pub use exponentials::{exp, exp_neg, exp_within, logistic, sigmoid, softplus};
pub use steps::{floor, round};

/// A register: the result of the instruction with that index.
pub type Reg = usize;

/// One instruction. Arithmetic registers hold reals in fixed point, bit registers hold 0 or 1.
#[derive(Clone, Debug, PartialEq)]
pub enum Instr {
    /// The i-th input of the program, an arithmetic value.
    Input(usize),
    /// The i-th input of the program, a bit that an earlier program gave out.
    InputBit(usize),
    /// Σ cᵢ·rᵢ + bias over arithmetic registers, small integer coefficients. Local.
    Linear(Vec<(i64, Reg)>, f64),
    /// c·r for a real constant c, rounded once.
    Scale(Reg, f64),
    /// r·s, rounded once.
    Mul(Reg, Reg),
    /// The bit \[r < 0\]. Exact for |r| < 2^bound; `None` means the whole ring.
    Negative(Reg, Option<u32>),
    /// The bit \[r = 0\].
    Zero(Reg),
    /// Both bits.
    And(Reg, Reg),
    /// One bit but not both.
    Xor(Reg, Reg),
    /// The other bit. Local.
    Not(Reg),
    /// The greatest integer that is not above r, exactly.
    Floor(Reg),
    /// bit·r.
    Select(Reg, Reg),
    /// The bit as the number 0 or 1.
    ToArithmetic(Reg),
    /// e^r for r < 1: 0 where that is less than a 32nd of a unit, at the latest below -23.
    ExpNeg(Reg),
    /// e^r for r in [-16, 12), with a relative error instead of [`Instr::ExpNeg`]'s absolute one.
    Exp(Reg),
    /// A function of one variable over many binades: r is scaled by a power of two into one of them, on shares. For r in
    /// [2^lo, 2^hi).
    Scaled {
        /// The argument.
        x: Reg,
        /// The function.
        f: Scaled,
        /// log2 of the lower end of the range.
        lo: i32,
        /// log2 of the upper end.
        hi: i32,
    },
    /// A function of one variable by piecewise polynomials on a bounded range.
    Table(Reg, Table),
}

/// Functions of [`Instr::Scaled`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scaled {
    /// 1/r.
    Reciprocal,
    /// 1/√r.
    InverseRoot,
    /// ln r.
    Ln,
    /// √r.
    Root,
}

impl Scaled {
    /// The function over the reals.
    #[must_use]
    pub fn of(self, x: f64) -> f64 {
        match self {
            Self::Reciprocal => 1.0 / x,
            Self::InverseRoot => 1.0 / x.sqrt(),
            Self::Ln => libm::log(x),
            Self::Root => x.sqrt(),
        }
    }

    /// A short name, for errors and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Reciprocal => "reciprocal",
            Self::InverseRoot => "rsqrt",
            Self::Ln => "log",
            Self::Root => "sqrt",
        }
    }
}

impl Instr {
    /// The registers it reads.
    fn operands_mut(&mut self) -> Vec<&mut Reg> {
        match self {
            Self::Input(_) | Self::InputBit(_) => vec![],
            Self::Linear(terms, _) => terms.iter_mut().map(|(_, r)| r).collect(),
            Self::Mul(r, s) | Self::Select(r, s) | Self::And(r, s) | Self::Xor(r, s) => vec![r, s],
            Self::Zero(r)
            | Self::Not(r)
            | Self::Floor(r)
            | Self::Exp(r)
            | Self::Scaled { x: r, .. }
            | Self::Scale(r, _)
            | Self::Negative(r, _)
            | Self::ToArithmetic(r)
            | Self::ExpNeg(r)
            | Self::Table(r, _) => {
                vec![r]
            }
        }
    }
}

/// Straight-line code: instruction k writes register k.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    /// Its name, for errors and reports.
    pub name: &'static str,
    /// The instructions, in order.
    pub code: Vec<Instr>,
    /// The registers handed out.
    pub outputs: Vec<Reg>,
}

impl Program {
    /// An empty program.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            code: Vec::new(),
            outputs: Vec::new(),
        }
    }

    /// Appends an instruction and names its register.
    pub fn push(&mut self, i: Instr) -> Reg {
        self.code.push(i);
        self.code.len() - 1
    }

    /// The program that gives only these outputs, without the instructions that only the others need.
    #[must_use]
    pub fn keep(&self, name: &'static str, outputs: &[usize]) -> Self {
        let outputs: Vec<Reg> = outputs
            .iter()
            .filter_map(|&o| self.outputs.get(o).copied())
            .collect();
        let mut needed = vec![false; self.code.len()];
        outputs.iter().for_each(|&r| needed[r] = true);
        for (r, instr) in self.code.iter().enumerate().rev() {
            if needed[r] {
                instr
                    .clone()
                    .operands_mut()
                    .into_iter()
                    .for_each(|o| needed[*o] = true);
            }
        }
        let mut kept = Self::new(name);
        let mut renamed = vec![0; self.code.len()];
        for (r, instr) in self.code.iter().enumerate().filter(|&(r, _)| needed[r]) {
            let mut instr = instr.clone();
            instr
                .operands_mut()
                .into_iter()
                .for_each(|o| *o = renamed[*o]);
            renamed[r] = kept.push(instr);
        }
        kept.outputs = outputs.into_iter().map(|r| renamed[r]).collect();
        kept
    }

    /// Whether some instruction rounds with a coin: only what comes before such a one is hidden behind its rounding.
    #[must_use]
    pub fn rounds(&self) -> bool {
        self.code.iter().any(|i| {
            matches!(
                i,
                Instr::Scale(..)
                    | Instr::Mul(..)
                    | Instr::ExpNeg(_)
                    | Instr::Exp(_)
                    | Instr::Scaled { .. }
                    | Instr::Table(..)
            )
        })
    }

    /// Which registers hold bits.
    ///
    /// # Errors
    /// [`Error::Invalid`] where an instruction reads a register that is not there yet or holds the other type, or where a
    /// register is given out that is not there.
    pub fn types(&self) -> Result<Vec<bool>> {
        let invalid = |k: usize, why: &str| {
            Error::Invalid(format!("program {}, instruction {k}: {why}", self.name))
        };
        let mut is_bit: Vec<bool> = Vec::with_capacity(self.code.len());
        for (k, instr) in self.code.iter().enumerate() {
            let bits = match instr {
                Instr::And(..) | Instr::Xor(..) | Instr::Not(_) | Instr::ToArithmetic(_) => {
                    usize::MAX
                }
                Instr::Select(..) => 1,
                _ => 0,
            };
            for (operand, r) in instr.clone().operands_mut().into_iter().enumerate() {
                let wants_bit = operand < bits;
                match is_bit.get(*r) {
                    Some(&bit) if bit == wants_bit => {}
                    _ if wants_bit => {
                        return Err(invalid(k, "it reads a register that holds no bit"));
                    }
                    _ => return Err(invalid(k, "it reads a register that holds no number")),
                }
            }
            is_bit.push(matches!(
                instr,
                Instr::InputBit(_)
                    | Instr::Negative(..)
                    | Instr::Zero(_)
                    | Instr::And(..)
                    | Instr::Xor(..)
                    | Instr::Not(_)
            ));
        }
        match self.outputs.iter().find(|&&r| r >= is_bit.len()) {
            Some(r) => Err(invalid(*r, "there is no such register to give out")),
            None => Ok(is_bit),
        }
    }

    /// The inputs that it reads as numbers.
    #[must_use]
    pub fn number_inputs(&self) -> Vec<usize> {
        self.code
            .iter()
            .filter_map(|i| {
                if let Instr::Input(k) = i {
                    Some(*k)
                } else {
                    None
                }
            })
            .collect()
    }

    /// The number of inputs.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.code
            .iter()
            .filter_map(|i| {
                if let Instr::Input(k) | Instr::InputBit(k) = i {
                    Some(k + 1)
                } else {
                    None
                }
            })
            .max()
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeping_outputs_drops_what_only_the_others_need() {
        let softplus = softplus(18);
        assert_eq!((softplus.name, softplus.outputs.len()), ("softplus", 1));
        let tables = softplus
            .code
            .iter()
            .filter(|i| matches!(i, Instr::Table(..)))
            .count();
        assert_eq!((tables, softplus.code.len()), (1, 13));
        let both = logistic(18);
        assert_eq!(both.keep("logistic", &[0, 1]), both);
    }
}
