//! Matrix products and convolutions, compressed: Freivalds' test from both sides (Freivalds, 1977), over the ring.
//!
//! A product Z = X·Y of k×m by m×n is replaced by Rᵀ·Z·S = (Rᵀ·X)·(Y·S) for random bits R (k×σ) and S (n×σ), the identity where
//! a side has no more than σ rows or columns. If Z is wrong, so is Rᵀ·Z·S but for 2·2^-σ: with 2^a the largest power of two
//! that divides every entry of the error E, E/2^a is not zero modulo 2, and each column of R misses it with probability 1/2.
//! A convolution is such a product of its patches by its kernel; Rᵀ times the patches is itself a convolution, the one that
//! differentiates by the kernel, so patches are never stored. All matrices of one tensor share R and S: any one of them that is
//! wrong is found with the same probability.

use ndarray::{ArrayD, Axis, IxDyn, Slice};
use tacit_mpc::ring::into_row_major;
use tacit_mpc::{Bilinear, Conv, Error, Kernels, R64, Result, Tensor};

use super::super::pair::Pair;
use super::strength::{SIGMA, combinations};

/// One compressed matrix product at one index.
pub(super) struct Page {
    /// Rᵀ·X, row by row.
    pub(super) x: Vec<R64>,
    /// (Y·S)ᵀ, row by row.
    pub(super) y: Vec<R64>,
    /// tL of the compressed relations: (Rᵀ·X)·(Y·S) + Rᵀ·(a - z)·S.
    pub(super) left: Vec<R64>,
    /// tR: -Rᵀ·a·S.
    pub(super) right: Vec<R64>,
    /// Rows of `x`.
    pub(super) rows: usize,
    /// Rows of `y`.
    pub(super) columns: usize,
    /// Columns of both.
    pub(super) inner: usize,
}

/// How a bilinear map is a set of matrix products: X has `rows` rows, Y has `columns` columns.
struct View {
    f: Bilinear,
    pages: usize,
    rows: usize,
    columns: usize,
    /// Batch of a convolution.
    batch: usize,
}

impl View {
    fn of(f: Bilinear, x: &[usize], y: &[usize]) -> Option<Self> {
        let z = f.output_shape(x, y)?;
        Some(match f {
            Bilinear::Mul => Self {
                f,
                pages: 1,
                rows: 1,
                columns: 1,
                batch: 1,
            },
            Bilinear::MatMul => {
                let [batch @ .., rows, columns] = &*z else {
                    return None;
                };
                Self {
                    f,
                    pages: batch.iter().product(),
                    rows: *rows,
                    columns: *columns,
                    batch: 1,
                }
            }
            Bilinear::Conv(c) => Self {
                f,
                pages: c.groups,
                rows: z[0] * c.positions().1,
                columns: z[1] / c.groups,
                batch: z[0],
            },
            Bilinear::ConvInput(c) => Self {
                f,
                pages: c.groups,
                rows: z[0] * c.positions().0,
                columns: z[1] / c.groups,
                batch: z[0],
            },
            Bilinear::ConvWeights(c) => Self {
                f,
                pages: c.groups,
                rows: z[1] * c.window(),
                columns: z[0] / c.groups,
                batch: x[0],
            },
        })
    }
}

/// How many compressed products a map comes to, and the entries of Rᵀ·X of each; zeros where the operands do not fit.
pub(super) fn factors(f: Bilinear, x: &[usize], y: &[usize]) -> [usize; 2] {
    let Some(view) = View::of(f, x, y) else {
        return [0; 2];
    };
    let inner = match f {
        Bilinear::Mul => 1,
        Bilinear::MatMul => x.last().copied().unwrap_or(0),
        Bilinear::Conv(c) => y[1] * c.window(),
        Bilinear::ConvInput(c) => x[1] / c.groups * c.window(),
        Bilinear::ConvWeights(c) => view.batch * c.positions().1,
    };
    [view.pages, view.rows.min(SIGMA) * inner]
}

/// Random bits or the identity: the matrix Rᵀ with at most σ rows.
struct Combiner {
    rows: usize,
    len: usize,
    bits: Vec<R64>,
}

impl Combiner {
    /// From one word of bits for each of `len` rows of what is combined.
    fn new(len: usize, words: impl FnOnce() -> Vec<u64>) -> Self {
        if len <= SIGMA {
            let bits = (0..len * len).map(|k| bit(k / len == k % len));
            return Self {
                rows: len,
                len,
                bits: bits.collect(),
            };
        }
        let words: Vec<u64> = words().into_iter().map(|w| w & combinations()).collect();
        let bits = (0..SIGMA).flat_map(|c| words.iter().map(move |w| bit(w >> c & 1 == 1)));
        Self {
            rows: SIGMA,
            len,
            bits: bits.collect(),
        }
    }

