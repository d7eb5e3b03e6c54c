//! Smooth functions that are nearly constant or nearly linear outside of a bounded range: a table inside of it.
//!
//! Each has its derivative as a second output, which shares all but the last table.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

use super::exponentials::LEAST_RELATIVE;
use super::{Instr, Program, Reg, Table};

/// A table of one variable as a program.
#[must_use]
pub fn table(t: Table) -> Program {
    let mut p = Program::new(t.name);
    let x = p.push(Instr::Input(0));
    let y = p.push(Instr::Table(x, t));
    p.outputs = vec![y];
    p
}

/// Φ(-a), the upper tail of the normal distribution.
fn tail(a: f64) -> f64 {
    0.5 * libm::erfc(a * FRAC_1_SQRT_2)
}

/// The density of the normal distribution.
fn density(a: f64) -> f64 {
    0.5 * FRAC_2_SQRT_PI * FRAC_1_SQRT_2 * libm::exp(-0.5 * a * a)
}

/// gelu(-a) = -a·Φ(-a).
fn gelu_tail(a: f64) -> f64 {
    -a * tail(a)
}

/// gelu'(-a).
fn gelu_tail_slope(a: f64) -> f64 {
    tail(a) - a * density(a)
}

/// The coefficient of the cube in the approximation of gelu.
const CUBE: f64 = 0.044_715;

/// -a·(1 - tanh u)/2 with u = √(2/π)·(a + 0.044715·a³), which is -a/(1 + e^2u).
fn gelu_tanh_tail(a: f64) -> f64 {
    -a / (1.0 + libm::exp(twice_u(a)))
}

fn twice_u(a: f64) -> f64 {
    2.0 * FRAC_2_SQRT_PI * FRAC_1_SQRT_2 * (a + CUBE * a * a * a)
}

/// The derivative of the approximation at -a: q - a·q·(1-q)·(2u)' with q = 1/(1 + e^2u).
fn gelu_tanh_tail_slope(a: f64) -> f64 {
    let q = 1.0 / (1.0 + libm::exp(twice_u(a)));
    let slope = 2.0 * FRAC_2_SQRT_PI * FRAC_1_SQRT_2 * (1.0 + 3.0 * CUBE * a * a);
    q - a * q * (1.0 - q) * slope
}

fn erf_slope(a: f64) -> f64 {
    FRAC_2_SQRT_PI * libm::exp(-a * a)
}

/// tanh(ln(1 + e^x)) = (e² + 2e)/(e² + 2e + 2) for e = e^x.
fn tanh_softplus(x: f64) -> f64 {
    let e = libm::exp(x);
    let n = e * (e + 2.0);
    n / (n + 2.0)
}

fn mish_of(x: f64) -> f64 {
    x * tanh_softplus(x)
}

/// mish' = t + x·(1 - t²)·sigmoid(x) for t = tanh(softplus(x)).
fn mish_slope(x: f64) -> f64 {
    let t = tanh_softplus(x);
    t + x * (1.0 - t * t) / (1.0 + libm::exp(-x))
}

fn tanh_of_exp(e: f64) -> f64 {
    (1.0 - e) / (1.0 + e)
}

fn half_over(t: f64) -> f64 {
    t / (1.0 + t * t)
}

fn square_over(t: f64) -> f64 {
    t * t / (1.0 + t * t)
}

/// A table on [0, 1] with a margin for the rounding of an exponential.
fn of_exponential(name: &'static str, f: fn(f64) -> f64, degree: usize) -> Table {
    Table {
        name,
        f,
        lo: -1.0 / 64.0,
        hi: 1.0 + 1.0 / 64.0,
        cell: -1,
        log2_cells: 2,
        degree,
        max: 1.0,
    }
}

/// A table on [0, 6] in three cells of width 2.
fn of_magnitude(name: &'static str, f: fn(f64) -> f64, degree: usize) -> Table {
    Table {
        name,
        f,
        lo: 0.0,
        hi: 6.0,
        cell: 1,
        log2_cells: 2,
        degree,
        max: 1.25,
    }
}

/// relu(x) + h(min(|x|, most)), and its derivative: h'(x) below 0, 1 - h'(|x|) above.
fn relu_and_tail(name: &'static str, most: f64, h: Table, slope: Table) -> Program {
    let mut p = Program::new(name);
    let x = p.push(Instr::Input(0));
    let (s, positive, magnitude) = p.sign_and_magnitude(x);
    let a = p.at_most(magnitude, most);
    let t = p.push(Instr::Table(a, h));
    let y = p.linear(&[(1, positive), (1, t)], 0.0);
    let t = p.push(Instr::Table(a, slope));
    let above = p.push(Instr::Not(s));
    let slope = p.reflect(above, t);
    p.outputs = vec![y, slope];
    p
}

