//! Comparisons, logic on the numbers 0 and 1, and choices.

use crate::{Edge, Function, Graph, Layout, Result, graph::Op};

/// A public alternative beyond this is carried times 2^-12, so that its product with 0 or 1 stays in range.
const LARGE: f64 = (1u64 << 20) as f64;
/// 2^12.
const DOWN: i64 = 1 << 12;

impl Graph {
    /// \[x < 0\] as the number 0 or 1.
    pub fn negative(&mut self, x: Edge) -> Result<Edge> {
        self.map(Function::Negative, &[x])
    }

    /// \[x < y\] as the number 0 or 1; |x - y| < 2^44.
    pub fn less(&mut self, x: Edge, y: Edge) -> Result<Edge> {
        let difference = self.sub(x, y)?;
        self.negative(difference)
    }

    /// \[x <= y\].
    pub fn less_equal(&mut self, x: Edge, y: Edge) -> Result<Edge> {
        let greater = self.greater(x, y)?;
        self.not(greater)
    }

    /// \[x > y\].
    pub fn greater(&mut self, x: Edge, y: Edge) -> Result<Edge> {
        self.less(y, x)
    }

    /// \[x >= y\].
    pub fn greater_equal(&mut self, x: Edge, y: Edge) -> Result<Edge> {
        let less = self.less(x, y)?;
        self.not(less)
    }

    /// \[x = y\].
    pub fn equal(&mut self, x: Edge, y: Edge) -> Result<Edge> {
        let difference = self.sub(x, y)?;
        self.map(Function::Zero, &[difference])
    }

    /// 1 - x for x in {0, 1}.
    pub fn not(&mut self, x: Edge) -> Result<Edge> {
        self.linear(&[(-1, x)], 1.0)
    }

    /// Both, for x and y in {0, 1}.
    pub fn and(&mut self, x: Edge, y: Edge) -> Result<Edge> {
        self.mul(x, y)
    }

    /// One or both, for x and y in {0, 1}.
    pub fn or(&mut self, x: Edge, y: Edge) -> Result<Edge> {
        let both = self.mul(x, y)?;
        self.linear(&[(1, x), (1, y), (-1, both)], 0.0)
    }

    /// One but not both, for x and y in {0, 1}.
    pub fn xor(&mut self, x: Edge, y: Edge) -> Result<Edge> {
        let both = self.mul(x, y)?;
        self.linear(&[(1, x), (1, y), (-2, both)], 0.0)
    }

    /// max(x, y); |x - y| < 2^44.
    pub fn max(&mut self, x: Edge, y: Edge) -> Result<Edge> {
        self.map(Function::Max, &[x, y])
    }

    /// min(x, y); |x - y| < 2^44.
    pub fn min(&mut self, x: Edge, y: Edge) -> Result<Edge> {
        let (x, y) = (self.neg(x)?, self.neg(y)?);
        let max = self.max(x, y)?;
        self.neg(max)
    }

    /// min(max(x, lo), hi). An end of 2^43 or more in magnitude is none.
    pub fn clip(&mut self, x: Edge, lo: Option<f64>, hi: Option<f64>) -> Result<Edge> {
        let lo = lo.filter(|&lo| lo > -(2f64.powi(43)));
        let hi = hi.filter(|&hi| hi < 2f64.powi(43));
        if lo.is_none() && hi.is_none() {
            return Ok(x);
        }
        self.map(Function::Clip { lo, hi }, &[x])
    }

    /// x where c is 1, y where it is 0; nothing else may be in c.
    ///
    /// Where c is the result of a comparison of the shape of the result, for all x and y with |x - y| < 2^44; else for
    /// |x - y| < 2^26, where a public x or y does not count.
    pub fn select(&mut self, c: Edge, x: Edge, y: Edge) -> Result<Edge> {
        let edges = self.broadcast_together("select", &[c, x, y])?;
        let (wide, x, y) = (edges[0], edges[1], edges[2]);
        if wide == c
            && let Some((bit, inverse)) = self.bit_of(c)
        {
            let (x, y) = if inverse { (y, x) } else { (x, y) };
            let difference = self.sub(x, y)?;
            let chosen = self.map(Function::Mask, &[difference, bit])?;
            return self.add(y, chosen);
        }
        let c = wide;
        let (large_x, large_y) = (self.large_public(x)?, self.large_public(y)?);
        if large_x.is_none() && large_y.is_none() {
            let difference = self.sub(x, y)?;
            let chosen = self.mul(c, difference)?;
            return self.add(y, chosen);
        }
        let not = self.not(c)?;
        // A sum of its own around the large product keeps the factor out of the rounding of sums of products.
        let mut part = |c: Edge, x: Edge, small: Option<Edge>| match small {
            Some(small) => {
                let product = self.mul(c, small)?;
                self.linear(&[(DOWN, product)], 0.0)
            }
            None => self.mul(c, x),
        };
        let (x, y) = (part(c, x, large_x)?, part(not, y, large_y)?);
        self.add(x, y)
    }

    /// The bit behind a number that a comparison gave, and whether the number is its opposite.
    fn bit_of(&self, c: Edge) -> Option<(Edge, bool)> {
        let node = self.nodes.get(c.node)?;
        match &node.op {
            Op::Map(Function::Negative | Function::Zero) if c.port == 0 => {
                Some((Edge { port: 1, ..c }, false))
            }
            Op::Linear(factors, bias) if factors == &[-1] && *bias == 1.0 => {
                let (bit, inverse) = self.bit_of(node.inputs[0])?;
                Some((bit, !inverse))
            }
            _ => None,
        }
    }

    /// 2^-12 times a public tensor with an entry of 2^20 or more.
    fn large_public(&mut self, x: Edge) -> Result<Option<Edge>> {
        let mut layouts: Vec<Layout> = Vec::new();
        let mut at = x;
        loop {
            let node = &self.nodes[at.node];
            match &node.op {
                Op::Layout(Layout::Sum { .. }) => return Ok(None),
                Op::Layout(layout) => {
                    layouts.push(layout.clone());
                    at = node.inputs[0];
                }
                Op::Public(values) if values.iter().any(|v| v.abs() >= LARGE) => {
                    let mut small = self.public(values / DOWN as f64);
                    for layout in layouts.into_iter().rev() {
                        small = self.layout(layout, small)?;
                    }
                    return Ok(Some(small));
                }
                _ => return Ok(None),
            }
        }
    }
}