    /// As a tensor.
    fn tensor(&self, shape: &[usize]) -> Result<Tensor> {
        tensor(shape, self.bits.clone())
    }
}

fn bit(set: bool) -> R64 {
    std::num::Wrapping(u64::from(set))
}

/// The compressed products of one entry of the log at this party's two indices.
///
/// # Errors
/// [`Error::Shape`] where the operands do not fit.
pub(super) fn compress(
    kernels: &dyn Kernels,
    f: Bilinear,
    [x, y, left, right]: [&Pair<Tensor>; 4],
    mut bits: impl FnMut(&str, usize) -> Vec<u64>,
) -> Result<Pair<Vec<Page>>> {
    let view = View::of(f, x.own.shape(), y.own.shape()).ok_or_else(|| Error::Shape {
        op: f.name(),
        left: x.own.shape().to_vec(),
        right: y.own.shape().to_vec(),
    })?;
    let r = Combiner::new(view.rows, || bits("rows", view.rows));
    let s = Combiner::new(view.columns, || bits("columns", view.columns));
    let index = |x: &Tensor, y: &Tensor, left: &Tensor, right: &Tensor| -> Result<Vec<Page>> {
        let (xs, ys) = view.operands(kernels, &r, &s, x, y)?;
        let rest = |z: &Tensor| view.result(kernels, &r, &s, z);
        let (lefts, rights) = (rest(left)?, rest(right)?);
        let pages = xs.into_iter().zip(ys).zip(lefts.into_iter().zip(rights));
        pages
            .map(|((x, y), (left, right))| page(kernels, &r, &s, x, y, left, right))
            .collect()
    };
    Ok(Pair::new(
        index(&x.own, &y.own, &left.own, &right.own)?,
        index(&x.next, &y.next, &left.next, &right.next)?,
    ))
}

/// Finishes a page: x·yᵀ is added to what is left of the relation.
fn page(
    kernels: &dyn Kernels,
    r: &Combiner,
    s: &Combiner,
    x: Tensor,
    y: Tensor,
    left: Tensor,
    right: Tensor,
) -> Result<Page> {
    let inner = x.len() / r.rows.max(1);
    let transposed = y.view().reversed_axes().as_standard_layout().into_owned();
    let product = kernels.bilinear(Bilinear::MatMul, &[(&x, &transposed)])?;
    Ok(Page {
        x: into_row_major(x),
        y: into_row_major(y),
        left: into_row_major(product + left),
        right: into_row_major(right),
        rows: r.rows,
        columns: s.rows,
        inner,
    })
}

impl View {
    /// Rᵀ·X and (Y·S)ᵀ of every page.
    fn operands(
        &self,
        kernels: &dyn Kernels,
        r: &Combiner,
        s: &Combiner,
        x: &Tensor,
        y: &Tensor,
    ) -> Result<(Vec<Tensor>, Vec<Tensor>)> {
        let groups = self.pages;
        let mul = |a: &Tensor, b: &Tensor| kernels.bilinear(Bilinear::MatMul, &[(a, b)]);
        let (rt, st) = (r.tensor(&[r.rows, r.len])?, s.tensor(&[s.rows, s.len])?);
        match self.f {
            Bilinear::Mul => Err(misfit("an elementwise product among matrix products", x)),
            Bilinear::MatMul => {
                let (x, y) = (sheets(x, self.pages)?, sheets(y, self.pages)?);
                let xs = x.iter().map(|x| mul(&rt, x)).collect::<Result<_>>()?;
                let ys = y.iter().map(|y| mul(&st, &transpose(y, &[1, 0])?));
                Ok((xs, ys.collect::<Result<_>>()?))
            }
            Bilinear::Conv(c) => {
                // Rᵀ·patches: the kernel's derivative for the output Rᵀ.
                let dy = positions(r, self.batch, &spatial(&c, c.output().unwrap_or([1; 3])))?;
                let f = Bilinear::ConvWeights(alone(c));
                let patches = |x: &Tensor| flat(kernels.bilinear(f, &[(x, &dy)])?, r.rows);
                let ys = matrices(y.clone(), groups, s.len)?;
                let ys = ys.iter().map(|y| mul(&st, y)).collect::<Result<_>>()?;
                Ok((each_group(x, groups, patches)?, ys))
            }
            Bilinear::ConvInput(c) => {
                let image = positions(r, self.batch, &spatial(&c, c.input))?;
                let f = Bilinear::ConvWeights(alone(c));
                let patches = |x: &Tensor| {
                    // [M, rows, window]: rows to the front.
                    let w = kernels.bilinear(f, &[(&image, x)])?;
                    let w = reshape(w, &[x.shape()[1], r.rows, c.window()])?;
                    flat(transpose(&w, &[1, 0, 2])?, r.rows)
                };
                let shape = [groups, x.shape()[1] / groups, s.len, c.window()];
                let ys = split(&transpose(&reshape(y.clone(), &shape)?, &[0, 2, 1, 3])?);
                let ys = ys.into_iter().map(|y| mul(&st, &flat(y, s.len)?));
                let ys = ys.collect::<Result<_>>()?;
                Ok((each_group(x, groups, patches)?, ys))
            }
            Bilinear::ConvWeights(c) => {
                let (n, outputs) = (self.batch, c.positions().1);
                // Kernels Rᵀ.
                let w = [&[r.rows, r.len / c.window()], &*spatial(&c, c.kernel)].concat();
                let w = r.tensor(&w)?;
                let f = Bilinear::Conv(alone(c));
                let by_channel = |z: Tensor| {
                    let channels = z.shape()[1];
                    let z = reshape(z, &[n, channels, outputs])?;
                    flat(transpose(&z, &[1, 0, 2])?, channels)
                };
                let patches = |x: &Tensor| by_channel(kernels.bilinear(f, &[(x, &w)])?);
                let columns = |y: &Tensor| mul(&st, &by_channel(y.clone())?);
                let xs = each_group(x, groups, patches)?;
                Ok((xs, each_group(y, groups, columns)?))
            }
        }
    }

