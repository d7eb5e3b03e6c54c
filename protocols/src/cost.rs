//! What a graph will cost, before it runs: [`CostEngine`] follows shapes, and each protocol says what its operations cost
//! ([`Prices`]). Exact, message by message.

use std::collections::BTreeSet;

use ndarray::ArrayD;
use tacit_mpc::session::HEADER;
use tacit_mpc::{Bilinear, Cost};
use tacit_nn::{Engine, Error, Layout, Product, Program, Result, fixed};

use crate::live::{Lease, Live};
use crate::local::rounding_of;
use crate::timeline::Timeline;
use tacit_mpc::script::{Act, Script, Step};

/// What operations cost by a protocol. Each adds to what the three parties have spent so far; shapes fit.
pub trait Prices {
    /// Whether sums of products are rounded later where that is cheaper ([`Engine::products_unrounded`]).
    const ROUNDS_LATER: bool;

    /// What each party has spent.
    fn spent(&self) -> &[Cost; 3];

    /// Bytes that a party keeps for a proof.
    fn logged(&self) -> usize {
        0
    }

    /// Follows what is counted from now on in time.
    fn follow(&mut self, timeline: Timeline);

    /// How far it has come in time.
    fn timeline(&self) -> Option<&Timeline>;

    /// A run begins.
    ///
    /// # Errors
    /// None that a build which passes its tests could have; so it is with the others.
    fn begin_run(&mut self) -> Result<()>;

    /// A node begins, whose roundings are exact or not.
    fn begin_node(&mut self, exact: bool);

    /// Other nodes are rounded exactly from now on.
    fn settings_changed(&mut self) {}

    /// The same, to go on.
    fn timeline_mut(&mut self) -> Option<&mut Timeline>;

    /// `owner` shares so many values.
    fn input(&mut self, owner: usize, n: usize) -> Result<()>;

    /// So many values leave for somebody else.
    fn release(&mut self, n: usize) -> Result<()>;

    /// A sum of products of this shape, at least one of which no party can form alone or with a public factor: without its
    /// last `shift` bits, or as words.
    fn products(&mut self, terms: &[Term<'_>], shape: &[usize], shift: Option<u32>) -> Result<()>;

    /// Everything computed so far is proved, where that is how it is done.
    ///
    /// # Errors
    /// None that a build which passes its tests could have.
    fn prove(&mut self) -> Result<()> {
        Ok(())
    }

    /// A program on tensors of so many values, and what it refuses.
    fn map(&mut self, program: &Program, n: usize) -> Result<()>;

    /// So many shared values without their last bits.
    fn rounded(&mut self, n: usize, shift: u32) -> Result<()>;
}

/// f(x, y) in a sum.
#[derive(Clone, Copy, Debug)]
pub struct Term<'a> {
    /// The map.
    pub f: Bilinear,
    /// The first operand.
    pub x: &'a Value,
    /// The second operand.
    pub y: &'a Value,
}

impl Term<'_> {
    /// Whether both operands are shared.
    pub(crate) fn interactive(&self) -> bool {
        !self.x.public && !self.y.public
    }
}

/// Counts rounds, messages and bytes of a graph by a protocol, and refuses what its engine refuses: constants without a word,
/// programs that do not compile at this precision.
#[derive(Clone, Debug)]
pub struct CostEngine<P> {
    fraction_bits: u32,
    node: usize,
    exact_nodes: BTreeSet<usize>,
    live: Live,
    pub(crate) prices: P,
}

impl<P: Prices> CostEngine<P> {
    /// For numbers of `fraction_bits` fractional bits.
    pub(crate) fn with_prices(fraction_bits: u32, prices: P) -> Self {
        Self {
            fraction_bits,
            node: 0,
            exact_nodes: BTreeSet::new(),
            live: Live::default(),
            prices,
        }
    }

    /// As the engine's `round_exactly`.
    pub fn round_exactly(&mut self, nodes: BTreeSet<usize>) {
        self.exact_nodes = nodes;
        self.prices.settings_changed();
    }

    /// Follows what is counted from now on in time.
    pub fn follow(&mut self, timeline: Timeline) {
        self.prices.follow(timeline);
    }

    /// How far it has come in time, where it is followed.
    #[must_use]
    pub fn timeline(&self) -> Option<&Timeline> {
        self.prices.timeline()
    }

    /// The node that was begun last: where an error is.
    #[must_use]
    pub fn node(&self) -> usize {
        self.node
    }

    /// What each party has sent, drawn and multiplied so far, and its rounds: what its session will say.
    #[must_use]
    pub fn parties(&self) -> [Cost; 3] {
        *self.prices.spent()
    }

    /// Bytes that a party holds at once at most, of the values that this engine gave: shares, what is logged for a proof, and,
    /// where the run is followed in time, the messages of chunks that are under way. The program itself comes on top, and what
    /// whoever runs it holds.
    #[must_use]
    pub fn peak_memory_bytes(&self) -> u64 {
        self.live.peak() + self.timeline().map_or(0, Timeline::under_way)
    }

