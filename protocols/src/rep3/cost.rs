//! What a graph will cost on rep3, before it runs: the same gates, counting instead of computing.
//!
//! Rounds follow logical clocks as in a session: a dealer never waits inside a gate, so its messages carry an old time.

mod count;

use std::collections::BTreeSet;
use std::rc::Rc;

use ndarray::ArrayD;
use tacit_mpc::chunk::chunks;
use tacit_mpc::{Bilinear, Cost};
use tacit_nn::program::Instr;
use tacit_nn::{Engine, Error, Layout, Product, Program, Result, fixed};

use super::exact::CARRY_DEPTH;
use super::exp_negative;
use super::plan::{Choice, Tree};
use super::program::Compiler;
use super::work::{Forecast, Work};
use crate::local::rounding_of;
use count::{Count, moved, passed};

/// Counts rounds, messages, bytes and local work of a graph on [`super::Rep3Engine`], and refuses what that refuses: constants
/// without a word, programs that do not compile at this precision.
#[derive(Clone, Debug)]
pub struct CostEngine {
    fraction_bits: u32,
    choice: Choice,
    compiler: Rc<Compiler>,
    node: usize,
    parties: [Forecast; 3],
    exact_nodes: BTreeSet<usize>,
    exact: bool,
}

impl CostEngine {
    /// For numbers of `fraction_bits` fractional bits and comparisons as in [`super::Rep3Engine::with_depth`].
    #[must_use]
    pub fn new(fraction_bits: u32, depth: impl Into<Choice>) -> Self {
        let choice = depth.into();
        Self {
            fraction_bits,
            choice,
            compiler: Rc::new(Compiler::new(fraction_bits, choice)),
            node: 0,
            parties: [Forecast::default(); 3],
            exact_nodes: BTreeSet::new(),
            exact: false,
        }
    }

    /// As [`super::Rep3Engine::round_exactly`].
    pub fn round_exactly(&mut self, nodes: BTreeSet<usize>) {
        self.exact_nodes = nodes;
    }

    /// The node that was begun last: where an error is.
    #[must_use]
    pub fn node(&self) -> usize {
        self.node
    }

    /// What each party has sent, drawn and multiplied so far, and its rounds: what its session will say.
    #[must_use]
    pub fn parties(&self) -> [Cost; 3] {
        self.parties.map(|p| p.cost)
    }

    /// The same, and how much each party computes.
    #[must_use]
    pub fn forecast(&self) -> &[Forecast; 3] {
        &self.parties
    }

    /// As [`super::Rep3Engine::input`].
    pub fn input(&mut self, owner: usize, shape: &[usize]) -> Value {
        self.pass(shape.iter().product(), |c| c.input(owner));
        Value::shared(shape)
    }

    /// As [`super::Rep3Engine::release`].
    pub fn release(&mut self, values: &[&Value]) {
        let shape = |x: &&Value| x.shape.iter().product::<usize>();
        self.pass(values.iter().map(shape).sum(), |c| c.release());
    }

    /// As [`super::Rep3Engine::product`].
    ///
    /// # Errors
    /// The shapes do not fit.
    pub fn product(&mut self, f: Bilinear, x: &Value, y: &Value) -> Result<Value> {
        let shape = self.local_product(f, x, y)?;
        self.pass(shape.iter().product(), |c| c.product());
        Ok(Value::shared(&shape))
    }

    /// Adds work of every party.
    fn everybody(&mut self, work: Work) {
        self.parties.iter_mut().for_each(|p| p.work += work);
    }

