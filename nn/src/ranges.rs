//! Which numbers the nodes of a graph can hold: interval arithmetic (Moore, *Interval Analysis*, 1966) in words of fixed point.
//!
//! Secure engines go wrong without notice where a word leaves the range that its protocol is exact on, and [`crate::Ring`]
//! refuses exactly there. [`prove`] shows for all inputs within given bounds that it happens nowhere, or names the first
//! node where it cannot: intervals are too wide where a graph's values depend on each other in ways that it does not follow,
//! never too narrow. Every rounding is taken to be off by one unit more than the floor, since secure truncations may be.

mod course;
mod facts;
mod products;
mod programs;
mod tables;
mod value;

use std::collections::BTreeMap;

use ndarray::{ArrayD, Axis, IxDyn};

use crate::{
    Engine, Error, Graph, Layout, Product, Program, Result,
    fixed::{self, WORD_BITS, signed},
    run,
};
use facts::Fact;
use value::Value;

/// What is known of an input of a graph.
#[derive(Clone, Copy, Debug)]
pub enum Input<'x> {
    /// Its entries lie in \[lo, hi\].
    Within(f64, f64),
    /// The numbers themselves, as the owner of weights has them.
    Known(&'x ArrayD<f64>),
}

/// Why it could not be shown that every value stays in range.
#[derive(Debug, thiserror::Error)]
pub enum Unproven {
    /// A node whose values may leave the range, as far as is known.
    #[error(
        "{}node {node}: {op}: the numbers can be anywhere from {lo} to {hi} as far as can be shown, allowed are {range}",
        named(.origin)
    )]
    Outside {
        /// The first such node.
        node: usize,
        /// What it was made for; empty where nothing was said.
        origin: String,
        /// The operation.
        op: String,
        /// The least number that cannot be excluded.
        lo: f64,
        /// The greatest.
        hi: f64,
        /// What would be allowed.
        range: String,
    },
    /// The graph does not run at all.
    #[error(transparent)]
    Graph(#[from] Error),
}

impl Unproven {
    /// Where, without the numbers: what they are tells of known inputs.
    #[must_use]
    pub fn place(&self) -> String {
        match self {
            Self::Outside {
                node, origin, op, ..
            } => format!("{}node {node}: {op}", named(origin)),
            Self::Graph(error) => error.to_string(),
        }
    }
}

fn named(origin: &str) -> String {
    if origin.is_empty() {
        String::new()
    } else {
        format!("{origin}, ")
    }
}

