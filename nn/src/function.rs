//! The elementwise nonlinearities that a graph may hold, and the programs behind them.

use std::fmt;

use crate::{
    Program, Table,
    fixed::FRACTION_BITS,
    program::{self, Scaled},
};

/// An elementwise function with one or more outputs (the ports of its node).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Function {
    /// max(x, 0); port 1: the bit \[x < 0\].
    Relu,
    /// dy where the bit is 0, else 0, from dy and port 1 of the relu.
    ReluGrad,
    /// max(x, y).
    Max,
    /// 1/(1 + e^-x); port 1: ln(1 + e^x).
    Logistic,
    /// e^x for x < 1.
    Exp,
    /// \[x < 0\] as the number 0 or 1.
    Negative,
    /// A function of one variable on a bounded range.
    Table(Table),
    /// A function of one variable in [2^lo, 2^hi).
    Scaled(Scaled, i32, i32),
}

impl Function {
    /// The program that computes it.
    #[must_use]
    pub fn program(&self) -> Program {
        match self {
            Self::Relu => program::relu(),
            Self::ReluGrad => program::relu_grad(),
            Self::Max => program::max(),
            Self::Logistic => program::logistic(FRACTION_BITS),
            Self::Exp => program::exp_clamped(),
            Self::Negative => program::negative(),
            Self::Table(t) => program::table(*t),
            &Self::Scaled(f, lo, hi) => program::scaled(f, lo, hi),
        }
    }
}

impl fmt::Display for Function {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.program().name)
    }
}
