//! The engine that runs a graph on replicated shares.

use std::borrow::Cow;
use std::collections::BTreeSet;

use ndarray::ArrayD;
use tacit_mpc::keys::Binding;
use tacit_mpc::ring::row_major;
use tacit_mpc::{Bilinear, Chunk, Purpose, R64, Role, Session, Strand, Tensor};
use tacit_nn::program::Instr;
use tacit_nn::{Engine, Error, Layout, Product, Program, Result, fixed};

use crate::local::{combine, join, rounding_of};
use crate::release::Release;

use super::bilinear::{
    Operand as Factor, Sum, Term, product, round_shared, round_summands, share_summands,
    sum_of_products,
};
use super::bits::Plane;
use super::choice::Choice;
use super::contribute::{Received, agreed};
use super::held::Held;
use super::plan::Depth;
use super::program::{Compiler, Register};
use super::share::{Parts, Rep3, input, open};

/// A tensor on this engine: shared or public numbers in fixed point, or shared bits.
#[derive(Clone, Debug)]
pub enum Value {
    /// Shared numbers.
    Numbers(Rep3),
    /// Numbers that all parties know.
    Public(Tensor),
    /// Bits, as a program gave them out.
    Bits(Bits),
}

/// Shared bits of a tensor, one plane a chunk.
#[derive(Clone)]
pub struct Bits {
    shape: Vec<usize>,
    chunks: Vec<(Chunk, Held<Plane>)>,
}

impl std::fmt::Debug for Bits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bits")
            .field("shape", &self.shape)
            .finish_non_exhaustive()
    }
}

impl Value {
    fn shape(&self) -> &[usize] {
        match self {
            Self::Numbers(x) => x.shape(),
            Self::Public(x) => x.shape(),
            Self::Bits(b) => &b.shape,
        }
    }

    /// The sharing of numbers.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the value is public or holds bits.
    pub fn numbers(&self) -> Result<&Rep3> {
        match self {
            Self::Numbers(x) => Ok(x),
            Self::Public(_) => Err(Error::Invalid(
                "a public value stands where a shared one is needed".into(),
            )),
            Self::Bits(_) => Err(not_numbers()),
        }
    }

    fn operand(&self) -> Result<Factor<'_>> {
        match self {
            Self::Numbers(x) => Ok(Factor::Shared(x)),
            Self::Public(x) => Ok(Factor::Public(x)),
            Self::Bits(_) => Err(not_numbers()),
        }
    }

    /// The sharing of numbers; that of a public tensor is trivial.
    fn shared(&self, me: usize) -> Result<Cow<'_, Rep3>> {
        match self {
            Self::Numbers(x) => Ok(Cow::Borrowed(x)),
            Self::Public(x) => Ok(Cow::Owned(Rep3::public(me, x))),
            Self::Bits(_) => Err(not_numbers()),
        }
    }
}

fn not_numbers() -> Error {
    Error::Invalid(
        "a value of bits stands where numbers are needed: convert it by a program".into(),
    )
}

/// Runs graphs on shares of three parties: semi-honest, honest majority.
pub struct Rep3Engine {
    session: Session,
    fraction_bits: u32,
    compiler: Compiler,
    /// Nodes whose roundings are to be exact, and whether the present one is.
    exact_nodes: BTreeSet<usize>,
    exact: bool,
}

impl std::fmt::Debug for Rep3Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rep3Engine")
            .field("session", &self.session)
            .field("fraction_bits", &self.fraction_bits)
            .finish_non_exhaustive()
    }
}

fn failed(e: tacit_mpc::Error) -> Error {
    Error::Protocol(Box::new(e))
}

impl Rep3Engine {
    /// An engine over a session, with numbers of `fraction_bits` fractional bits (8 to 22), comparing in five rounds.
    ///
    /// # Errors
    /// [`Error::Invalid`] where `fraction_bits` is out of range.
    pub fn new(session: Session, fraction_bits: u32) -> Result<Self> {
        Self::with_depth(session, fraction_bits, Depth::Three)
    }

    /// The same with a choice between fewer bytes and fewer rounds in comparisons: a [`Depth`] for all of them, or the
    /// profile of the links, on which all parties agree, from which each takes the fastest for its bits and its tensor.
    ///
    /// # Errors
    /// [`Error::Invalid`] where `fraction_bits` is out of range.
    pub fn with_depth(
        session: Session,
        fraction_bits: u32,
        depth: impl Into<Choice>,
    ) -> Result<Self> {
        if !(8..=22).contains(&fraction_bits) {
            return Err(Error::Invalid(format!(
                "{fraction_bits} fractional bits: choose 8 to 22"
            )));
        }
        Ok(Self {
            session,
            fraction_bits,
            compiler: Compiler::new(fraction_bits, depth.into()),
            exact_nodes: BTreeSet::new(),
            exact: false,
        })
    }

