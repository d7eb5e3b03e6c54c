//! The engine that runs a graph on replicated shares of which one holder may cheat.

use std::collections::BTreeSet;
use std::num::Wrapping;

use ndarray::{ArrayD, Axis};
use tacit_mpc::{Chunk, Session, Tensor};
use tacit_nn::program::Instr;
use tacit_nn::{Engine, Error, Layout, Product, Program, Result, fixed};

use super::bilinear::{self, Operand, Rounding, Term, products};
use super::circuit::{Circuit, for_each_chunk};
use super::input::input;
use super::log::Log;
use super::open::{Checked, check};
use super::pair::{Bits, Pair};
use super::product::{Support, product};
use super::program::{Compiler, Register};
use super::proof::verify;
use super::shared::{Shared, put, share_chunks, shared};
use crate::rep3::share::Parts;

/// A tensor on this engine. What it holds comes out by [`Proved`] alone.
#[derive(Clone)]
pub struct Value(Kind);

#[derive(Clone)]
enum Kind {
    /// Shared numbers.
    Numbers(Shared),
    /// Numbers that all parties know.
    Public(Tensor),
    /// Shared bits, as a program gave them out, one plane a chunk.
    Bits(Vec<usize>, Vec<(Chunk, Bits)>),
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Value")
            .field("shape", &self.shape())
            .finish_non_exhaustive()
    }
}

impl Value {
    fn shape(&self) -> &[usize] {
        match &self.0 {
            Kind::Numbers(x) => x.shape(),
            Kind::Public(x) => x.shape(),
            Kind::Bits(shape, _) => shape,
        }
    }

    fn operand(&self) -> Result<Operand<'_>> {
        match &self.0 {
            Kind::Numbers(x) => Ok(Operand::Shared(x)),
            Kind::Public(x) => Ok(Operand::Public(x)),
            Kind::Bits(..) => Err(not_numbers()),
        }
    }

    /// The sharing of numbers; that of a public tensor is trivial.
    fn shared(&self, me: usize) -> Result<Shared> {
        match &self.0 {
            Kind::Numbers(x) => Ok(x.clone()),
            Kind::Public(x) => Ok(Shared::public(me, x)),
            Kind::Bits(..) => Err(not_numbers()),
        }
    }
}

fn not_numbers() -> Error {
    Error::Invalid(
        "a value of bits stands where numbers are needed: convert it by a program".into(),
    )
}

fn failed(e: tacit_mpc::Error) -> Error {
    Error::Protocol(Box::new(e))
}

/// Runs graphs on shares of three parties: one of them may be malicious, and no honest one gives out a wrong value.
///
/// Whatever is sent is logged, and [`Self::prove`] is the one way from a [`Value`] to what it holds.
pub struct MaliciousEngine {
    session: Session,
    log: Log,
    fraction_bits: u32,
    compiler: Compiler,
    verify_every: usize,
    /// Nodes whose roundings are to be exact, and whether the present one is.
    exact_nodes: BTreeSet<usize>,
    rounding: Rounding,
}

impl std::fmt::Debug for MaliciousEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MaliciousEngine")
            .field("session", &self.session)
            .field("fraction_bits", &self.fraction_bits)
            .finish_non_exhaustive()
    }
}

/// [`MaliciousEngine::verify_every`] unless it is set.
const VERIFY_EVERY: usize = 256 << 20;

impl MaliciousEngine {
    /// An engine over a session, with numbers of `fraction_bits` fractional bits (8 to 22).
    ///
    /// # Errors
    /// [`Error::Invalid`] where `fraction_bits` is out of range.
    pub fn new(session: Session, fraction_bits: u32) -> Result<Self> {
        if !(8..=22).contains(&fraction_bits) {
            return Err(Error::Invalid(format!(
                "{fraction_bits} fractional bits: choose 8 to 22"
            )));
        }
        Ok(Self {
            session,
            log: Log::default(),
            fraction_bits,
            compiler: Compiler::new(fraction_bits),
            verify_every: VERIFY_EVERY,
            exact_nodes: BTreeSet::new(),
            rounding: Rounding::Masked,
        })
    }

    /// From now on what is logged is proved whenever a node leaves it above this many bytes, 256 MiB at first: what bounds
    /// memory. All parties must set the same.
    pub fn verify_every(&mut self, bytes: usize) {
        self.verify_every = bytes;
    }

