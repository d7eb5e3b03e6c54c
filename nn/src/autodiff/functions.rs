//! The derivatives of functions, from what their programs give out besides the value: bits and derivatives that share the
//! expensive part with it.

use super::{Backward, Gradient};
use crate::{Edge, Function, Result, graph::Rule, program::Scaled};

impl Backward<'_> {
    /// The gradient before an elementwise function; whether there is a rule.
    pub(super) fn function(
        &mut self,
        f: &Function,
        xs: &[Edge],
        y: Edge,
        dy: Gradient,
    ) -> Result<bool> {
        let x = xs[0];
        let port = |port: usize| Edge { port, ..y };
        match (f, y.port) {
            (Function::Relu | Function::Clip { .. }, 0) => {
                let (dy, c) = self.unscaled(dy, y)?;
                let dx = self.g.map(Function::ReluGrad, &[dy, port(1)])?;
                self.add(x, Gradient::Scaled(dx, c))?;
            }
            (Function::Threshold(_), 0) => self.masked(x, port(1), y, dy)?,
            (Function::Mask, _) => self.masked(x, xs[1], y, dy)?,
            (Function::ReluGrad, _) => {
                let (dy, c) = self.unscaled(dy, y)?;
                let dx = self.g.map(Function::ReluGrad, &[dy, xs[1]])?;
                self.add(x, Gradient::Scaled(dx, c))?;
            }
            (Function::Max, 0) => self.winner(x, xs[1], port(1), y, dy)?,
            (Function::MaxIndex, 0) => self.winner(x, xs[1], port(2), y, dy)?,
            (Function::MaxIndex, 1) => {}
            // softplus' = sigmoid, and sigmoid' = p - p².
            (Function::Logistic, 1) => self.product(x, port(0), dy)?,
            (Function::Logistic, _) => {
                let square = self.g.mul(y, y)?;
                let slope = self.g.sub(y, square)?;
                self.product(x, slope, dy)?;
            }
            (Function::Exp | Function::ExpNegative | Function::ExpWithin, _) => {
                self.product(x, y, dy)?;
            }
            (Function::Tanh, _) => {
                let square = self.g.mul(y, y)?;
                let slope = self.g.linear(&[(-1, square)], 1.0)?;
                self.product(x, slope, dy)?;
            }
            (
                Function::Erf
                | Function::Gelu
                | Function::GeluTanh
                | Function::Silu
                | Function::Mish
                | Function::Log,
                0,
            ) => self.product(x, port(1), dy)?,
            (Function::Softsign, 0) => {
                let slope = self.g.mul(port(1), port(1))?;
                self.product(x, slope, dy)?;
            }
            (Function::Sqrt, 0) => self.product(x, port(1), dy.times(0.5))?,
            // (1/√x)' = -(1/√x)³/2 and (1/x)' = -(1/x)².
            (Function::InverseRoot | Function::Scaled(Scaled::InverseRoot, ..), _) => {
                let square = self.g.mul(y, y)?;
                let cube = self.g.mul(square, y)?;
                self.product(x, cube, dy.times(-0.5))?;
            }
            (Function::Reciprocal | Function::Scaled(Scaled::Reciprocal, ..), _) => {
                let square = self.g.mul(y, y)?;
                self.product(x, square, dy.times(-1.0))?;
            }
            (Function::Divide, _) => self.quotient(x, xs[1], y, dy)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// dx += dy where the bit is 1.
    fn masked(&mut self, x: Edge, bit: Edge, y: Edge, dy: Gradient) -> Result<()> {
        let (dy, c) = self.unscaled(dy, y)?;
        let dx = self.g.map(Function::Mask, &[dy, bit])?;
        self.add(x, Gradient::Scaled(dx, c))
    }

    /// dy goes to a where the bit is 1, else to b.
    fn winner(&mut self, a: Edge, b: Edge, bit: Edge, y: Edge, dy: Gradient) -> Result<()> {
        let (dy, c) = self.unscaled(dy, y)?;
        let da = self.g.map(Function::Mask, &[dy, bit])?;
        let db = self.g.sub(dy, da)?;
        self.add(a, Gradient::Scaled(da, c))?;
        self.add(b, Gradient::Scaled(db, c))
    }

    /// For q = a/b: da = dy/b, db = -q·dy/b.
    fn quotient(&mut self, a: Edge, b: Edge, q: Edge, dy: Gradient) -> Result<()> {
        let (dy, c) = self.unscaled(dy, q)?;
        let da = self.g.div(dy, b)?;
        self.add(a, Gradient::Scaled(da, c))?;
        if self.wanted(b) {
            let db = self.g.mul(da, q)?;
            self.add(b, Gradient::Scaled(db, -c))?;
        }
        Ok(())
    }

    /// A derivative given in closed form.
    pub(super) fn closed_form(&mut self, rule: Rule, y: Edge, dy: Gradient) -> Result<()> {
        match (rule, dy) {
            (Rule::Rows { input, derivative }, Gradient::Constant(c)) => {
                self.add(input, Gradient::Scaled(derivative, c))
            }
            (Rule::Rows { input, derivative }, _) => {
                let (dy, c) = self.unscaled(dy, y)?;
                let dx = self.g.mul(dy, derivative)?;
                self.add(input, Gradient::Scaled(dx, c))
            }
            // p·(dy - Σ p·dy): equal dy's cancel.
            (Rule::Softmax { .. }, Gradient::Constant(_)) => Ok(()),
            (Rule::Softmax { input, axis }, _) => {
                let (dy, c) = self.unscaled(dy, y)?;
                let weighted = self.g.mul(y, dy)?;
                let mean = self.g.sum(weighted, axis)?;
                let off = self.g.sub(dy, mean)?;
                let dx = self.g.mul(y, off)?;
                self.add(input, Gradient::Scaled(dx, c))
            }
            // dy - p·Σ dy.
            (Rule::LogSoftmax { input, p, axis }, _) => {
                let (dy, c) = self.unscaled(dy, y)?;
                let sum = self.g.sum(dy, axis)?;
                let part = self.g.mul(p, sum)?;
                let dx = self.g.sub(dy, part)?;
                self.add(input, Gradient::Scaled(dx, c))
            }
        }
    }
}