    /// Rᵀ·Z·S of every page of something of the result's shape.
    fn result(
        &self,
        kernels: &dyn Kernels,
        r: &Combiner,
        s: &Combiner,
        z: &Tensor,
    ) -> Result<Vec<Tensor>> {
        let groups = self.pages;
        // [pages, rows, columns].
        let z = match self.f {
            Bilinear::Mul => return Err(misfit("an elementwise product among matrix products", z)),
            Bilinear::MatMul => reshape(z.clone(), &[groups, r.len, s.len])?,
            Bilinear::Conv(_) | Bilinear::ConvInput(_) => {
                let place = r.len / self.batch.max(1);
                let z = reshape(z.clone(), &[self.batch, groups, s.len, place])?;
                reshape(transpose(&z, &[1, 0, 3, 2])?, &[groups, r.len, s.len])?
            }
            Bilinear::ConvWeights(_) => {
                let z = reshape(z.clone(), &[groups, s.len, r.len])?;
                transpose(&z, &[0, 2, 1])?
            }
        };
        let (rt, st) = (r.tensor(&[r.rows, r.len])?, s.tensor(&[s.rows, s.len])?);
        let columns = transpose(&st, &[1, 0])?;
        split(&z)
            .iter()
            .map(|z| {
                let rows = kernels.bilinear(Bilinear::MatMul, &[(&rt, z)])?;
                kernels.bilinear(Bilinear::MatMul, &[(&rows, &columns)])
            })
            .collect()
    }
}

/// Rᵀ as \[batch, rows, spatial…\]: the same for every group.
fn positions(r: &Combiner, batch: usize, extents: &[usize]) -> Result<Tensor> {
    let place: usize = extents.iter().product();
    let by_row = r.tensor(&[r.rows, batch, place])?;
    let by_sample = transpose(&by_row, &[1, 0, 2])?;
    reshape(by_sample, &[&[batch, r.rows], extents].concat())
}

/// The convolution of one group.
fn alone(c: Conv) -> Conv {
    Conv { groups: 1, ..c }
}

/// A map of the channels of one group after the other, the second axis: what it needs beside its result is needed once.
fn each_group(
    x: &Tensor,
    groups: usize,
    map: impl Fn(&Tensor) -> Result<Tensor>,
) -> Result<Vec<Tensor>> {
    if groups == 1 {
        return Ok(vec![map(x)?]);
    }
    let channels = x.shape()[1] / groups.max(1);
    (0..groups)
        .map(|g| {
            let range = g * channels..(g + 1) * channels;
            let x = x.slice_axis(Axis(1), Slice::from(range));
            map(&x.as_standard_layout().into_owned())
        })
        .collect()
}

fn spatial(c: &Conv, extents: [usize; 3]) -> Vec<usize> {
    extents[..c.rank].to_vec()
}

/// \[groups·rows, …\] as one matrix of `rows` rows for each group.
fn matrices(x: Tensor, groups: usize, rows: usize) -> Result<Vec<Tensor>> {
    let inner = x.len() / (groups * rows).max(1);
    Ok(split(&reshape(x, &[groups, rows, inner])?))
}

/// The parts along the first axis.
fn split(x: &Tensor) -> Vec<Tensor> {
    x.axis_iter(Axis(0)).map(|p| p.to_owned()).collect()
}

