//! Runs an elementwise [`tacit_nn::Program`] inside a circuit.

use tacit_mpc::{R64, Result};
use tacit_nn::fixed;

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
use crate::compiled::{Compiled, Step};

/// A register of a program.
#[derive(Clone)]
pub(crate) enum Register {
    Number(Words),
    Bit(Bits),
}

impl Compiled {
    /// Runs the program on this chunk's part of the inputs; every truncation is a `rounding`.
    pub(crate) async fn run(
        &self,
        c: &Circuit<'_>,
        rounding: Rounding,
        inputs: &[Register],
    ) -> Result<Vec<Register>> {
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
                    Register::Number(rounding.apply(c, &x, *shift).await?)
                }
                Step::Mul(r, s) => {
                    let terms = [(number(*r).clone(), number(*s).clone())];
                    let x = product(c, &terms, Support::Full).await?;
                    Register::Number(rounding.apply(c, &x, self.f).await?)
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
                Step::Exp(r, t) => Register::Number(exp(c, t, number(*r), rounding).await?),
                Step::ExpNegative(r, t) => {
                    let x = at_least(c, number(*r), LEAST_EXPONENT, self.f).await?;
                    Register::Number(exp(c, t, &x, rounding).await?)
                }
                Step::Table(r, t) => {
                    Register::Number(evaluate(c, t, number(*r), None, rounding).await?)
                }
                Step::Scaled(r, t) => Register::Number(scaled(c, t, number(*r), rounding).await?),
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
