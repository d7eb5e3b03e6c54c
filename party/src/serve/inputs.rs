//! What becomes of an input before the model sees it: whatever words a client shares, what is computed on is a question that
//! the model can be asked. Done on shares.

use serde::{Deserialize, Serialize};
use tacit_nn::onnx::{Element, Model};
use tacit_nn::program::{self, Instr, Program};

use super::model_error::ModelError;

/// Magnitudes of inputs unless somebody says otherwise. At 18 fractional bits a first layer stays in range as long as the
/// magnitudes of the weights behind each of its outputs add up to less than 1024; of what follows nothing is said by it.
const BOUND: f64 = 65_536.0;

/// The bounds that each input of a model is held to, by those that are given for all of them, or for none.
///
/// # Errors
/// [`ModelError::Bounds`] for those of another number of inputs, [`ModelError::NoInteger`].
pub(crate) fn bounds_of(
    model: &Model,
    given: &[(f64, f64)],
) -> Result<Vec<(f64, f64)>, ModelError> {
    let inputs = model.inputs().len();
    let bounds = match given.len() {
        0 => vec![(-BOUND, BOUND); inputs],
        given_of if given_of == inputs => given.to_vec(),
        given => return Err(ModelError::Bounds { inputs, given }),
    };
    let ports = model.inputs().iter().zip(bounds);
    ports
        .map(|(port, bounds)| Kind::from(port.element).bounds(&port.name, bounds))
        .collect()
}

/// What the numbers of an input stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Real numbers.
    Real,
    /// Integers: indices, counts, words of a known list.
    Integer,
    /// 0 or 1.
    Boolean,
}

impl From<Element> for Kind {
    fn from(element: Element) -> Self {
        match element {
            Element::Float => Self::Real,
            Element::Int | Element::Text => Self::Integer,
            Element::Bool => Self::Boolean,
        }
    }
}

impl Kind {
    /// The bounds that inputs of this kind are held to, for those that the job gives: booleans lie between 0 and 1 whatever it
    /// says, integers between integers.
    ///
    /// # Errors
    /// [`ModelError::NoInteger`] where none lies between them.
    fn bounds(self, input: &str, (lo, hi): (f64, f64)) -> Result<(f64, f64), ModelError> {
        match self {
            Self::Real => Ok((lo, hi)),
            Self::Boolean => Ok((0.0, 1.0)),
            Self::Integer if lo.ceil() <= hi.floor() => Ok((lo.ceil(), hi.floor())),
            Self::Integer => Err(ModelError::NoInteger {
                input: input.to_owned(),
                lo,
                hi,
            }),
        }
    }

    /// Takes any word to a number of this kind within its bounds: booleans are \[x >= 1/2\], others are clipped, integers
    /// then rounded down.
    pub(super) fn admit(self, (lo, hi): (f64, f64)) -> Program {
        let mut p = match self {
            Self::Real | Self::Integer => program::clip(Some(lo), Some(hi)).keep("clip", &[0]),
            Self::Boolean => {
                let mut p = Program::new("boolean");
                let x = p.push(Instr::Input(0));
                let over = p.push(Instr::Linear(vec![(1, x)], -0.5));
                let below = p.push(Instr::Negative(over, None));
                let bit = p.push(Instr::Not(below));
                let y = p.push(Instr::ToArithmetic(bit));
                p.outputs = vec![y];
                p
            }
        };
        if self == Self::Integer
            && let Some(&clipped) = p.outputs.first()
        {
            let y = p.push(Instr::Floor(clipped));
            p.outputs = vec![y];
        }
        p
    }

    /// Whether a number is of this kind.
    #[must_use]
    pub fn holds(self, x: f64) -> bool {
        match self {
            Self::Real => true,
            Self::Integer => x.fract() == 0.0,
            Self::Boolean => x == 0.0 || x == 1.0,
        }
    }

    /// Its name in a sentence.
    #[must_use]
    pub fn plural(self) -> &'static str {
        match self {
            Self::Real => "numbers",
            Self::Integer => "integers",
            Self::Boolean => "booleans (0 or 1)",
        }
    }
}
