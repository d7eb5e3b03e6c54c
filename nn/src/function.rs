//! The elementwise nonlinearities that a graph may hold, and the programs behind them.

use std::fmt;

use crate::{
    Program, Table,
    fixed::FRACTION_BITS,
    program::{self, Scaled},
};

/// An elementwise function with one or more outputs (the ports of its node). Ports named as bits can only be used as such.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Function {
    /// max(x, 0); port 1: the bit \[x < 0\].
    Relu,
    /// x where the bit is 0, else 0, from x and a bit, as port 1 of the relu.
    ReluGrad,
    /// x where the bit is 1, else 0, from x and a bit.
    Mask,
    /// max(x, y); port 1: the bit \[x > y\].
    Max,
    /// max(x, y) and as port 1 its index, from x, y, the index of x and that of y; port 2: the bit \[x > y\].
    MaxIndex,
    /// \[x < 0\] as the number 0 or 1; port 1: the bit.
    Negative,
    /// \[x = 0\] as the number 0 or 1; port 1: the bit.
    Zero,
    /// -1, 0 or 1.
    Sign,
    /// min(max(x, lo), hi); port 1: the bit that is 1 where x lies outside.
    Clip {
        /// The least value.
        lo: Option<f64>,
        /// The greatest value.
        hi: Option<f64>,
    },
    /// x where it is greater than the number, else 0; port 1: the bit.
    Threshold(f64),
    /// The greatest integer that is not above x.
    Floor,
    /// The nearest integer; of two, the even one.
    Round,
    /// 1/(1 + e^-x); port 1: ln(1 + e^x).
    Logistic,
    /// e^x for x < 1, with an absolute error.
    ExpNegative,
    /// e^x for every x, up to e^(12 - 2^-6).
    Exp,
    /// e^x for x in [-16, 12), wrong without notice outside.
    ExpWithin,
    /// The hyperbolic tangent.
    Tanh,
    /// The error function; port 1: its derivative.
    Erf,
    /// x·Φ(x); port 1: its derivative.
    Gelu,
    /// The approximation of gelu by the hyperbolic tangent; port 1: its derivative.
    GeluTanh,
    /// x/(1 + e^-x); port 1: its derivative.
    Silu,
    /// x·tanh(ln(1 + e^x)); port 1: its derivative.
    Mish,
    /// x/(1 + |x|); port 1: 1/(1 + |x|), whose square is its derivative.
    Softsign,
    /// ln x, saturating; port 1: 1/x.
    Log,
    /// √x; port 1: 1/√x.
    Sqrt,
    /// 1/√x, saturating.
    InverseRoot,
    /// 1/x for x of either sign, saturating.
    Reciprocal,
    /// x/y for y of either sign, saturating.
    Divide,
    /// A function of one variable on a bounded range, wrong without notice outside.
    Table(Table),
    /// A function for x in [2^lo, 2^hi), wrong without notice outside.
    Scaled(Scaled, i32, i32),
}

impl Function {
    /// The program that computes it.
    #[must_use]
    pub fn program(&self) -> Program {
        match self {
            Self::Relu => program::relu(),
            Self::ReluGrad => program::relu_grad(),
            Self::Mask => program::mask(),
            Self::Max => program::max(),
            Self::MaxIndex => program::max_index(),
            Self::Negative => program::negative(),
            Self::Zero => program::zero(),
            Self::Sign => program::sign(),
            Self::Clip { lo, hi } => program::clip(*lo, *hi),
            Self::Threshold(a) => program::threshold(*a),
            Self::Floor => program::floor(),
            Self::Round => program::round(),
            Self::Logistic => program::logistic(FRACTION_BITS),
            Self::ExpNegative => program::exp_neg(),
            Self::Exp => program::exp(),
            Self::ExpWithin => program::exp_within(),
            Self::Tanh => program::tanh(),
            Self::Erf => program::erf(),
            Self::Gelu => program::gelu(),
            Self::GeluTanh => program::gelu_tanh(),
            Self::Silu => program::silu(),
            Self::Mish => program::mish(),
            Self::Softsign => program::softsign(),
            Self::Log => program::log(),
            Self::Sqrt => program::sqrt(),
            Self::InverseRoot => program::rsqrt(),
            Self::Reciprocal => program::reciprocal(),
            Self::Divide => program::divide(),
            Self::Table(t) => program::table(*t),
            &Self::Scaled(f, lo, hi) => program::scaled(f, lo, hi),
        }
    }

    /// Whether its derivative is 0 wherever there is one.
    #[must_use]
    pub fn is_stepwise(&self) -> bool {
        matches!(
            self,
            Self::Negative | Self::Zero | Self::Sign | Self::Floor | Self::Round
        )
    }
}

impl fmt::Display for Function {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.program().name)
    }
}
