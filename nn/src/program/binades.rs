//! Functions over many binades: reciprocals, roots, logarithms, quotients.

use super::{Instr, Program, Reg, Scaled};

/// log2 of the least positive number of 18 fractional bits.
const UNIT: i32 = -18;
/// log2 of the upper end for roots and logarithms: the factors of roots on all of [2^-18, 2^22) just fit into 64 bits.
const MOST: i32 = 22;
/// log2 of the range of reciprocals: above it, 1/x is less than a unit.
const RECIPROCAL: (i32, i32) = (-14, 20);
/// log2 of the range of logarithms: such that e^-ln(x) lies in the range of [`Instr::Exp`].
const LOG: (i32, i32) = (-17, MOST);

/// f(x) for x in [2^lo, 2^hi), without a check.
#[must_use]
pub fn scaled(f: Scaled, lo: i32, hi: i32) -> Program {
    let mut p = Program::new(f.name());
    let x = p.push(Instr::Input(0));
    let y = p.push(Instr::Scaled { x, f, lo, hi });
    p.outputs = vec![y];
    p
}

/// Puts r into [2^lo, 2^hi).
fn clamp(p: &mut Program, r: Reg, (lo, hi): (i32, i32)) -> Reg {
    let r = p.at_least(r, 2f64.powi(lo));
    p.at_most(r, below(hi))
}

/// A number just below 2^hi, where the range ends, that has 18 fractional bits for hi >= 2.
fn below(hi: i32) -> f64 {
    2f64.powi(hi) * (1.0 - 2f64.powi(-20))
}

fn apply(p: &mut Program, f: Scaled, x: Reg, (lo, hi): (i32, i32)) -> Reg {
    p.push(Instr::Scaled { x, f, lo, hi })
}

/// ln x, and 1/x as e^-(ln x). Below 2^-17 it stays at ln 2^-17 = -11.8, above 2^22 at 15.2.
#[must_use]
pub fn log() -> Program {
    let mut p = Program::new("log");
    let x = p.push(Instr::Input(0));
    let x = clamp(&mut p, x, LOG);
    let y = apply(&mut p, Scaled::Ln, x, LOG);
    let minus = p.linear(&[(-1, y)], 0.0);
    let slope = p.push(Instr::Exp(minus));
    p.outputs = vec![y, slope];
    p
}

/// 1/√x. Below one unit it stays at 2^9, above 2^22 at 2^-11.
#[must_use]
pub fn rsqrt() -> Program {
    let mut p = Program::new("rsqrt");
    let x = p.push(Instr::Input(0));
    let x = clamp(&mut p, x, (UNIT, MOST));
    let y = apply(&mut p, Scaled::InverseRoot, x, (UNIT, MOST));
    p.outputs = vec![y];
    p
}

/// √x, 0 for x <= 0; second output: 1/√x as [`rsqrt`] gives it. Above 2^22 it stays at 2^11.
#[must_use]
pub fn sqrt() -> Program {
    let mut p = Program::new("sqrt");
    let unit = 2f64.powi(UNIT);
    let x = p.push(Instr::Input(0));
    let (x, below_unit) = p.at_least_with_bit(x, unit);
    let positive = p.push(Instr::Not(below_unit));
    let x = p.at_most(x, below(MOST));
    let root = apply(&mut p, Scaled::Root, x, (UNIT, MOST));
    let y = p.select(positive, root);
    let inverse = apply(&mut p, Scaled::InverseRoot, x, (UNIT, MOST));
    p.outputs = vec![y, inverse];
    p
}

/// 1/x for x of either sign. For |x| < 2^-14 it stays at 2^14; 1/0 is 2^14.
#[must_use]
pub fn reciprocal() -> Program {
    let mut p = Program::new("reciprocal");
    let x = p.push(Instr::Input(0));
    let (s, _, magnitude) = p.sign_and_magnitude(x);
    let a = clamp(&mut p, magnitude, RECIPROCAL);
    let r = apply(&mut p, Scaled::Reciprocal, a, RECIPROCAL);
    let y = p.flip(s, r);
    p.outputs = vec![y];
    p
}

/// Denominators from here on are scaled down, so that their reciprocal keeps its significant bits.
const LARGE: f64 = 64.0;
/// log2 of by how much.
const SHIFT: i32 = 11;

/// x/y for y of either sign, to three units and a relative 2^-11; for |y| < 2^-14 it is x·2^14, and for |y| > 2^17 it is x·2^-17. |x/y| < 2^15 where |y| >= 64,
/// else |x/y| < 2^26.
#[must_use]
pub fn divide() -> Program {
    let mut p = Program::new("divide");
    let x = p.push(Instr::Input(0));
    let y = p.push(Instr::Input(1));
    let (s, _, magnitude) = p.sign_and_magnitude(y);
    let range = (RECIPROCAL.0, 6 + SHIFT);
    let a = clamp(&mut p, magnitude, range);
    let over = p.linear(&[(1, a)], -LARGE);
    let small = p.is_negative(over);
    let large = p.push(Instr::Not(small));
    let down = p.push(Instr::Scale(a, 2f64.powi(-SHIFT)));
    let a = p.choose(large, down, a);
    let r = apply(&mut p, Scaled::Reciprocal, a, (RECIPROCAL.0, 6));
    let q = p.push(Instr::Mul(x, r));
    let down = p.push(Instr::Scale(q, 2f64.powi(-SHIFT)));
    let q = p.choose(large, down, q);
    let q = p.flip(s, q);
    p.outputs = vec![q];
    p
}

/// sign(x)·(1 - 1/(1 + |x|)) = x/(1 + |x|); second output: 1/(1 + |x|).
#[must_use]
pub fn softsign() -> Program {
    let mut p = Program::new("softsign");
    let range = (0, RECIPROCAL.1);
    let x = p.push(Instr::Input(0));
    let (s, _, magnitude) = p.sign_and_magnitude(x);
    let more = p.linear(&[(1, magnitude)], 1.0);
    let more = p.at_most(more, below(range.1));
    let r = apply(&mut p, Scaled::Reciprocal, more, range);
    let rest = p.linear(&[(-1, r)], 1.0);
    let y = p.flip(s, rest);
    p.outputs = vec![y, r];
    p
}
