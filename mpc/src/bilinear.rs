//! The one interactive arithmetic gate: a bilinear map. Products, matrix products and convolutions differ only here.

use std::fmt;
use std::ops::{Add, AddAssign, Mul};

use ndarray::{ArrayD, ArrayView2, IxDyn, LinalgScalar};

use crate::conv::Conv;
use crate::{Error, Result};

/// A bilinear map f(x, y) of two tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bilinear {
    /// Elementwise product of two tensors of one shape.
    Mul,
    /// Matrix products \[…, m, k\]·\[…, k, n\] for equal leading axes.
    MatMul,
    /// Convolution of an input by a kernel.
    Conv(Conv),
    /// The transposed convolution: from an output of [`Bilinear::Conv`] and its kernel to an input.
    ConvInput(Conv),
    /// From an input and an output of [`Bilinear::Conv`] to a kernel: how a loss changes with the kernel.
    ConvWeights(Conv),
}

impl fmt::Display for Bilinear {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

impl Bilinear {
    /// A short name, for errors and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mul => "mul",
            Self::MatMul => "matmul",
            Self::Conv(_) => "conv",
            Self::ConvInput(_) => "conv_input",
            Self::ConvWeights(_) => "conv_weights",
        }
    }

    /// The shape of f(x, y), or `None` where the operands do not fit.
    #[must_use]
    pub fn output_shape(self, x: &[usize], y: &[usize]) -> Option<Vec<usize>> {
        match self {
            Self::Mul => (x == y).then(|| x.to_vec()),
            Self::MatMul => match (x, y) {
                ([batch @ .., m, k], [other @ .., l, n]) if k == l && batch == other => {
                    Some([batch, &[*m, *n]].concat())
                }
                _ => None,
            },
            Self::Conv(c) => c.forward_shape(x, y),
            Self::ConvInput(c) => c.input_shape(x, y),
            Self::ConvWeights(c) => c.weights_shape(x, y),
        }
    }

    /// The shape that f has of every one of these terms; `None` where there is none. Kernels read all terms as they read the
    /// first: operands of other shapes are refused even where results would be of one.
    ///
    /// # Errors
    /// [`Error::Shape`] where the operands of a term do not fit, or terms have different shapes.
    pub fn sum_shape<T>(self, terms: &[(&ArrayD<T>, &ArrayD<T>)]) -> Result<Option<Vec<usize>>> {
        let misfit = |x: &ArrayD<T>, y: &ArrayD<T>| Error::Shape {
            op: "bilinear map",
            left: x.shape().to_vec(),
            right: y.shape().to_vec(),
        };
        let Some((x, y)) = terms.first() else {
            return Ok(None);
        };
        let shape = self.output_shape(x.shape(), y.shape());
        let shape = shape.ok_or_else(|| misfit(x, y))?;
        let differs =
            |(a, b): &&(&ArrayD<T>, &ArrayD<T>)| a.shape() != x.shape() || b.shape() != y.shape();
        match terms.iter().find(differs) {
            Some((a, b)) => Err(misfit(a, b)),
            None => Ok(Some(shape)),
        }
    }

    /// How many products are added up in one entry of the result.
    #[must_use]
    pub fn depth(self, x: &[usize], y: &[usize]) -> usize {
        match self {
            Self::Mul => 1,
            Self::MatMul => x.last().copied().unwrap_or(1),
            Self::Conv(_) => y.iter().skip(1).product(),
            Self::ConvInput(c) => x.get(1).copied().unwrap_or(1) / c.groups.max(1) * c.window(),
            Self::ConvWeights(c) => x.first().copied().unwrap_or(1) * c.positions().1,
        }
    }

    /// Multiplications that f(x, y) takes as one matrix product or several; none for elementwise products.
    #[must_use]
    pub fn multiplications(self, x: &[usize], y: &[usize]) -> u64 {
        let size = |shape: &[usize]| shape.iter().map(|&n| n as u64).product::<u64>();
        let kernel = |w: Option<&[usize]>| size(w.and_then(|w| w.get(1..)).unwrap_or(&[]));
        match self {
            Self::Mul => 0,
            Self::MatMul => size(x) * y.last().map_or(1, |&n| n as u64),
            // An output of the convolution takes a product for each entry of one kernel.
            Self::Conv(c) => c.forward_shape(x, y).map_or(0, |out| size(&out)) * kernel(Some(y)),
            Self::ConvInput(_) => size(x) * kernel(Some(y)),
            Self::ConvWeights(c) => size(y) * kernel(c.weights_shape(x, y).as_deref()),
        }
    }

    /// f(x, y) over any numbers, by the definition: what the engines in the clear compute, and what kernels are tested
    /// against. `None` where the operands do not fit.
    #[must_use]
    pub fn apply<T>(self, x: &ArrayD<T>, y: &ArrayD<T>) -> Option<ArrayD<T>>
    where
        T: LinalgScalar + Default + AddAssign + Add<Output = T> + Mul<Output = T>,
    {
        let shape = self.output_shape(x.shape(), y.shape())?;
        let (xs, ys) = (x.as_standard_layout(), y.as_standard_layout());
        let (xs, ys) = (xs.as_slice()?, ys.as_slice()?);
        let mut out = Vec::with_capacity(shape.iter().product());
        let dot = |a: &[T], b: &[T], (m, k, n): (usize, usize, usize)| {
            let view = |v, s| ArrayView2::from_shape(s, v).expect("cut to this shape");
            view(a, (m, k)).dot(&view(b, (k, n))).into_iter()
        };
        match self {
            Self::Mul => out.extend(xs.iter().zip(ys).map(|(&a, &b)| a * b)),
            Self::MatMul => {
                let [.., m, k] = *x.shape() else { return None };
                let n = *shape.last()?;
                for b in 0..shape[..shape.len() - 2].iter().product() {
                    let (x, y) = (&xs[b * m * k..][..m * k], &ys[b * k * n..][..k * n]);
                    out.extend(dot(x, y, (m, k, n)));
                }
            }
            Self::Conv(c) => {
                let (inputs, outputs) = c.positions();
                let (cg, mg) = (y.shape()[1], y.shape()[0] / c.groups);
                let k = cg * c.window();
                for n in 0..x.shape()[0] {
                    for g in 0..c.groups {
                        let channel = (n * c.groups + g) * cg;
                        let columns = c.columns(&xs[channel * inputs..][..cg * inputs], cg);
                        out.extend(dot(&ys[g * mg * k..][..mg * k], &columns, (mg, k, outputs)));
                    }
                }
            }
            Self::ConvInput(c) => {
                let (_, outputs) = c.positions();
                let (cg, mg) = (y.shape()[1], y.shape()[0] / c.groups);
                let k = cg * c.window();
                for n in 0..x.shape()[0] {
                    for g in 0..c.groups {
                        let w = transposed(&ys[g * mg * k..][..mg * k], mg, k);
                        let channel = (n * c.groups + g) * mg;
                        let dy = &xs[channel * outputs..][..mg * outputs];
                        let columns: Vec<T> = dot(&w, dy, (k, mg, outputs)).collect();
                        out.extend(c.add_columns(&columns, cg));
                    }
                }
            }
            Self::ConvWeights(c) => {
                let (inputs, outputs) = c.positions();
                let (cg, mg) = (x.shape()[1] / c.groups, y.shape()[1] / c.groups);
                let k = cg * c.window();
                out.resize(shape.iter().product(), T::default());
                for n in 0..x.shape()[0] {
                    for (g, out) in out.chunks_mut((mg * k).max(1)).enumerate() {
                        let channel = (n * c.groups + g) * cg;
                        let columns = c.columns(&xs[channel * inputs..][..cg * inputs], cg);
                        let columns = transposed(&columns, k, outputs);
                        let dy = &ys[(n * c.groups + g) * mg * outputs..][..mg * outputs];
                        let dw = dot(dy, &columns, (mg, outputs, k));
                        out.iter_mut().zip(dw).for_each(|(o, v)| *o += v);
                    }
                }
            }
        }
        ArrayD::from_shape_vec(IxDyn(&shape), out).ok()
    }
}

