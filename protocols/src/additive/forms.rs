//! Bilinear maps as products of matrices, for whoever multiplies by choosing: the left matrices choose.

use tacit_mpc::{Bilinear, Conv, R64};

use super::products::Matrices;

/// A bilinear map for operands of these shapes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    f: Bilinear,
    /// Images, for convolutions.
    images: usize,
    /// For matrix products: the right operand chooses, and everything is transposed.
    turned: bool,
    pub(super) shape: Matrices,
}

/// The transposes of row-major matrices that lie one after the other.
fn transposed(x: &[R64], rows: usize, columns: usize) -> Vec<R64> {
    let all = x.chunks((rows * columns).max(1));
    all.flat_map(|x| (0..columns).flat_map(move |j| (0..rows).map(move |i| x[i * columns + j])))
        .collect()
}

/// Blocks of `len` entries, `inner` of them in each of `outer` parts, with parts and blocks exchanged.
fn exchanged(x: &[R64], outer: usize, inner: usize, len: usize) -> Vec<R64> {
    let mut out = Vec::with_capacity(x.len());
    for i in 0..inner {
        for o in 0..outer {
            out.extend_from_slice(&x[(o * inner + i) * len..][..len]);
        }
    }
    out
}

impl Form {
    /// For operands that fit.
    pub(super) fn new(f: Bilinear, x: &[usize], y: &[usize]) -> Self {
        let product = |s: &[usize]| s.iter().product::<usize>();
        let last = |s: &[usize], k: usize| s.len().checked_sub(k).map_or(1, |at| s[at]);
        let convolution = |c: &Conv, weights: &[usize]| {
            let k = weights.get(1).copied().unwrap_or(1) * c.window();
            (weights.first().copied().unwrap_or(0) / c.groups.max(1), k)
        };
        let images = x.first().copied().unwrap_or(1);
        let mut turned = false;
        let (batch, m, k, n) = match f {
            Bilinear::Mul => (product(x), 1, 1, 1),
            Bilinear::MatMul => {
                let (m, k, n) = (last(x, 2), last(x, 1), last(y, 1));
                // Whichever has fewer entries chooses: a choice takes transfers, a column only what is sent for it.
                turned = n < m;
                let batch = product(&x[..x.len().saturating_sub(2)]);
                if turned {
                    (batch, n, k, m)
                } else {
                    (batch, m, k, n)
                }
            }
            Bilinear::Conv(c) => {
                let (mg, k) = convolution(&c, y);
                (c.groups, mg, k, images * c.positions().1)
            }
            Bilinear::ConvInput(c) => {
                let (mg, k) = convolution(&c, y);
                (c.groups, k, mg, images * c.positions().1)
            }
            Bilinear::ConvWeights(c) => {
                let cg = x.get(1).copied().unwrap_or(1) / c.groups.max(1);
                let mg = y.get(1).copied().unwrap_or(1) / c.groups.max(1);
                (c.groups, mg, images * c.positions().1, cg * c.window())
            }
        };
        Self {
            f,
            images,
            turned,
            shape: Matrices { batch, m, k, n },
        }
    }

    /// The matrices that choose, from both operands.
    pub(super) fn left(&self, x: &[R64], y: &[R64]) -> Vec<R64> {
        let Matrices { batch, m, k, .. } = self.shape;
        match self.f {
            Bilinear::MatMul if self.turned => transposed(y, k, m),
            Bilinear::Mul | Bilinear::MatMul => x.to_vec(),
            Bilinear::Conv(_) => y.to_vec(),
            Bilinear::ConvInput(_) => transposed(y, k, m),
            Bilinear::ConvWeights(c) => {
                // [images][groups][mg][positions] to [groups][mg][images][positions].
                exchanged(y, self.images, batch * m, c.positions().1)
            }
        }
    }

