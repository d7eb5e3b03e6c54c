//! The network as a graph: one description that every engine runs. Shapes are inferred and checked while it is built.

mod append;
mod builder;
mod functions;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use ndarray::{ArrayD, IxDyn};
use tacit_mpc::Bilinear;

use crate::{Error, Function, Layout, Result};

/// One output of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Edge {
    pub(crate) node: usize,
    pub(crate) port: usize,
}

impl Edge {
    /// The node whose output it is.
    #[must_use]
    pub fn node(self) -> usize {
        self.node
    }

    /// Which of its outputs.
    #[must_use]
    pub fn port(self) -> usize {
        self.port
    }
}

/// What a node computes.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// The k-th input of the graph.
    Input(usize),
    /// A constant that everybody knows.
    Public(ArrayD<f64>),
    /// A local rearrangement or sum.
    Layout(Layout),
    /// Its inputs joined along an axis.
    Concat(usize),
    /// Σ cᵢ·xᵢ + bias.
    Linear(Vec<i64>, f64),
    /// c·x.
    Scale(f64),
    /// f(x, y).
    Bilinear(Bilinear),
    /// An elementwise function.
    Map(Function),
}

impl fmt::Display for Op {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input(_) => out.write_str("input"),
            Self::Public(_) => out.write_str("public"),
            Self::Layout(Layout::Reshape(_)) => out.write_str("reshape"),
            Self::Layout(Layout::Transpose(_)) => out.write_str("transpose"),
            Self::Layout(Layout::Gather { .. }) => out.write_str("gather"),
            Self::Layout(Layout::Scatter { .. }) => out.write_str("scatter"),
            Self::Layout(Layout::Slice { .. }) => out.write_str("slice"),
            Self::Layout(Layout::Sum { .. }) => out.write_str("sum"),
            Self::Layout(Layout::Broadcast(_)) => out.write_str("broadcast"),
            Self::Concat(_) => out.write_str("concat"),
            Self::Linear(..) => out.write_str("linear"),
            Self::Scale(_) => out.write_str("scale"),
            Self::Bilinear(f) => f.fmt(out),
            Self::Map(f) => f.fmt(out),
        }
    }
}

/// An operation, where its operands come from, and the shape that all its ports have.
#[derive(Clone, Debug)]
pub struct Node {
    pub(crate) op: Op,
    pub(crate) inputs: Vec<Edge>,
    pub(crate) shape: Vec<usize>,
    pub(crate) ports: usize,
}

/// A derivative that is known in closed form.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rule {
    /// That of a per-row output by `input`, row by row.
    Rows {
        /// By what.
        input: Edge,
        /// The derivative, a row for each row of the output.
        derivative: Edge,
    },
    /// The node is the softmax of `input` over `axis`.
    Softmax {
        /// By what.
        input: Edge,
        /// The axis.
        axis: usize,
    },
    /// The node is the logarithm of `p`, which is the softmax of `input` over `axis`.
    LogSoftmax {
        /// By what.
        input: Edge,
        /// The softmax.
        p: Edge,
        /// The axis.
        axis: usize,
    },
}

/// A directed acyclic graph of tensor operations. Nodes refer only to earlier nodes.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    pub(crate) nodes: Vec<Node>,
    pub(crate) inputs: usize,
    pub(crate) outputs: Vec<Edge>,
    /// Closed-form derivatives, by node.
    pub(crate) rules: BTreeMap<usize, Rule>,
    /// What the nodes from each of these on were made for.
    origins: BTreeMap<usize, String>,
}

impl Graph {
    /// An empty graph.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Says what the nodes appended from here on are made for: a node of a model file, a step of an optimizer.
    pub fn set_origin(&mut self, origin: impl Into<String>) {
        self.origins.insert(self.nodes.len(), origin.into());
    }

    /// What a node was made for; empty where nothing was said.
    #[must_use]
    pub fn origin(&self, node: usize) -> &str {
        self.origins
            .range(..=node)
            .next_back()
            .map_or("", |(_, origin)| origin)
    }

    /// What a node computes.
    #[must_use]
    pub fn op(&self, node: usize) -> Option<&Op> {
        self.nodes.get(node).map(|node| &node.op)
    }

    /// The number of nodes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether it has no node.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The nodes that a node depends on; none for a node that is not in the graph.
    pub fn operands(&self, node: usize) -> impl Iterator<Item = usize> {
        self.nodes
            .get(node)
            .into_iter()
            .flat_map(|node| node.inputs.iter().map(|x| x.node))
    }

    /// Where the operands of a node come from, in order; none for a node that is not in the graph.
    #[must_use]
    pub fn edges(&self, node: usize) -> &[Edge] {
        self.nodes.get(node).map_or(&[], |node| &node.inputs)
    }