/// The transpose of a row-major matrix.
fn transposed<T: Copy>(x: &[T], rows: usize, columns: usize) -> Vec<T> {
    (0..columns)
        .flat_map(|j| (0..rows).map(move |i| x[i * columns + j]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(shape: &[usize], seed: i64) -> ArrayD<i64> {
        let mut x = seed;
        ArrayD::from_shape_fn(IxDyn(shape), |_| {
            x = (x * 1_103_515_245 + 12345) % 2_147_483_648;
            x % 19 - 9
        })
    }

    fn conv() -> Conv {
        Conv {
            stride: [2, 1, 1],
            dilation: [1, 2, 1],
            pad_begin: [1, 0, 0],
            pad_end: [0, 2, 0],
            groups: 2,
            ..Conv::new(&[7, 6], &[3, 2])
        }
    }

    /// By the definition, entry by entry.
    fn by_definition(c: &Conv, x: &ArrayD<i64>, w: &ArrayD<i64>) -> ArrayD<i64> {
        let shape = c.forward_shape(x.shape(), w.shape()).unwrap();
        let (cg, mg) = (w.shape()[1], w.shape()[0] / c.groups);
        ArrayD::from_shape_fn(IxDyn(&shape), |at| {
            let mut sum = 0;
            for ch in 0..cg {
                for (k0, k1) in (0..c.kernel[0]).flat_map(|a| (0..c.kernel[1]).map(move |b| (a, b)))
                {
                    let i0 =
                        (at[2] * c.stride[0] + k0 * c.dilation[0]) as i64 - c.pad_begin[0] as i64;
                    let i1 =
                        (at[3] * c.stride[1] + k1 * c.dilation[1]) as i64 - c.pad_begin[1] as i64;
                    if (0..c.input[0] as i64).contains(&i0) && (0..c.input[1] as i64).contains(&i1)
                    {
                        let channel = at[1] / mg * cg + ch;
                        sum +=
                            x[[at[0], channel, i0 as usize, i1 as usize]] * w[[at[1], ch, k0, k1]];
                    }
                }
            }
            sum
        })
    }

    #[test]
    fn convolutions_follow_their_definition() {
        let c = conv();
        assert_eq!(c.output(), Some([3, 6, 1]));
        let (x, w) = (numbers(&[2, 4, 7, 6], 1), numbers(&[6, 2, 3, 2], 2));
        assert_eq!(
            Bilinear::Conv(c).apply(&x, &w).unwrap(),
            by_definition(&c, &x, &w)
        );
    }

    /// <conv(x, w), y> = <x, conv_input(y, w)> = <w, conv_weights(x, y)>.
    #[test]
    fn the_transposed_maps_are_adjoint() {
        let c = conv();
        let (x, w, y) = (
            numbers(&[2, 4, 7, 6], 3),
            numbers(&[6, 2, 3, 2], 4),
            numbers(&[2, 6, 3, 6], 5),
        );
        let inner = |a: &ArrayD<i64>, b: &ArrayD<i64>| (a * b).sum();
        let forward = inner(&Bilinear::Conv(c).apply(&x, &w).unwrap(), &y);
        assert_eq!(
            inner(&x, &Bilinear::ConvInput(c).apply(&y, &w).unwrap()),
            forward
        );
        assert_eq!(
            inner(&w, &Bilinear::ConvWeights(c).apply(&x, &y).unwrap()),
            forward
        );
    }

    #[test]
    fn batched_products_are_products_of_each() {
        let (x, y) = (numbers(&[3, 2, 4], 6), numbers(&[3, 4, 5], 7));
        let z = Bilinear::MatMul.apply(&x, &y).unwrap();
        assert_eq!(z.shape(), [3, 2, 5]);
        let want: i64 = (0..4).map(|k| x[[2, 1, k]] * y[[2, k, 3]]).sum();
        assert_eq!(z[[2, 1, 3]], want);
    }

    #[test]
    fn misfits_have_no_shape() {
        let c = conv();
        for (x, w) in [
            (vec![2, 3, 7, 6], vec![6, 2, 3, 2]),
            (vec![2, 4, 7, 5], vec![6, 2, 3, 2]),
            (vec![2, 4, 7, 6], vec![5, 2, 3, 2]),
        ] {
            assert_eq!(Bilinear::Conv(c).output_shape(&x, &w), None);
        }
        let never = Conv {
            stride: [0; 3],
            ..c
        };
        assert_eq!(never.output(), None);
        assert_eq!(
            Conv {
                kernel: [9, 1, 1],
                ..c
            }
            .output(),
            None
        );
        assert_eq!(Bilinear::MatMul.output_shape(&[2, 2, 3], &[3, 3, 2]), None);
    }
}
