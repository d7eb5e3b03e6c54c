//! Single gates on shares: what goes in, how they run, and what they should give.

use clap::ValueEnum;
use ndarray::{ArrayD, IxDyn};
use tacit_mpc::Bilinear;
use tacit_nn::program::{self, Instr};
use tacit_nn::{Engine, Graph, Program, Result, fixed};
use tacit_protocols::rep3::{Rep3Engine, Value};

/// Values in a row of a softmax.
const CLASSES: usize = 10;

/// A gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Gate {
    /// x·y as words, without rounding
    Mul,
    /// x·y, rounded to fixed point
    MulTrunc,
    /// The product of two square matrices, rounded
    Matmul,
    /// The bit x < y
    Less,
    /// max(x, 0)
    Relu,
    /// e^x for x <= 0
    Exp,
    /// 1/(1 + e^-x)
    Sigmoid,
    /// Softmax of rows of ten values
    Softmax,
}

impl Gate {
    /// The size that is measured unless another is asked for: the number of values, or the side of the matrices.
    pub fn default_size(self) -> usize {
        match self {
            Self::Mul | Self::MulTrunc => 1_000_000,
            Self::Matmul => 512,
            Self::Less | Self::Relu | Self::Exp | Self::Sigmoid | Self::Softmax => 100_000,
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
            Self::Mul | Self::MulTrunc | Self::Less => vec![
                tensor(&[size], -8.0, 8.0, 7919),
                tensor(&[size], -8.0, 8.0, 104_729),
            ],
            Self::Matmul => vec![
                tensor(&[size, size], -1.0, 1.0, 7919),
                tensor(&[size, size], -1.0, 1.0, 104_729),
            ],
            Self::Relu | Self::Sigmoid => vec![tensor(&[size], -8.0, 8.0, 7919)],
            Self::Exp => vec![tensor(&[size], -16.0, 0.0, 7919)],
            Self::Softmax => {
                let rows = size.div_ceil(CLASSES);
                vec![tensor(&[rows, CLASSES], -8.0, 8.0, 7919)]
            }
        }
    }

    /// Runs the gate on shares.
    pub fn run(self, e: &mut Rep3Engine, x: &[Value]) -> Result<Vec<Value>> {
        let gate = |e: &mut Rep3Engine, program: Program| {
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
            Self::Matmul => {
                e.begin_run()?;
                Ok(vec![e.bilinear(Bilinear::MatMul, &x[0], &x[1], 1.0)?])
            }
            Self::Less => gate(e, less()),
            Self::Relu => gate(e, program::relu().keep("relu", &[0])),
            Self::Exp => gate(e, program::exp_neg()),
            Self::Sigmoid => gate(e, program::sigmoid(fixed::FRACTION_BITS)),
            Self::Softmax => {
                let mut g = Graph::new();
                let shape = e.shape(&x[0]);
                let input = g.input(&shape);
                let y = g.softmax(input, shape.len().saturating_sub(1))?;
                g.output(y);
                tacit_nn::run(&g, e, x)
            }
        }
    }

    /// What the gate gives in plaintext, in units of the opened result.
    pub fn plain(self, x: &[ArrayD<f64>]) -> ArrayD<f64> {
        match self {
            // Without rounding the result still carries both factors' fractional bits.
            Self::Mul => &x[0] * &x[1] * 2f64.powi(fixed::FRACTION_BITS as i32),
            Self::MulTrunc => &x[0] * &x[1],
            Self::Matmul => {
                let square = |x: &ArrayD<f64>| {
                    let side = x.shape()[0];
                    x.to_shape((side, side))
                        .map(|x| x.to_owned())
                        .unwrap_or_default()
                };
                square(&x[0]).dot(&square(&x[1])).into_dyn()
            }
            Self::Less => (&x[0] - &x[1]).mapv(|d| f64::from(u8::from(d < 0.0))),
            Self::Relu => x[0].mapv(|x| x.max(0.0)),
            Self::Exp => x[0].mapv(f64::exp),
            Self::Sigmoid => x[0].mapv(|x| 1.0 / (1.0 + (-x).exp())),
            Self::Softmax => {
                let mut y = x[0].mapv(f64::exp);
                for mut row in y.rows_mut() {
                    let sum = row.sum();
                    row.mapv_inplace(|e| e / sum);
                }
                y
            }
        }
    }

    /// Makes an output of [`Self::run`] a value that can be opened.
    pub fn openable(self, e: &mut Rep3Engine, y: &Value) -> Result<Value> {
        if self != Self::Less {
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

/// The bit \[x < y\].
fn less() -> Program {
    let mut p = Program::new("less");
    let x = p.push(Instr::Input(0));
    let y = p.push(Instr::Input(1));
    let difference = p.push(Instr::Linear(vec![(1, x), (-1, y)], 0.0));
    let bit = p.push(Instr::Negative(difference, None));
    p.outputs = vec![bit];
    p
}

#[cfg(test)]
mod tests {
    use tacit_mpc::net::{MemNet, Transport};
    use tacit_mpc::simulate::simulate;

    use super::*;
    use std::sync::Arc;

    #[test]
    fn every_gate_gives_what_plaintext_gives() {
        for &gate in Gate::value_variants() {
            let size = if gate == Gate::Matmul { 9 } else { 64 };
            let inputs = gate.inputs(size);
            let nets = MemNet::mesh(3)
                .into_iter()
                .map(|n| Arc::new(n) as Arc<dyn Transport>);
            let opened = simulate(nets.collect(), |session| {
                let mut e = Rep3Engine::new(session, fixed::FRACTION_BITS).unwrap();
                let x: Vec<_> = inputs.iter().map(|x| e.trivial(x).unwrap()).collect();
                let y = gate.run(&mut e, &x).unwrap().swap_remove(0);
                let y = gate.openable(&mut e, &y).unwrap();
                e.reveal(&y).unwrap()
            });
            let unit = if gate == Gate::Mul {
                1.0
            } else {
                2f64.powi(-18)
            };
            let (got, want) = (opened[0].as_ref().unwrap(), gate.plain(&inputs));
            assert_eq!(got.shape(), want.shape(), "{gate:?}");
            for (got, want) in got.iter().zip(&want) {
                assert!(
                    (got - want).abs() < 40.0 * unit,
                    "{gate:?}: {got} for {want}"
                );
            }
        }
    }
}
