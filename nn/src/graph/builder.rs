//! The vocabulary in which networks are written. Shapes are inferred and checked at every word.

use std::ops::Range;

use tacit_mpc::Bilinear;

use super::{Edge, Graph, Op};
use crate::{Error, Function, Layout, Result};

impl Graph {
    /// A local rearrangement or sum.
    pub fn layout(&mut self, layout: Layout, x: Edge) -> Result<Edge> {
        let shape = layout.output_shape(self.shape(x)?)?;
        Ok(self.push(Op::Layout(layout), &[x], shape))
    }

    /// Σ cᵢ·xᵢ + bias with small integer coefficients; operands are broadcast as in numpy.
    pub fn linear(&mut self, terms: &[(i64, Edge)], bias: f64) -> Result<Edge> {
        let (coefficients, edges): (Vec<i64>, Vec<Edge>) = terms.iter().copied().unzip();
        let edges = self.broadcast_together("linear", &edges)?;
        let first = edges
            .first()
            .ok_or_else(|| Error::Invalid("linear: no terms".into()))?;
        let shape = self.shape(*first)?.to_vec();
        Ok(self.push(Op::Linear(coefficients, bias), &edges, shape))
    }

    /// x + y.
    pub fn add(&mut self, x: Edge, y: Edge) -> Result<Edge> {
        self.linear(&[(1, x), (1, y)], 0.0)
    }

    /// x - y.
    pub fn sub(&mut self, x: Edge, y: Edge) -> Result<Edge> {
        self.linear(&[(1, x), (-1, y)], 0.0)
    }

    /// x·y, entry by entry; operands are broadcast as in numpy.
    pub fn mul(&mut self, x: Edge, y: Edge) -> Result<Edge> {
        let edges = self.broadcast_together("mul", &[x, y])?;
        self.bilinear(Bilinear::Mul, edges[0], edges[1])
    }

    /// The matrix product; leading axes are equal and count the matrices.
    pub fn matmul(&mut self, x: Edge, y: Edge) -> Result<Edge> {
        self.bilinear(Bilinear::MatMul, x, y)
    }

    /// f(x, y) for operands that fit as they are.
    pub fn bilinear(&mut self, f: Bilinear, x: Edge, y: Edge) -> Result<Edge> {
        let (left, right) = (self.shape(x)?.to_vec(), self.shape(y)?.to_vec());
        match f.output_shape(&left, &right) {
            Some(shape) => Ok(self.push(Op::Bilinear(f), &[x, y], shape)),
            None => Err(Error::Shape {
                op: f.name(),
                left,
                right,
            }),
        }
    }

    /// c·x, rounded once. Free where x is a product that nothing else uses: one rounding serves both.
    pub fn scale(&mut self, x: Edge, c: f64) -> Result<Edge> {
        let shape = self.shape(x)?.to_vec();
        Ok(if c == 1.0 {
            x
        } else {
            self.push(Op::Scale(c), &[x], shape)
        })
    }

    /// The axes in reverse order.
    pub fn transpose(&mut self, x: Edge) -> Result<Edge> {
        let axes = (0..self.shape(x)?.len()).rev().collect();
        self.layout(Layout::Transpose(axes), x)
    }

    /// The last two axes exchanged.
    ///
    /// # Errors
    /// [`Error::Invalid`] for fewer than two axes.
    pub fn swap_last(&mut self, x: Edge) -> Result<Edge> {
        let rank = self.shape(x)?.len();
        if rank < 2 {
            return Err(Error::Invalid(format!(
                "a tensor of {rank} axes has no two to exchange"
            )));
        }
        let axes = (0..rank - 2).chain([rank - 1, rank - 2]).collect();
        self.layout(Layout::Transpose(axes), x)
    }

    /// The same entries in row-major order under another shape.
    pub fn reshape(&mut self, x: Edge, shape: &[usize]) -> Result<Edge> {
        self.layout(Layout::Reshape(shape.to_vec()), x)
    }

    /// The given positions of an axis.
    pub fn slice(&mut self, x: Edge, axis: usize, range: Range<usize>) -> Result<Edge> {
        self.layout(
            Layout::Slice {
                axis,
                start: range.start,
                end: range.end,
            },
            x,
        )
    }

    /// Entries of an axis at public positions.
    pub fn gather(&mut self, x: Edge, axis: usize, index: &[usize]) -> Result<Edge> {
        self.layout(
            Layout::Gather {
                axis,
                index: index.to_vec(),
            },
            x,
        )
    }

