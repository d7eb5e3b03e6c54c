//! Single gates on shares: what goes in, how they run, and what they should give.

mod plain;
mod programs;

use clap::ValueEnum;
use ndarray::{ArrayD, IxDyn};
use tacit_mpc::{Bilinear, conv::Conv};
use tacit_nn::program::{self, Instr, Scaled};
use tacit_nn::{Engine, Graph, Program, Result, fixed};
use tacit_protocols::cost::{CostEngine, Prices, Value as CostValue};
use tacit_protocols::malicious::{self, MaliciousEngine};
use tacit_protocols::rep3::{self, Rep3Engine};

/// Values in a row of a softmax.
const CLASSES: usize = 10;

/// Channels before and after a convolution.
const CHANNELS: (usize, usize) = (16, 32);

/// Engines that multiply words without rounding as well: the one that runs a gate, and the one that tells what it costs.
pub trait Words: Engine {
    /// f(x, y) as words.
    fn product(&mut self, f: Bilinear, x: &Self::Value, y: &Self::Value) -> Result<Self::Value>;
}

impl Words for Rep3Engine {
    fn product(&mut self, f: Bilinear, x: &rep3::Value, y: &rep3::Value) -> Result<rep3::Value> {
        Self::product(self, f, x, y)
    }
}

impl Words for MaliciousEngine {
    fn product(
        &mut self,
        f: Bilinear,
        x: &malicious::Value,
        y: &malicious::Value,
    ) -> Result<malicious::Value> {
        Self::product(self, f, x, y)
    }
}

impl<P: Prices> Words for CostEngine<P> {
    fn product(&mut self, f: Bilinear, x: &CostValue, y: &CostValue) -> Result<CostValue> {
        Self::product(self, f, x, y)
    }
}

/// A gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Gate {
    /// x·y as words, without rounding
    Mul,
    /// x·y, rounded to fixed point
    MulTrunc,
    /// The inner product of two vectors, rounded
    Dot,
    /// The product of two square matrices, rounded
    Matmul,
    /// A square image of 16 channels by 32 kernels of 3 by 3, rounded
    Conv,
    /// Both of two bits
    And,
    /// The bit x < y
    Less,
    /// max(x, 0)
    Relu,
    /// max(x, y)
    Max,
    /// e^x for x from -16 to 12, with a relative error
    Exp,
    /// ln x for x from 2^-12 to 2^12
    Log,
    /// 1/x for x from 2^-12 to 2^12
    Reciprocal,
    /// 1/√x for x from 2^-12 to 2^12
    Rsqrt,
    /// 1/(1 + e^-x)
    Sigmoid,
    /// The hyperbolic tangent
    Tanh,
    /// x times the probability that a standard normal variable is below x
    Gelu,
    /// Softmax of rows of ten values
    Softmax,
}

impl Gate {
    /// The size that is measured unless another is asked for: the number of values, or the side of the matrices.
    pub fn default_size(self) -> usize {
        match self {
            Self::Mul | Self::MulTrunc | Self::Dot | Self::And => 1_000_000,
            Self::Matmul => 512,
            Self::Conv => 64,
            _ => 100_000,
        }
    }

    /// The number of values in the result.
    pub(super) fn values(self, size: usize) -> usize {
        match self {
            Self::Dot => 1,
            Self::Matmul => size * size,
            Self::Conv => CHANNELS.1 * size * size,
            _ => size,
        }
    }

    /// Public inputs of the gate, the same at every party: what they are does not change what the gate costs.
    pub fn inputs(self, size: usize) -> Vec<ArrayD<f64>> {
        let tensor = |shape: &[usize], lo: f64, hi: f64, step: usize| {
            let n: usize = shape.iter().product();
            // A stride that is coprime to n visits every grid point, in no telling order.
            let at = |k: usize| ((k * step) % n.max(1)) as f64 / n.max(1) as f64;
            // On the grid of the encoding, so that errors are those of the gate.
            let unit = 2f64.powi(-(fixed::FRACTION_BITS as i32));
            let on_grid = |x: f64| (x / unit).round() * unit;
            let values = (0..n).map(|k| on_grid(lo + (hi - lo) * at(k))).collect();
            ArrayD::from_shape_vec(IxDyn(shape), values).unwrap_or_default()
        };
        match self {
            Self::Mul | Self::MulTrunc | Self::Less | Self::Max | Self::And => vec![
                tensor(&[size], -8.0, 8.0, 7919),
                tensor(&[size], -8.0, 8.0, 104_729),
            ],
            Self::Matmul => vec![
                tensor(&[size, size], -1.0, 1.0, 7919),
                tensor(&[size, size], -1.0, 1.0, 104_729),
            ],
            Self::Dot => vec![
                tensor(&[1, size], -1.0, 1.0, 7919),
                tensor(&[size, 1], -1.0, 1.0, 104_729),
            ],
            Self::Conv => vec![
                tensor(&[1, CHANNELS.0, size, size], -1.0, 1.0, 7919),
                tensor(&[CHANNELS.1, CHANNELS.0, 3, 3], -1.0, 1.0, 104_729),
            ],
            Self::Relu | Self::Sigmoid | Self::Tanh | Self::Gelu => {
                vec![tensor(&[size], -8.0, 8.0, 7919)]
            }
            Self::Log | Self::Reciprocal | Self::Rsqrt => {
                vec![tensor(&[size], 2f64.powi(-6), 64.0, 7919)]
            }
            Self::Exp => vec![tensor(&[size], -16.0, 0.0, 7919)],
            Self::Softmax => {
                let rows = size.div_ceil(CLASSES);
                vec![tensor(&[rows, CLASSES], -8.0, 8.0, 7919)]
            }
        }
    }

