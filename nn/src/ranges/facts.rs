//! What intervals alone would not tell of a node, recognised from how it was made.

use std::collections::BTreeMap;

use super::{
    Interval,
    programs::{RELATIVE, SCALED_UNITS, exp_units},
};
use crate::{
    Edge, Function, Graph, Layout, Result,
    fixed::{self, signed},
    graph::{Node, Op, Rule},
};

/// Something known of a node.
#[derive(Debug)]
pub(super) enum Fact {
    /// What is left of entries less the greatest of their row.
    NotPositive,
    /// A sum of so many exponentials of such, so that one of them is e^0.
    SumOfExponentials {
        /// How many.
        entries: usize,
    },
    /// Entries of rows that add up to no more than this.
    Softmax {
        /// The sum.
        mass: f64,
    },
    /// A sum of x and what clamps x.
    Piecewise(Pieces),
}

/// The facts of a graph, by node.
pub(super) fn of(graph: &Graph, fraction_bits: u32) -> BTreeMap<usize, Fact> {
    let mut facts = BTreeMap::new();
    // The axis of the greatest entries, for every node that subtracts them.
    let mut shifted = BTreeMap::new();
    for (k, node) in graph.nodes.iter().enumerate() {
        if let Some(axis) = shift(graph, k) {
            shifted.insert(k, axis);
            facts.insert(k, Fact::NotPositive);
        } else if let Some(pieces) = Pieces::of(graph, node) {
            facts.insert(k, Fact::Piecewise(pieces));
        } else if let Op::Layout(Layout::Sum { axis }) = node.op
            && let Some(of) = exponent(graph, node.inputs[0])
            && shifted.get(&of) == Some(&axis)
        {
            let entries = graph.nodes[of].shape[axis];
            facts.insert(k, Fact::SumOfExponentials { entries });
        }
        if let Some(Rule::Softmax { axis, .. }) = graph.rules.get(&k)
            && axis + 1 == node.shape.len()
            && matches!(node.op, Op::Bilinear(_))
            && let Some(mass) = softmax_mass(node.shape[*axis], fraction_bits)
        {
            facts.insert(k, Fact::Softmax { mass });
        }
    }
    facts
}

/// What n entries of a softmax add up to at most, in magnitude; `None` for so many entries that their errors could outweigh
/// the greatest.
///
/// With ε = 2^-f: exponentials e_i of numbers up to 0 are off by u·ε ([`exp_units`]), and one of them is of 0, so that their sum
/// S is at least 1 - n·u·ε, here 1/2, and at most n·(1 + u·ε). The reciprocal r is off by ρ/S ([`RELATIVE`]) and 4ε
/// ([`SCALED_UNITS`]), each product e_i·r by 2ε. Since |e_i| <= e_i + 2uε,
///     Σ|e_i·r| + 2nε <= r·S + 2nuε·r + 2nε <= 1 + ρ + 4ε·S + 2nuε·(2 + 2ρ + 4ε) + 2nε.
pub(super) fn softmax_mass(n: usize, fraction_bits: u32) -> Option<f64> {
    let unit = 2f64.powi(-(fraction_bits as i32));
    let (n, u, v) = (
        n as f64,
        exp_units(fraction_bits) as f64,
        SCALED_UNITS as f64,
    );
    if n * u * unit > 0.5 {
        return None;
    }
    let sum = n * (1.0 + u * unit);
    let negative = 2.0 * n * u * unit * (2.0 + 2.0 * RELATIVE + v * unit);
    Some(1.0 + RELATIVE + v * unit * sum + negative + 2.0 * n * unit)
}

/// The node that an exponential is of.
fn exponent(graph: &Graph, x: Edge) -> Option<usize> {
    let node = &graph.nodes[x.node];
    let exponential = matches!(node.op, Op::Map(Function::ExpNegative)) && x.port == 0;
    exponential.then(|| node.inputs[0].node)
}

