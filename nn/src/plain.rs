//! The plaintext engine: what the network computes when nothing is hidden and nothing is rounded to fixed point.

use ndarray::{ArrayD, Axis, Ix2, IxDyn};
use tacit_mpc::Bilinear;

use crate::{
    Engine, Error, Layout, Program, Result,
    program::{Instr, Reg},
};

/// A tensor in single precision; a bit is 0 or 1.
pub type Value = ArrayD<f32>;

/// Single-precision arithmetic and exact functions.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plain;

impl Engine for Plain {
    type Value = Value;

    fn public(&mut self, x: &ArrayD<f64>) -> Result<Value> {
        Ok(x.mapv(|v| v as f32))
    }

    fn shape(&self, x: &Value) -> Vec<usize> {
        x.shape().to_vec()
    }

    fn layout(&mut self, layout: &Layout, x: &Value) -> Result<Value> {
        layout.apply(x)
    }

    fn concat(&mut self, axis: usize, xs: &[&Value]) -> Result<Value> {
        let views: Vec<_> = xs.iter().map(|x| x.view()).collect();
        ndarray::concatenate(Axis(axis), &views).map_err(|e| Error::Invalid(format!("concat: {e}")))
    }

    fn linear(&mut self, terms: &[(i64, &Value)], bias: f64) -> Result<Value> {
        let shape = terms
            .first()
            .map_or_else(Vec::new, |(_, x)| x.shape().to_vec());
        let mut sum = ArrayD::from_elem(IxDyn(&shape), bias as f32);
        for &(c, x) in terms {
            if x.shape() != sum.shape() {
                return Err(Error::Shape {
                    op: "linear",
                    left: shape,
                    right: x.shape().to_vec(),
                });
            }
            sum.scaled_add(c as f32, x);
        }
        Ok(sum)
    }

    fn bilinear(&mut self, f: Bilinear, x: &Value, y: &Value, scale: f64) -> Result<Value> {
        let misfit = || Error::Shape {
            op: "bilinear",
            left: x.shape().to_vec(),
            right: y.shape().to_vec(),
        };
        f.output_shape(x.shape(), y.shape()).ok_or_else(misfit)?;
        let product = match f {
            Bilinear::Mul => x * y,
            Bilinear::MatMul => {
                let matrix =
                    |v: &Value| v.clone().into_dimensionality::<Ix2>().map_err(|_| misfit());
                matrix(x)?.dot(&matrix(y)?).into_dyn()
            }
        };
        Ok(product * scale as f32)
    }

    /// In double precision, so that only the outputs are rounded: max(x, y) = y - (y - x) is then exactly x or y.
    fn map(&mut self, program: &Program, inputs: &[&Value]) -> Result<Vec<Value>> {
        let mut registers: Vec<ArrayD<f64>> = Vec::with_capacity(program.code.len());
        for instr in &program.code {
            let result = step(instr, &registers, inputs, program.name)?;
            registers.push(result);
        }
        Ok(program
            .outputs
            .iter()
            .map(|&r| registers[r].mapv(|v| v as f32))
            .collect())
    }
}

fn step(
    instr: &Instr,
    registers: &[ArrayD<f64>],
    inputs: &[&Value],
    name: &str,
) -> Result<ArrayD<f64>> {
    let unary = |r: Reg, f: &dyn Fn(f64) -> f64| registers[r].mapv(f);
    Ok(match instr {
        Instr::Input(k) | Instr::InputBit(k) => {
            let input = inputs
                .get(*k)
                .ok_or_else(|| Error::Invalid(format!("{name}: input {k} is missing")))?;
            input.mapv(f64::from)
        }
        Instr::Linear(terms, bias) => {
            let shape = terms
                .first()
                .map_or_else(Vec::new, |&(_, r)| registers[r].shape().to_vec());
            let mut sum = ArrayD::from_elem(IxDyn(&shape), *bias);
            for &(c, r) in terms {
                same_shape(name, &sum, &registers[r])?;
                sum.scaled_add(c as f64, &registers[r]);
            }
            sum
        }
        Instr::Mul(r, s) | Instr::Select(r, s) => {
            same_shape(name, &registers[*r], &registers[*s])?;
            &registers[*r] * &registers[*s]
        }
        Instr::Scale(r, c) => unary(*r, &|x| x * c),
        Instr::Negative(r, _) => unary(*r, &|x| if x < 0.0 { 1.0 } else { 0.0 }),
        Instr::ToArithmetic(r) => registers[*r].clone(),
        Instr::ExpNeg(r) => unary(*r, &f64::exp),
        Instr::Table(r, t) => unary(*r, &t.f),
    })
}

fn same_shape<A>(name: &str, x: &ArrayD<A>, y: &ArrayD<A>) -> Result<()> {
    if x.shape() == y.shape() {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "{name}: shapes {:?} and {:?} do not fit",
        x.shape(),
        y.shape()
    )))
}
