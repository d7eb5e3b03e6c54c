//! The CPU kernels: AMX, AVX-512, AVX2 or portable, chosen at run time.

use ndarray::{ArrayD, IxDyn};

use super::gemm::{Block, Dense, Side, Target, gemm, narrow};
use super::{Kernels, conv, portable};
use crate::ring::row_major;
use crate::{Bilinear, Error, R64, Result, Tensor};

/// Inner loops of one instruction set.
#[derive(Clone, Copy)]
pub(super) struct Loops {
    pub(super) name: &'static str,
    /// out += x·y elementwise.
    pub(super) mul_add: fn(out: &mut [R64], x: &[R64], y: &[R64]),
    /// Σ x·y.
    pub(super) dot: fn(x: &[R64], y: &[R64]) -> R64,
    /// The register block of matrix products.
    pub(super) block: Block,
}

/// Kernels on this machine's processor.
pub struct Cpu(Loops);

/// The fastest kernels that this processor has.
#[must_use]
pub fn cpu() -> Box<dyn Kernels> {
    Box::new(Cpu(all_loops()[0]))
}

/// What this processor can run, fastest first; the portable loops are always there.
fn all_loops() -> Vec<Loops> {
    let mut loops = Vec::new();
    #[cfg(target_arch = "x86_64")]
    loops.extend(super::x86::available());
    loops.push(portable::LOOPS);
    loops
}

impl Cpu {
    /// Every code path that this processor can run, fastest first: for tests and benchmarks.
    #[must_use]
    pub fn all() -> Vec<Self> {
        all_loops().into_iter().map(Self).collect()
    }
}

/// Fewer columns than this are dot products.
const NARROW: usize = 12;

impl Cpu {
    /// out += Σ a·b for row-major matrices a, b and their inner dimension.
    fn matrices(&self, terms: &[(&[R64], &[R64], usize)], (m, n): (usize, usize), out: &mut [R64]) {
        if n < NARROW {
            for &(a, b, k) in terms {
                narrow(self.0.dot, (a, b), (k, n), out);
            }
            return;
        }
        let dense = |words, columns| Dense { words, columns };
        let (a, b): (Vec<_>, Vec<_>) = terms
            .iter()
            .map(|&(a, b, k)| ((dense(a, k), k), (dense(b, n), k)))
            .unzip();
        let (a, b) = (Side::new(&a, true), Side::new(&b, false));
        gemm(&self.0.block, (m, n), (&a, &b), out, Target::matrix(n));
    }
}

impl Kernels for Cpu {
    fn name(&self) -> &'static str {
        self.0.name
    }

    fn bilinear(&self, f: Bilinear, terms: &[(&Tensor, &Tensor)]) -> Result<Tensor> {
        let Some(shape) = f.sum_shape(terms)? else {
            return Ok(ArrayD::from_elem(IxDyn(&[]), R64::default()));
        };
        let mut out = vec![R64::default(); shape.iter().product()];
        let flat: Vec<_> = terms
            .iter()
            .map(|(x, y)| (row_major(x), row_major(y)))
            .collect();
        match f {
            Bilinear::Mul => flat
                .iter()
                .for_each(|(x, y)| (self.0.mul_add)(&mut out, x, y)),
            Bilinear::MatMul => {
                let [.., m, n] = shape[..] else {
                    return Ok(ArrayD::from_elem(IxDyn(&shape), R64::default()));
                };
                for (batch, out) in out.chunks_mut((m * n).max(1)).enumerate() {
                    let operands: Vec<_> = flat
                        .iter()
                        .zip(terms)
                        .map(|((a, b), (x, y))| {
                            let k = f.depth(x.shape(), y.shape());
                            let (a, b) = (&a[batch * m * k..], &b[batch * k * n..]);
                            (&a[..m * k], &b[..k * n], k)
                        })
                        .collect();
                    self.matrices(&operands, (m, n), out);
                }
            }
            Bilinear::Conv(c) | Bilinear::ConvInput(c) | Bilinear::ConvWeights(c) => {
                let flat: Vec<_> = flat.iter().map(|(x, y)| (&**x, &**y)).collect();
                let Some((x, y)) = terms.first() else {
                    return Ok(ArrayD::from_elem(IxDyn(&shape), R64::default()));
                };
                let geometry = conv::Geometry::new(f, &c, x.shape(), y.shape());
                conv::bilinear(&self.0.block, f, &geometry, &flat, &mut out);
            }
        }
        ArrayD::from_shape_vec(IxDyn(&shape), out).map_err(|_| Error::Shape {
            op: "bilinear map",
            left: shape.clone(),
            right: shape,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::num::Wrapping;

    use proptest::prelude::*;

    use super::super::suite::{definition, tensor};
    use super::*;

    crate::device_suite!(fastest: cpu());
    crate::device_suite!(portably: Box::new(Cpu(portable::LOOPS)));

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn every_path_gives_the_bits_of_the_definition(m in 0usize..40, k in 0usize..70, n in 0usize..60, seed: u64) {
            let terms = [(tensor(&[m, k], seed), tensor(&[k, n], seed ^ 1)), (tensor(&[m, k], seed ^ 2), tensor(&[k, n], seed ^ 3))];
            let refs: Vec<_> = terms.iter().map(|(x, y)| (x, y)).collect();
            let want = definition(Bilinear::MatMul, &refs);
            for kernels in Cpu::all() {
                prop_assert_eq!(&kernels.bilinear(Bilinear::MatMul, &refs).unwrap(), &want, "{}", kernels.name());
            }
        }
    }

    /// More than one block of rows, of columns and of the inner dimension, and values that fill every byte.
    #[test]
    fn products_of_several_blocks() {
        let (x, y) = (tensor(&[300, 1100], 5), tensor(&[1100, 1060], 6));
        let ones = ArrayD::from_elem(IxDyn(&[40, 1100]), Wrapping(u64::MAX));
        let portable = Cpu(portable::LOOPS);
        let want = portable.bilinear(Bilinear::MatMul, &[(&x, &y)]).unwrap();
        for (i, j) in [(0, 0), (299, 1059), (256, 1024), (131, 777)] {
            let dot: R64 = (0..1100).map(|k| x[[i, k]] * y[[k, j]]).sum();
            assert_eq!(want[[i, j]], dot);
        }
        for kernels in Cpu::all() {
            let product = |x, y| kernels.bilinear(Bilinear::MatMul, &[(x, y)]).unwrap();
            assert_eq!(product(&x, &y), want, "{}", kernels.name());
            // (-1)·(-1) added up 1100 times: the largest sums that accumulators see.
            let square = product(&ones, &ones.clone().reversed_axes());
            assert!(
                square.iter().all(|&w| w == Wrapping(1100)),
                "{}",
                kernels.name()
            );
        }
    }
}
