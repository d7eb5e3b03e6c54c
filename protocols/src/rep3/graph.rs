//! How the engine on replicated shares runs the operations of a graph.

use std::borrow::Cow;

use ndarray::ArrayD;
use tacit_mpc::ring::row_major;
use tacit_mpc::{Chunk, R64, Role, Strand, Tensor};
use tacit_nn::program::Instr;
use tacit_nn::{Engine, Error, Layout, Product, Program, Result, fixed};

use super::bilinear::{Sum, Term, round_shared, round_summands, share_summands, sum_of_products};
use super::bits::Plane;
use super::engine::{Rep3Engine, failed};
use super::held::Held;
use super::program::Register;
use super::share::{Parts, Rep3};
use super::value::{Bits, Value};
use crate::local::{combine, join, rounding_of};

impl Engine for Rep3Engine {
    type Value = Value;

    fn begin_run(&mut self) -> Result<()> {
        self.session.begin_run().map_err(failed)
    }

    fn begin_node(&mut self, node: usize) {
        self.exact = self.exact_nodes.contains(&node);
        self.session
            .begin_node(u32::try_from(node).unwrap_or(u32::MAX));
    }

    fn public(&mut self, x: &ArrayD<f64>) -> Result<Value> {
        Ok(Value::Public(fixed::encode_tensor(x, self.fraction_bits)?))
    }

    fn shape(&self, x: &Value) -> Vec<usize> {
        x.shape().to_vec()
    }

    fn layout(&mut self, layout: &Layout, x: &Value) -> Result<Value> {
        match x {
            Value::Public(x) => Ok(Value::Public(layout.apply(x)?)),
            x => Ok(Value::Numbers(x.numbers()?.each(|t| layout.apply(t))?)),
        }
    }

    fn concat(&mut self, axis: usize, xs: &[&Value]) -> Result<Value> {
        let join = |parts: &[&Tensor]| join(axis, parts);
        if let Some(public) = all_public(xs) {
            return Ok(Value::Public(join(&public)?));
        }
        let me = self.session.me();
        let shared: Vec<_> = xs.iter().map(|x| x.shared(me)).collect::<Result<_>>()?;
        let component =
            |of: fn(&Rep3) -> &Tensor| join(&shared.iter().map(|x| of(x)).collect::<Vec<_>>());
        Ok(Value::Numbers(Rep3 {
            a: component(|x| &x.a)?,
            b: component(|x| &x.b)?,
        }))
    }

    fn linear(&mut self, terms: &[(i64, &Value)], bias: f64) -> Result<Value> {
        let bias = fixed::encode(bias, self.fraction_bits)?;
        let (coefficients, xs): (Vec<i64>, Vec<&Value>) = terms.iter().copied().unzip();
        let combine = |parts: &[&Tensor]| combine(&coefficients, parts);
        if let Some(public) = all_public(&xs) {
            return Ok(Value::Public(combine(&public)?.mapv(|w| w + bias)));
        }
        let me = self.session.me();
        let shared: Vec<_> = xs.iter().map(|x| x.shared(me)).collect::<Result<_>>()?;
        let component =
            |of: fn(&Rep3) -> &Tensor| combine(&shared.iter().map(|x| of(x)).collect::<Vec<_>>());
        let mut sum = Rep3 {
            a: component(|x| &x.a)?,
            b: component(|x| &x.b)?,
        };
        sum.add_public(me, bias);
        Ok(Value::Numbers(sum))
    }

