//! What a run computes for each node: which nodes are needed, and which are done with the one that uses them.

use tacit_mpc::Bilinear;

use super::later::{self, Rounded};
use crate::{
    Edge, Graph, fixed,
    graph::{Node, Op},
};

/// What is to be computed for a node.
pub(super) enum Work<'g> {
    /// Its operation.
    Op(&'g Op, &'g [Edge]),
    /// The same, of a product or of terms at its scale, without rounding.
    Unrounded(&'g Op, &'g [Edge]),
    /// A real factor of an edge: scales of scales.
    Scale(f64, Edge),
    /// factor·Σ c·f(x, y) + Σ c·x + bias: products that nothing else uses, rounded once with what adds them up.
    Products {
        terms: Vec<(Bilinear, i64, Edge, Edge)>,
        factor: f64,
        rest: Vec<(i64, Edge)>,
        bias: f64,
    },
}

impl Work<'_> {
    pub(super) fn operands(&self) -> Vec<Edge> {
        match self {
            Self::Op(_, operands) | Self::Unrounded(_, operands) => operands.to_vec(),
            Self::Scale(_, x) => vec![*x],
            Self::Products { terms, rest, .. } => terms
                .iter()
                .flat_map(|&(.., x, y)| [x, y])
                .chain(rest.iter().map(|&(_, x)| x))
                .collect(),
        }
    }
}

/// What the outputs need.
pub(super) struct Plan {
    /// How often each port of each node is used.
    pub(super) uses: Vec<Vec<usize>>,
    /// Products and scales that the one node that uses them computes: a scale, or a sum of several products.
    pub(super) fused: Vec<bool>,
    /// What a scale multiplies by, with the scales that are fused into it.
    factors: Vec<f64>,
    /// When each node is rounded.
    pub(super) rounded: Vec<Rounded>,
}

impl Plan {
    pub(super) fn of(graph: &Graph) -> Self {
        let mut uses: Vec<Vec<usize>> =
            graph.nodes.iter().map(|node| vec![0; node.ports]).collect();
        graph.outputs.iter().for_each(|x| uses[x.node][x.port] += 1);
        for (k, node) in graph.nodes.iter().enumerate().rev() {
            if uses[k].iter().any(|&n| n > 0) {
                node.inputs.iter().for_each(|x| uses[x.node][x.port] += 1);
            }
        }
        let mut fused = vec![false; graph.len()];
        let mut factors = vec![1.0; graph.len()];
        for (k, node) in graph.nodes.iter().enumerate() {
            if let Op::Scale(c) = node.op {
                let x = node.inputs[0].node;
                let fuses = matches!(graph.nodes[x].op, Op::Scale(_))
                    && uses[x][0] == 1
                    && uses[k][0] > 0
                    && is_one_factor(c, factors[x]);
                factors[k] = if fuses { c * factors[x] } else { c };
                fused[x] |= fuses;
            }
            let products: Vec<usize> = node
                .inputs
                .iter()
                .map(|x| x.node)
                .filter(|&x| matches!(graph.nodes[x].op, Op::Bilinear(_)) && uses[x][0] == 1)
                .collect();
            let fuses = match node.op {
                Op::Scale(_) => products.len() == 1,
                Op::Linear(..) => products.len() > 1,
                _ => false,
            };
            if fuses && uses[k][0] > 0 {
                products.into_iter().for_each(|x| fused[x] = true);
            }
        }
        let rounded = later::of(graph, &uses, &fused);
        Self {
            uses,
            fused,
            factors,
            rounded,
        }
    }

    pub(super) fn work<'g>(&self, graph: &'g Graph, node: usize) -> Work<'g> {
        let Node { op, inputs, .. } = &graph.nodes[node];
        let product = |x: Edge, c: i64| match graph.nodes[x.node] {
            Node {
                op: Op::Bilinear(f),
                ref inputs,
                ..
            } if self.fused[x.node] => Some((f, c, inputs[0], inputs[1])),
            _ => None,
        };
        let (coefficients, bias) = match op {
            Op::Scale(_) => return self.scaled(graph, node),
            Op::Bilinear(_) | Op::Linear(..) if self.rounded[node] != Rounded::AtOnce => {
                return Work::Unrounded(op, inputs);
            }
            Op::Linear(coefficients, bias) => (&coefficients[..], *bias),
            op => return Work::Op(op, inputs),
        };
        let (mut terms, mut rest) = (Vec::new(), Vec::new());
        for (&x, &c) in inputs.iter().zip(coefficients) {
            match product(x, c) {
                Some(term) => terms.push(term),
                None => rest.push((c, x)),
            }
        }
        if terms.is_empty() {
            return Work::Op(op, inputs);
        }
        Work::Products {
            terms,
            factor: 1.0,
            rest,
            bias,
        }
    }

    /// A scale, with the scales and the product before it that nothing else uses.
    fn scaled<'g>(&self, graph: &'g Graph, node: usize) -> Work<'g> {
        let factor = self.factors[node];
        let mut x = graph.nodes[node].inputs[0];
        while self.fused[x.node] {
            let before = &graph.nodes[x.node];
            if let Op::Bilinear(f) = before.op {
                return Work::Products {
                    terms: vec![(f, 1, before.inputs[0], before.inputs[1])],
                    factor,
                    rest: Vec::new(),
                    bias: 0.0,
                };
            }
            x = before.inputs[0];
        }
        Work::Scale(factor, x)
    }
}

/// Whether c·d as one factor is what fixed point makes of the two, one after the other, but for a rounding.
fn is_one_factor(c: f64, d: f64) -> bool {
    let value = |x: f64| {
        let (c, shift) = fixed::scale_factor(x).ok()?;
        Some(c as f64 * 2f64.powi(-(shift as i32)))
    };
    match (value(c), value(d), value(c * d)) {
        (Some(c), Some(d), Some(both)) => c * d == both,
        _ => false,
    }
}