/// x·Φ(x), and its derivative.
#[must_use]
pub fn gelu() -> Program {
    relu_and_tail(
        "gelu",
        5.5,
        of_magnitude("gelu of -a", gelu_tail, 12),
        of_magnitude("gelu' of -a", gelu_tail_slope, 13),
    )
}

/// x·(1 + tanh(√(2/π)·(x + 0.044715·x³)))/2, and its derivative.
#[must_use]
pub fn gelu_tanh() -> Program {
    relu_and_tail(
        "gelu_tanh",
        5.5,
        of_magnitude("gelu_tanh of -a", gelu_tanh_tail, 12),
        of_magnitude("gelu_tanh' of -a", gelu_tanh_tail_slope, 13),
    )
}

/// sign(x)·erf(min(|x|, 4)), and its derivative 2/√π·e^(-x²).
#[must_use]
pub fn erf() -> Program {
    let mut p = Program::new("erf");
    let x = p.push(Instr::Input(0));
    let (s, _, magnitude) = p.sign_and_magnitude(x);
    let a = p.at_most(magnitude, 4.0);
    let t = p.push(Instr::Table(a, of_magnitude("erf", libm::erf, 14)));
    let y = p.flip(s, t);
    let slope = p.push(Instr::Table(a, of_magnitude("erf'", erf_slope, 16)));
    p.outputs = vec![y, slope];
    p
}

/// (1-e)/(1+e) for e = e^(-2·min(|x|, 8)), with the sign of x.
#[must_use]
pub fn tanh() -> Program {
    let mut p = Program::new("tanh");
    let x = p.push(Instr::Input(0));
    let (s, _, magnitude) = p.sign_and_magnitude(x);
    let a = p.at_most(magnitude, -LEAST_RELATIVE / 2.0);
    let e = exponential(&mut p, a, 2);
    let t = p.push(Instr::Table(
        e,
        of_exponential("(1-e)/(1+e)", tanh_of_exp, 8),
    ));
    let y = p.flip(s, t);
    p.outputs = vec![y];
    p
}

/// e^(-n·a) for n·a in [0, 16].
fn exponential(p: &mut Program, a: Reg, n: i64) -> Reg {
    let minus = p.linear(&[(-n, a)], 0.0);
    p.push(Instr::Exp(minus))
}

/// x/(1 + e^-x), and its derivative: relu(x) - a·q with a = min(|x|, 16) and q = 1/(1 + e^a).
///
/// With t = e^(-a/2), a·q = (a·t)·t/(1+t²): both factors stay below 1, so that the error of neither is magnified.
#[must_use]
pub fn silu() -> Program {
    let mut p = Program::new("silu");
    let x = p.push(Instr::Input(0));
    let (s, positive, magnitude) = p.sign_and_magnitude(x);
    let a = p.at_most(magnitude, -LEAST_RELATIVE);
    let half = p.push(Instr::Scale(a, -0.5));
    let t = p.push(Instr::Exp(half));
    let at = p.push(Instr::Mul(a, t));
    let over = p.push(Instr::Table(t, of_exponential("t/(1+t^2)", half_over, 9)));
    let aq = p.push(Instr::Mul(at, over));
    let y = p.linear(&[(1, positive), (-1, aq)], 0.0);
    // At -a the derivative is q - a·q·(1-q).
    let q = p.push(Instr::Table(
        t,
        of_exponential("t^2/(1+t^2)", square_over, 9),
    ));
    let aqq = p.push(Instr::Mul(aq, q));
    let below = p.linear(&[(1, q), (-1, aq), (1, aqq)], 0.0);
    let above = p.push(Instr::Not(s));
    let slope = p.reflect(above, below);
    p.outputs = vec![y, slope];
    p
}

/// Outside of this range mish is 0 or x.
const MISH: (f64, f64) = (-18.0, 10.0);

/// x·tanh(ln(1 + e^x)), and its derivative.
#[must_use]
pub fn mish() -> Program {
    let mut p = Program::new("mish");
    let table = |name, f, degree| Table {
        name,
        f,
        lo: MISH.0,
        hi: MISH.1 + 2.0,
        cell: 1,
        log2_cells: 4,
        degree,
        max: 13.0,
    };
    let x = p.push(Instr::Input(0));
    let low = p.at_most(x, MISH.1);
    let beyond = p.linear(&[(1, x), (-1, low)], 0.0);
    let inside = p.at_least(low, MISH.0);
    let t = p.push(Instr::Table(inside, table("mish", mish_of, 14)));
    let y = p.linear(&[(1, beyond), (1, t)], 0.0);
    let slope = p.push(Instr::Table(inside, table("mish'", mish_slope, 15)));
    p.outputs = vec![y, slope];
    p
}