    /// Both operands shared: 30.75 bytes (f = 18) and 2 rounds a value. One of them public: the product is local, 14.75 bytes
    /// for the rounding. Both public: nothing.
    fn products(&mut self, terms: &[Product<'_, Value>], scale: f64) -> Result<Value> {
        let (c, shift) = rounding_of(scale, self.fraction_bits)?;
        let terms = factors(terms)?;
        let sum = sum_of_products(&self.session, &terms).map_err(failed)?;
        let rounding = self.compiler.rounding(self.exact);
        let rounded = match sum {
            Sum::Public(x) => {
                let word =
                    |w| fixed::from_signed(fixed::signed(w * fixed::from_signed(c)) >> shift);
                return Ok(Value::Public(x.mapv(word)));
            }
            Sum::Shared(x) => round_shared(&self.session, &x, c, shift, &rounding),
            Sum::Summands(p) => {
                round_summands(&self.session, &p, fixed::from_signed(c), shift, &rounding)
            }
        };
        Ok(Value::Numbers(rounded.map_err(failed)?))
    }

    /// Both operands shared: 24 bytes and 1 round a value, else nothing.
    fn products_unrounded(&mut self, terms: &[Product<'_, Value>]) -> Result<Value> {
        let terms = factors(terms)?;
        Ok(
            match sum_of_products(&self.session, &terms).map_err(failed)? {
                Sum::Public(x) => Value::Public(x),
                Sum::Shared(x) => Value::Numbers(x),
                Sum::Summands(p) => {
                    Value::Numbers(share_summands(&self.session, &p).map_err(failed)?)
                }
            },
        )
    }

    fn unrounded(&mut self, x: &Value) -> Result<Value> {
        let wide = |x: &Tensor| x.mapv(|w| w << self.fraction_bits as usize);
        Ok(match x {
            Value::Public(x) => Value::Public(wide(x)),
            x => Value::Numbers(Rep3 {
                a: wide(&x.numbers()?.a),
                b: wide(&x.numbers()?.b),
            }),
        })
    }

    /// 14.75 bytes (f = 18) and 2 rounds a value.
    fn round(&mut self, x: Value) -> Result<Value> {
        let f = self.fraction_bits;
        if let Value::Public(x) = x {
            let word = |w| fixed::from_signed(fixed::signed(w) >> f);
            return Ok(Value::Public(x.mapv(word)));
        }
        let rounding = self.compiler.rounding(self.exact);
        let y = round_shared(&self.session, x.numbers()?, 1, f, &rounding).map_err(failed)?;
        Ok(Value::Numbers(y))
    }

    fn map(&mut self, program: &Program, inputs: &[&Value]) -> Result<Vec<Value>> {
        let shape = inputs
            .first()
            .map(|x| x.shape().to_vec())
            .unwrap_or_default();
        let rounding = self.compiler.rounding(self.exact);
        let compiled = self
            .compiler
            .compile(program, shape.iter().product(), rounding)?;
        if let Some(other) = inputs.iter().find(|x| x.shape() != shape) {
            return Err(Error::Shape {
                op: program.name,
                left: shape,
                right: other.shape().to_vec(),
            });
        }
        if program.inputs() > inputs.len() {
            return Err(Error::Invalid(format!(
                "program {} has {} inputs, {} were given",
                program.name,
                program.inputs(),
                inputs.len()
            )));
        }
        for instr in &program.code {
            if let Instr::InputBit(i) = instr
                && !matches!(inputs[*i], Value::Bits(_))
            {
                return Err(Error::Invalid(format!(
                    "program {}: input {i} must be a bit",
                    program.name
                )));
            }
        }
        let n = shape.iter().product();
        let (me, numbers) = (self.session.me(), program.number_inputs());
        let shared: Vec<Option<Cow<'_, Rep3>>> = inputs
            .iter()
            .enumerate()
            .map(|(i, x)| numbers.contains(&i).then(|| x.shared(me)).transpose())
            .collect::<Result<_>>()?;
        let standard: Vec<_> = inputs
            .iter()
            .zip(&shared)
            .map(|(x, shared)| match (x, shared) {
                (Value::Bits(b), _) => Operand::Bits(&b.chunks),
                (_, Some(x)) => Operand::Numbers(row_major(&x.a), row_major(&x.b)),
                (_, None) => Operand::Numbers(Cow::default(), Cow::default()),
            })
            .collect();
        let mut outputs: Vec<Option<Output>> = program.outputs.iter().map(|_| None).collect();
        let run = async |strand: Strand<'_>| {
            let registers: Vec<Register> = standard.iter().map(|x| x.part(&strand)).collect();
            compiled.run(&strand, registers).await
        };
        self.session
            .for_each_chunk(n, run, |chunk, registers| {
                let role = tacit_mpc::strand::role(me, chunk.dealer);
                for (output, register) in outputs.iter_mut().zip(registers) {
                    let output = output.get_or_insert_with(|| Output::like(&register, &shape));
                    output.put(chunk, role, register);
                }
                Ok(())
            })
            .map_err(failed)?;
        outputs
            .into_iter()
            // Without chunks there is nothing to tell bits from numbers by.
            .map(|o| {
                o.unwrap_or_else(|| Output::Numbers(Parts::new(&shape)))
                    .finish(&shape)
            })
            .collect()
    }
}

/// The terms of a sum of products as the gate takes them.
fn factors<'a>(terms: &[Product<'a, Value>]) -> Result<Vec<Term<'a>>> {
    let term = |t: &Product<'a, Value>| {
        Ok(Term {
            f: t.f,
            coefficient: fixed::from_signed(t.coefficient),
            x: t.x.operand()?,
            y: t.y.operand()?,
        })
    };
    terms.iter().map(term).collect()
}

