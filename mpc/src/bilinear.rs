//! The one interactive arithmetic gate: a bilinear map. Products, matrix products and convolutions differ only here.

/// A bilinear map f(x, y) of two tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bilinear {
    /// Elementwise product of two tensors of one shape.
    Mul,
    /// Matrix product of an m×k by a k×n matrix.
    MatMul,
}

impl Bilinear {
    /// The shape of f(x, y), or `None` where the operands do not fit.
    #[must_use]
    pub fn output_shape(self, x: &[usize], y: &[usize]) -> Option<Vec<usize>> {
        match self {
            Self::Mul => (x == y).then(|| x.to_vec()),
            Self::MatMul => match (x, y) {
                (&[m, k], &[l, n]) if k == l => Some(vec![m, n]),
                _ => None,
            },
        }
    }
}
