//! The operations of a graph on a derived engine.

use ndarray::ArrayD;
use tacit_mpc::Tensor;
use tacit_nn::program::Instr;
use tacit_nn::{Engine, Error, Layout, Product, Program, Result, fixed};

use super::circuit::Circuit;
use super::engine::{DerivedEngine, failed};
use super::parts::{Parts, part, standard};
use super::primitives::Primitives;
use super::products::Sum;
use super::program::{Register, run};
use super::share::{Bits, Shared, Words};
use super::value::{Kind, Operand, Value, public, shape};
use crate::local::{combine, join, rounding_of};

impl<P: Primitives> Engine for DerivedEngine<P> {
    type Value = Value;

    fn begin_run(&mut self) -> Result<()> {
        self.session.begin_run().map_err(failed)
    }

    fn begin_node(&mut self, node: usize) {
        self.enter(node);
    }

    fn public(&mut self, x: &ArrayD<f64>) -> Result<Value> {
        Ok(Value::public(fixed::encode_tensor(x, self.fraction_bits)?))
    }

    fn shape(&self, x: &Value) -> Vec<usize> {
        x.shape().to_vec()
    }

    fn layout(&mut self, layout: &Layout, x: &Value) -> Result<Value> {
        Ok(match x.operand()? {
            Operand::Public(x) => Value::public(layout.apply(x)?),
            Operand::Shared(x) => Value::numbers(x.try_each(|t| layout.apply(t))?),
        })
    }

    fn concat(&mut self, axis: usize, xs: &[&Value]) -> Result<Value> {
        self.locally(xs, |parts| join(axis, parts))
    }

    fn linear(&mut self, terms: &[(i64, &Value)], bias: f64) -> Result<Value> {
        let bias = fixed::encode(bias, self.fraction_bits)?;
        let (coefficients, xs): (Vec<i64>, Vec<&Value>) = terms.iter().copied().unzip();
        let sum = self.locally(&xs, |parts| combine(&coefficients, parts))?;
        Ok(match sum.operand()? {
            Operand::Public(x) => Value::public(x.mapv(|w| w + bias)),
            Operand::Shared(x) => {
                let bias = public(&self.one, &ArrayD::from_elem(shape(x), bias));
                Value::numbers(x.zip(&bias, |x, b| x + b))
            }
        })
    }

