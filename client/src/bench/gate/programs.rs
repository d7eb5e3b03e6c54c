//! The programs of the gates that are single instructions.

use tacit_nn::Program;
use tacit_nn::program::{Instr, Scaled};

/// Both bits.
pub(super) fn and() -> Program {
    let mut p = Program::new("and");
    let x = p.push(Instr::InputBit(0));
    let y = p.push(Instr::InputBit(1));
    let both = p.push(Instr::And(x, y));
    p.outputs = vec![both];
    p
}

/// e^x over the range of the instruction.
pub(super) fn exp() -> Program {
    let mut p = Program::new("exp");
    let x = p.push(Instr::Input(0));
    let y = p.push(Instr::Exp(x));
    p.outputs = vec![y];
    p
}

/// A function over the 24 binades around 1.
pub(super) fn scaled(f: Scaled) -> Program {
    let mut p = Program::new(f.name());
    let x = p.push(Instr::Input(0));
    let (lo, hi) = (-12, 12);
    let y = p.push(Instr::Scaled { x, f, lo, hi });
    p.outputs = vec![y];
    p
}

/// The bit \[x < y\].
pub(super) fn less() -> Program {
    let mut p = Program::new("less");
    let x = p.push(Instr::Input(0));
    let y = p.push(Instr::Input(1));
    let difference = p.push(Instr::Linear(vec![(1, x), (-1, y)], 0.0));
    let bit = p.push(Instr::Negative(difference, None));
    p.outputs = vec![bit];
    p
}
