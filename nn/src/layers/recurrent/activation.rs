//! The activations that recurrent layers may name.

use crate::layers::invalid;
use crate::{Edge, Graph, Result};

/// An activation with its constants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// max(x, 0).
    Relu,
    /// The hyperbolic tangent.
    Tanh,
    /// 1/(1 + e^-x).
    Sigmoid,
    /// alpha·x + beta.
    Affine(f64, f64),
    /// x where positive, else alpha·x.
    LeakyRelu(f64),
    /// x where above alpha, else 0.
    ThresholdedRelu(f64),
    /// alpha·tanh(beta·x).
    ScaledTanh(f64, f64),
    /// min(max(alpha·x + beta, 0), 1).
    HardSigmoid(f64, f64),
    /// x where positive, else alpha·(e^x - 1).
    Elu(f64),
    /// x/(1 + |x|).
    Softsign,
    /// ln(1 + e^x).
    Softplus,
}

impl Activation {
    /// The activation of a name of ONNX, case aside, with the constants that the model gives it or their defaults.
    ///
    /// # Errors
    /// [`crate::Error::Invalid`] for another name.
    pub fn named(name: &str, alpha: Option<f64>, beta: Option<f64>) -> Result<Self> {
        let (a, b) = (
            |default| alpha.unwrap_or(default),
            |default| beta.unwrap_or(default),
        );
        Ok(match name.to_ascii_lowercase().as_str() {
            "relu" => Self::Relu,
            "tanh" => Self::Tanh,
            "sigmoid" => Self::Sigmoid,
            "affine" => Self::Affine(a(1.0), b(0.0)),
            "leakyrelu" => Self::LeakyRelu(a(0.01)),
            "thresholdedrelu" => Self::ThresholdedRelu(a(1.0)),
            "scaledtanh" => Self::ScaledTanh(a(1.0), b(1.0)),
            "hardsigmoid" => Self::HardSigmoid(a(0.2), b(0.5)),
            "elu" => Self::Elu(a(1.0)),
            "softsign" => Self::Softsign,
            "softplus" => Self::Softplus,
            _ => return Err(invalid(format!("there is no activation {name}"))),
        })
    }

    /// Whether it takes the constants alpha and beta, in that order.
    #[must_use]
    pub fn takes(self) -> (bool, bool) {
        match self {
            Self::Affine(..) | Self::ScaledTanh(..) | Self::HardSigmoid(..) => (true, true),
            Self::LeakyRelu(_) | Self::ThresholdedRelu(_) | Self::Elu(_) => (true, false),
            Self::Relu | Self::Tanh | Self::Sigmoid | Self::Softsign | Self::Softplus => {
                (false, false)
            }
        }
    }

    /// Its value at x.
    pub(super) fn apply(self, g: &mut Graph, x: Edge) -> Result<Edge> {
        match self {
            Self::Relu => g.relu(x),
            Self::Tanh => g.tanh(x),
            Self::Sigmoid => g.sigmoid(x),
            Self::Affine(a, b) => {
                let y = g.scale_exact(x, a)?;
                g.linear(&[(1, y)], b)
            }
            Self::LeakyRelu(a) => g.leaky_relu(x, a),
            Self::ThresholdedRelu(a) => g.thresholded_relu(x, a),
            Self::ScaledTanh(a, b) => {
                let y = g.scale_exact(x, b)?;
                let y = g.tanh(y)?;
                g.scale_exact(y, a)
            }
            Self::HardSigmoid(a, b) => g.hard_sigmoid(x, a, b),
            Self::Elu(a) => g.elu(x, a),
            Self::Softsign => g.softsign(x),
            Self::Softplus => g.softplus(x),
        }
    }
}