    /// Repeats x up to a shape.
    pub fn broadcast(&mut self, x: Edge, shape: &[usize]) -> Result<Edge> {
        Ok(if self.shape(x)? == shape {
            x
        } else {
            self.layout(Layout::Broadcast(shape.to_vec()), x)?
        })
    }

    /// The sum over an axis, which stays with length 1.
    pub fn sum(&mut self, x: Edge, axis: usize) -> Result<Edge> {
        self.layout(Layout::Sum { axis }, x)
    }

    /// The mean over an axis, which stays with length 1.
    pub fn mean(&mut self, x: Edge, axis: usize) -> Result<Edge> {
        let sum = self.sum(x, axis)?;
        let n = self.shape(x)?[axis];
        self.scale(sum, 1.0 / n.max(1) as f64)
    }

    /// Joins tensors of equal shape, except along `axis`.
    pub fn concat(&mut self, axis: usize, xs: &[Edge]) -> Result<Edge> {
        let first = xs
            .first()
            .ok_or_else(|| Error::Invalid("concat: no operands".into()))?;
        let mut shape = self.shape(*first)?.to_vec();
        for &x in &xs[1..] {
            let other = self.shape(x)?;
            let fits = axis < shape.len()
                && other.len() == shape.len()
                && (0..shape.len()).all(|a| a == axis || other[a] == shape[a]);
            if !fits {
                return Err(Error::Shape {
                    op: "concat",
                    left: shape,
                    right: other.to_vec(),
                });
            }
            shape[axis] += other[axis];
        }
        Ok(self.push(Op::Concat(axis), xs, shape))
    }

    /// Runs an elementwise function on operands of one shape; its first output.
    pub(crate) fn map(&mut self, f: Function, xs: &[Edge]) -> Result<Edge> {
        let xs = self.broadcast_together("map", xs)?;
        let shape = self.shape(xs[0])?.to_vec();
        Ok(self.push(Op::Map(f), &xs, shape))
    }

    /// Broadcasts all operands to their common shape, as numpy does.
    pub(super) fn broadcast_together(
        &mut self,
        op: &'static str,
        xs: &[Edge],
    ) -> Result<Vec<Edge>> {
        let mut common: Vec<usize> = Vec::new();
        for &x in xs {
            common = common_shape(op, &common, self.shape(x)?)?;
        }
        xs.iter().map(|&x| self.broadcast(x, &common)).collect()
    }
}

/// The shape to which numpy broadcasts both.
fn common_shape(op: &'static str, x: &[usize], y: &[usize]) -> Result<Vec<usize>> {
    let rank = x.len().max(y.len());
    let length = |s: &[usize], axis: usize| (axis + s.len()).checked_sub(rank).map_or(1, |a| s[a]);
    (0..rank)
        .map(|axis| match (length(x, axis), length(y, axis)) {
            (a, b) if a == b || b == 1 => Ok(a),
            (1, b) => Ok(b),
            _ => Err(Error::Shape {
                op,
                left: x.to_vec(),
                right: y.to_vec(),
            }),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_inferred_with_broadcasting() {
        let mut g = Graph::new();
        let x = g.input(&[4, 3]);
        let w = g.input(&[3, 2]);
        let b = g.input(&[2]);
        let z = g.matmul(x, w).unwrap();
        let z = g.add(z, b).unwrap();
        assert_eq!(g.shape(z).unwrap(), [4, 2]);
        let m = g.mean(z, 0).unwrap();
        assert_eq!(g.shape(m).unwrap(), [1, 2]);
        let d = g.sub(m, z).unwrap();
        assert_eq!(g.shape(d).unwrap(), [4, 2]);
        let c = g.concat(1, &[d, x]).unwrap();
        assert_eq!(g.shape(c).unwrap(), [4, 5]);
    }

    #[test]
    fn misfits_are_refused_while_building() {
        let mut g = Graph::new();
        let x = g.input(&[4, 3]);
        let y = g.input(&[4, 2]);
        assert!(matches!(
            g.add(x, y),
            Err(Error::Shape { op: "linear", .. })
        ));
        assert!(matches!(
            g.matmul(x, y),
            Err(Error::Shape { op: "matmul", .. })
        ));
        assert!(matches!(
            g.concat(0, &[x, y]),
            Err(Error::Shape { op: "concat", .. })
        ));
        assert!(matches!(g.slice(x, 0, 2..5), Err(Error::Shape { .. })));
        assert!(matches!(g.reshape(x, &[5]), Err(Error::Shape { .. })));
        assert!(g.linear(&[], 1.0).is_err());
        let stranger = Edge { node: 99, port: 0 };
        assert!(matches!(g.relu(stranger), Err(Error::Invalid(_))));
    }
}