    /// A shared tensor that a party holds already.
    #[must_use]
    pub fn shared(&self, shape: &[usize]) -> Value {
        self.value(shape.to_vec(), false)
    }

    /// A result of an operation; operands are alive yet, and so is what is logged.
    fn value(&self, shape: Vec<usize>, public: bool) -> Value {
        let words: usize = shape.iter().product();
        let bytes = if public { 8 } else { 16 } * words as u64;
        self.held(shape, public, bytes)
    }

    fn held(&self, shape: Vec<usize>, public: bool, bytes: u64) -> Value {
        let lease = self.live.hold(bytes);
        self.live.touch(self.prices.logged() as u64);
        Value {
            shape,
            public,
            lease,
        }
    }

    /// As the engine's `input`.
    ///
    /// # Errors
    /// None that a build which passes its tests could have.
    pub fn input(&mut self, owner: usize, shape: &[usize]) -> Result<Value> {
        self.prices.input(owner, shape.iter().product())?;
        Ok(self.shared(shape))
    }

    /// As the engine's `release`.
    ///
    /// # Errors
    /// None that a build which passes its tests could have.
    pub fn release(&mut self, values: &[&Value]) -> Result<()> {
        self.prices.release(values.iter().map(|x| x.len()).sum())
    }

    /// As the engine's proof, where it has one.
    ///
    /// # Errors
    /// None that a build which passes its tests could have.
    pub fn prove(&mut self) -> Result<()> {
        self.prices.prove()
    }

    /// As the engine's `product`: words that are not rounded.
    ///
    /// # Errors
    /// The shapes do not fit.
    pub fn product(&mut self, f: Bilinear, x: &Value, y: &Value) -> Result<Value> {
        let terms = [Term { f, x, y }];
        let shape = shape_of(&terms)?;
        self.prices.products(&terms, &shape, None)?;
        Ok(self.value(shape, x.public && y.public))
    }

    /// As a run of a graph copies the values that it is given and those that it gives.
    ///
    /// # Errors
    /// None that a build which passes its tests could have.
    pub fn copied(&mut self, values: &[Value]) -> Result<()> {
        let each = |x: &Value| self.alone(|t| t.linear(1, &x.shape, x.shares()));
        values.iter().try_for_each(each)
    }

    /// What every party does alone takes time too.
    fn alone(&mut self, act: impl FnOnce(&mut Timeline) -> Result<()>) -> Result<()> {
        self.prices.timeline_mut().map_or(Ok(()), act)
    }

    fn sum(&mut self, terms: &[Product<'_, Value>], shift: Option<u32>) -> Result<Value> {
        let terms = terms
            .iter()
            .map(|&Product { f, x, y, .. }| Term { f, x, y });
        let terms: Vec<Term<'_>> = terms.collect();
        let shape = shape_of(&terms)?;
        self.prices.products(&terms, &shape, shift)?;
        if terms.iter().any(|t| t.f != Bilinear::Mul) {
            // What each party can compute alone, of the shape of the result.
            let words: usize = shape.iter().product();
            self.live.touch(16 * words as u64);
        }
        let public = terms.iter().all(|t| t.x.public && t.y.public);
        Ok(self.value(shape, public))
    }
}

/// The shape of a sum of products.
fn shape_of(terms: &[Term<'_>]) -> Result<Vec<usize>> {
    let mut shape = None;
    for Term { f, x, y } in terms {
        let of = f.output_shape(&x.shape, &y.shape);
        shape = Some(of.ok_or_else(|| Error::Shape {
            op: f.name(),
            left: x.shape.clone(),
            right: y.shape.clone(),
        })?);
    }
    shape.ok_or_else(|| Error::Invalid("a sum of no products has no shape".into()))
}

/// A tensor of a shape, which all parties know or which they share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    pub(crate) shape: Vec<usize>,
    pub(crate) public: bool,
    lease: Lease,
}

impl Value {
    /// A shared tensor.
    #[must_use]
    pub fn shared(shape: &[usize]) -> Self {
        Self {
            shape: shape.to_vec(),
            public: false,
            lease: Lease::default(),
        }
    }

    /// The tensors that a party holds of it.
    fn shares(&self) -> u32 {
        if self.public { 1 } else { 2 }
    }

    /// The number of its entries.
    fn len(&self) -> usize {
        self.shape.iter().product()
    }
}

impl<P: Prices> Engine for CostEngine<P> {
    type Value = Value;

    fn begin_run(&mut self) -> Result<()> {
        self.prices.begin_run()
    }

    fn begin_node(&mut self, node: usize) {
        self.node = node;
        self.prices.begin_node(self.exact_nodes.contains(&node));
    }

    fn public(&mut self, x: &ArrayD<f64>) -> Result<Value> {
        for &x in x {
            fixed::encode(x, self.fraction_bits)?;
        }
        Ok(self.value(x.shape().to_vec(), true))
    }

    fn shape(&self, x: &Value) -> Vec<usize> {
        x.shape.clone()
    }