    /// From now on every truncation in these nodes gives the floor: what is opened repeatedly from the same secrets would tell,
    /// opening by opening, the bits that were dropped (requirement R9 of rep3). [`tacit_nn::Graph::last_roundings`] gives the
    /// nodes of a graph that this is about. 39.375 bytes and 7 rounds more (f = 18) a product.
    pub fn round_exactly(&mut self, nodes: BTreeSet<usize>) {
        self.exact_nodes = nodes;
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
        let mine = self.session.me() == owner;
        let words = x
            .filter(|_| mine)
            .map(|x| fixed::encode_tensor(x, self.fraction_bits))
            .transpose()?;
        let given = words.as_ref().map(Tensor::shape).unwrap_or_default();
        if mine && (words.is_none() || given != shape) {
            return Err(Error::Shape {
                op: "input",
                left: given.to_vec(),
                right: shape.to_vec(),
            });
        }
        self.session.begin_run().map_err(failed)?;
        let words = words.as_ref().map(tacit_mpc::ring::row_major);
        let gate = async |c: &Circuit<'_>| {
            let chunk = c.strand.chunk();
            let x = words.as_ref().map(|w| &w[chunk.start..chunk.end]);
            input(c, owner, chunk.len(), x).await
        };
        let x = share_chunks(&self.session, &self.log, shape, gate).map_err(failed)?;
        Ok(Value(Kind::Numbers(x)))
    }

    /// A public tensor as a sharing that is treated like any other. No communication.
    ///
    /// # Errors
    /// A number that has no encoding.
    pub fn trivial(&self, x: &ArrayD<f64>) -> Result<Value> {
        let words = fixed::encode_tensor(x, self.fraction_bits)?;
        Ok(Value(Kind::Numbers(Shared::public(
            self.session.me(),
            &words,
        ))))
    }

    /// Proves everything that was computed: the way out. While the evidence lives nothing can be computed.
    ///
    /// # Errors
    /// A proof does not hold, and then nothing may be given out and the session is over; or a link or peer failed.
    pub fn prove(&mut self) -> Result<Proved<'_>> {
        self.session.begin_run().map_err(failed)?;
        let Self {
            session,
            log,
            fraction_bits,
            ..
        } = self;
        let checked = check(session, log).map_err(failed)?;
        Ok(Proved {
            session,
            fraction_bits: *fraction_bits,
            checked,
        })
    }

    /// Proves everything and opens a value to all three parties: [`Proved::reveal`].
    ///
    /// # Errors
    /// As for [`Self::prove`] and [`Proved::reveal`].
    pub fn reveal(&mut self, x: &Value) -> Result<ArrayD<f64>> {
        self.prove()?.reveal(x)
    }

    /// This party's shares of all values, flattened in order, for a recipient: fresh ones, because a recipient sees all three
    /// and the shares of a truncation say more than its result (requirement R15 of rep3). They are made by a product with a
    /// public one, 24 bytes a value, and everything is proved before they are given out.
    ///
    /// # Errors
    /// A value holds bits, or as for [`Self::prove`].
    pub fn release(&mut self, values: &[&Value]) -> Result<Release> {
        let me = self.session.me();
        let (mut own, mut next) = (Vec::new(), Vec::new());
        for v in values {
            let x = v.shared(me)?;
            own.extend(x.own.iter());
            next.extend(x.next.iter());
        }
        let (n, x) = (own.len(), Pair::new(own, next));
        let mut fresh = Release::default();
        self.session.begin_run().map_err(failed)?;
        let reshare = async |c: &Circuit<'_>| {
            let chunk = c.strand.chunk();
            let x = x.each(|w| w[chunk.start..chunk.end].to_vec());
            let one = std::rc::Rc::new(vec![Wrapping(1); chunk.len()]);
            let one = c.joint(0, chunk.len(), Some(one));
            product(c, &[(x, one)], Support::Full).await
        };
        let mut parts = Parts::new(&[n]);
        for_each_chunk(&self.session, &self.log, n, reshare, |chunk, words| {
            put(&mut parts, chunk, words);
            Ok(())
        })
        .map_err(failed)?;
        let parts = shared(parts).map_err(failed)?;
        let _proved = self.prove()?;
        fresh.own.extend(parts.own.iter().map(|w| w.0));
        fresh.next.extend(parts.next.iter().map(|w| w.0));
        Ok(fresh)
    }

    /// After a node: proves what is logged if it is too much to keep.
    fn bound(&mut self) -> Result<()> {
        if self.log.size() > self.verify_every {
            verify(&self.session, &self.log).map_err(failed)?;
        }
        Ok(())
    }
}