    /// Makes the shared inputs what the gate takes; not measured.
    pub fn prepared<E: Engine>(self, e: &mut E, x: Vec<E::Value>) -> Result<Vec<E::Value>> {
        if self != Self::And {
            return Ok(x);
        }
        let mut negative = Program::new("negative");
        let number = negative.push(Instr::Input(0));
        let bit = negative.push(Instr::Negative(number, None));
        negative.outputs = vec![bit];
        let bits = x.iter().map(|x| {
            e.begin_run()?;
            Ok(e.map(&negative, &[x])?.swap_remove(0))
        });
        bits.collect()
    }

    /// Runs the gate on shares.
    pub fn run<E: Words>(self, e: &mut E, x: &[E::Value]) -> Result<Vec<E::Value>> {
        let gate = |e: &mut E, program: Program| {
            e.begin_run()?;
            e.map(&program, &x.iter().collect::<Vec<_>>())
        };
        match self {
            Self::Mul => {
                e.begin_run()?;
                Ok(vec![e.product(Bilinear::Mul, &x[0], &x[1])?])
            }
            Self::MulTrunc => {
                e.begin_run()?;
                Ok(vec![e.bilinear(Bilinear::Mul, &x[0], &x[1], 1.0)?])
            }
            Self::Matmul | Self::Dot => {
                e.begin_run()?;
                Ok(vec![e.bilinear(Bilinear::MatMul, &x[0], &x[1], 1.0)?])
            }
            Self::Conv => {
                e.begin_run()?;
                let f = Bilinear::Conv(convolution(&e.shape(&x[0])));
                Ok(vec![e.bilinear(f, &x[0], &x[1], 1.0)?])
            }
            Self::And => gate(e, programs::and()),
            Self::Less => gate(e, programs::less()),
            Self::Relu => gate(e, program::relu().keep("relu", &[0])),
            Self::Max => gate(e, program::max().keep("max", &[0])),
            Self::Exp => gate(e, programs::exp()),
            Self::Log => gate(e, programs::scaled(Scaled::Ln)),
            Self::Reciprocal => gate(e, programs::scaled(Scaled::Reciprocal)),
            Self::Rsqrt => gate(e, programs::scaled(Scaled::InverseRoot)),
            Self::Sigmoid => gate(e, program::sigmoid(fixed::FRACTION_BITS)),
            Self::Tanh | Self::Gelu | Self::Softmax => {
                tacit_nn::run(&graph(self, &e.shape(&x[0]))?, e, x)
            }
        }
    }

    /// Makes an output of [`Self::run`] a value that can be opened.
    pub fn openable<E: Engine>(self, e: &mut E, y: &E::Value) -> Result<E::Value> {
        if !matches!(self, Self::Less | Self::And) {
            return Ok(y.clone());
        }
        let mut number = Program::new("bit as number");
        let bit = number.push(Instr::InputBit(0));
        let out = number.push(Instr::ToArithmetic(bit));
        number.outputs = vec![out];
        e.begin_run()?;
        Ok(e.map(&number, &[y])?.swap_remove(0))
    }
}

/// The convolution that [`Gate::Conv`] measures, for an input of this shape: the output is as large as the image.
fn convolution(shape: &[usize]) -> Conv {
    let sides = &shape[shape.len().saturating_sub(2)..];
    Conv {
        pad_begin: [1, 1, 0],
        pad_end: [1, 1, 0],
        ..Conv::new(sides, &[3, 3])
    }
}

/// The graph of a gate that is a word of graphs, on an input of this shape.
fn graph(gate: Gate, shape: &[usize]) -> Result<Graph> {
    let mut g = Graph::new();
    let x = g.input(shape);
    let y = match gate {
        Gate::Tanh => g.tanh(x)?,
        Gate::Gelu => g.gelu(x)?,
        _ => g.softmax(x, shape.len().saturating_sub(1))?,
    };
    g.output(y);
    Ok(g)
}

#[cfg(test)]
mod tests;
