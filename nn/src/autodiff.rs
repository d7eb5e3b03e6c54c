//! Reverse-mode differentiation: it appends the nodes of the gradient to the graph itself, so that every engine that runs
//! the network can also train it.

use std::collections::BTreeMap;

use tacit_mpc::Bilinear;

use crate::{
    Edge, Error, Function, Graph, Layout, Result,
    graph::{Op, Rule},
};

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
            Op::Input(_) | Op::Public(_) | Op::Map(Function::Negative) => Ok(()),
            Op::Linear(coefficients, _) => coefficients
                .iter()
                .zip(&xs)
                .try_for_each(|(&c, &x)| self.add(x, dy.times(c as f64))),
            Op::Scale(c) => self.add(xs[0], dy.times(*c)),
            Op::Layout(layout) => {
                let dx = self.layout(layout, xs[0], y, dy)?;
                self.add(xs[0], dx.ok_or_else(|| unsupported(y.node, &op))?)
            }
            Op::Concat(axis) => self.concat(*axis, &xs, dy),
            Op::Bilinear(Bilinear::Mul) => {
                self.product(xs[0], xs[1], dy)?;
                self.product(xs[1], xs[0], dy)
            }
            Op::Bilinear(Bilinear::MatMul) => self.matrix_product(xs[0], xs[1], y, dy),
            Op::Map(f) => self.function(f, xs[0], y, dy).and_then(|known| {
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

    /// dx += dy·factor for a product entry by entry.
    fn product(&mut self, x: Edge, factor: Edge, dy: Gradient) -> Result<()> {
        if !self.wanted(x) {
            return Ok(());
        }
        let dx = match dy {
            Gradient::Constant(c) => Gradient::Scaled(factor, c),
            Gradient::Scaled(dy, c) => Gradient::Scaled(self.g.mul(dy, factor)?, c),
        };
        self.add(x, dx)
    }

    /// dA += dY·Bᵀ, dB += Aᵀ·dY.
    fn matrix_product(&mut self, a: Edge, b: Edge, y: Edge, dy: Gradient) -> Result<()> {
        let (dy, c) = self.unscaled(dy, y)?;
        if self.wanted(a) {
            let bt = self.g.transpose(b)?;
            let da = self.g.matmul(dy, bt)?;
            self.add(a, Gradient::Scaled(da, c))?;
        }
        if self.wanted(b) {
            let at = self.g.transpose(a)?;
            let db = self.g.matmul(at, dy)?;
            self.add(b, Gradient::Scaled(db, c))?;
        }
        Ok(())
    }

    fn concat(&mut self, axis: usize, xs: &[Edge], dy: Gradient) -> Result<()> {
        let mut start = 0;
        for &x in xs {
            let end = start + self.g.shape(x)?[axis];
            let dx = match dy {
                Gradient::Constant(_) => dy,
                Gradient::Scaled(dy, c) => Gradient::Scaled(self.g.slice(dy, axis, start..end)?, c),
            };
            self.add(x, dx)?;
            start = end;
        }
        Ok(())
    }

    /// The gradient before a layout, or `None` where there is no rule.
    fn layout(
        &mut self,
        layout: &Layout,
        x: Edge,
        y: Edge,
        dy: Gradient,
    ) -> Result<Option<Gradient>> {
        let shape = self.g.shape(x)?.to_vec();
        let keeps_constants = matches!(
            layout,
            Layout::Reshape(_) | Layout::Transpose(_) | Layout::Sum { .. }
        );
        if let (Gradient::Constant(_), true) = (dy, keeps_constants) {
            return Ok(Some(dy));
        }
        let (dy, c) = self.unscaled(dy, y)?;
        let dx = match layout {
            Layout::Reshape(_) => self.g.reshape(dy, &shape)?,
            Layout::Transpose(axes) => {
                let mut inverse = vec![0; axes.len()];
                axes.iter()
                    .enumerate()
                    .for_each(|(k, &axis)| inverse[axis] = k);
                self.g.layout(Layout::Transpose(inverse), dy)?
            }
            Layout::Sum { .. } => self.g.broadcast(dy, &shape)?,
            Layout::Broadcast(_) => self.sum_to(dy, &shape)?,
            Layout::Slice { axis, start, end } => self.pad(dy, *axis, *start, *end, &shape)?,
            Layout::Gather { .. } => return Ok(None),
        };
        Ok(Some(Gradient::Scaled(dx, c)))
    }

    /// Sums over the axes along which `shape` was broadcast.
    fn sum_to(&mut self, dy: Edge, shape: &[usize]) -> Result<Edge> {
        let long = self.g.shape(dy)?.to_vec();
        let leading = long.len() - shape.len();
        let mut dx = dy;
        for axis in 0..long.len() {
            if long[axis] != 1 && (axis < leading || shape[axis - leading] == 1) {
                dx = self.g.sum(dx, axis)?;
            }
        }
        if leading == 0 {
            Ok(dx)
        } else {
            self.g.reshape(dx, shape)
        }
    }

    /// Puts zeros around a slice.
    fn pad(
        &mut self,
        dy: Edge,
        axis: usize,
        start: usize,
        end: usize,
        shape: &[usize],
    ) -> Result<Edge> {
        let mut parts = Vec::new();
        let zeros = |g: &mut Graph, n: usize| {
            let mut shape = shape.to_vec();
            shape[axis] = n;
            (n > 0).then(|| g.fill(&shape, 0.0))
        };
        parts.extend(zeros(self.g, start));
        parts.push(dy);
        parts.extend(zeros(self.g, shape[axis] - end));
        if parts.len() == 1 {
            Ok(dy)
        } else {
            self.g.concat(axis, &parts)
        }
    }

    /// The gradient before an elementwise function; whether there is a rule.
    fn function(&mut self, f: &Function, x: Edge, y: Edge, dy: Gradient) -> Result<bool> {
        match (f, y.port) {
            (Function::Relu, 0) => {
                let (dy, c) = self.unscaled(dy, y)?;
                let dx = self
                    .g
                    .map(Function::ReluGrad, &[dy, Edge { port: 1, ..y }])?;
                self.add(x, Gradient::Scaled(dx, c))?;
            }
            // softplus' = sigmoid, and sigmoid' = p - p².
            (Function::Logistic, 1) => self.product(x, Edge { port: 0, ..y }, dy)?,
            (Function::Logistic, _) => {
                let square = self.g.mul(y, y)?;
                let slope = self.g.sub(y, square)?;
                self.product(x, slope, dy)?;
            }
            (Function::Exp, _) => self.product(x, y, dy)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// A derivative given row by row: the row's dy times the row of the derivative.
    fn closed_form(&mut self, rule: Rule, y: Edge, dy: Gradient) -> Result<()> {
        match dy {
            Gradient::Constant(c) => self.add(rule.input, Gradient::Scaled(rule.derivative, c)),
            Gradient::Scaled(..) => {
                let (dy, c) = self.unscaled(dy, y)?;
                let dx = self.g.mul(dy, rule.derivative)?;
                self.add(rule.input, Gradient::Scaled(dx, c))
            }
        }
    }
}

fn unsupported(node: usize, op: &Op) -> Error {
    Error::Unsupported {
        node,
        op: format!("the derivative of {op}"),
    }
}

#[cfg(test)]
mod tests;
