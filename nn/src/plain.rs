//! The plaintext engine: what the network computes when nothing is hidden and nothing is rounded to fixed point.

use ndarray::{ArrayD, Axis, Ix2, IxDyn, Zip};
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

    fn map(&mut self, program: &Program, inputs: &[&Value]) -> Result<Vec<Value>> {
        let mut registers: Vec<Value> = Vec::with_capacity(program.code.len());
        for instr in &program.code {
            let result = self.step(instr, &registers, inputs, program.name)?;
            registers.push(result);
        }
        Ok(program
            .outputs
            .iter()
            .map(|&r| registers[r].clone())
            .collect())
    }
}

impl Plain {
    fn step(
        &mut self,
        instr: &Instr,
        registers: &[Value],
        inputs: &[&Value],
        name: &str,
    ) -> Result<Value> {
        let unary = |r: Reg, f: &dyn Fn(f32) -> f32| registers[r].mapv(f);
        Ok(match instr {
            Instr::Input(k) | Instr::InputBit(k) => {
                let input = inputs
                    .get(*k)
                    .ok_or_else(|| Error::Invalid(format!("{name}: input {k} is missing")))?;
                (*input).clone()
            }
            Instr::Linear(terms, bias) => {
                let terms: Vec<(i64, &Value)> =
                    terms.iter().map(|&(c, r)| (c, &registers[r])).collect();
                self.linear(&terms, *bias)?
            }
            Instr::Scale(r, c) => unary(*r, &|x| x * *c as f32),
            Instr::Mul(r, s) | Instr::Select(r, s) => Zip::from(&registers[*r])
                .and(&registers[*s])
                .map_collect(|&a, &b| a * b),
            Instr::Negative(r, _) => unary(*r, &|x| if x < 0.0 { 1.0 } else { 0.0 }),
            Instr::ToArithmetic(r) => registers[*r].clone(),
            Instr::ExpNeg(r) => unary(*r, &f32::exp),
            Instr::Table(r, t) => unary(*r, &|x| (t.f)(f64::from(x)) as f32),
        })
    }
}
