//! Activation functions.

use crate::{Edge, Error, Function, Graph, Result};

impl Graph {
    /// max(x, 0).
    pub fn relu(&mut self, x: Edge) -> Result<Edge> {
        self.map(Function::Relu, &[x])
    }

    /// x where positive, else a·x.
    pub fn leaky_relu(&mut self, x: Edge, a: f64) -> Result<Edge> {
        let (positive, negative) = self.parts(x)?;
        let negative = self.scale_exact(negative, a)?;
        self.add(positive, negative)
    }

    /// x where positive, else slope·x; |slope·x| < 2^26.
    pub fn prelu(&mut self, x: Edge, slope: Edge) -> Result<Edge> {
        let (positive, negative) = self.parts(x)?;
        let negative = self.mul(negative, slope)?;
        self.add(positive, negative)
    }

    /// x where positive, else a·(e^x - 1).
    pub fn elu(&mut self, x: Edge, a: f64) -> Result<Edge> {
        self.selu(x, a, 1.0)
    }

    /// g·elu(x, a).
    pub fn selu(&mut self, x: Edge, a: f64, g: f64) -> Result<Edge> {
        let (positive, negative) = self.parts(x)?;
        let e = self.exp_negative(negative)?;
        let e = self.linear(&[(1, e)], -1.0)?;
        let (positive, e) = (self.scale_exact(positive, g)?, self.scale_exact(e, g * a)?);
        self.add(positive, e)
    }

    /// x where positive, else a·(e^(x/a) - 1).
    ///
    /// # Errors
    /// [`Error::Invalid`] where a is not positive.
    pub fn celu(&mut self, x: Edge, a: f64) -> Result<Edge> {
        if a.is_nan() || a <= 0.0 {
            return Err(Error::Invalid(format!(
                "celu: alpha = {a} must be positive"
            )));
        }
        let (positive, negative) = self.parts(x)?;
        let over = self.scale_exact(negative, 1.0 / a)?;
        let e = self.exp_negative(over)?;
        let e = self.linear(&[(1, e)], -1.0)?;
        let e = self.scale_exact(e, a)?;
        self.add(positive, e)
    }

    /// x where x > a, else 0.
    pub fn thresholded_relu(&mut self, x: Edge, a: f64) -> Result<Edge> {
        self.map(Function::Threshold(a), &[x])
    }

    /// min(max(a·x + b, 0), 1).
    pub fn hard_sigmoid(&mut self, x: Edge, a: f64, b: f64) -> Result<Edge> {
        let y = self.scale_exact(x, a)?;
        let y = self.linear(&[(1, y)], b)?;
        self.clip(y, Some(0.0), Some(1.0))
    }

    /// x·min(max(x/6 + 1/2, 0), 1), as c·(c+3)/6 plus what x exceeds 3 by, where c is x cut to [-3, 3].
    pub fn hard_swish(&mut self, x: Edge) -> Result<Edge> {
        let low = self.clip(x, None, Some(3.0))?;
        let beyond = self.sub(x, low)?;
        let c = self.clip(low, Some(-3.0), None)?;
        let more = self.linear(&[(1, c)], 3.0)?;
        let square = self.mul(c, more)?;
        let inside = self.scale_exact(square, 1.0 / 6.0)?;
        self.add(beyond, inside)
    }

    /// x/(1 + e^(-alpha·x)). Its error grows with 1/alpha.
    pub fn swish(&mut self, x: Edge, alpha: f64) -> Result<Edge> {
        if alpha == 0.0 {
            return self.scale(x, 0.5);
        }
        let x = self.scale_exact(x, alpha)?;
        let y = self.map(Function::Silu, &[x])?;
        self.scale_exact(y, 1.0 / alpha)
    }

    /// x·tanh(ln(1 + e^x)).
    pub fn mish(&mut self, x: Edge) -> Result<Edge> {
        self.map(Function::Mish, &[x])
    }

    /// 1/(1 + e^-x).
    pub fn sigmoid(&mut self, x: Edge) -> Result<Edge> {
        self.map(Function::Logistic, &[x])
    }

    /// ln(1 + e^x).
    pub fn softplus(&mut self, x: Edge) -> Result<Edge> {
        let y = self.map(Function::Logistic, &[x])?;
        Ok(Edge { port: 1, ..y })
    }

    /// x/(1 + |x|).
    pub fn softsign(&mut self, x: Edge) -> Result<Edge> {
        self.map(Function::Softsign, &[x])
    }

    /// The hyperbolic tangent.
    pub fn tanh(&mut self, x: Edge) -> Result<Edge> {
        self.map(Function::Tanh, &[x])
    }

    /// x·Φ(x), with the distribution function Φ of the normal distribution.
    pub fn gelu(&mut self, x: Edge) -> Result<Edge> {
        self.map(Function::Gelu, &[x])
    }

    /// x·(1 + tanh(√(2/π)·(x + 0.044715·x³)))/2.
    pub fn gelu_tanh(&mut self, x: Edge) -> Result<Edge> {
        self.map(Function::GeluTanh, &[x])
    }

    /// The error function.
    pub fn erf(&mut self, x: Edge) -> Result<Edge> {
        self.map(Function::Erf, &[x])
    }

    /// max(x, 0) and min(x, 0).
    fn parts(&mut self, x: Edge) -> Result<(Edge, Edge)> {
        let positive = self.relu(x)?;
        let negative = self.sub(x, positive)?;
        Ok((positive, negative))
    }
}
