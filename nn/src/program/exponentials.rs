//! e^x and what is made of it: sigmoid and softplus.

use super::{Instr, Program, Table};

/// Precision: table degrees rise with it, as in the specification (section 5: deg 5 for f <= 16, 7 for f >= 18).
fn fine(fraction_bits: u32, coarse: usize, more: usize) -> usize {
    if fraction_bits <= 16 { coarse } else { more }
}

/// 1/(1+e) for e in [0, 1].
fn logistic_of_exp(e: f64) -> f64 {
    1.0 / (1.0 + e)
}

/// The lower end of [`Instr::Exp`]: e^-16 is less than a 32nd of a unit.
pub(super) const LEAST_RELATIVE: f64 = -16.0;
/// Just below the upper end of [`Instr::Exp`]. Of few bits, so that it is exact at every precision.
pub(super) const MOST_RELATIVE: f64 = 12.0 - 1.0 / 64.0;

/// Sigmoid and softplus of one x, which share all but the last table: s = \[x<0\], e = exp(-min(|x|, 16)); first output
/// y = 1/(1+e), then y or 1-y; second output relu(x) + ln(1+e) = ln(1 + e^x).
///
/// For every x that fixed point represents: a logit outside the range of e^x would be opened, in the end, as a function of
/// itself modulo the period of a table.
#[must_use]
pub fn logistic(fraction_bits: u32) -> Program {
    let mut p = Program::new("logistic");
    let x = p.push(Instr::Input(0));
    let (s, positive, magnitude) = p.sign_and_magnitude(x);
    let minus_abs = p.linear(&[(-1, magnitude)], 0.0);
    let clamped = p.at_least(minus_abs, LEAST_RELATIVE);
    let e = p.push(Instr::Exp(clamped));
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
    let sigmoid = p.reflect(s, y);
    let ln = p.push(Instr::Table(e, table("ln(1+e)", libm::log1p, 1.0)));
    let softplus = p.linear(&[(1, positive), (1, ln)], 0.0);
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

/// e^x for x < 1, without a lower end of the range. What lies far below is 0 exactly, which [`Instr::Exp`] would not give:
/// sums over many such terms stay right.
#[must_use]
pub fn exp_neg() -> Program {
    let mut p = Program::new("exp_neg");
    let x = p.push(Instr::Input(0));
    let e = p.push(Instr::ExpNeg(x));
    p.outputs = vec![e];
    p
}

/// e^x for x in [-16, 12).
#[must_use]
pub fn exp_within() -> Program {
    let mut p = Program::new("exp_within");
    let x = p.push(Instr::Input(0));
    let e = p.push(Instr::Exp(x));
    p.outputs = vec![e];
    p
}

/// e^x for every x: below -16 it is 0 up to a unit, and from 12 - 2^-6 on it stays at e^(12 - 2^-6) = 160 229.
#[must_use]
pub fn exp() -> Program {
    let mut p = Program::new("exp");
    let x = p.push(Instr::Input(0));
    let x = p.at_least(x, LEAST_RELATIVE);
    let x = p.at_most(x, MOST_RELATIVE);
    let e = p.push(Instr::Exp(x));
    p.outputs = vec![e];
    p
}