/// The tensors, where all of them are public.
fn all_public<'a>(xs: &[&'a Value]) -> Option<Vec<&'a Tensor>> {
    xs.iter()
        .map(|x| {
            if let Value::Public(x) = x {
                Some(x)
            } else {
                None
            }
        })
        .collect()
}

/// An input of a program in row-major order.
enum Operand<'a> {
    Numbers(Cow<'a, [R64]>, Cow<'a, [R64]>),
    Bits(&'a [(Chunk, Held<Plane>)]),
}

impl Operand<'_> {
    /// The part of one strand. Chunks depend on the number of elements only, so bits come back under the cut they were made by.
    fn part(&self, strand: &Strand<'_>) -> Register {
        let chunk = strand.chunk();
        match self {
            Self::Numbers(a, b) => {
                // An input that the program does not read is empty.
                let cut = |t: &[R64]| t.get(chunk.start..chunk.end).unwrap_or_default().to_vec();
                Register::Number(Held::from_party_order(strand.role(), cut(a), cut(b)))
            }
            Self::Bits(planes) => {
                let position = planes.partition_point(|(c, _)| c.index < chunk.index);
                Register::Bit(planes[position].1.clone())
            }
        }
    }
}

/// An output of a program, put together from chunks.
enum Output {
    Numbers(Parts),
    Bits(Vec<(Chunk, Held<Plane>)>),
}

impl Output {
    fn like(register: &Register, shape: &[usize]) -> Self {
        match register {
            Register::Number(_) => Self::Numbers(Parts::new(shape)),
            Register::Bit(_) => Self::Bits(Vec::new()),
        }
    }

    fn put(&mut self, chunk: Chunk, role: Role, register: Register) {
        match (self, register) {
            (Self::Numbers(parts), Register::Number(x)) => {
                let (own, next) = x.into_party_order(role);
                parts.put(chunk, own, next);
            }
            (Self::Bits(bits), Register::Bit(x)) => bits.push((chunk, x)),
            _ => unreachable!("a register of a program has one type"),
        }
    }

    fn finish(self, shape: &[usize]) -> Result<Value> {
        match self {
            Self::Numbers(parts) => parts.finish().map(Value::Numbers).map_err(failed),
            Self::Bits(mut chunks) => {
                chunks.sort_unstable_by_key(|(chunk, _)| chunk.index);
                Ok(Value::Bits(Bits {
                    shape: shape.to_vec(),
                    chunks,
                }))
            }
        }
    }
}