/// The axis over which a node subtracts the greatest entry of each row: it and the nodes before it are those that
/// [`Graph::max_over`] makes.
fn shift(graph: &Graph, node: usize) -> Option<usize> {
    let Node {
        op: Op::Linear(coefficients, 0.0),
        inputs,
        shape,
        ..
    } = &graph.nodes[node]
    else {
        return None;
    };
    let (&[1, -1], &[x, greatest]) = (&coefficients[..], &inputs[..]) else {
        return None;
    };
    if x == greatest {
        // Rows of one entry.
        return shape.iter().rposition(|&n| n == 1);
    }
    let Node {
        op: Op::Layout(Layout::Broadcast(_)),
        inputs: source,
        ..
    } = &graph.nodes[greatest.node]
    else {
        return None;
    };
    let from = &graph.nodes[source[0].node].shape;
    if from.len() != shape.len() {
        return None;
    }
    let axis = (0..shape.len()).find(|&a| from[a] != shape[a])?;
    let mut made = Graph::new();
    let input = made.input(shape);
    let max = made.max_over(input, &[axis]).ok()?;
    made.sub(input, max).ok()?;
    let start = (node + 1).checked_sub(made.len())?;
    let placed = |e: &Edge| match e.node {
        0 => x,
        k => Edge {
            node: start + k,
            port: e.port,
        },
    };
    let same = made.nodes.iter().enumerate().skip(1).all(|(k, m)| {
        let n = &graph.nodes[start + k];
        n.op == m.op
            && n.shape == m.shape
            && n.inputs.iter().copied().eq(m.inputs.iter().map(placed))
    });
    same.then_some(axis)
}

/// c·x + d·min(max(x, lo), hi): linear between the ends.
#[derive(Debug)]
pub(super) struct Pieces {
    /// Which operand is x.
    pub(super) operand: usize,
    of_x: i64,
    of_clamped: i64,
    lo: Option<f64>,
    hi: Option<f64>,
}

impl Pieces {
    fn of(graph: &Graph, node: &Node) -> Option<Self> {
        let Op::Linear(coefficients, _) = &node.op else {
            return None;
        };
        let (&[c, d], &[x, y]) = (&coefficients[..], &node.inputs[..]) else {
            return None;
        };
        let clamps = |clamped: Edge, x: Edge| {
            let node = &graph.nodes[clamped.node];
            match node.op {
                Op::Map(Function::Relu) if clamped.port == 0 && node.inputs[0] == x => {
                    Some((Some(0.0), None))
                }
                Op::Map(Function::Clip { lo, hi }) if clamped.port == 0 && node.inputs[0] == x => {
                    Some((lo, hi))
                }
                _ => None,
            }
        };
        let pieces = |operand, of_x, of_clamped, (lo, hi)| Self {
            operand,
            of_x,
            of_clamped,
            lo,
            hi,
        };
        clamps(y, x)
            .map(|ends| pieces(0, c, d, ends))
            .or_else(|| clamps(x, y).map(|ends| pieces(1, d, c, ends)))
    }

    /// Its values for x in an interval, all in words.
    pub(super) fn range(&self, x: Interval, bias: i128, fraction_bits: u32) -> Result<Interval> {
        let word = |end: Option<f64>| -> Result<Option<i128>> {
            end.map(|e| Ok(i128::from(signed(fixed::encode(e, fraction_bits)?))))
                .transpose()
        };
        let (lo, hi) = (word(self.lo)?, word(self.hi)?);
        let value = |x: i128| {
            let clamped = lo.map_or(x, |lo| x.max(lo));
            let clamped = hi.map_or(clamped, |hi| clamped.min(hi));
            i128::from(self.of_x) * x + i128::from(self.of_clamped) * clamped + bias
        };
        let ends = [Some(x.0), Some(x.1), lo, hi];
        let values = ends.into_iter().flatten().map(|v| value(v.clamp(x.0, x.1)));
        Ok(values.fold((i128::MAX, i128::MIN), |(lo, hi), v| (lo.min(v), hi.max(v))))
    }
}
