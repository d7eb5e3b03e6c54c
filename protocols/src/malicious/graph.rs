//! The operations of a graph on the malicious engine.

use std::num::Wrapping;

use ndarray::ArrayD;
use tacit_mpc::{Bilinear, R64, Tensor};
use tacit_nn::{Engine, Error, Layout, Product, Program, Result, fixed};

use super::arguments::{Output, arguments};
use super::bilinear::{self, Operand, Rounding, Term, products};
use super::circuit::{Circuit, for_each_chunk};
use super::engine::MaliciousEngine;
use super::program::Register;
use super::shared::Shared;
use super::value::{Kind, Value, failed};
use crate::local::{combine, join, rounding_of};
use crate::rep3::share::Parts;

impl Engine for MaliciousEngine {
    type Value = Value;

    fn begin_run(&mut self) -> Result<()> {
        self.session.begin_run().map_err(failed)?;
        // Every run compares: a party may have changed its settings after the last.
        self.agreed = false;
        self.ready()
    }

    fn begin_node(&mut self, node: usize) {
        self.rounding = Rounding::of(self.exact_nodes.contains(&node));
        self.session
            .begin_node(u32::try_from(node).unwrap_or(u32::MAX));
    }

    fn public(&mut self, x: &ArrayD<f64>) -> Result<Value> {
        let words = fixed::encode_tensor(x, self.fraction_bits)?;
        Ok(self.id.value(Kind::Public(words)))
    }

    fn shape(&self, x: &Value) -> Vec<usize> {
        x.shape().to_vec()
    }

    fn layout(&mut self, layout: &Layout, x: &Value) -> Result<Value> {
        Ok(self.id.value(match x.operand(self.id)? {
            Operand::Public(x) => Kind::Public(layout.apply(x)?),
            Operand::Shared(x) => Kind::Numbers(x.try_each(|t| layout.apply(t))?),
        }))
    }

    fn concat(&mut self, axis: usize, xs: &[&Value]) -> Result<Value> {
        let join = |parts: &[&Tensor]| join(axis, parts);
        self.locally(xs, join)
    }

    fn linear(&mut self, terms: &[(i64, &Value)], bias: f64) -> Result<Value> {
        let bias = fixed::encode(bias, self.fraction_bits)?;
        let (coefficients, xs): (Vec<i64>, Vec<&Value>) = terms.iter().copied().unzip();
        let combine = |parts: &[&Tensor]| combine(&coefficients, parts);
        let sum = self.locally(&xs, combine)?;
        let bias = Shared::public(self.session.me(), &ArrayD::from_elem(sum.shape(), bias));
        Ok(self.id.value(match sum.operand(self.id)? {
            Operand::Public(x) => Kind::Public(x + &*bias.own + &*bias.next),
            Operand::Shared(x) => Kind::Numbers(x.zip(&bias, |x, b| x + b)),
        }))
    }

    /// Both operands shared: 46.75 bytes (f = 18) and 3 rounds a value. One of them public: the product is local, 22.75 bytes
    /// for the rounding. Both public: nothing.
    fn products(&mut self, terms: &[Product<'_, Value>], scale: f64) -> Result<Value> {
        self.ready()?;
        let (c, shift) = rounding_of(scale, self.fraction_bits)?;
        let terms = terms
            .iter()
            .map(|t| {
                Ok(Term {
                    f: t.f,
                    coefficient: fixed::from_signed(t.coefficient),
                    x: t.x.operand(self.id)?,
                    y: t.y.operand(self.id)?,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        self.sum_of_products(&terms, fixed::from_signed(c), shift)
    }

    fn map(&mut self, program: &Program, inputs: &[&Value]) -> Result<Vec<Value>> {
        self.ready()?;
        let shape = inputs
            .first()
            .map(|x| x.shape().to_vec())
            .unwrap_or_default();
        let compiled = self.compiler.compile(program)?;
        if let Some(other) = inputs.iter().find(|x| x.shape() != shape) {
            return Err(Error::Shape {
                op: program.name,
                left: shape,
                right: other.shape().to_vec(),
            });
        }
        let me = self.session.me();
        let arguments = arguments(program, inputs, self.id, me)?;
        let mut outputs: Vec<Option<Output>> = program.outputs.iter().map(|_| None).collect();
        let rounding = self.rounding;
        let run = async |c: &Circuit<'_>| {
            let registers: Vec<Register> = arguments.iter().map(|x| x.part(c)).collect();
            compiled.run(c, rounding, &registers).await
        };
        let n = shape.iter().product();
        for_each_chunk(&self.session, &self.log, n, run, |chunk, registers| {
            for (output, register) in outputs.iter_mut().zip(registers) {
                let output = output.get_or_insert_with(|| Output::like(&register, &shape));
                output.put(chunk, register);
            }
            Ok(())
        })
        .map_err(failed)?;
        self.bound()?;
        outputs
            .into_iter()
            // Without chunks there is nothing to tell bits from numbers by.
            .map(|o| {
                let o = o.unwrap_or_else(|| Output::Numbers(Parts::new(&shape)));
                Ok(self.id.value(o.finish(&shape)?))
            })
            .collect()
    }
}

impl MaliciousEngine {
    /// f(x, y) without rounding, as words: 24 bytes and 1 round a value of the result.
    ///
    /// # Errors
    /// The shapes do not fit, or a link or peer failed.
    pub fn product(&mut self, f: Bilinear, x: &Value, y: &Value) -> Result<Value> {
        self.ready()?;
        let term = Term {
            f,
            coefficient: Wrapping(1),
            x: x.operand(self.id)?,
            y: y.operand(self.id)?,
        };
        self.sum_of_products(&[term], Wrapping(1), 0)
    }

    /// c·Σ coefficient·f(x, y) without `shift` of its bits.
    fn sum_of_products(&mut self, terms: &[Term<'_>], c: R64, shift: u32) -> Result<Value> {
        let (session, log) = (&self.session, &self.log);
        let sum = products(session, log, terms, c, shift, self.rounding).map_err(failed)?;
        self.bound()?;
        Ok(self.id.value(match sum {
            bilinear::Product::Public(x) => Kind::Public(x),
            bilinear::Product::Shared(x) => Kind::Numbers(x),
        }))
    }

    /// A local map of some values, of their tensors where all are public and of both shares otherwise.
    fn locally(&self, xs: &[&Value], map: impl Fn(&[&Tensor]) -> Result<Tensor>) -> Result<Value> {
        let operands: Vec<Operand<'_>> = xs
            .iter()
            .map(|x| x.operand(self.id))
            .collect::<Result<_>>()?;
        let public = |x: &Operand<'_>| match x {
            Operand::Public(x) => Some((*x).clone()),
            Operand::Shared(_) => None,
        };
        if let Some(all) = operands.iter().map(public).collect::<Option<Vec<_>>>() {
            let all = map(&all.iter().collect::<Vec<_>>())?;
            return Ok(self.id.value(Kind::Public(all)));
        }
        let me = self.session.me();
        let shared = xs.iter().map(|x| x.shared(self.id, me));
        let shared: Vec<Shared> = shared.collect::<Result<_>>()?;
        let each = |of: fn(&Shared) -> &Tensor| map(&shared.iter().map(of).collect::<Vec<_>>());
        let both = Shared::new(each(|x| &x.own)?, each(|x| &x.next)?);
        Ok(self.id.value(Kind::Numbers(both)))
    }
}
