//! Roundings to integers, exact.

use super::{Instr, Program};

/// The greatest integer that is not above x.
#[must_use]
pub fn floor() -> Program {
    let mut p = Program::new("floor");
    let x = p.push(Instr::Input(0));
    let y = p.push(Instr::Floor(x));
    p.outputs = vec![y];
    p
}

/// The nearest integer; of two, the even one.
#[must_use]
pub fn round() -> Program {
    let mut p = Program::new("round");
    let x = p.push(Instr::Input(0));
    let moved = p.linear(&[(1, x)], 0.5);
    let up = p.push(Instr::Floor(moved));
    let gap = p.linear(&[(1, up), (-1, x)], -0.5);
    let tie = p.push(Instr::Zero(gap));
    // An integer is a multiple of every power of two that truncation takes off here, so its half is exact.
    let half = p.push(Instr::Scale(up, 0.5));
    let half = p.push(Instr::Floor(half));
    let odd = p.linear(&[(1, up), (-2, half)], 0.0);
    let down = p.select(tie, odd);
    let y = p.linear(&[(1, up), (-1, down)], 0.0);
    p.outputs = vec![y];
    p
}