/// Shows that no value of the graph leaves its range, for all inputs that are as described, one description for each input
/// of the graph; the intervals that hold the entries of each output.
///
/// It takes about as long as a few runs in the clear. Rows that are alike are looked at once.
///
/// # Errors
/// [`Unproven::Outside`] for the first node where a value may leave its range.
pub fn prove(
    graph: &Graph,
    inputs: &[Input<'_>],
    fraction_bits: u32,
) -> std::result::Result<Vec<(f64, f64)>, Unproven> {
    let mut engine = Ranges {
        fraction_bits,
        node: 0,
        facts: facts::of(graph, fraction_bits),
        outside: None,
    };
    let values: Vec<Value> = graph
        .input_shapes()
        .iter()
        .zip(inputs)
        .map(|(shape, input)| engine.input(shape, input))
        .collect::<Result<_>>()?;
    match run(graph, &mut engine, &values) {
        Ok(outputs) => Ok(outputs
            .iter()
            .map(|y| {
                let (lo, hi) = y.hull();
                (engine.real(lo), engine.real(hi))
            })
            .collect()),
        Err(error) => Err(match engine.outside.take() {
            Some(Outside { op, lo, hi, range }) => Unproven::Outside {
                node: engine.node,
                origin: graph.origin(engine.node).to_owned(),
                op,
                lo,
                hi,
                range,
            },
            None => Unproven::Graph(error),
        }),
    }
}

/// An interval of words, both ends included.
type Interval = (i128, i128);

/// What an operation cannot show to lie in its range.
#[derive(Debug)]
struct Outside {
    op: String,
    lo: f64,
    hi: f64,
    range: String,
}

/// Why an operation stops.
enum Stop {
    Outside(Outside),
    Error(Error),
}

impl From<Error> for Stop {
    fn from(e: Error) -> Self {
        Self::Error(e)
    }
}

/// Words below 2^62 in magnitude, or why not; `scale` is what one unit of the words is worth.
fn within_words(op: &str, (lo, hi): Interval, scale: f64) -> std::result::Result<(), Outside> {
    let limit = 1i128 << WORD_BITS;
    if lo > -limit && hi < limit {
        return Ok(());
    }
    Err(Outside {
        op: op.to_owned(),
        lo: lo as f64 * scale,
        hi: hi as f64 * scale,
        range: format!("magnitudes below {}", limit as f64 * scale),
    })
}

/// The engine.
struct Ranges {
    fraction_bits: u32,
    node: usize,
    /// What is known of nodes from how they were made.
    facts: BTreeMap<usize, Fact>,
    /// The first thing that could not be shown.
    outside: Option<Outside>,
}

impl Ranges {
    fn unit(&self) -> f64 {
        2f64.powi(-(self.fraction_bits as i32))
    }

    fn real(&self, word: i128) -> f64 {
        word as f64 * self.unit()
    }

    fn input(&self, shape: &[usize], input: &Input<'_>) -> Result<Value> {
        match *input {
            Input::Known(x) => self.known(x),
            Input::Within(lo, hi) => {
                let f = self.fraction_bits;
                let (lo, hi) = (fixed::encode(lo, f)?, fixed::encode(hi, f)?);
                let word = |w| ArrayD::from_elem(IxDyn(shape), signed(w));
                Ok(Value {
                    lo: word(lo),
                    hi: word(hi),
                    mass: None,
                })
            }
        }
    }

    fn known(&self, x: &ArrayD<f64>) -> Result<Value> {
        let words = fixed::encode_tensor(x, self.fraction_bits)?;
        Ok(Value::point(words.mapv(signed)))
    }

    /// Notes what could not be shown.
    fn stop(&mut self, stop: Stop) -> Error {
        match stop {
            Stop::Error(e) => e,
            Stop::Outside(outside) => {
                let error = Error::Range {
                    what: format!("node {}: {}", self.node, outside.op),
                    value: outside.hi,
                    range: outside.range.clone(),
                };
                self.outside = Some(outside);
                error
            }
        }
    }

    fn check(&mut self, op: &str, x: Value) -> Result<Value> {
        let unit = self.unit();
        within_words(op, x.hull(), unit).map_err(|o| self.stop(Stop::Outside(o)))?;
        Ok(x)
    }

    /// Σ of each interval over integers, checked before it becomes words.
    fn words(&mut self, op: &str, shape: &[usize], entries: Vec<Interval>) -> Result<Value> {
        let unit = self.unit();
        for &entry in &entries {
            within_words(op, entry, unit).map_err(|o| self.stop(Stop::Outside(o)))?;
        }
        Value::collect(shape, entries)
    }
}

impl Engine for Ranges {
    type Value = Value;

    fn begin_node(&mut self, node: usize) {
        self.node = node;
    }

    fn public(&mut self, x: &ArrayD<f64>) -> Result<Value> {
        self.known(x)
    }

    fn shape(&self, x: &Value) -> Vec<usize> {
        x.lo.shape().to_vec()
    }

    fn layout(&mut self, layout: &Layout, x: &Value) -> Result<Value> {
        if matches!(layout, Layout::Sum { .. } | Layout::Scatter { .. }) {
            let wide = |x: &ArrayD<i64>| layout.apply(&x.mapv(i128::from));
            let (lo, mut hi) = (wide(&x.lo)?, wide(&x.hi)?);
            let mut lo = lo;
            if let Some(Fact::SumOfExponentials { entries }) = self.facts.get(&self.node) {
                // One of them is e^0.
                let one = 1i128 << self.fraction_bits;
                let n = *entries as i128;
                let least = one - programs::exp_units(self.fraction_bits) * n;
                lo.mapv_inplace(|v| v.max(least));
                hi.mapv_inplace(|v| v.max(least));
            }
            let entries = lo.iter().copied().zip(hi.iter().copied()).collect();
            return self.words("sum", lo.shape(), entries);
        }
        let (lo, hi) = (layout.apply(&x.lo)?, layout.apply(&x.hi)?);
        let last = x.lo.ndim().checked_sub(1);
        let rows_stay = match layout {
            Layout::Reshape(shape) => shape.last() == x.lo.shape().last() && last.is_some(),
            Layout::Transpose(order) => order.last().copied() == last,
            Layout::Gather { axis, .. } | Layout::Slice { axis, .. } => Some(*axis) != last,
            Layout::Broadcast(shape) => shape.last() == x.lo.shape().last() && last.is_some(),
            Layout::Sum { .. } | Layout::Scatter { .. } => false,
        };
        let mass = x.mass.filter(|_| rows_stay);
        Ok(Value { lo, hi, mass })
    }

    fn concat(&mut self, axis: usize, xs: &[&Value]) -> Result<Value> {
        let join = |part: fn(&Value) -> &ArrayD<i64>| {
            let views: Vec<_> = xs.iter().map(|x| part(x).view()).collect();
            ndarray::concatenate(Axis(axis), &views)
                .map_err(|e| Error::Invalid(format!("concat: {e}")))
        };
        let (lo, hi) = (join(|x| &x.lo)?, join(|x| &x.hi)?);
        let rows_stay = axis + 1 < lo.ndim() && xs.iter().any(|x| x.mass.is_some());
        let mass = rows_stay.then(|| xs.iter().map(|x| x.row_mass()).fold(0.0, f64::max));
        Ok(Value { lo, hi, mass })
    }

    fn linear(&mut self, terms: &[(i64, &Value)], bias: f64) -> Result<Value> {
        let Some((_, first)) = terms.first() else {
            return Err(Error::Invalid("linear: no terms".into()));
        };
        let shape = first.lo.shape().to_vec();
        for (_, x) in terms {
            if x.lo.shape() != shape {
                return Err(Error::Shape {
                    op: "linear",
                    left: shape,
                    right: x.lo.shape().to_vec(),
                });
            }
        }
        let bias = i128::from(signed(fixed::encode(bias, self.fraction_bits)?));
        let mut sum = vec![(bias, bias); first.lo.len()];
        for &(c, x) in terms {
            let c = i128::from(c);
            for (s, (lo, hi)) in sum.iter_mut().zip(x.entries()) {
                let (a, b) = (c * lo, c * hi);
                *s = (s.0.saturating_add(a.min(b)), s.1.saturating_add(a.max(b)));
            }
        }
        match self.facts.get(&self.node) {
            Some(Fact::NotPositive) => sum.iter_mut().for_each(|s| *s = (s.0.min(0), s.1.min(0))),
            Some(Fact::Piecewise(pieces)) => {
                let f = self.fraction_bits;
                for (s, x) in sum.iter_mut().zip(terms[pieces.operand].1.entries()) {
                    *s = pieces.range(x, bias, f)?;
                }
            }
            _ => {}
        }
        self.words("linear", &shape, sum)
    }

    fn products(&mut self, terms: &[Product<'_, Value>], scale: f64) -> Result<Value> {
        let mut y = products::products(terms, scale, self.fraction_bits, false)
            .map_err(|stop| self.stop(stop))?;
        if let Some(Fact::Softmax { mass }) = self.facts.get(&self.node) {
            y.mass = Some(*mass / self.unit());
        }
        self.check("product", y)
    }

    fn products_unrounded(&mut self, terms: &[Product<'_, Value>]) -> Result<Value> {
        products::products(terms, 1.0, self.fraction_bits, true).map_err(|stop| self.stop(stop))
    }

    fn unrounded(&mut self, x: &Value) -> Result<Value> {
        let wide = |(lo, hi): Interval| (lo << self.fraction_bits, hi << self.fraction_bits);
        let entries = x.entries().map(wide).collect();
        self.words("a term of a sum before its rounding", x.lo.shape(), entries)
    }

    fn round(&mut self, x: Value) -> Result<Value> {
        let f = self.fraction_bits;
        let rounded = |(lo, hi): Interval| ((lo >> f) - 1, (hi >> f) + 1);
        let entries: Vec<Interval> = x.entries().map(rounded).collect();
        Value::collect(x.lo.shape(), entries)
    }

    fn map(&mut self, program: &Program, inputs: &[&Value]) -> Result<Vec<Value>> {
        // Rows that are alike are computed once.
        if let Some(&first) = inputs.first()
            && let Some(axis) = (0..first.lo.ndim())
                .take(2)
                .find(|&axis| inputs.iter().all(|x| x.alike_along(axis)))
        {
            let shape = first.lo.shape().to_vec();
            let firsts: Vec<Value> = inputs.iter().map(|x| x.first_along(axis)).collect();
            let outputs = self.map(program, &firsts.iter().collect::<Vec<_>>())?;
            return outputs.iter().map(|y| y.repeated(&shape)).collect();
        }
        programs::map(program, inputs, self.fraction_bits).map_err(|stop| self.stop(stop))
    }
}

#[cfg(test)]
mod tests;