/// Shares that leave for a recipient: two of three, each of which another party holds as well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Release {
    /// Of index `me`, which the party before this one holds as its `next`.
    pub own: Vec<u64>,
    /// Of index `me + 1`, which the party after this one holds as its `own`.
    pub next: Vec<u64>,
}

/// Everything that was computed is proved: values may be opened, and nothing computed until that is over.
///
/// Nobody else can make one:
///
/// ```compile_fail
/// use tacit_protocols::malicious::{MaliciousEngine, Proved};
/// fn proved(engine: &MaliciousEngine) -> Proved<'_> {
///     Proved { session: engine.session(), fraction_bits: 18 }
/// }
/// ```
///
/// A value opens by nothing else:
///
/// ```compile_fail
/// use tacit_protocols::malicious::Value;
/// fn look(x: &Value) -> &tacit_mpc::Tensor {
///     &x.0
/// }
/// ```
///
/// What is computed after the proof needs another one:
///
/// ```compile_fail,E0499
/// use tacit_mpc::Bilinear;
/// use tacit_nn::{Engine, Result};
/// use tacit_protocols::malicious::{MaliciousEngine, Value};
/// fn square(engine: &mut MaliciousEngine, x: &Value) -> Result<ndarray::ArrayD<f64>> {
///     let proved = engine.prove()?;
///     let y = engine.bilinear(Bilinear::Mul, x, x, 1.0)?;
///     proved.reveal(&y)
/// }
/// ```
///
/// In the right order it compiles:
///
/// ```
/// use tacit_mpc::Bilinear;
/// use tacit_nn::{Engine, Result};
/// use tacit_protocols::malicious::{MaliciousEngine, Value};
/// fn square(engine: &mut MaliciousEngine, x: &Value) -> Result<ndarray::ArrayD<f64>> {
///     let y = engine.bilinear(Bilinear::Mul, x, x, 1.0)?;
///     engine.prove()?.reveal(&y)
/// }
/// ```
pub struct Proved<'e> {
    session: &'e Session,
    fraction_bits: u32,
    checked: Checked<'e>,
}

impl std::fmt::Debug for Proved<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proved").finish_non_exhaustive()
    }
}

impl Proved<'_> {
    /// Opens a value to all three parties. 24 bytes and 1 round a value, and 96 bytes a chunk of values.
    ///
    /// # Errors
    /// The value holds bits, two holders of a share differ, or a link or peer failed.
    pub fn reveal(&self, x: &Value) -> Result<ArrayD<f64>> {
        let words = self.open(x, &[0, 1, 2])?;
        words.ok_or_else(|| Error::Invalid("an opening to all gave nothing".into()))
    }

    /// Opens a value to one party, `None` elsewhere. 8 bytes and 1 round a value, and 32 bytes a chunk of values.
    ///
    /// # Errors
    /// As for [`Self::reveal`].
    pub fn reveal_to(&self, party: usize, x: &Value) -> Result<Option<ArrayD<f64>>> {
        self.open(x, &[party])
    }

    fn open(&self, x: &Value, receivers: &[usize]) -> Result<Option<ArrayD<f64>>> {
        let x = match &x.0 {
            Kind::Public(x) => return Ok(Some(fixed::decode_tensor(x, self.fraction_bits))),
            Kind::Numbers(x) => x,
            Kind::Bits(..) => return Err(not_numbers()),
        };
        self.session.begin_run().map_err(failed)?;
        // An opening has nothing to prove.
        let (log, mut words) = (Log::default(), vec![Wrapping(0); x.own.len()]);
        let open = async |c: &Circuit<'_>| {
            let x = x.cut(c.strand.chunk());
            self.checked.open(c, &x, receivers).await
        };
        for_each_chunk(self.session, &log, words.len(), open, |chunk, opened| {
            if let Some(opened) = opened {
                words[chunk.start..chunk.end].copy_from_slice(&opened);
            }
            Ok(())
        })
        .map_err(failed)?;
        if !receivers.contains(&self.session.me()) {
            return Ok(None);
        }
        let words = Tensor::from_shape_vec(x.own.raw_dim(), words)
            .map_err(|e| Error::Invalid(e.to_string()))?;
        Ok(Some(fixed::decode_tensor(&words, self.fraction_bits)))
    }
}

impl Engine for MaliciousEngine {
    type Value = Value;

    fn begin_run(&mut self) -> Result<()> {
        self.session.begin_run().map_err(failed)
    }

