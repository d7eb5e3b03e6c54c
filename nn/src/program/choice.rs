//! Comparisons, choices between values, and what saturates.

use super::{Instr, Program, Reg};

/// In floating point, end + (r - end) loses what of r is small beside the end, and r - (r - end) loses an end that is small
/// beside r: ends below this are treated in the first way, others in the second. In the ring both are exact.
const NEAR: f64 = 256.0;

impl Program {
    /// Σ cᵢ·rᵢ + bias.
    pub(super) fn linear(&mut self, terms: &[(i64, Reg)], bias: f64) -> Reg {
        self.push(Instr::Linear(terms.to_vec(), bias))
    }

    /// \[r < 0\].
    pub(super) fn is_negative(&mut self, r: Reg) -> Reg {
        self.push(Instr::Negative(r, None))
    }

    /// bit·r.
    pub(super) fn select(&mut self, bit: Reg, r: Reg) -> Reg {
        self.push(Instr::Select(bit, r))
    }

    /// max(r, lo).
    pub(super) fn at_least(&mut self, r: Reg, lo: f64) -> Reg {
        self.at_least_with_bit(r, lo).0
    }

    /// The same and the bit \[r < lo\].
    pub(super) fn at_least_with_bit(&mut self, r: Reg, lo: f64) -> (Reg, Reg) {
        let above = self.linear(&[(1, r)], -lo);
        let below = self.is_negative(above);
        let lost = self.select(below, above);
        let y = if lo.abs() < NEAR {
            self.linear(&[(1, above), (-1, lost)], lo)
        } else {
            self.linear(&[(1, r), (-1, lost)], 0.0)
        };
        (y, below)
    }

    /// min(r, hi).
    pub(super) fn at_most(&mut self, r: Reg, hi: f64) -> Reg {
        self.at_most_with_bit(r, hi).0
    }

    /// The same and the bit \[r > hi\].
    pub(super) fn at_most_with_bit(&mut self, r: Reg, hi: f64) -> (Reg, Reg) {
        let below = self.linear(&[(-1, r)], hi);
        let above = self.is_negative(below);
        let lost = self.select(above, below);
        let y = if hi.abs() < NEAR {
            self.linear(&[(-1, below), (1, lost)], hi)
        } else {
            self.linear(&[(1, r), (1, lost)], 0.0)
        };
        (y, above)
    }

    /// The bit s = \[r < 0\], relu(r) and |r|.
    pub(super) fn sign_and_magnitude(&mut self, r: Reg) -> (Reg, Reg, Reg) {
        let s = self.is_negative(r);
        let sr = self.select(s, r);
        let positive = self.linear(&[(1, r), (-1, sr)], 0.0);
        let magnitude = self.linear(&[(1, r), (-2, sr)], 0.0);
        (s, positive, magnitude)
    }

    /// -r where the bit is 1, else r.
    pub(super) fn flip(&mut self, bit: Reg, r: Reg) -> Reg {
        let br = self.select(bit, r);
        self.linear(&[(1, r), (-2, br)], 0.0)
    }

    /// 1 - r where the bit is 1, else r.
    pub(super) fn reflect(&mut self, bit: Reg, r: Reg) -> Reg {
        let rest = self.linear(&[(-2, r)], 1.0);
        let chosen = self.select(bit, rest);
        self.linear(&[(1, r), (1, chosen)], 0.0)
    }

    /// r where the bit is 1, else s.
    pub(super) fn choose(&mut self, bit: Reg, r: Reg, s: Reg) -> Reg {
        let difference = self.linear(&[(1, r), (-1, s)], 0.0);
        let chosen = self.select(bit, difference);
        self.linear(&[(1, s), (1, chosen)], 0.0)
    }
}

/// relu(x) = x - \[x<0\]·x; second output: the bit \[x<0\], kept for the backward pass.
#[must_use]
pub fn relu() -> Program {
    let mut p = Program::new("relu");
    let x = p.push(Instr::Input(0));
    let s = p.is_negative(x);
    let sx = p.select(s, x);
    let y = p.linear(&[(1, x), (-1, sx)], 0.0);
    p.outputs = vec![y, s];
    p
}

/// x where the bit is 0, else 0: the derivative of relu, from dy and the kept bit.
#[must_use]
pub fn relu_grad() -> Program {
    let mut p = Program::new("relu_grad");
    let dy = p.push(Instr::Input(0));
    let s = p.push(Instr::InputBit(1));
    let sdy = p.select(s, dy);
    let y = p.linear(&[(1, dy), (-1, sdy)], 0.0);
    p.outputs = vec![y];
    p
}

