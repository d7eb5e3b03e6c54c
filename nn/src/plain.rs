//! The engines in floating point: what the network computes when nothing is hidden and nothing is rounded to fixed point.

use ndarray::{ArrayD, Axis, IxDyn};

use crate::{
    Engine, Error, Layout, Program, Result,
    engine::Product,
    program::{Instr, Reg},
};

/// A tensor in single precision; a bit is 0 or 1.
pub type Value = ArrayD<f32>;

/// Single-precision arithmetic and exact functions: the plaintext that private runs are compared with.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plain;

/// The same in double precision: what constants are folded with.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clear;

/// An engine whose values are arrays of one floating-point type.
macro_rules! floating {
    ($engine:ty, $float:ty) => {
        impl Engine for $engine {
            type Value = ArrayD<$float>;

            fn public(&mut self, x: &ArrayD<f64>) -> Result<Self::Value> {
                Ok(x.mapv(|v| v as $float))
            }

            fn shape(&self, x: &Self::Value) -> Vec<usize> {
                x.shape().to_vec()
            }

            fn layout(&mut self, layout: &Layout, x: &Self::Value) -> Result<Self::Value> {
                layout.apply(x)
            }

            fn concat(&mut self, axis: usize, xs: &[&Self::Value]) -> Result<Self::Value> {
                let views: Vec<_> = xs.iter().map(|x| x.view()).collect();
                ndarray::concatenate(Axis(axis), &views)
                    .map_err(|e| Error::Invalid(format!("concat: {e}")))
            }

            fn linear(&mut self, terms: &[(i64, &Self::Value)], bias: f64) -> Result<Self::Value> {
                let shape = terms
                    .first()
                    .map_or_else(Vec::new, |(_, x)| x.shape().to_vec());
                let mut sum = ArrayD::from_elem(IxDyn(&shape), bias as $float);
                for &(c, x) in terms {
                    if x.shape() != sum.shape() {
                        return Err(Error::Shape {
                            op: "linear",
                            left: shape,
                            right: x.shape().to_vec(),
                        });
                    }
                    sum.scaled_add(c as $float, x);
                }
                Ok(sum)
            }

            fn products(
                &mut self,
                terms: &[Product<'_, Self::Value>],
                scale: f64,
            ) -> Result<Self::Value> {
                let mut sum: Option<Self::Value> = None;
                for t in terms {
                    let misfit = || Error::Shape {
                        op: t.f.name(),
                        left: t.x.shape().to_vec(),
                        right: t.y.shape().to_vec(),
                    };
                    let mut z = t.f.apply(t.x, t.y).ok_or_else(misfit)?;
                    if t.coefficient != 1 {
                        z *= t.coefficient as $float;
                    }
                    match &mut sum {
                        None => sum = Some(z),
                        Some(sum) if sum.shape() == z.shape() => *sum += &z,
                        Some(_) => return Err(misfit()),
                    }
                }
                let sum = sum.ok_or_else(|| Error::Invalid("a sum of no products".into()))?;
                Ok(if scale == 1.0 {
                    sum
                } else {
                    sum * scale as $float
                })
            }

            /// In double precision, so that only the outputs are rounded: max(x, y) = y - (y - x) is then exactly x or y.
            fn map(
                &mut self,
                program: &Program,
                inputs: &[&Self::Value],
            ) -> Result<Vec<Self::Value>> {
                let mut registers: Vec<ArrayD<f64>> = Vec::with_capacity(program.code.len());
                for instr in &program.code {
                    let result = if let Instr::Input(k) | Instr::InputBit(k) = instr {
                        let missing =
                            || Error::Invalid(format!("{}: input {k} is missing", program.name));
                        inputs.get(*k).ok_or_else(missing)?.mapv(f64::from)
                    } else {
                        step(instr, &registers, program.name)?
                    };
                    registers.push(result);
                }
                Ok(program
                    .outputs
                    .iter()
                    .map(|&r| registers[r].mapv(|v| v as $float))
                    .collect())
            }
        }
    };
}

floating!(Plain, f32);
floating!(Clear, f64);

/// One instruction that reads registers.
fn step(instr: &Instr, registers: &[ArrayD<f64>], name: &str) -> Result<ArrayD<f64>> {
    let unary = |r: Reg, f: &dyn Fn(f64) -> f64| registers[r].mapv(f);
    let bit = |b: bool| f64::from(u8::from(b));
    Ok(match instr {
        Instr::Input(k) | Instr::InputBit(k) => {
            return Err(Error::Invalid(format!("{name}: input {k} is no register")));
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
        Instr::Mul(r, s) | Instr::And(r, s) => {
            same_shape(name, &registers[*r], &registers[*s])?;
            &registers[*r] * &registers[*s]
        }
        // A bit of 0 hides even what is not finite.
        Instr::Select(r, s) => {
            same_shape(name, &registers[*r], &registers[*s])?;
            let mut y = registers[*s].clone();
            y.zip_mut_with(&registers[*r], |y, &b| *y = if b == 0.0 { 0.0 } else { *y });
            y
        }
        Instr::Xor(r, s) => {
            same_shape(name, &registers[*r], &registers[*s])?;
            (&registers[*r] - &registers[*s]).mapv(f64::abs)
        }
        Instr::Not(r) => unary(*r, &|x| 1.0 - x),
        Instr::Zero(r) => unary(*r, &|x| bit(x == 0.0)),
        Instr::Floor(r) => unary(*r, &f64::floor),
        Instr::Scale(r, c) => unary(*r, &|x| x * c),
        Instr::Negative(r, _) => unary(*r, &|x| bit(x < 0.0)),
        Instr::ToArithmetic(r) => registers[*r].clone(),
        Instr::Exp(r) | Instr::ExpNeg(r) => unary(*r, &f64::exp),
        Instr::Scaled { x, f, .. } => unary(*x, &|x| f.of(x)),
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