    /// From now on every truncation in these nodes gives the floor, without a coin (protocol T3): what is opened repeatedly
    /// from the same secrets, as where the same query is served again, would tell the bits that were dropped, opening by
    /// opening (requirement R9). [`tacit_nn::Graph::last_roundings`] gives the nodes of a graph that this is about. A product
    /// takes 30 bytes and 3 rounds more (f = 18). Tables and exponentials round their products exactly then; what these
    /// products are still depends on the sharing by a small part of a unit.
    pub fn round_exactly(&mut self, nodes: BTreeSet<usize>) {
        self.exact_nodes = nodes;
    }

    /// Renews the keys of the session ([`Session::renew_keys`]), between two runs. Shares stay as they are.
    ///
    /// # Errors
    /// A failed link or peer.
    pub fn renew_keys(&mut self, binding: &Binding) -> Result<()> {
        self.session.renew_keys(binding).map_err(failed)
    }

    /// The session it runs in.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// P_owner shares a tensor of reals, given there and `None` elsewhere. 8 bytes and 1 round a value.
    ///
    /// # Errors
    /// A number that has no encoding, a missing tensor at the owner, or a failed link or peer.
    pub fn input(
        &mut self,
        owner: usize,
        shape: &[usize],
        x: Option<&ArrayD<f64>>,
    ) -> Result<Value> {
        let words = x
            .map(|x| fixed::encode_tensor(x, self.fraction_bits))
            .transpose()?;
        self.session.begin_run().map_err(failed)?;
        Ok(Value::Numbers(
            input(&self.session, owner, shape, words.as_ref()).map_err(failed)?,
        ))
    }

    /// The sharings of tensors that contributors sent ([`contribute`](super::contribute)), after the parties have compared what
    /// each two of them hold.
    ///
    /// # Errors
    /// Two parties hold different copies, or a link or peer failed.
    pub fn adopt(&mut self, received: &[Received]) -> Result<Vec<Value>> {
        let shares = agreed(&self.session, received).map_err(failed)?;
        Ok(shares.into_iter().map(Value::Numbers).collect())
    }

    /// A public tensor as a sharing that is treated like any other. No communication.
    ///
    /// # Errors
    /// A number that has no encoding.
    pub fn trivial(&self, x: &ArrayD<f64>) -> Result<Value> {
        let words = fixed::encode_tensor(x, self.fraction_bits)?;
        Ok(Value::Numbers(Rep3::public(self.session.me(), &words)))
    }

    /// Opens a value to all three parties. 24 bytes and 1 round a value.
    ///
    /// # Errors
    /// The value holds bits, or a link or peer failed.
    pub fn reveal(&mut self, x: &Value) -> Result<ArrayD<f64>> {
        if let Value::Public(words) = x {
            return Ok(fixed::decode_tensor(words, self.fraction_bits));
        }
        self.session.begin_run().map_err(failed)?;
        let words = open(&self.session, x.numbers()?).map_err(failed)?;
        Ok(fixed::decode_tensor(&words, self.fraction_bits))
    }

    /// f(x, y) without rounding, as words: 24 bytes and 1 round a value of the result.
    ///
    /// # Errors
    /// The shapes do not fit, or a link or peer failed.
    pub fn product(&mut self, f: Bilinear, x: &Value, y: &Value) -> Result<Value> {
        Ok(Value::Numbers(
            product(&self.session, f, x.numbers()?, y.numbers()?).map_err(failed)?,
        ))
    }

    /// This party's words x_i + F(k_i) - F(k_{i+1}) of all values, flattened in order: what leaves for a recipient. The three
    /// parties' words add up to the values in two's complement fixed point. Re-randomised, because a recipient sees all three
    /// words and truncation on an existing sharing is not fresh (requirement R15). Sends nothing.
    ///
    /// # Errors
    /// A value holds bits, or the addresses are used up.
    pub fn release(&mut self, values: &[&Value]) -> Result<Release> {
        let me = self.session.me();
        self.session.begin_run().map_err(failed)?;
        let mut words: Vec<R64> = Vec::new();
        for v in values {
            words.extend(v.shared(me)?.a.iter());
        }
        let masks = self
            .session
            .fan_out(words.len(), async |strand: Strand<'_>| {
                release_masks(&strand)
            });
        let masks = masks.map_err(failed)?.into_iter().flat_map(|(_, m)| m);
        let own = words.into_iter().zip(masks).map(|(w, m)| (w + m).0);
        Ok(Release {
            own: own.collect(),
            copies: None,
        })
    }
}

/// F(k_i) - F(k_{i+1}) for each element of a chunk.
pub(crate) fn release_masks(strand: &Strand<'_>) -> tacit_mpc::Result<Vec<R64>> {
    let (label, n, me) = (
        strand.next_gate()?,
        strand.chunk().len(),
        strand.session().me(),
    );
    let own = strand.draw(me, label, Purpose::Release, n)?;
    let next = strand.draw(me + 1, label, Purpose::Release, n)?;
    Ok(own.into_iter().zip(next).map(|(f, g)| f - g).collect())
}

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