/// x where the bit is 1, else 0.
#[must_use]
pub fn mask() -> Program {
    let mut p = Program::new("mask");
    let x = p.push(Instr::Input(0));
    let bit = p.push(Instr::InputBit(1));
    let y = p.select(bit, x);
    p.outputs = vec![y];
    p
}

/// max(x, y), for |x - y| < 2^(62-f); second output: the bit \[x > y\].
#[must_use]
pub fn max() -> Program {
    let mut p = Program::new("max");
    let x = p.push(Instr::Input(0));
    let y = p.push(Instr::Input(1));
    let d = p.linear(&[(1, y), (-1, x)], 0.0);
    let s = p.is_negative(d);
    let sd = p.select(s, d);
    let m = p.linear(&[(1, y), (-1, sd)], 0.0);
    p.outputs = vec![m, s];
    p
}

/// max(x, y) and the index of it, i for x and j for y; third output: the bit \[x > y\]. At a tie it is y.
#[must_use]
pub fn max_index() -> Program {
    let mut p = Program::new("max_index");
    let x = p.push(Instr::Input(0));
    let y = p.push(Instr::Input(1));
    let i = p.push(Instr::Input(2));
    let j = p.push(Instr::Input(3));
    let d = p.linear(&[(1, y), (-1, x)], 0.0);
    let s = p.is_negative(d);
    let sd = p.select(s, d);
    let m = p.linear(&[(1, y), (-1, sd)], 0.0);
    let index = p.choose(s, i, j);
    p.outputs = vec![m, index, s];
    p
}

/// \[x < 0\] as the number 0 or 1; second output: the bit.
#[must_use]
pub fn negative() -> Program {
    let mut p = Program::new("negative");
    let x = p.push(Instr::Input(0));
    let s = p.is_negative(x);
    let a = p.push(Instr::ToArithmetic(s));
    p.outputs = vec![a, s];
    p
}

/// \[x = 0\] as the number 0 or 1; second output: the bit.
#[must_use]
pub fn zero() -> Program {
    let mut p = Program::new("zero");
    let x = p.push(Instr::Input(0));
    let s = p.push(Instr::Zero(x));
    let a = p.push(Instr::ToArithmetic(s));
    p.outputs = vec![a, s];
    p
}

/// -1, 0 or 1.
#[must_use]
pub fn sign() -> Program {
    let mut p = Program::new("sign");
    let x = p.push(Instr::Input(0));
    let minus = p.linear(&[(-1, x)], 0.0);
    let below = p.is_negative(x);
    let above = p.is_negative(minus);
    let below = p.push(Instr::ToArithmetic(below));
    let above = p.push(Instr::ToArithmetic(above));
    let y = p.linear(&[(1, above), (-1, below)], 0.0);
    p.outputs = vec![y];
    p
}

/// x where x > a, else 0; second output: the bit \[x > a\].
#[must_use]
pub fn threshold(a: f64) -> Program {
    let mut p = Program::new("threshold");
    let x = p.push(Instr::Input(0));
    let d = p.linear(&[(-1, x)], a);
    let s = p.is_negative(d);
    let y = p.select(s, x);
    p.outputs = vec![y, s];
    p
}

/// min(max(x, lo), hi) with the ends that are given; second output: the bit that is 1 where x lies outside of \[lo, hi\].
/// Where lo > hi the result is hi.
#[must_use]
pub fn clip(lo: Option<f64>, hi: Option<f64>) -> Program {
    let mut p = Program::new("clip");
    let x = p.push(Instr::Input(0));
    let mut outside = None;
    let mut y = x;
    if let Some(lo) = lo {
        let (clamped, below) = p.at_least_with_bit(y, lo);
        (y, outside) = (clamped, Some(below));
    }
    if let Some(hi) = hi {
        let (clamped, above) = p.at_most_with_bit(y, hi);
        y = clamped;
        // Where x was below lo, it is not above hi unless lo > hi, where nothing depends on x.
        outside = Some(match outside {
            Some(below) => p.push(Instr::Xor(below, above)),
            None => above,
        });
    }
    let outside = outside.unwrap_or_else(|| {
        let bit = p.is_negative(x);
        p.push(Instr::Xor(bit, bit))
    });
    p.outputs = vec![y, outside];
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