    fn begin_node(&mut self, node: usize) {
        self.rounding = if self.exact_nodes.contains(&node) {
            Rounding::Exact
        } else {
            Rounding::Masked
        };
        self.session
            .begin_node(u32::try_from(node).unwrap_or(u32::MAX));
    }

    fn public(&mut self, x: &ArrayD<f64>) -> Result<Value> {
        let words = fixed::encode_tensor(x, self.fraction_bits)?;
        Ok(Value(Kind::Public(words)))
    }

    fn shape(&self, x: &Value) -> Vec<usize> {
        x.shape().to_vec()
    }

    fn layout(&mut self, layout: &Layout, x: &Value) -> Result<Value> {
        Ok(Value(match x.operand()? {
            Operand::Public(x) => Kind::Public(layout.apply(x)?),
            Operand::Shared(x) => Kind::Numbers(x.try_each(|t| layout.apply(t))?),
        }))
    }

    fn concat(&mut self, axis: usize, xs: &[&Value]) -> Result<Value> {
        let join = |parts: &[&Tensor]| {
            let views: Vec<_> = parts.iter().map(|x| x.view()).collect();
            ndarray::concatenate(Axis(axis), &views).map_err(|_| Error::Shape {
                op: "concat",
                left: parts
                    .first()
                    .map(|x| x.shape().to_vec())
                    .unwrap_or_default(),
                right: parts.last().map(|x| x.shape().to_vec()).unwrap_or_default(),
            })
        };
        self.locally(xs, join)
    }

    fn linear(&mut self, terms: &[(i64, &Value)], bias: f64) -> Result<Value> {
        let bias = fixed::encode(bias, self.fraction_bits)?;
        let (coefficients, xs): (Vec<i64>, Vec<&Value>) = terms.iter().copied().unzip();
        let combine = |parts: &[&Tensor]| {
            let mut sum: Option<Tensor> = None;
            for (&c, x) in coefficients.iter().zip(parts) {
                let c = fixed::from_signed(c);
                match &mut sum {
                    None => sum = Some(x.mapv(|w| c * w)),
                    Some(sum) if sum.shape() == x.shape() => {
                        sum.zip_mut_with(x, |s, &w| *s += c * w);
                    }
                    Some(sum) => {
                        return Err(Error::Shape {
                            op: "linear",
                            left: sum.shape().to_vec(),
                            right: x.shape().to_vec(),
                        });
                    }
                }
            }
            sum.ok_or_else(|| {
                Error::Invalid("a linear combination of no terms has no shape".into())
            })
        };
        let sum = self.locally(&xs, combine)?;
        let bias = Shared::public(self.session.me(), &ArrayD::from_elem(sum.shape(), bias));
        Ok(Value(match sum.0 {
            Kind::Public(x) => Kind::Public(x + &*bias.own + &*bias.next),
            Kind::Numbers(x) => Kind::Numbers(x.zip(&bias, |x, b| x + b)),
            bits @ Kind::Bits(..) => bits,
        }))
    }

