//! Runs an elementwise [`tacit_nn::Program`] on a chunk.

use tacit_mpc::{R64, Result};
use tacit_nn::fixed;

use super::circuit::{Circuit, power};
use super::compare::{negative, zero};
use super::convert::{select, to_words};
use super::primitives::Primitives;
use super::scaled::scaled;
use super::share::{Bits, Words};
use super::table::{evaluate, exp};
use super::truncate::{Rounding, floor};
use crate::compiled::{Compiled, Step};

/// A register of a program.
#[derive(Clone)]
pub(super) enum Register {
    Number(Words),
    Bit(Bits),
}

/// Runs a program on this chunk's part of the inputs; every truncation is a `rounding`.
pub(super) async fn run<P: Primitives>(
    program: &Compiled,
    c: &Circuit<'_, P>,
    rounding: Rounding,
    inputs: &[Register],
) -> Result<Vec<Register>> {
    let mut registers: Vec<Register> = Vec::with_capacity(program.steps.len());
    for step in &program.steps {
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
                Register::Number(rounding.apply(c, &number(*r).times(*k), *shift).await?)
            }
            Step::Mul(r, s) => {
                let x = c.multiply(number(*r), number(*s)).await?;
                Register::Number(rounding.apply(c, &x, program.f).await?)
            }
            Step::Negative(r, k) => Register::Bit(negative(c, number(*r), *k).await?),
            Step::Zero(r) => Register::Bit(zero(c, number(*r)).await?),
            Step::And(x, y) => Register::Bit(c.and(bit(*x), bit(*y)).await?),
            Step::Xor(x, y) => Register::Bit(bit(*x).xor(bit(*y))),
            Step::Not(x) => Register::Bit(c.not(bit(*x))),
            Step::Floor(r) => Register::Number(floor(c, number(*r), program.f).await?),
            Step::Select(b, r) => Register::Number(select(c, bit(*b), number(*r)).await?),
            Step::ToArithmetic(b) => {
                // The integer bit as a fixed-point number.
                let one = to_words(c, bit(*b)).await?;
                Register::Number(one.times(power(program.f)))
            }
            Step::Exp(r, t) => Register::Number(exp(c, t, number(*r), rounding).await?),
            Step::ExpNegative(r, t) => {
                let x = at_least(c, number(*r), LEAST_EXPONENT, program.f).await?;
                Register::Number(exp(c, t, &x, rounding).await?)
            }
            Step::Table(r, t) => {
                Register::Number(evaluate(c, t, number(*r), None, rounding).await?)
            }
            Step::Scaled(r, t) => Register::Number(scaled(c, t, number(*r), rounding).await?),
        };
        registers.push(result);
    }
    let outputs = program.outputs.iter();
    Ok(outputs.map(|&r| registers[r].clone()).collect())
}

/// Below this e^x is 0 in fixed point, and above the lower end of its table.
const LEAST_EXPONENT: i64 = -200;

/// max(x, lo).
async fn at_least<P: Primitives>(c: &Circuit<'_, P>, x: &Words, lo: i64, f: u32) -> Result<Words> {
    let lo = fixed::from_signed(lo << f);
    let above = c.offset(x, -lo);
    let below = negative(c, &above, 63).await?;
    let lost = select(c, &below, &above).await?;
    Ok(c.offset(&above.minus(&lost), lo))
}

/// Σ k·x + bias.
fn linear<'a, P: Primitives>(
    c: &Circuit<'_, P>,
    terms: impl Iterator<Item = (R64, &'a Words)>,
    bias: R64,
) -> Words {
    let sum = terms.fold(None, |sum: Option<Words>, (k, x)| {
        let x = x.times(k);
        Some(sum.map_or_else(|| x.clone(), |s| s.plus(&x)))
    });
    let sum = sum.unwrap_or_else(|| c.public(&vec![R64::default(); c.len()]));
    c.offset(&sum, bias)
}