/// The matrices of a batch.
fn sheets(x: &Tensor, pages: usize) -> Result<Vec<Tensor>> {
    let matrix = &x.shape()[x.ndim() - 2..];
    Ok(split(&reshape(x.clone(), &[&[pages], matrix].concat())?))
}

/// As a matrix of so many rows.
fn flat(x: Tensor, rows: usize) -> Result<Tensor> {
    let inner = x.len() / rows.max(1);
    reshape(x, &[rows, inner])
}

fn reshape(x: Tensor, shape: &[usize]) -> Result<Tensor> {
    tensor(shape, into_row_major(x))
}

fn transpose(x: &Tensor, axes: &[usize]) -> Result<Tensor> {
    if axes.len() != x.ndim() {
        return Err(misfit("transpose", x));
    }
    Ok(x.view()
        .permuted_axes(IxDyn(axes))
        .as_standard_layout()
        .into_owned())
}

fn tensor(shape: &[usize], words: Vec<R64>) -> Result<Tensor> {
    let len = words.len();
    ArrayD::from_shape_vec(IxDyn(shape), words).map_err(|_| Error::Shape {
        op: "compress",
        left: vec![len],
        right: shape.to_vec(),
    })
}

fn misfit(op: &'static str, x: &Tensor) -> Error {
    Error::Shape {
        op,
        left: x.shape().to_vec(),
        right: vec![],
    }
}

#[cfg(test)]
mod tests {
    use std::num::Wrapping;

    use super::*;

    fn words(shape: &[usize], seed: u64) -> Tensor {
        let mut x = seed;
        ArrayD::from_shape_simple_fn(IxDyn(shape), || {
            x = x
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            Wrapping(x ^ x >> 29)
        })
    }

    fn bits(name: &str, n: usize) -> Vec<u64> {
        words(&[n], name.len() as u64)
            .iter()
            .map(|w| w.0 >> 7)
            .collect()
    }

    /// For honest results tL + tR + the cross terms of one "party" that holds everything vanish: x·y compressed is z compressed.
    /// A wrong entry of the result leaves a page that is not zero.
    fn holds(f: Bilinear, x: &[usize], y: &[usize]) {
        let kernels = tacit_mpc::kernels::cpu();
        let (x, y) = (words(x, 1), words(y, 2));
        let z = f.apply(&x, &y).unwrap();
        let zero = Tensor::zeros(z.raw_dim());
        let check = |z: &Tensor| {
            let both = |t: &Tensor| Pair::new(t.clone(), t.clone());
            let minus = z.mapv(|w| -w);
            let pages = compress(
                &*kernels,
                f,
                [&both(&x), &both(&y), &both(&minus), &both(&zero)],
                bits,
            )
            .unwrap();
            for page in &*pages.own {
                assert_eq!(page.x.len(), page.rows * page.inner);
                assert_eq!(page.y.len(), page.columns * page.inner);
                assert!(page.rows <= SIGMA && page.columns <= SIGMA);
            }
            pages.own.iter().all(|p| p.left.iter().all(|w| w.0 == 0))
        };
        assert!(check(&z), "{f:?}: an honest result fails");
        for k in [0, z.len() / 2, z.len() - 1] {
            let mut wrong = z.clone();
            wrong.as_slice_mut().unwrap()[k] += Wrapping(1 << 63);
            assert!(!check(&wrong), "{f:?}: entry {k} may be wrong");
        }
    }

    #[test]
    fn compression_keeps_what_holds_and_shows_what_does_not() {
        holds(Bilinear::MatMul, &[3, 4], &[4, 5]);
        holds(Bilinear::MatMul, &[60, 7], &[7, 70]);
        holds(Bilinear::MatMul, &[2, 3, 50, 4], &[2, 3, 4, 60]);
        holds(Bilinear::MatMul, &[1, 300], &[300, 1]);
        for groups in [1, 2] {
            let c = Conv {
                stride: [2, 1, 1],
                dilation: [1, 2, 1],
                pad_begin: [1, 0, 0],
                pad_end: [0, 2, 0],
                groups,
                ..Conv::new(&[7, 6], &[3, 2])
            };
            let (x, w) = ([5, 4, 7, 6], [6, 4 / groups, 3, 2]);
            let z = c.forward_shape(&x, &w).unwrap();
            holds(Bilinear::Conv(c), &x, &w);
            holds(Bilinear::ConvInput(c), &z, &w);
            holds(Bilinear::ConvWeights(c), &x, &z);
        }
        let depthwise = Conv {
            groups: 3,
            ..Conv::new(&[9], &[4])
        };
        holds(Bilinear::Conv(depthwise), &[2, 3, 9], &[3, 1, 4]);
    }
}
