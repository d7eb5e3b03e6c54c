//! Reads a graph for one row, node by node.

use std::collections::{BTreeSet, HashMap};

use ndarray::{ArrayD, IxDyn};
use tacit_mpc::Bilinear;
use tacit_nn::graph::Op;
use tacit_nn::{Clear, Edge, Engine, Error, Graph, Layout};

use super::build::{Build, Entry, Refused, Result};
use super::network::Network;
use super::{QuantizeError, products};

/// A tensor of the graph.
type Tensor = ArrayD<Entry>;

/// The network that computes an edge of a graph whose only input is a row of this shape.
///
/// # Errors
/// Names the node that ciphertexts cannot do.
pub(super) fn network(
    graph: &Graph,
    row: &[usize],
    scores: Edge,
) -> std::result::Result<Network, QuantizeError> {
    let mut build = Build::new(row.iter().product());
    let mut values: HashMap<Edge, Tensor> = HashMap::new();
    let mut left = uses(graph, scores);
    let needed: BTreeSet<Edge> = left.keys().copied().collect();
    let mut needed = needed.into_iter().peekable();
    while let Some(edge) = needed.next() {
        let node = edge.node();
        build.node = node;
        let made =
            step(graph, &mut build, &values, edge).map_err(|refused| QuantizeError::Node {
                node: place(graph, node),
                why: refused.to_string(),
            })?;
        values.insert(edge, made);
        if needed.peek().is_some_and(|next| next.node() == node) {
            continue;
        }
        // Nothing is kept behind its last use.
        for operand in graph.edges(node) {
            if let Some(uses) = left.get_mut(operand) {
                *uses = uses.saturating_sub(1);
                if *uses == 0 {
                    values.remove(operand);
                }
            }
        }
    }
    let entries: Vec<Entry> = values[&scores].iter().copied().collect();
    let node = |refused: Refused| QuantizeError::Node {
        node: "the output".into(),
        why: refused.to_string(),
    };
    build.finish(&entries).map_err(node)
}

/// How often each edge is used that an edge depends on.
fn uses(graph: &Graph, scores: Edge) -> HashMap<Edge, usize> {
    let mut uses: HashMap<Edge, usize> = HashMap::new();
    let mut nodes = BTreeSet::new();
    let mut open = vec![scores];
    while let Some(edge) = open.pop() {
        *uses.entry(edge).or_insert(0) += 1;
        if nodes.insert(edge.node()) {
            open.extend(graph.edges(edge.node()));
        }
    }
    uses
}

/// What a node was made for.
pub(super) fn place(graph: &Graph, node: usize) -> String {
    match (graph.origin(node), graph.op(node)) {
        ("", Some(op)) => format!("node {node} ({op})"),
        (origin, _) => origin.to_owned(),
    }
}

/// One output of a node.
fn step(
    graph: &Graph,
    build: &mut Build,
    values: &HashMap<Edge, Tensor>,
    edge: Edge,
) -> Result<Tensor> {
    let operands: Vec<&Tensor> = graph
        .edges(edge.node())
        .iter()
        .map(|x| &values[x])
        .collect();
    let shape = graph.shape(edge)?;
    let Some(op) = graph.op(edge.node()) else {
        return Err(Error::Invalid("an edge of another graph".into()).into());
    };
    match op {
        Op::Input(_) => {
            let entries = build.inputs();
            tensor(shape, entries)
        }
        Op::Public(x) => Ok(x.mapv(Entry::Known)),
        Op::Layout(layout) => rearranged(build, layout, operands[0]),
        Op::Concat(axis) => {
            // Joined by their positions in one long list.
            let all: Vec<Entry> = operands.iter().flat_map(|x| x.iter().copied()).collect();
            let mut next = 0;
            let places = operands.iter().map(|x| {
                let first = next;
                next += x.len();
                ArrayD::from_shape_vec(x.raw_dim(), (first..next).map(|k| k as f64).collect())
            });
            let places = places.collect::<std::result::Result<Vec<ArrayD<f64>>, _>>();
            let places = places.map_err(|error| Error::Invalid(error.to_string()))?;
            let joined = Clear.concat(*axis, &places.iter().collect::<Vec<_>>())?;
            Ok(joined.mapv(|k| all[k as usize]))
        }
        Op::Linear(factors, bias) => elementwise(shape, &operands, |group, entries| {
            let factors = factors.iter().map(|&c| c as f64);
            let terms: Vec<_> = factors.zip(entries.iter().copied()).collect();
            build.sum(&terms, *bias, group)
        }),
        Op::Scale(c) => elementwise(shape, &operands, |group, entries| {
            build.sum(&[(*c, entries[0])], 0.0, group)
        }),
        Op::Bilinear(Bilinear::Mul) => elementwise(shape, &operands, |_, entries| {
            build.product(entries[0], entries[1])
        }),
        Op::Bilinear(f) => products::of(build, *f, operands[0], operands[1], shape),
        Op::Map(f) => elementwise(shape, &operands, |_, entries| {
            build.map(f, edge.port(), entries)
        }),
    }
}

