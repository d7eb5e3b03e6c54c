//! The loops in plain Rust. The AVX2 path is the same code compiled for that instruction set.

use super::cpu::Loops;
use crate::R64;

pub(super) const LOOPS: Loops = Loops {
    name: "portable",
    mul_add,
    block,
    dot,
};

#[inline(always)]
pub(super) fn mul_add(out: &mut [R64], x: &[R64], y: &[R64]) {
    out.iter_mut()
        .zip(x)
        .zip(y)
        .for_each(|((o, &a), &b)| *o += a * b);
}

#[inline(always)]
pub(super) fn block(acc: &mut [[R64; 24]; 8], a: &[[R64; 8]], b: &[[R64; 24]]) {
    for (column, row) in a.iter().zip(b) {
        for (acc, &a) in acc.iter_mut().zip(column) {
            acc.iter_mut().zip(row).for_each(|(acc, &b)| *acc += a * b);
        }
    }
}

#[inline(always)]
pub(super) fn dot(x: &[R64], y: &[R64]) -> R64 {
    x.iter().zip(y).map(|(&a, &b)| a * b).sum()
}