    /// The matrices that they are multiplied by, from both operands.
    pub(super) fn right(&self, x: &[R64], y: &[R64]) -> Vec<R64> {
        let Matrices { batch, k, n, .. } = self.shape;
        let columns = |c: &Conv, k: usize| {
            let (inputs, outputs) = c.positions();
            let cg = k / c.window().max(1);
            let parts = x.chunks((cg * inputs).max(1));
            let columns: Vec<R64> = parts.flat_map(|x| c.columns(x, cg)).collect();
            // [images][groups][k][outputs] to [groups][k][images][outputs].
            exchanged(&columns, self.images, batch * k, outputs)
        };
        match self.f {
            Bilinear::MatMul if self.turned => transposed(x, n, k),
            Bilinear::Mul | Bilinear::MatMul => y.to_vec(),
            Bilinear::Conv(c) => columns(&c, k),
            Bilinear::ConvInput(c) => exchanged(x, self.images, batch * k, c.positions().1),
            Bilinear::ConvWeights(c) => transposed(&columns(&c, n), n, k),
        }
    }

    /// f(x, y) from the products.
    pub(super) fn result(&self, z: &[R64]) -> Vec<R64> {
        let Matrices { batch, m, n, .. } = self.shape;
        match self.f {
            Bilinear::MatMul if self.turned => transposed(z, m, n),
            Bilinear::Mul | Bilinear::MatMul | Bilinear::ConvWeights(_) => z.to_vec(),
            Bilinear::Conv(c) => exchanged(z, batch * m, self.images, c.positions().1),
            Bilinear::ConvInput(c) => {
                let columns = exchanged(z, batch * m, self.images, c.positions().1);
                let (cg, len) = (m / c.window().max(1), m * c.positions().1);
                let all = columns.chunks(len.max(1));
                all.flat_map(|columns| c.add_columns(columns, cg)).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::Wrapping;

    use ndarray::{ArrayD, IxDyn};
    use tacit_mpc::Tensor;
    use tacit_mpc::ring::row_major;

    use super::*;

    fn tensor(shape: &[usize], seed: u64) -> Tensor {
        let mut x = seed;
        ArrayD::from_shape_fn(IxDyn(shape), |_| {
            x = x.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23) ^ seed;
            Wrapping(x)
        })
    }

    fn multiplied(s: Matrices, left: &[R64], right: &[R64]) -> Vec<R64> {
        let mut z = vec![R64::default(); s.batch * s.m * s.n];
        assert_eq!(
            (left.len(), right.len()),
            (s.entries(), s.batch * s.k * s.n)
        );
        for b in 0..s.batch {
            for (i, t, j) in
                (0..s.m).flat_map(|i| (0..s.k).flat_map(move |t| (0..s.n).map(move |j| (i, t, j))))
            {
                z[(b * s.m + i) * s.n + j] +=
                    left[(b * s.m + i) * s.k + t] * right[(b * s.k + t) * s.n + j];
            }
        }
        z
    }

    #[test]
    fn every_map_is_a_product_of_matrices() {
        let c = Conv {
            stride: [2, 1, 1],
            dilation: [1, 2, 1],
            pad_begin: [1, 0, 0],
            pad_end: [0, 2, 0],
            groups: 2,
            ..Conv::new(&[7, 6], &[3, 2])
        };
        let out: Vec<usize> = c.forward_shape(&[2, 4, 7, 6], &[6, 2, 3, 2]).unwrap();
        let (image, weights, out) = (&[2, 4, 7, 6][..], &[6, 2, 3, 2][..], &out[..]);
        let cases: [(Bilinear, &[usize], &[usize]); 8] = [
            (Bilinear::Mul, &[3, 5], &[3, 5]),
            (Bilinear::MatMul, &[2, 7], &[7, 5]),
            (Bilinear::MatMul, &[9, 7], &[7, 2]),
            (Bilinear::MatMul, &[3, 4, 2], &[3, 2, 5]),
            (Bilinear::MatMul, &[3, 4, 2], &[3, 2, 1]),
            (Bilinear::Conv(c), image, weights),
            (Bilinear::ConvInput(c), out, weights),
            (Bilinear::ConvWeights(c), image, out),
        ];
        for (f, x, y) in cases {
            let form = Form::new(f, x, y);
            let (x, y) = (tensor(x, 3), tensor(y, 5));
            let (a, b) = (row_major(&x), row_major(&y));
            let z = multiplied(form.shape, &form.left(&a, &b), &form.right(&a, &b));
            let want = f.apply(&x, &y).unwrap();
            assert_eq!(form.result(&z), row_major(&want).to_vec(), "{f:?}");
        }
    }
}
