//! Which numbers of a model a client decrypts: its scores, not what anyone can compute from them.

use std::collections::BTreeSet;

use tacit_nn::graph::Op;
use tacit_nn::onnx::{Element, Lowered, Value};
use tacit_nn::{Edge, Graph, Layout};

use super::QuantizeError;

/// The edge that a client decrypts, and what is said of what was left out.
pub(super) fn scores(lowered: &Lowered) -> Result<(Edge, Vec<String>), QuantizeError> {
    let graph = &lowered.graph;
    let mut notes = Vec::new();
    let outputs = lowered
        .outputs
        .iter()
        .filter_map(|output| match output.value {
            Value::Edge(k) => Some((output, *graph.outputs().get(k)?)),
            Value::Known(_) => None,
        });
    let (numbers, labels): (Vec<_>, Vec<_>) =
        outputs.partition(|(output, _)| output.element == Element::Float);
    match (&numbers[..], &labels[..]) {
        (&[(output, edge)], labels) => {
            for (label, _) in labels {
                notes.push(format!(
                    "output {} is left out: it follows from output {}",
                    label.name, output.name
                ));
            }
            if let Some(scores) = before_softmax(graph, edge) {
                notes.push(format!(
                    "the softmax that gives output {} is left to the client: the results are its scores",
                    output.name
                ));
                return Ok((scores, notes));
            }
            Ok((edge, notes))
        }
        (&[], &[(label, edge)]) => match before_argmax(graph, edge) {
            Some(scores) => {
                notes.push(format!(
                    "the ArgMax that gives output {} is left to the client: the results are its scores",
                    label.name
                ));
                Ok((before_softmax(graph, scores).unwrap_or(scores), notes))
            }
            None => Ok((edge, notes)),
        },
        _ => Err(QuantizeError::Outputs(numbers.len().max(labels.len()))),
    }
}

/// The scores whose softmax an edge is, under whatever shape.
fn before_softmax(graph: &Graph, mut edge: Edge) -> Option<Edge> {
    loop {
        if let Some(scores) = graph.scores_of(edge) {
            return Some(scores);
        }
        match graph.op(edge.node()) {
            Some(Op::Layout(Layout::Reshape(_))) => edge = *graph.edges(edge.node()).first()?,
            _ => return None,
        }
    }
}

/// What the last ArgMax before an edge is of, where nothing but that one leads to it.
fn before_argmax(graph: &Graph, mut edge: Edge) -> Option<Edge> {
    // Behind an ArgMax there are shapes, and words for its classes.
    for _ in 0..8 {
        let origin = graph.origin(edge.node());
        let from = only_operand(graph, edge)?;
        if origin.starts_with("ArgMax ") {
            return Some(from);
        }
        edge = from;
    }
    None
}

/// The one private edge from which the node of the file is computed that an edge belongs to.
fn only_operand(graph: &Graph, edge: Edge) -> Option<Edge> {
    let origin = graph.origin(edge.node());
    let (mut found, mut seen, mut open) = (BTreeSet::new(), BTreeSet::new(), vec![edge]);
    while let Some(edge) = open.pop() {
        if graph.origin(edge.node()) != origin {
            if !known(graph, edge) {
                found.insert(edge);
            }
        } else if seen.insert(edge.node()) {
            open.extend(graph.edges(edge.node()));
        }
    }
    (found.len() == 1).then(|| found.pop_first()).flatten()
}

/// Whether an edge does not depend on any input.
fn known(graph: &Graph, edge: Edge) -> bool {
    let (mut seen, mut open) = (BTreeSet::new(), vec![edge.node()]);
    while let Some(node) = open.pop() {
        if matches!(graph.op(node), Some(Op::Input(_))) {
            return false;
        }
        if seen.insert(node) {
            open.extend(graph.operands(node));
        }
    }
    true
}