    /// Work on each word of tensors, of which parties hold two shares.
    fn on_tensors<'v>(&mut self, loops: usize, xs: impl IntoIterator<Item = &'v Value>) {
        let words = |x: &Value| x.shape.iter().product::<usize>() * if x.public { 1 } else { 2 };
        let words: usize = xs.into_iter().map(words).sum();
        self.everybody(moved((loops * words) as u64));
    }

    /// What kernels do for f(x, y), and its shape. Elementwise products of shares are computed chunk by chunk.
    fn local_product(&mut self, f: Bilinear, x: &Value, y: &Value) -> Result<Vec<usize>> {
        let shape = f
            .output_shape(&x.shape, &y.shape)
            .ok_or_else(|| Error::Shape {
                op: f.name(),
                left: x.shape.clone(),
                right: y.shape.clone(),
            })?;
        let interactive = !x.public && !y.public;
        if interactive && f == Bilinear::Mul {
            return Ok(shape);
        }
        let calls = if x.public && y.public { 1 } else { 2 };
        let multiplications = calls * f.multiplications(&x.shape, &y.shape);
        for party in &mut self.parties {
            party.cost.multiplications += multiplications;
            party.work.multiplications += multiplications;
        }
        let size = |shape: &[usize]| shape.iter().product::<usize>();
        let operands = size(&x.shape) + size(&y.shape);
        let read = calls as usize * (operands + size(&shape)) + size(&y.shape);
        self.everybody(moved(read as u64));
        // Kernels bring what a window sees into an order of their own, once for all kernels that look through it.
        let kernels = match f {
            Bilinear::Mul | Bilinear::MatMul => None,
            Bilinear::Conv(c) | Bilinear::ConvInput(c) => Some((c.groups, y.shape.first())),
            Bilinear::ConvWeights(c) => Some((c.groups, y.shape.get(1))),
        };
        if let Some((groups, Some(&kernels))) = kernels {
            let seen = multiplications * groups as u64 / kernels.max(1) as u64;
            self.everybody(passed(seen));
        }
        Ok(shape)
    }

    /// The same for a sum of products.
    fn local_products(&mut self, terms: &[Product<'_, Value>]) -> Result<Vec<usize>> {
        let mut shape = None;
        for t in terms {
            shape = Some(self.local_product(t.f, t.x, t.y)?);
        }
        shape.ok_or_else(|| Error::Invalid("a sum of no products has no shape".into()))
    }

    /// Counts one pass over the chunks of `n` values.
    fn pass(&mut self, n: usize, gate: impl Fn(&mut Count)) {
        let start = self.parties.map(|p| p.cost.rounds);
        let mut longest = start;
        for chunk in chunks(n) {
            let mut count = Count::new(chunk, start, self.exact, &mut self.parties);
            gate(&mut count);
            for (longest, clock) in longest.iter_mut().zip(count.clock) {
                *longest = clock.max(*longest);
            }
        }
        self.parties
            .iter_mut()
            .zip(longest)
            .for_each(|(p, rounds)| {
                p.work.rounds += rounds - p.cost.rounds;
                p.cost.rounds = rounds;
            });
    }
}

/// A tensor of a shape, which all parties know or which they share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    shape: Vec<usize>,
    public: bool,
}

impl Value {
    /// A shared tensor.
    #[must_use]
    pub fn shared(shape: &[usize]) -> Self {
        let shape = shape.to_vec();
        Self {
            shape,
            public: false,
        }
    }
}

impl Engine for CostEngine {
    type Value = Value;

    fn begin_node(&mut self, node: usize) {
        self.node = node;
        self.exact = self.exact_nodes.contains(&node);
    }

    fn public(&mut self, x: &ArrayD<f64>) -> Result<Value> {
        for &x in x {
            fixed::encode(x, self.fraction_bits)?;
        }
        let shape = x.shape().to_vec();
        Ok(Value {
            shape,
            public: true,
        })
    }

    fn shape(&self, x: &Value) -> Vec<usize> {
        x.shape.clone()
    }

    fn layout(&mut self, layout: &Layout, x: &Value) -> Result<Value> {
        let shape = layout.output_shape(&x.shape)?;
        let value = Value { shape, ..*x };
        self.on_tensors(1, [x, &value]);
        Ok(value)
    }

    fn concat(&mut self, axis: usize, xs: &[&Value]) -> Result<Value> {
        let mut shape = xs.first().map(|x| x.shape.clone()).unwrap_or_default();
        let total = xs.iter().filter_map(|x| x.shape.get(axis)).sum();
        let length = shape.get_mut(axis).ok_or_else(|| Error::Shape {
            op: "concat",
            left: xs.first().map(|x| x.shape.clone()).unwrap_or_default(),
            right: vec![axis],
        })?;
        *length = total;
        self.on_tensors(2, xs.iter().copied());
        let public = xs.iter().all(|x| x.public);
        Ok(Value { shape, public })
    }

    fn linear(&mut self, terms: &[(i64, &Value)], bias: f64) -> Result<Value> {
        fixed::encode(bias, self.fraction_bits)?;
        let none = || Error::Invalid("a linear combination of no terms has no shape".into());
        let shape = terms.first().ok_or_else(none)?.1.shape.clone();
        self.on_tensors(2, terms.iter().map(|(_, x)| *x));
        let public = terms.iter().all(|(_, x)| x.public);
        Ok(Value { shape, public })
    }