pub(super) fn tensor(shape: &[usize], entries: Vec<Entry>) -> Result<Tensor> {
    let misfit = |error: ndarray::ShapeError| Error::Invalid(error.to_string());
    Ok(ArrayD::from_shape_vec(IxDyn(shape), entries).map_err(misfit)?)
}

/// What an entry of a tensor is one of many of: its channel, where there are axes behind that.
pub(super) fn channel(shape: &[usize], at: usize) -> usize {
    match shape {
        [_, channels, positions @ ..] if !positions.is_empty() => {
            at / positions.iter().product::<usize>().max(1) % channels.max(&1)
        }
        _ => at,
    }
}

/// Entry by entry.
fn elementwise(
    shape: &[usize],
    operands: &[&Tensor],
    mut f: impl FnMut(usize, &[Entry]) -> Result<Entry>,
) -> Result<Tensor> {
    let count = shape.iter().product();
    let standard: Vec<_> = operands.iter().map(|x| x.as_standard_layout()).collect();
    let slices: Vec<&[Entry]> = standard.iter().filter_map(|x| x.as_slice()).collect();
    if slices.len() != operands.len() || slices.iter().any(|x| x.len() != count) {
        return Err(Error::Invalid("operands of different lengths".into()).into());
    }
    let mut entries = Vec::with_capacity(operands.len());
    let made = (0..count).map(|k| {
        entries.clear();
        entries.extend(slices.iter().map(|x| x[k]));
        f(channel(shape, k), &entries)
    });
    let made = made.collect::<Result<Vec<_>>>()?;
    tensor(shape, made)
}

/// A local rearrangement or sum.
fn rearranged(build: &mut Build, layout: &Layout, x: &Tensor) -> Result<Tensor> {
    let shape = layout.output_shape(x.shape())?;
    // Which entries each result is the sum of: for a sum along an axis all of it, else one or, of a scatter, some.
    let standard = x.as_standard_layout();
    let entries: Vec<Entry> = standard.iter().copied().collect();
    let (axis, places) = match layout {
        Layout::Sum { axis } => (*axis, vec![0; x.shape()[*axis]]),
        Layout::Scatter { axis, index, .. } => (*axis, index.clone()),
        moved => {
            // From 1 on, in double precision exact far beyond any size.
            let mut k = 0.0;
            let places = ArrayD::from_shape_simple_fn(x.raw_dim(), || {
                k += 1.0;
                k
            });
            return Ok(moved.apply(&places)?.mapv(|k: f64| entries[k as usize - 1]));
        }
    };
    let block: usize = x.shape()[axis + 1..].iter().product();
    let (from, to) = (x.shape()[axis], shape[axis]);
    let count: usize = shape.iter().product();
    let mut sums: Vec<Vec<(f64, Entry)>> = vec![Vec::new(); count];
    for (k, &entry) in entries.iter().enumerate() {
        let (outer, position, inner) = (k / block / from, k / block % from, k % block);
        sums[(outer * to + places[position]) * block + inner].push((1.0, entry));
    }
    let sums = sums.iter().enumerate();
    let made = sums.map(|(k, terms)| build.sum(terms, 0.0, channel(&shape, k)));
    let made = made.collect::<Result<Vec<_>>>()?;
    tensor(&shape, made)
}