    /// Both operands shared: 46.75 bytes (f = 18) and 3 rounds a value. One of them public: the product is local, 22.75 bytes
    /// for the rounding. Both public: nothing.
    fn products(&mut self, terms: &[Product<'_, Value>], scale: f64) -> Result<Value> {
        let (c, shift) = fixed::scale_factor(scale)?;
        let shift = shift + self.fraction_bits;
        if shift > 62 {
            return Err(Error::Invalid(format!(
                "a product scaled by {scale} would be rounded by {shift} bits: at most 62 are possible"
            )));
        }
        let terms = terms
            .iter()
            .map(|t| {
                Ok(Term {
                    f: t.f,
                    coefficient: fixed::from_signed(t.coefficient),
                    x: t.x.operand()?,
                    y: t.y.operand()?,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let c = fixed::from_signed(c);
        let (session, log) = (&self.session, &self.log);
        let sum = products(session, log, &terms, c, shift, self.rounding).map_err(failed)?;
        self.bound()?;
        Ok(Value(match sum {
            bilinear::Product::Public(x) => Kind::Public(x),
            bilinear::Product::Shared(x) => Kind::Numbers(x),
        }))
    }

    fn map(&mut self, program: &Program, inputs: &[&Value]) -> Result<Vec<Value>> {
        let shape = inputs
            .first()
            .map(|x| x.shape().to_vec())
            .unwrap_or_default();
        let compiled = self.compiler.compile(program, self.rounding)?;
        if let Some(other) = inputs.iter().find(|x| x.shape() != shape) {
            return Err(Error::Shape {
                op: program.name,
                left: shape,
                right: other.shape().to_vec(),
            });
        }
        let me = self.session.me();
        let arguments = arguments(program, inputs, me)?;
        let mut outputs: Vec<Option<Output>> = program.outputs.iter().map(|_| None).collect();
        let run = async |c: &Circuit<'_>| {
            let registers: Vec<Register> = arguments.iter().map(|x| x.part(c)).collect();
            compiled.run(c, &registers).await
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
                o.unwrap_or_else(|| Output::Numbers(Parts::new(&shape)))
                    .finish(&shape)
            })
            .collect()
    }
}

impl MaliciousEngine {
    /// A local map of some values, of their tensors where all are public and of both shares otherwise.
    fn locally(&self, xs: &[&Value], map: impl Fn(&[&Tensor]) -> Result<Tensor>) -> Result<Value> {
        let public = |x: &&'_ Value| match &x.0 {
            Kind::Public(x) => Some(x.clone()),
            _ => None,
        };
        if let Some(all) = xs.iter().map(public).collect::<Option<Vec<_>>>() {
            return Ok(Value(Kind::Public(map(&all.iter().collect::<Vec<_>>())?)));
        }
        let me = self.session.me();
        let shared: Vec<Shared> = xs.iter().map(|x| x.shared(me)).collect::<Result<_>>()?;
        let each = |of: fn(&Shared) -> &Tensor| map(&shared.iter().map(of).collect::<Vec<_>>());
        Ok(Value(Kind::Numbers(Shared::new(
            each(|x| &x.own)?,
            each(|x| &x.next)?,
        ))))
    }
}

/// An input of a program.
enum Argument<'a> {
    Numbers(Shared),
    Bits(&'a [(Chunk, Bits)]),
    /// One that it does not read.
    Unused,
}

/// The inputs of a program, as it reads them.
fn arguments<'a>(p: &Program, inputs: &[&'a Value], me: usize) -> Result<Vec<Argument<'a>>> {
    if p.inputs() > inputs.len() {
        return Err(Error::Invalid(format!(
            "program {} has {} inputs, {} were given",
            p.name,
            p.inputs(),
            inputs.len()
        )));
    }
    let mut arguments: Vec<Argument<'a>> = inputs.iter().map(|_| Argument::Unused).collect();
    for instr in &p.code {
        match instr {
            Instr::Input(i) => arguments[*i] = Argument::Numbers(inputs[*i].shared(me)?),
            Instr::InputBit(i) => {
                let Kind::Bits(_, bits) = &inputs[*i].0 else {
                    return Err(Error::Invalid(format!(
                        "program {}: input {i} must be a bit",
                        p.name
                    )));
                };
                arguments[*i] = Argument::Bits(bits);
            }
            _ => {}
        }
    }
    Ok(arguments)
}

impl Argument<'_> {
    /// The part of one chunk. Chunks depend on the number of elements only, so bits come back under the cut they were made by.
    fn part(&self, c: &Circuit<'_>) -> Register {
        let chunk = c.strand.chunk();
        match self {
            Self::Numbers(x) => Register::Number(x.cut(chunk)),
            Self::Bits(planes) => {
                let position = planes.partition_point(|(c, _)| c.index < chunk.index);
                Register::Bit(planes[position].1.clone())
            }
            Self::Unused => Register::Number(Pair::new(Vec::new(), Vec::new())),
        }
    }
}

/// An output of a program, put together from chunks.
enum Output {
    Numbers(Parts),
    Bits(Vec<(Chunk, Bits)>),
}

impl Output {
    fn like(register: &Register, shape: &[usize]) -> Self {
        match register {
            Register::Number(_) => Self::Numbers(Parts::new(shape)),
            Register::Bit(_) => Self::Bits(Vec::new()),
        }
    }

    fn put(&mut self, chunk: Chunk, register: Register) {
        match (self, register) {
            (Self::Numbers(parts), Register::Number(x)) => put(parts, chunk, x),
            (Self::Bits(bits), Register::Bit(x)) => bits.push((chunk, x)),
            _ => unreachable!("a register of a program has one type"),
        }
    }

    fn finish(self, shape: &[usize]) -> Result<Value> {
        Ok(Value(match self {
            Self::Numbers(parts) => Kind::Numbers(shared(parts).map_err(failed)?),
            Self::Bits(mut chunks) => {
                chunks.sort_unstable_by_key(|(chunk, _)| chunk.index);
                Kind::Bits(shape.to_vec(), chunks)
            }
        }))
    }
}