    /// The scores whose softmax, or its logarithm, an edge is.
    #[must_use]
    pub fn scores_of(&self, x: Edge) -> Option<Edge> {
        match self.rules.get(&x.node).filter(|_| x.port == 0)? {
            Rule::Rows { .. } => None,
            Rule::Softmax { input, .. } | Rule::LogSoftmax { input, .. } => Some(*input),
        }
    }

    /// Its outputs, in order.
    #[must_use]
    pub fn outputs(&self) -> &[Edge] {
        &self.outputs
    }

    /// The shape of an edge.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an edge of another graph.
    pub fn shape(&self, x: Edge) -> Result<&[usize]> {
        match self.nodes.get(x.node) {
            Some(node) if x.port < node.ports => Ok(&node.shape),
            _ => Err(Error::Invalid(format!(
                "port {} of node {} is not in this graph",
                x.port, x.node
            ))),
        }
    }

    /// Appends a node; its first port.
    fn push(&mut self, op: Op, inputs: &[Edge], shape: Vec<usize>) -> Edge {
        let ports = if let Op::Map(f) = &op {
            f.program().outputs.len()
        } else {
            1
        };
        self.nodes.push(Node {
            op,
            inputs: inputs.to_vec(),
            shape,
            ports,
        });
        Edge {
            node: self.nodes.len() - 1,
            port: 0,
        }
    }

    /// The next input of the graph.
    pub fn input(&mut self, shape: &[usize]) -> Edge {
        self.inputs += 1;
        self.push(Op::Input(self.inputs - 1), &[], shape.to_vec())
    }

    /// A constant that everybody knows.
    pub fn public(&mut self, x: ArrayD<f64>) -> Edge {
        let shape = x.shape().to_vec();
        self.push(Op::Public(x), &[], shape)
    }

    /// A constant tensor of equal entries.
    pub fn fill(&mut self, shape: &[usize], value: f64) -> Edge {
        self.public(ArrayD::from_elem(IxDyn(shape), value))
    }

    /// The nodes whose rounding is the last before an output, with the local nodes behind them: what an engine must round
    /// without a coin where the same outputs are opened again and again.
    #[must_use]
    pub fn last_roundings(&self) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        let mut open: Vec<usize> = self.outputs.iter().map(|x| x.node).collect();
        while let Some(node) = open.pop() {
            let local = match &self.nodes[node].op {
                Op::Layout(_) | Op::Concat(_) | Op::Linear(..) => true,
                // A relu or a choice hands on what was rounded before it.
                Op::Map(f) => !f.program().rounds(),
                _ => false,
            };
            if found.insert(node) && local {
                open.extend(self.nodes[node].inputs.iter().map(|x| x.node));
            }
        }
        found
    }

    /// Whether both compute the same: the same operations on the same operands, the same constants, the same outputs.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        let same =
            |(a, b): (&Node, &Node)| (&a.op, &a.inputs, &a.shape) == (&b.op, &b.inputs, &b.shape);
        self.nodes.len() == other.nodes.len()
            && self.nodes.iter().zip(&other.nodes).all(same)
            && self.outputs == other.outputs
    }

    /// Hands on, piece by piece, a description that differs for graphs that are not [the same](Self::same_as).
    pub fn describe(&self, out: &mut dyn FnMut(&[u8])) {
        let piece = |out: &mut dyn FnMut(&[u8]), text: String| {
            out(&text.len().to_le_bytes());
            out(text.as_bytes());
        };
        piece(out, format!("{:?}", (self.nodes.len(), &self.outputs)));
        for Node {
            op, inputs, shape, ..
        } in &self.nodes
        {
            match op {
                // The text of a long array is cut.
                Op::Public(x) => {
                    piece(out, format!("public {inputs:?} {shape:?}"));
                    x.iter().for_each(|v| out(&v.to_bits().to_le_bytes()));
                }
                op => piece(out, format!("{op:?} {inputs:?} {shape:?}")),
            }
        }
    }

    /// The shapes of the inputs, in order.
    #[must_use]
    pub fn input_shapes(&self) -> Vec<Vec<usize>> {
        let mut shapes = vec![Vec::new(); self.inputs];
        for node in &self.nodes {
            if let Op::Input(k) = node.op {
                shapes[k].clone_from(&node.shape);
            }
        }
        shapes
    }

    /// The numbers in its largest tensor, and those in all its constants.
    #[must_use]
    pub fn sizes(&self) -> (usize, usize) {
        let size = |node: &Node| node.shape.iter().product::<usize>();
        let constants = self
            .nodes
            .iter()
            .filter(|node| matches!(node.op, Op::Public(_)));
        let largest = self.nodes.iter().map(size).max();
        (largest.unwrap_or(0), constants.map(size).sum())
    }

    /// Makes these edges its outputs, in place of those that it has.
    pub fn set_outputs(&mut self, outputs: &[Edge]) {
        self.outputs = outputs.to_vec();
    }

    /// Makes an edge the next output of the graph.
    pub fn output(&mut self, x: Edge) {
        self.outputs.push(x);
    }
}