    fn products(&mut self, terms: &[Product<'_, Value>], scale: f64) -> Result<Value> {
        let shape = self.local_products(terms)?;
        let (_, shift) = rounding_of(scale, self.fraction_bits)?;
        let n = shape.iter().product();
        let public = terms.iter().all(|t| t.x.public && t.y.public);
        if terms.iter().any(|t| !t.x.public && !t.y.public) {
            self.pass(n, |c| c.rounded_product(shift));
        } else if !public {
            self.pass(n, |c| c.rounded(shift));
        }
        Ok(Value { shape, public })
    }

    fn products_unrounded(&mut self, terms: &[Product<'_, Value>]) -> Result<Value> {
        let shape = self.local_products(terms)?;
        if terms.iter().any(|t| !t.x.public && !t.y.public) {
            self.pass(shape.iter().product(), |c| c.product());
        }
        let public = terms.iter().all(|t| t.x.public && t.y.public);
        Ok(Value { shape, public })
    }

    fn unrounded(&mut self, x: &Value) -> Result<Value> {
        self.on_tensors(2, [x]);
        Ok(x.clone())
    }

    fn round(&mut self, x: Value) -> Result<Value> {
        if !x.public {
            let f = self.fraction_bits;
            self.pass(x.shape.iter().product(), |c| c.rounded(f));
        }
        Ok(x)
    }

    fn map(&mut self, program: &Program, inputs: &[&Value]) -> Result<Vec<Value>> {
        let shape = inputs.first().map(|x| x.shape.clone()).unwrap_or_default();
        let f = self.fraction_bits;
        let n = shape.iter().product();
        let rounding = self.compiler.rounding(self.exact);
        self.compiler.compile(program, n, rounding)?;
        let depth = self.choice.depth(n);
        let gates: Vec<Box<dyn Fn(&mut Count)>> = program
            .code
            .iter()
            .map(|instr| -> Result<Box<dyn Fn(&mut Count)>> {
                Ok(match instr {
                    Instr::Input(_) => Box::new(|s| s.carried(1)),
                    Instr::InputBit(_) => Box::new(|_| ()),
                    Instr::Linear(terms, _) => {
                        let terms = terms.len();
                        Box::new(move |s| s.linear(terms))
                    }
                    Instr::Scale(_, c) => match fixed::scale_factor(*c)?.1 {
                        0 => Box::new(|_| ()),
                        shift => Box::new(move |s| s.rounded(shift)),
                    },
                    Instr::Mul(..) => Box::new(move |s| s.rounded_product(f)),
                    Instr::Negative(_, bound) => {
                        let tree = Tree::cheapest(bound.map_or(63, |b| (b + f).min(63)), depth);
                        Box::new(move |s| s.negative(&tree))
                    }
                    Instr::Select(..) => Box::new(|s| s.select()),
                    Instr::ToArithmetic(_) => Box::new(|s| s.bit_to_number()),
                    Instr::Zero(_) => Box::new(move |s| s.zero(depth)),
                    Instr::And(..) => Box::new(|s| s.all(1, 2)),
                    Instr::Xor(..) | Instr::Not(_) => Box::new(|_| ()),
                    Instr::Floor(_) => {
                        let tree = Tree::cheapest(f, CARRY_DEPTH);
                        Box::new(move |s| s.floor(f, &tree))
                    }
                    Instr::ExpNeg(_) => {
                        let tree = Tree::cheapest(exp_negative::compared(f), depth);
                        Box::new(move |s| s.exp_negative(f, &tree))
                    }
                    Instr::Exp(_) => Box::new(move |s| s.exp(f)),
                    Instr::Table(_, t) => {
                        let t = self.compiler.table(t)?;
                        Box::new(move |s| s.table(&t))
                    }
                    Instr::Scaled { f: of, lo, hi, .. } => {
                        let t = self.compiler.scaled(*of, *lo, *hi)?;
                        Box::new(move |s| s.scaled(&t))
                    }
                })
            })
            .collect::<Result<_>>()?;
        self.pass(n, |count| {
            gates.iter().for_each(|gate| gate(count));
            count.carried(program.outputs.len());
        });
        let output = Value {
            shape,
            public: false,
        };
        Ok(vec![output; program.outputs.len()])
    }
}
