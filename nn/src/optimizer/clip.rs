//! Gradient clipping by the norm of the whole gradient.

use crate::{Edge, Function, Graph, Result, program::Scaled};

/// The gradient is differentiated at a scale at which the norm that is allowed is this: then its square, 2^10, keeps its
/// bits, and norms of up to 256 times as much stay in range.
const THRESHOLD: f64 = 32.0;
/// log2 of the greatest square of a norm that products represent.
const LOG2_MOST: i32 = 26;

/// The factor of the loss at which [`clip`] wants the gradient.
pub(super) fn loss_scale(norm: f64) -> f64 {
    THRESHOLD / norm
}

/// The gradient g, given as g·[`loss_scale`], as scale·g·min(1, norm/‖g‖).
///
/// The norm must stay below 256·`norm`. One multiplication an entry; the norm itself takes one rounding in all.
pub(super) fn clip(g: &mut Graph, gradient: Edge, norm: f64, scale: f64) -> Result<Edge> {
    let n = g.shape(gradient)?[0];
    let (row, column) = (g.reshape(gradient, &[1, n])?, g.reshape(gradient, &[n, 1])?);
    let square = g.matmul(row, column)?;
    let least = g.fill(&[1, 1], THRESHOLD * THRESHOLD);
    let square = g.max(square, least)?;
    let range = ((THRESHOLD * THRESHOLD).log2() as i32 - 1, LOG2_MOST);
    let inverse = g.map(
        Function::Scaled(Scaled::InverseRoot, range.0, range.1),
        &[square],
    )?;
    let factor = g.linear(&[(THRESHOLD as i64, inverse)], 0.0)?;
    let factor = g.reshape(factor, &[1])?;
    let clipped = g.mul(gradient, factor)?;
    g.scale(clipped, scale / loss_scale(norm))
}
