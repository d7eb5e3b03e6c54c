//! What a graph will cost on rep3, before it runs: the same gates, counting instead of computing.
//!
//! Each function declares what the gate of its name sends; tests hold the gates to it exactly, message by message. Rounds
//! follow logical clocks as in a session: a dealer never waits inside a gate, so its messages carry an old time.

use std::collections::BTreeSet;

use ndarray::ArrayD;
use tacit_mpc::Cost;
use tacit_mpc::chunk::{Chunk, chunks};
use tacit_mpc::wire::packed_len;
use tacit_nn::program::Instr;
use tacit_nn::{Engine, Error, Layout, Product, Program, Result, fixed};

use super::exact::CARRY_DEPTH;
use super::lookup::Prepared;
use super::plan::{Choice, Depth, Kind, Tree};
use super::scaled::Normalised;
use super::scan::{Step, levels};
use super::{a2b, combine, equal, exp};

/// Counts rounds, messages and bytes of a graph on [`super::Rep3Engine`].
#[derive(Clone, Debug)]
pub struct CostEngine {
    fraction_bits: u32,
    choice: Choice,
    parties: [Cost; 3],
    exact_nodes: BTreeSet<usize>,
    exact: bool,
}

impl CostEngine {
    /// For numbers of `fraction_bits` fractional bits and comparisons as in [`super::Rep3Engine::with_depth`].
    #[must_use]
    pub fn new(fraction_bits: u32, depth: impl Into<Choice>) -> Self {
        Self {
            fraction_bits,
            choice: depth.into(),
            parties: [Cost::default(); 3],
            exact_nodes: BTreeSet::new(),
            exact: false,
        }
    }

    /// As [`super::Rep3Engine::round_exactly`].
    pub fn round_exactly(&mut self, nodes: BTreeSet<usize>) {
        self.exact_nodes = nodes;
    }

    /// What each party has sent so far, and its rounds.
    #[must_use]
    pub fn parties(&self) -> &[Cost; 3] {
        &self.parties
    }

    /// Counts one pass over the chunks of `n` values.
    fn pass(&mut self, n: usize, gate: impl Fn(&mut Count)) {
        let start = self.parties.map(|p| p.rounds);
        let mut longest = start;
        for chunk in chunks(n) {
            let mut count = Count {
                chunk,
                gate: 0,
                clock: start,
                exact: self.exact,
                parties: &mut self.parties,
            };
            gate(&mut count);
            for (longest, clock) in longest.iter_mut().zip(count.clock) {
                *longest = clock.max(*longest);
            }
        }
        self.parties
            .iter_mut()
            .zip(longest)
            .for_each(|(p, rounds)| p.rounds = rounds);
    }
}

/// One strand as all three parties see it.
struct Count<'a> {
    chunk: Chunk,
    gate: usize,
    clock: [u64; 3],
    exact: bool,
    parties: &'a mut [Cost; 3],
}