    fn layout(&mut self, layout: &Layout, x: &Value) -> Result<Value> {
        let shape = layout.output_shape(&x.shape)?;
        let value = self.value(shape, x.public);
        self.alone(|t| t.layout(layout, &x.shape, x.shares()))?;
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
        let public = xs.iter().all(|x| x.public);
        let shapes = xs.iter().map(|x| x.shape.clone()).collect();
        self.alone(|t| t.concat(axis, shapes, if public { 1 } else { 2 }))?;
        Ok(self.value(shape, public))
    }

    fn linear(&mut self, terms: &[(i64, &Value)], bias: f64) -> Result<Value> {
        fixed::encode(bias, self.fraction_bits)?;
        let none = || Error::Invalid("a linear combination of no terms has no shape".into());
        let shape = terms.first().ok_or_else(none)?.1.shape.clone();
        let public = terms.iter().all(|(_, x)| x.public);
        self.alone(|t| t.linear(terms.len(), &shape, if public { 1 } else { 2 }))?;
        Ok(self.value(shape, public))
    }

    fn products(&mut self, terms: &[Product<'_, Value>], scale: f64) -> Result<Value> {
        let (_, shift) = rounding_of(scale, self.fraction_bits)?;
        self.sum(terms, Some(shift))
    }

    fn products_unrounded(&mut self, terms: &[Product<'_, Value>]) -> Result<Value> {
        if P::ROUNDS_LATER {
            self.sum(terms, None)
        } else {
            self.products(terms, 1.0)
        }
    }

    fn unrounded(&mut self, x: &Value) -> Result<Value> {
        if P::ROUNDS_LATER {
            self.alone(|t| t.linear(1, &x.shape, x.shares()))?;
        }
        Ok(x.clone())
    }

    fn round(&mut self, x: Value) -> Result<Value> {
        if P::ROUNDS_LATER && !x.public {
            self.prices.rounded(x.len(), self.fraction_bits)?;
        }
        Ok(x)
    }

    fn map(&mut self, program: &Program, inputs: &[&Value]) -> Result<Vec<Value>> {
        let shape = inputs.first().map(|x| x.shape.clone()).unwrap_or_default();
        self.prices.map(program, shape.iter().product())?;
        let n: usize = shape.iter().product();
        let bits = program.types()?;
        let outputs = program.outputs.iter().map(|&register| {
            let bit = bits.get(register).copied().unwrap_or(false);
            // A bit is a bit of each share.
            let bytes = if bit { n.div_ceil(4) } else { 16 * n };
            self.held(shape.clone(), false, bytes as u64)
        });
        Ok(outputs.collect())
    }
}

/// Messages between the three parties, and their logical times: a message is there one round after it was sent.
pub(crate) struct Wires<'a> {
    pub(crate) clock: [u64; 3],
    pub(crate) parties: &'a mut [Cost; 3],
}

/// Messages of one strand in steps, and what each party does in them.
pub(crate) struct Exchanges<'a> {
    pub(crate) wires: Wires<'a>,
    pub(crate) scripts: [Script; 3],
    gate: u16,
}

impl<'a> Exchanges<'a> {
    /// Nothing is sent yet.
    pub(crate) fn new(wires: Wires<'a>) -> Self {
        Self {
            wires,
            scripts: Default::default(),
            gate: 0,
        }
    }

    /// So many words that a party draws.
    pub(crate) fn draw(&mut self, party: usize, words: usize) {
        self.wires.draw(party, words);
    }

    /// Messages from a party to another, of so many bytes, all sent before any of them is awaited.
    pub(crate) fn exchange(&mut self, messages: impl IntoIterator<Item = (usize, usize, usize)>) {
        let messages: Vec<_> = messages.into_iter().collect();
        let (now, gate) = (self.wires.clock, self.gate);
        self.gate += 1;
        let mut act = |party: usize, act| {
            let seconds = 0.0;
            self.scripts[party].steps.push(Step { seconds, act });
        };
        for &(from, to, bytes) in &messages {
            self.wires.message(from, to, now[from], bytes);
            act(from, Act::Send { to, gate, bytes });
        }
        for (from, to, _) in messages {
            act(to, Act::Recv { from, gate });
        }
    }
}

impl Wires<'_> {
    /// A message of so many bytes, which was sent at this time.
    pub(crate) fn message(&mut self, from: usize, to: usize, sent_at: u64, bytes: usize) {
        let sender = &mut self.parties[from];
        sender.messages += 1;
        sender.bytes += bytes as u64;
        sender.header_bytes += HEADER as u64;
        self.clock[to] = self.clock[to].max(sent_at + 1);
    }

    /// So many words that a party draws.
    pub(crate) fn draw(&mut self, party: usize, words: usize) {
        self.parties[party].drawn += words as u64;
    }
}

/// Brings all parties to the times that they have come to.
pub(crate) fn arrive(parties: &mut [Cost; 3], clock: [u64; 3]) {
    for (p, rounds) in parties.iter_mut().zip(clock) {
        p.rounds = rounds;
    }
}
