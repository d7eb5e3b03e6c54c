//! Elementwise programs: nonlinear functions written once, as straight-line code over six primitives that every engine has.
//!
//! An interactive engine runs a whole program in one pass, so that what a dealer prepares for its later steps travels ahead
//! of the earlier ones (protocols-rep3, section 0: "D runs ahead").

pub use crate::table::Table;

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
    /// e^r for r in [-239, 1).
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
}

impl Scaled {
    /// The function over the reals.
    #[must_use]
    pub fn of(self, x: f64) -> f64 {
        match self {
            Self::Reciprocal => 1.0 / x,
            Self::InverseRoot => 1.0 / x.sqrt(),
            Self::Ln => x.ln(),
        }
    }

    /// A short name, for errors and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Reciprocal => "reciprocal",
            Self::InverseRoot => "rsqrt",
            Self::Ln => "log",
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

/// Precision: table degrees rise with it, as in the specification (section 5: deg 5 for f <= 16, 7 for f >= 18).
fn fine(fraction_bits: u32, coarse: usize, more: usize) -> usize {
    if fraction_bits <= 16 { coarse } else { more }
}

/// relu(x) = x - \[x<0\]·x; second output: the bit \[x<0\], kept for the backward pass.
#[must_use]
pub fn relu() -> Program {
    let mut p = Program::new("relu");
    let x = p.push(Instr::Input(0));
    let s = p.push(Instr::Negative(x, None));
    let sx = p.push(Instr::Select(s, x));
    let y = p.push(Instr::Linear(vec![(1, x), (-1, sx)], 0.0));
    p.outputs = vec![y, s];
    p
}

/// Derivative of relu: dy - \[x<0\]·dy, from dy and the kept bit.
#[must_use]
pub fn relu_grad() -> Program {
    let mut p = Program::new("relu_grad");
    let dy = p.push(Instr::Input(0));
    let s = p.push(Instr::InputBit(1));
    let sdy = p.push(Instr::Select(s, dy));
    let y = p.push(Instr::Linear(vec![(1, dy), (-1, sdy)], 0.0));
    p.outputs = vec![y];
    p
}

/// max(x, y) = x + relu(y - x), for |x - y| < 2^(63-f).
#[must_use]
pub fn max() -> Program {
    let mut p = Program::new("max");
    let x = p.push(Instr::Input(0));
    let y = p.push(Instr::Input(1));
    let d = p.push(Instr::Linear(vec![(1, y), (-1, x)], 0.0));
    let s = p.push(Instr::Negative(d, None));
    let sd = p.push(Instr::Select(s, d));
    let m = p.push(Instr::Linear(vec![(1, y), (-1, sd)], 0.0));
    p.outputs = vec![m];
    p
}

/// 1/(1+e) for e in [0, 1].
fn logistic_of_exp(e: f64) -> f64 {
    1.0 / (1.0 + e)
}

/// Below this, e^x is 0 in fixed point, and above the lower end of [`Instr::ExpNeg`].
const LEAST_EXPONENT: f64 = -200.0;

/// max(x, [`LEAST_EXPONENT`]).
fn clamp(p: &mut Program, x: Reg) -> Reg {
    let above = p.push(Instr::Linear(vec![(1, x)], -LEAST_EXPONENT));
    let s = p.push(Instr::Negative(above, None));
    let below = p.push(Instr::Select(s, above));
    p.push(Instr::Linear(vec![(1, x), (-1, below)], 0.0))
}

/// Sigmoid and softplus of one x, which share all but the last table: s = \[x<0\], e = exp(-min(|x|, 200)); first output
/// y = 1/(1+e), then y or 1-y; second output relu(x) + ln(1+e) = ln(1 + e^x).
///
/// For every x that fixed point represents: a logit outside the range of e^x would be opened, in the end, as a function of
/// itself modulo the period of a table.
#[must_use]
pub fn logistic(fraction_bits: u32) -> Program {
    let mut p = Program::new("logistic");
    let x = p.push(Instr::Input(0));
    let s = p.push(Instr::Negative(x, None));
    let sx = p.push(Instr::Select(s, x));
    let minus_abs = p.push(Instr::Linear(vec![(2, sx), (-1, x)], 0.0));
    let clamped = clamp(&mut p, minus_abs);
    let e = p.push(Instr::ExpNeg(clamped));
    let table = |name, f, max| Table {
        name,
        f,
        lo: -1.0 / 64.0,
        hi: 1.0 + 1.0 / 64.0,
        cell: -1,
        log2_cells: 2,
        degree: fine(fraction_bits, 5, 7),
        max,
    };
    let y = p.push(Instr::Table(e, table("1/(1+e)", logistic_of_exp, 2.0)));
    let flip = p.push(Instr::Linear(vec![(-2, y)], 1.0));
    let sf = p.push(Instr::Select(s, flip));
    let sigmoid = p.push(Instr::Linear(vec![(1, y), (1, sf)], 0.0));
    let ln = p.push(Instr::Table(e, table("ln(1+e)", f64::ln_1p, 1.0)));
    let softplus = p.push(Instr::Linear(vec![(1, x), (-1, sx), (1, ln)], 0.0));
    p.outputs = vec![sigmoid, softplus];
    p
}

/// 1/(1 + e^-x).
#[must_use]
pub fn sigmoid(fraction_bits: u32) -> Program {
    logistic(fraction_bits).keep("sigmoid", &[0])
}

/// ln(1 + e^x).
#[must_use]
pub fn softplus(fraction_bits: u32) -> Program {
    logistic(fraction_bits).keep("softplus", &[1])
}

/// e^x for x in [-239, 1).
#[must_use]
pub fn exp_neg() -> Program {
    let mut p = Program::new("exp_neg");
    let x = p.push(Instr::Input(0));
    let e = p.push(Instr::ExpNeg(x));
    p.outputs = vec![e];
    p
}

/// e^max(x, -200) for x < 1: e^x without a lower end of the range.
#[must_use]
pub fn exp_clamped() -> Program {
    let mut p = Program::new("exp");
    let x = p.push(Instr::Input(0));
    let clamped = clamp(&mut p, x);
    let e = p.push(Instr::ExpNeg(clamped));
    p.outputs = vec![e];
    p
}

/// The bit \[x < 0\] as the number 0 or 1.
#[must_use]
pub fn negative() -> Program {
    let mut p = Program::new("negative");
    let x = p.push(Instr::Input(0));
    let s = p.push(Instr::Negative(x, None));
    let a = p.push(Instr::ToArithmetic(s));
    p.outputs = vec![a];
    p
}

/// c·x for a real constant c.
#[must_use]
pub fn scale(c: f64) -> Program {
    let mut p = Program::new("scale");
    let x = p.push(Instr::Input(0));
    let y = p.push(Instr::Scale(x, c));
    p.outputs = vec![y];
    p
}

/// A table of one variable as a program.
#[must_use]
pub fn table(t: Table) -> Program {
    let mut p = Program::new(t.name);
    let x = p.push(Instr::Input(0));
    let y = p.push(Instr::Table(x, t));
    p.outputs = vec![y];
    p
}

/// A function of one variable in [2^lo, 2^hi) as a program.
#[must_use]
pub fn scaled(f: Scaled, lo: i32, hi: i32) -> Program {
    let mut p = Program::new(f.name());
    let x = p.push(Instr::Input(0));
    let y = p.push(Instr::Scaled { x, f, lo, hi });
    p.outputs = vec![y];
    p
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
        assert_eq!((tables, softplus.code.len()), (1, 11));
        let both = logistic(18);
        assert_eq!(both.keep("logistic", &[0, 1]), both);
    }
}