impl Count<'_> {
    fn n(&self) -> usize {
        self.chunk.len()
    }

    fn message(&mut self, from: usize, to: usize, sent_at: u64, bytes: usize) {
        let sender = &mut self.parties[from];
        sender.messages += 1;
        sender.bytes += bytes as u64;
        sender.header_bytes += tacit_mpc::session::HEADER as u64;
        self.clock[to] = self.clock[to].max(sent_at + 1);
    }

    /// (dealer, A, B).
    fn roles(&self) -> (usize, usize, usize) {
        let d = self.chunk.dealer;
        (d, (d + 1) % 3, (d + 2) % 3)
    }

    fn deal(&mut self, units: usize, bits: usize) {
        let (d, a, b) = self.roles();
        let first = (units + self.gate % 2) / 2;
        self.gate += 1;
        let now = self.clock[d];
        for (to, units) in [(b, first), (a, units - first)] {
            if units > 0 {
                self.message(d, to, now, packed_len(units, bits));
            }
        }
    }

    fn swap(&mut self, units: usize, bits: usize) {
        let (_, a, b) = self.roles();
        self.gate += 1;
        let (at_a, at_b) = (self.clock[a], self.clock[b]);
        let bytes = packed_len(units, bits);
        if units > 0 {
            self.message(a, b, at_a, bytes);
            self.message(b, a, at_b, bytes);
        }
    }

    fn truncate(&mut self, k: u32, p: u32) {
        let (n, e) = (self.n(), (p + 64 - k) as usize);
        if self.exact {
            self.negative(&Tree::cheapest(p.max(2), CARRY_DEPTH));
            self.deal(n, e);
            self.deal(2 * n, 64);
            return self.swap(n, 64);
        }
        self.deal(n, 64);
        self.deal(n, e);
        self.swap(n, e);
    }

    fn rounded_product(&mut self, shift: u32) {
        self.swap(self.n(), 64);
        self.truncate(64, shift);
    }

    fn negative(&mut self, tree: &Tree) {
        let n = self.n();
        let mut leaves = (0, 0);
        tree.leaves(Kind::Greater, &mut |kind, m| {
            leaves.0 += (1 << m) - 1;
            leaves.1 += kind.outputs();
        });
        self.deal(leaves.0, n);
        self.swap(leaves.1, n);
        for level in 1..=tree.height() {
            let mut nodes = (0, 0);
            tree.nodes_at(level, Kind::Greater, &mut |kind, radix| {
                nodes.0 += kind.dealt_products(radix);
                nodes.1 += kind.outputs();
            });
            self.deal(nodes.0, n);
            self.swap(nodes.1, n);
        }
    }

    /// Conjunctions of `inputs` bits.
    fn all(&mut self, gates: usize, inputs: u32) {
        let n = self.n();
        self.deal(gates * ((1 << inputs) - 1 - inputs as usize), n);
        self.swap(gates, n);
    }

    fn zero(&mut self, depth: Depth) {
        let (n, leaves) = (self.n(), equal::leaves(depth));
        self.deal(leaves.iter().map(|(_, m)| (1 << m) - 1).sum(), n);
        self.swap(leaves.len(), n);
        let mut bits = leaves.len();
        for &radix in equal::radices(depth) {
            bits /= radix as usize;
            self.all(bits, radix);
        }
    }

    fn floor(&mut self, p: u32, tree: &Tree) {
        let (n, bits) = (self.n(), 64 - p as usize);
        self.negative(tree);
        self.deal(2 * n, bits);
        self.swap(n, bits);
    }

    fn bits(&mut self, wanted: &std::ops::Range<u32>) {
        let (n, blocks) = (self.n(), a2b::blocks_of(wanted.end));
        self.deal(blocks.iter().map(|(_, m)| (1 << m) - 1).sum(), n);
        let carries = blocks.len() - 1;
        self.swap(2 * carries - 1, n);
        // A prefix that begins with the first block propagates nothing.
        let mut starts: Vec<usize> = (0..carries).collect();
        for level in levels(carries) {
            let (mut dealt, mut swapped) = (0, 0);
            let before = starts.clone();
            for (i, lows) in &level {
                starts[*i] = before[lows[0]];
                let kind = if starts[*i] == 0 {
                    Kind::Greater
                } else {
                    Kind::Both
                };
                dealt += kind.dealt_products(lows.len() as u32 + 1);
                swapped += kind.outputs();
            }
            self.deal(dealt, n);
            self.swap(swapped, n);
        }
        let products = |&b| {
            a2b::sums(b, wanted)
                .map(|t| (1usize << t) - 1)
                .sum::<usize>()
        };
        self.deal(blocks[1..].iter().map(products).sum(), n);
        self.swap(wanted.len(), n);
    }

    fn scaled(&mut self, t: &Normalised) {
        let n = self.n();
        self.bits(&t.wanted());
        for level in levels(t.wanted().len()) {
            let products = |(_, lows): &Step| (1 << (lows.len() + 1)) - 2 - lows.len();
            self.deal(level.iter().map(products).sum(), n);
            self.swap(level.len(), n);
        }
        for (count, width) in combine::groups(&[&t.position, &t.factor]) {
            self.deal(count * n, width as usize);
        }
        self.swap(n, t.position.k as usize);
        self.swap(n, t.position.k as usize);
        self.table(t.table.words(), t.table.k, t.table.shift);
        if let Some(shift) = t.shift {
            self.swap(n, t.factor.k as usize);
            self.swap(n, t.factor.k as usize);
            self.truncate(t.factor.k, shift);
        }
    }

    fn select(&mut self) {
        self.deal(2 * self.n(), 64);
        self.swap(self.n(), 64);
    }

    fn bit_to_number(&mut self) {
        self.deal(self.n(), 64);
        self.swap(self.n(), 64);
    }

    fn table(&mut self, words: usize, k: u32, shift: u32) {
        let n = self.n();
        self.deal(words * n, k as usize);
        self.swap(n, k as usize);
        self.truncate(k, shift);
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
        self.exact = self.exact_nodes.contains(&node);
    }

    fn public(&mut self, x: &ArrayD<f64>) -> Result<Value> {
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
        Ok(Value { shape, ..*x })
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
        let public = xs.iter().all(|x| x.public);
        Ok(Value { shape, public })
    }

    fn linear(&mut self, terms: &[(i64, &Value)], _: f64) -> Result<Value> {
        let none = || Error::Invalid("a linear combination of no terms has no shape".into());
        let shape = terms.first().ok_or_else(none)?.1.shape.clone();
        let public = terms.iter().all(|(_, x)| x.public);
        Ok(Value { shape, public })
    }

    fn products(&mut self, terms: &[Product<'_, Value>], scale: f64) -> Result<Value> {
        let none = || Error::Invalid("a sum of no products has no shape".into());
        let t = terms.first().ok_or_else(none)?;
        let shape =
            t.f.output_shape(&t.x.shape, &t.y.shape)
                .ok_or_else(|| Error::Shape {
                    op: t.f.name(),
                    left: t.x.shape.clone(),
                    right: t.y.shape.clone(),
                })?;
        let shift = fixed::scale_factor(scale)?.1 + self.fraction_bits;
        let n = shape.iter().product();
        let public = terms.iter().all(|t| t.x.public && t.y.public);
        if terms.iter().any(|t| !t.x.public && !t.y.public) {
            self.pass(n, |c| c.rounded_product(shift));
        } else if !public {
            self.pass(n, |c| c.truncate(64, shift));
        }
        Ok(Value { shape, public })
    }

    fn map(&mut self, program: &Program, inputs: &[&Value]) -> Result<Vec<Value>> {
        let shape = inputs.first().map(|x| x.shape.clone()).unwrap_or_default();
        let f = self.fraction_bits;
        let depth = self.choice.depth(shape.iter().product());
        let gates: Vec<Box<dyn Fn(&mut Count)>> = program
            .code
            .iter()
            .map(|instr| -> Result<Box<dyn Fn(&mut Count)>> {
                Ok(match instr {
                    Instr::Input(_) | Instr::InputBit(_) | Instr::Linear(..) => Box::new(|_| ()),
                    Instr::Scale(_, c) => match fixed::scale_factor(*c)?.1 {
                        0 => Box::new(|_| ()),
                        shift => Box::new(move |s| s.truncate(64, shift)),
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
                    Instr::ExpNeg(_) => exponential(exp::NEGATIVE, f),
                    Instr::Exp(_) => exponential(exp::RELATIVE, f),
                    Instr::Table(_, t) => {
                        let t = Prepared::new(t, f)?;
                        Box::new(move |s| s.table(t.words(), t.k, t.shift))
                    }
                    Instr::Scaled { f: of, lo, hi, .. } => {
                        let t = Normalised::new(*of, *lo, *hi, f)?;
                        Box::new(move |s| s.scaled(&t))
                    }
                })
            })
            .collect::<Result<_>>()?;
        self.pass(shape.iter().product(), |count| {
            gates.iter().for_each(|gate| gate(count))
        });
        let output = Value {
            shape,
            public: false,
        };
        Ok(vec![output; program.outputs.len()])
    }
}

fn exponential(range: exp::Range, f: u32) -> Box<dyn Fn(&mut Count)> {
    Box::new(move |s| s.table(range.cells(), 64, range.shift(f)))
}