    /// Both operands shared: the product of the protocol and one word opened a value, 2 rounds with a product of one. One of
    /// them public: the product is local. Both public: nothing.
    fn products(&mut self, terms: &[Product<'_, Value>], scale: f64) -> Result<Value> {
        let (c, shift) = rounding_of(scale, self.fraction_bits)?;
        let sum = self.sum_of_products(terms)?;
        self.finish(sum, fixed::from_signed(c), shift)
    }

    /// Both operands shared: the product of the protocol, else nothing.
    fn products_unrounded(&mut self, terms: &[Product<'_, Value>]) -> Result<Value> {
        let sum = self.sum_of_products(terms)?;
        self.finish(sum, fixed::from_signed(1), 0)
    }

    fn unrounded(&mut self, x: &Value) -> Result<Value> {
        let wide = |x: &Tensor| x.mapv(|w| w << self.fraction_bits as usize);
        Ok(match x.operand()? {
            Operand::Public(x) => Value::public(wide(x)),
            Operand::Shared(x) => Value::numbers(x.each(wide)),
        })
    }

    /// One word opened a value, 1 round.
    fn round(&mut self, x: Value) -> Result<Value> {
        let sum = match x.0 {
            Kind::Public(x) => Sum {
                public: Some(x),
                ..Sum::default()
            },
            _ => Sum {
                local: Some(standard(&x.shared(&self.one)?)),
                ..Sum::default()
            },
        };
        self.finish(sum, fixed::from_signed(1), self.fraction_bits)
    }

    fn map(&mut self, program: &Program, inputs: &[&Value]) -> Result<Vec<Value>> {
        let shape = inputs.first().map(|x| x.shape().to_vec());
        let shape = shape.unwrap_or_default();
        let compiled = self.compiler.compile(program)?;
        if let Some(other) = inputs.iter().find(|x| x.shape() != shape) {
            return Err(Error::Shape {
                op: program.name,
                left: shape,
                right: other.shape().to_vec(),
            });
        }
        let arguments = self.arguments(program, inputs)?;
        let mut outputs: Vec<Option<Output>> = program.outputs.iter().map(|_| None).collect();
        let (rounding, components) = (self.rounding, self.one.len());
        let gate = async |c: &Circuit<'_, P>| {
            let registers: Vec<Register> = arguments.iter().map(|x| x.part(c)).collect();
            run(&compiled, c, rounding, &registers).await
        };
        self.for_each_chunk(shape.iter().product(), gate, |chunk, registers| {
            for (output, register) in outputs.iter_mut().zip(registers) {
                match (output, register) {
                    (output @ None, Register::Number(x)) => {
                        let mut parts = Parts::new(&shape, components);
                        parts.put(chunk, x);
                        *output = Some(Output::Numbers(parts));
                    }
                    (output @ None, Register::Bit(x)) => {
                        *output = Some(Output::Bits(vec![(chunk, x)]));
                    }
                    (Some(Output::Numbers(parts)), Register::Number(x)) => parts.put(chunk, x),
                    (Some(Output::Bits(bits)), Register::Bit(x)) => bits.push((chunk, x)),
                    _ => unreachable!("a register of a program has one type"),
                }
            }
            Ok(())
        })?;
        outputs
            .into_iter()
            // Without chunks there is nothing to tell bits from numbers by.
            .map(
                |o| match o.unwrap_or_else(|| Output::Numbers(Parts::new(&shape, components))) {
                    Output::Numbers(parts) => parts.finish().map(Value::numbers).map_err(failed),
                    Output::Bits(mut chunks) => {
                        chunks.sort_unstable_by_key(|(chunk, _)| chunk.index);
                        Ok(Value(Kind::Bits(shape.clone(), chunks)))
                    }
                },
            )
            .collect()
    }
}

/// An output of a program, put together from chunks.
enum Output {
    Numbers(Parts),
    Bits(Vec<(tacit_mpc::Chunk, Bits)>),
}

/// An input of a program.
enum Argument<'a> {
    Numbers(Shared<Tensor>),
    Bits(&'a [(tacit_mpc::Chunk, Bits)]),
    /// One that it does not read.
    Unused,
}

impl Argument<'_> {
    /// The part of one chunk. Chunks depend on the number of elements only, so bits come back under the cut they were made by.
    fn part<P: Primitives>(&self, c: &Circuit<'_, P>) -> Register {
        let chunk = c.strand().chunk();
        match self {
            Self::Numbers(x) => Register::Number(part(x, chunk)),
            Self::Bits(planes) => {
                let position = planes.partition_point(|(c, _)| c.index < chunk.index);
                Register::Bit(planes[position].1.clone())
            }
            Self::Unused => Register::Number(Words::new(Vec::new())),
        }
    }
}

impl<P: Primitives> DerivedEngine<P> {
    /// The inputs of a program, as it reads them.
    fn arguments<'a>(&self, p: &Program, inputs: &[&'a Value]) -> Result<Vec<Argument<'a>>> {
        let (name, needed, given) = (p.name, p.inputs(), inputs.len());
        if needed > given {
            return Err(Error::Invalid(format!(
                "program {name} has {needed} inputs, {given} were given"
            )));
        }
        let mut arguments: Vec<Argument<'a>> = inputs.iter().map(|_| Argument::Unused).collect();
        for instr in &p.code {
            match instr {
                Instr::Input(i) => {
                    let x = inputs[*i].shared(&self.one)?;
                    arguments[*i] = Argument::Numbers(standard(&x));
                }
                Instr::InputBit(i) => {
                    let Kind::Bits(_, bits) = &inputs[*i].0 else {
                        return Err(Error::Invalid(format!(
                            "program {name}: input {i} must be a bit"
                        )));
                    };
                    arguments[*i] = Argument::Bits(bits);
                }
                _ => {}
            }
        }
        Ok(arguments)
    }

    /// A local map of some values, of their tensors where all are public and of each component otherwise.
    fn locally(&self, xs: &[&Value], map: impl Fn(&[&Tensor]) -> Result<Tensor>) -> Result<Value> {
        let public = |x: &&Value| match &x.0 {
            Kind::Public(x) => Some(x.clone()),
            _ => None,
        };
        if let Some(all) = xs.iter().map(public).collect::<Option<Vec<_>>>() {
            return Ok(Value::public(map(&all.iter().collect::<Vec<_>>())?));
        }
        let shared = xs.iter().map(|x| x.shared(&self.one));
        let shared: Vec<Shared<Tensor>> = shared.collect::<Result<_>>()?;
        let part = |k: usize| map(&shared.iter().map(|x| &x.parts()[k]).collect::<Vec<_>>());
        let parts: Result<Vec<Tensor>> = (0..self.one.len()).map(part).collect();
        Ok(Value::numbers(Shared::new(parts?)))
    }
}
