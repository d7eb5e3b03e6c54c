//! The derivative of each operation, as nodes.

use tacit_mpc::{Bilinear, Conv};

use super::{Backward, Gradient};
use crate::{Edge, Graph, Layout, Result};

impl Backward<'_> {
    /// dx += dy·factor for a product entry by entry.
    pub(super) fn product(&mut self, x: Edge, factor: Edge, dy: Gradient) -> Result<()> {
        if !self.wanted(x) {
            return Ok(());
        }
        let dx = match dy {
            Gradient::Constant(c) => Gradient::Scaled(factor, c),
            Gradient::Scaled(dy, c) => Gradient::Scaled(self.g.mul(dy, factor)?, c),
        };
        self.add(x, dx)
    }

    /// dA += dY·Bᵀ, dB += Aᵀ·dY.
    pub(super) fn matrix_product(&mut self, a: Edge, b: Edge, y: Edge, dy: Gradient) -> Result<()> {
        let (dy, c) = self.unscaled(dy, y)?;
        if self.wanted(a) {
            let bt = self.g.swap_last(b)?;
            let da = self.g.matmul(dy, bt)?;
            self.add(a, Gradient::Scaled(da, c))?;
        }
        if self.wanted(b) {
            let at = self.g.swap_last(a)?;
            let db = self.g.matmul(at, dy)?;
            self.add(b, Gradient::Scaled(db, c))?;
        }
        Ok(())
    }

    /// dX = conv_input(dY, W), dW = conv_weights(X, dY).
    pub(super) fn convolution(
        &mut self,
        c: Conv,
        x: Edge,
        w: Edge,
        y: Edge,
        dy: Gradient,
    ) -> Result<()> {
        let (dy, factor) = self.unscaled(dy, y)?;
        if self.wanted(x) {
            let dx = self.g.bilinear(Bilinear::ConvInput(c), dy, w)?;
            self.add(x, Gradient::Scaled(dx, factor))?;
        }
        if self.wanted(w) {
            let dw = self.g.bilinear(Bilinear::ConvWeights(c), x, dy)?;
            self.add(w, Gradient::Scaled(dw, factor))?;
        }
        Ok(())
    }

    /// For X = conv_input(Y, W): dY = conv(dX, W), dW = conv_weights(dX, Y).
    pub(super) fn transposed_convolution(
        &mut self,
        c: Conv,
        y: Edge,
        w: Edge,
        x: Edge,
        dx: Gradient,
    ) -> Result<()> {
        let (dx, factor) = self.unscaled(dx, x)?;
        if self.wanted(y) {
            let dy = self.g.bilinear(Bilinear::Conv(c), dx, w)?;
            self.add(y, Gradient::Scaled(dy, factor))?;
        }
        if self.wanted(w) {
            let dw = self.g.bilinear(Bilinear::ConvWeights(c), dx, y)?;
            self.add(w, Gradient::Scaled(dw, factor))?;
        }
        Ok(())
    }

    pub(super) fn concat(&mut self, axis: usize, xs: &[Edge], dy: Gradient) -> Result<()> {
        let mut start = 0;
        for &x in xs {
            let end = start + self.g.shape(x)?[axis];
            let dx = match dy {
                Gradient::Constant(_) => dy,
                Gradient::Scaled(dy, c) => Gradient::Scaled(self.g.slice(dy, axis, start..end)?, c),
            };
            self.add(x, dx)?;
            start = end;
        }
        Ok(())
    }

    /// The gradient before a layout.
    pub(super) fn layout(
        &mut self,
        layout: &Layout,
        x: Edge,
        y: Edge,
        dy: Gradient,
    ) -> Result<Gradient> {
        let shape = self.g.shape(x)?.to_vec();
        let keeps_constants = matches!(
            layout,
            Layout::Reshape(_) | Layout::Transpose(_) | Layout::Sum { .. }
        );
        if let (Gradient::Constant(_), true) = (dy, keeps_constants) {
            return Ok(dy);
        }
        let (dy, c) = self.unscaled(dy, y)?;
        let dx = match layout {
            Layout::Reshape(_) => self.g.reshape(dy, &shape)?,
            Layout::Transpose(axes) => {
                let mut inverse = vec![0; axes.len()];
                axes.iter()
                    .enumerate()
                    .for_each(|(k, &axis)| inverse[axis] = k);
                self.g.layout(Layout::Transpose(inverse), dy)?
            }
            Layout::Sum { .. } => self.g.broadcast(dy, &shape)?,
            Layout::Broadcast(_) => self.sum_to(dy, &shape)?,
            Layout::Slice { axis, start, end } => self.pad(dy, *axis, *start, *end, &shape)?,
            Layout::Gather { axis, index } => {
                let (axis, index, length) = (*axis, index.clone(), shape[*axis]);
                let scatter = Layout::Scatter {
                    axis,
                    index,
                    length,
                };
                self.g.layout(scatter, dy)?
            }
            Layout::Scatter { axis, index, .. } => self.g.gather(dy, *axis, index)?,
        };
        Ok(Gradient::Scaled(dx, c))
    }

    /// Sums over the axes along which `shape` was broadcast.
    fn sum_to(&mut self, dy: Edge, shape: &[usize]) -> Result<Edge> {
        let long = self.g.shape(dy)?.to_vec();
        let leading = long.len() - shape.len();
        let mut dx = dy;
        for axis in 0..long.len() {
            if long[axis] != 1 && (axis < leading || shape[axis - leading] == 1) {
                dx = self.g.sum(dx, axis)?;
            }
        }
        if leading == 0 {
            Ok(dx)
        } else {
            self.g.reshape(dx, shape)
        }
    }

    /// Puts zeros around a slice.
    fn pad(
        &mut self,
        dy: Edge,
        axis: usize,
        start: usize,
        end: usize,
        shape: &[usize],
    ) -> Result<Edge> {
        let mut parts = Vec::new();
        let zeros = |g: &mut Graph, n: usize| {
            let mut shape = shape.to_vec();
            shape[axis] = n;
            (n > 0).then(|| g.fill(&shape, 0.0))
        };
        parts.extend(zeros(self.g, start));
        parts.push(dy);
        parts.extend(zeros(self.g, shape[axis] - end));
        if parts.len() == 1 {
            Ok(dy)
        } else {
            self.g.concat(axis, &parts)
        }
    }
}
