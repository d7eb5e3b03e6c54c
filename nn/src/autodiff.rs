//! Reverse-mode differentiation: it appends the nodes of the gradient to the graph itself, so that every engine that runs
//! the network can also train it.

mod functions;
mod rules;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use tacit_mpc::Bilinear;

use crate::{Edge, Error, Graph, Result, graph::Op};

/// The derivative of the loss by one edge. Real factors are carried along and applied once, at the end, where they cost no
/// rounding of their own if the last step was a product.
#[derive(Clone, Copy)]
enum Gradient {
    /// Every entry is this number.
    Constant(f64),
    /// The edge times the factor.
    Scaled(Edge, f64),
}

impl Gradient {
    fn times(self, c: f64) -> Self {
        match self {
            Self::Constant(v) => Self::Constant(c * v),
            Self::Scaled(x, v) => Self::Scaled(x, c * v),
        }
    }
}

/// The gradients of `loss`, which has one entry, by the edges `wrt`.
///
/// # Errors
/// [`Error::Unsupported`] naming the node, where the loss depends on `wrt` through an operation without a rule.
pub fn gradients(g: &mut Graph, loss: Edge, wrt: &[Edge]) -> Result<Vec<Edge>> {
    if g.shape(loss)?.iter().product::<usize>() != 1 {
        return Err(Error::Invalid(format!(
            "the loss must have one entry, its shape is {:?}",
            g.shape(loss)?
        )));
    }
    let depends = dependents(g, wrt);
    let mut backward = Backward {
        g,
        depends,
        gradients: BTreeMap::from([(loss, Gradient::Constant(1.0))]),
    };
    for node in (0..=loss.node).rev() {
        backward.visit(node)?;
    }
    let found: Vec<Gradient> = wrt
        .iter()
        .map(|x| {
            backward
                .gradients
                .get(x)
                .copied()
                .unwrap_or(Gradient::Constant(0.0))
        })
        .collect();
    wrt.iter()
        .zip(found)
        .map(|(&x, gradient)| backward.edge(gradient, x))
        .collect()
}

/// Which nodes depend on one of the edges.
fn dependents(g: &Graph, wrt: &[Edge]) -> Vec<bool> {
    let mut depends = vec![false; g.len()];
    for (k, node) in g.nodes.iter().enumerate() {
        depends[k] = wrt.iter().any(|x| x.node == k) || node.inputs.iter().any(|x| depends[x.node]);
    }
    depends
}

struct Backward<'g> {
    g: &'g mut Graph,
    depends: Vec<bool>,
    gradients: BTreeMap<Edge, Gradient>,
}

impl Backward<'_> {
    /// Passes the gradients of a node's ports on to its operands.
    fn visit(&mut self, node: usize) -> Result<()> {
        let ports = self.g.nodes[node].ports;
        for port in 0..ports {
            let y = Edge { node, port };
            let Some(&dy) = self.gradients.get(&y) else {
                continue;
            };
            if let Some(&rule) = self.g.rules.get(&node) {
                self.closed_form(rule, y, dy)?;
            } else {
                self.pass(y, dy)?;
            }
        }
        Ok(())
    }

    fn pass(&mut self, y: Edge, dy: Gradient) -> Result<()> {
        let op = self.g.nodes[y.node].op.clone();
        let xs = self.g.nodes[y.node].inputs.clone();
        if !xs.iter().any(|&x| self.wanted(x)) {
            return Ok(());
        }
        match &op {
            Op::Input(_) | Op::Public(_) => Ok(()),
            Op::Linear(coefficients, _) => coefficients
                .iter()
                .zip(&xs)
                .try_for_each(|(&c, &x)| self.add(x, dy.times(c as f64))),
            Op::Scale(c) => self.add(xs[0], dy.times(*c)),
            Op::Layout(layout) => {
                let dx = self.layout(layout, xs[0], y, dy)?;
                self.add(xs[0], dx)
            }
            Op::Concat(axis) => self.concat(*axis, &xs, dy),
            Op::Bilinear(Bilinear::Mul) => {
                self.product(xs[0], xs[1], dy)?;
                self.product(xs[1], xs[0], dy)
            }
            Op::Bilinear(Bilinear::MatMul) => self.matrix_product(xs[0], xs[1], y, dy),
            Op::Bilinear(Bilinear::Conv(c)) => self.convolution(*c, xs[0], xs[1], y, dy),
            Op::Bilinear(Bilinear::ConvInput(c)) => {
                self.transposed_convolution(*c, xs[0], xs[1], y, dy)
            }
            Op::Bilinear(Bilinear::ConvWeights(_)) => Err(unsupported(y.node, &op)),
            Op::Map(f) if f.is_stepwise() => Ok(()),
            Op::Map(f) => self.function(f, &xs, y, dy).and_then(|known| {
                if known {
                    Ok(())
                } else {
                    Err(unsupported(y.node, &op))
                }
            }),
        }
    }

    fn wanted(&self, x: Edge) -> bool {
        self.depends[x.node]
    }

    /// The gradient as an edge of the shape of `x`.
    fn edge(&mut self, gradient: Gradient, x: Edge) -> Result<Edge> {
        match gradient {
            Gradient::Constant(v) => {
                let shape = self.g.shape(x)?.to_vec();
                Ok(self.g.fill(&shape, v))
            }
            Gradient::Scaled(dx, factor) => self.g.scale(dx, factor),
        }
    }

    /// The gradient as an edge, without its factor.
    fn unscaled(&mut self, gradient: Gradient, x: Edge) -> Result<(Edge, f64)> {
        match gradient {
            Gradient::Scaled(dx, factor) => Ok((dx, factor)),
            Gradient::Constant(v) => Ok((self.edge(Gradient::Constant(1.0), x)?, v)),
        }
    }

    /// Adds to the gradient of `x`.
    fn add(&mut self, x: Edge, more: Gradient) -> Result<()> {
        if !self.wanted(x) {
            return Ok(());
        }
        let sum = match (self.gradients.get(&x).copied(), more) {
            (None, more) => more,
            (Some(Gradient::Constant(a)), Gradient::Constant(b)) => Gradient::Constant(a + b),
            (Some(Gradient::Scaled(a, s)), Gradient::Scaled(b, t)) if s.abs() == t.abs() => {
                let sign = if s == t { 1 } else { -1 };
                Gradient::Scaled(self.g.linear(&[(1, a), (sign, b)], 0.0)?, s)
            }
            (Some(held), more) => {
                let (a, b) = (self.edge(held, x)?, self.edge(more, x)?);
                Gradient::Scaled(self.g.add(a, b)?, 1.0)
            }
        };
        self.gradients.insert(x, sum);
        Ok(())
    }
}

fn unsupported(node: usize, op: &Op) -> Error {
    Error::Unsupported {
        node,
        op: format!("the derivative of {op}"),
    }
}
