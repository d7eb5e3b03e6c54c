//! Operands and results as matrices: which entry of a tensor stands where.
//!
//! A product, a convolution and both of its transposes are one matrix product C\[row, column\] = Σ_k A\[row, k\]·B\[column, k\]
//! whose operands are read through a [`View`]; `kernels/view.cuh` says what it means, and reads it on the device.

use bytemuck::{Pod, Zeroable};
use tacit_mpc::Bilinear;
use tacit_mpc::conv::Conv;

use crate::images::Images;

/// Where entry (row, k) of a matrix lies in a tensor: `View` of `kernels/view.cuh`, field by field.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub(crate) struct View {
    row_extent: [u32; 3],
    k_extent: [u32; 3],
    row_step: [i32; 3],
    k_step: [i32; 3],
    offset: [i32; 3],
    divisor: [i32; 3],
    limit: [i32; 3],
    plain: u32,
    row_outer: i64,
    k_outer: i64,
    batch: i64,
    stride: [i64; 3],
}

/// Where entry (row, column) of a result lies: `Place` of `kernels/view.cuh`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub(crate) struct Place {
    row: i64,
    outer: i64,
    batch: i64,
    inner: u32,
    unused: u32,
}

/// A bilinear map as `batches` matrix products.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Product {
    /// Of the operand whose rows are rows of the result.
    pub(crate) left: View,
    /// Of the operand whose rows are columns of the result.
    pub(crate) right: View,
    /// Whether the *second* operand of the bilinear map is the left one.
    pub(crate) swapped: bool,
    pub(crate) place: Place,
    pub(crate) batches: usize,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) depth: usize,
    /// Of a convolution or its transpose.
    pub(crate) images: Option<Images>,
}

impl View {
    pub(crate) fn matrix(row: usize, k: usize, batch: usize) -> Self {
        Self {
            row_extent: [1; 3],
            k_extent: [1; 3],
            row_step: [0; 3],
            k_step: [0; 3],
            offset: [0; 3],
            divisor: [1; 3],
            limit: [1; 3],
            plain: 1,
            row_outer: row as i64,
            k_outer: k as i64,
            batch: batch as i64,
            stride: [0; 3],
        }
    }

    /// As a matrix, but for an index k of (outer, inner) whose inner part walks single words.
    fn split(self, inner: usize) -> Self {
        self.padded(inner, inner, 1)
    }

    /// As a matrix, but for an index k of (outer, inner) whose inner part, below `extent`, walks `stride` words; there are
    /// `limit` entries, and zeros behind them.
    pub(crate) fn padded(self, extent: usize, limit: usize, stride: usize) -> Self {
        Self {
            plain: 0,
            k_extent: [1, 1, extent as u32],
            k_step: [0, 0, 1],
            limit: [1, 1, limit as i32],
            stride: [0, 0, stride as i64],
            ..self
        }
    }

    /// Rows are (sample, pixel) of so many pixels, k is the channel.
    pub(crate) fn pixels(sample: usize, pixels: usize, batch: usize) -> Self {
        Self {
            plain: 0,
            row_extent: [1, 1, pixels as u32],
            row_step: [0, 0, 1],
            limit: [1, 1, pixels as i32],
            stride: [0, 0, 1],
            ..Self::matrix(sample, pixels, batch)
        }
    }

    /// Positions of rows along the first axis,
    pub(crate) fn lines(&self) -> usize {
        self.row_extent[0] as usize
    }

    /// and how many there are in the tensor.
    pub(crate) fn limit_lines(&self) -> usize {
        self.limit[0] as usize
    }

    /// Rows from `line` on along the first axis, so many, of a tensor that has only what they read: from which line of the
    /// tensor, and up to which.
    pub(crate) fn of_lines(&self, line: usize, count: usize) -> (Self, usize, usize) {
        let (step, divisor) = (i64::from(self.row_step[0]), i64::from(self.divisor[0]));
        let first = line as i64 * step + i64::from(self.offset[0]);
        let last = first + (count as i64 - 1) * step;
        let window = i64::from(self.k_step[0]) * (i64::from(self.k_extent[0]) - 1);
        let clip = |p: i64| p.clamp(0, i64::from(self.limit[0]));
        let from = clip((first + window.min(0)).div_euclid(divisor));
        let to = clip((last + window.max(0)).div_euclid(divisor) + 1).max(from);
        let mut part = *self;
        part.row_extent[0] = count as u32;
        part.offset[0] = (first - from * divisor) as i32;
        part.limit[0] = (to - from) as i32;
        (part, from as usize, to as usize)
    }

    /// As a matrix whose rows and k walk along spatial axes of `extent`.
    fn spatial(self, extent: &[usize; 3]) -> Self {
        Self {
            plain: 0,
            limit: extent.map(|e| e as i32),
            stride: [(extent[1] * extent[2]) as i64, extent[2] as i64, 1],
            ..self
        }
    }
}

impl Product {
    /// `f` of operands of these shapes; none where they do not fit, where an index or a position would not fit into 31 bits,
    /// or for products entry by entry, which are no matrix product.
    pub(crate) fn of(f: Bilinear, x: &[usize], y: &[usize]) -> Option<Self> {
        let result = f.output_shape(x, y)?;
        let small = |shape: &[usize]| shape.iter().all(|&n| i32::try_from(n).is_ok());
        if ![x, y, &result].into_iter().all(small) {
            return None;
        }
        if let Bilinear::Conv(c) | Bilinear::ConvInput(c) | Bilinear::ConvWeights(c) = f {
            // Positions are signed, and walk over the padding.
            let axes = 0..c.input.len();
            let mut padded = axes.map(|a| c.input[a] + c.pad_begin[a] + c.pad_end[a]);
            let extents = padded.all(|n| i32::try_from(n).is_ok());
            if !(extents && small(&c.stride) && small(&c.dilation)) {
                return None;
            }
        }
        let product = match f {
            Bilinear::Mul => return None,
            Bilinear::MatMul => Self::matrices(x, y)?,
            Bilinear::Conv(c) => Self::forward(&c, x, y)?,
            Bilinear::ConvInput(c) => Self::input(&c, x, y)?,
            Bilinear::ConvWeights(c) => Self::weights(&c, x, y)?,
        };
        let sizes = [
            product.batches,
            product.rows,
            product.columns,
            product.depth,
        ];
        let images = Images::of(f, x, y);
        small(&sizes).then_some(Self { images, ..product })
    }

    /// Bytes, of words of so many, from the beginnings of operands and result to those of their `first` batch.
    pub(crate) fn batch_at(&self, first: usize, bytes: usize) -> (u64, u64, u64) {
        let at = |words: i64| (bytes * first) as u64 * words as u64;
        (
            at(self.left.batch),
            at(self.right.batch),
            at(self.place.batch),
        )
    }

    fn matrices(x: &[usize], y: &[usize]) -> Option<Self> {
        let ([batch @ .., m, k], [.., n]) = (x, y) else {
            return None;
        };
        Some(Self {
            left: View::matrix(*k, 1, m * k),
            right: View::matrix(1, *n, k * n),
            swapped: false,
            place: Place::new(*n, *n, 0, m * n),
            batches: batch.iter().product(),
            rows: *m,
            columns: *n,
            depth: *k,
            images: None,
        })
    }

    /// Rows are output channels, columns (sample, output position), k is (input channel, window).
    fn forward(c: &Conv, x: &[usize], w: &[usize]) -> Option<Self> {
        let (inputs, outputs) = c.positions();
        let (samples, channels, kernels, window) = (x[0], x[1], w[0] / c.groups, c.window());
        let depth = w[1] * window;
        let columns = View {
            row_extent: narrow(&c.output()?),
            k_extent: narrow(&c.kernel),
            row_step: signed(&c.stride),
            k_step: signed(&c.dilation),
            offset: signed(&c.pad_begin).map(|p| -p),
            ..View::matrix(channels * inputs, inputs, w[1] * inputs).spatial(&c.input)
        };
        Some(Self {
            left: View::matrix(depth, 1, kernels * depth),
            right: columns,
            swapped: true,
            place: Place::new(outputs, outputs, w[0] * outputs, kernels * outputs),
            batches: c.groups,
            rows: kernels,
            columns: samples * outputs,
            depth,
            images: None,
        })
    }

    /// Rows are input channels, columns (sample, input position), k is (output channel, window).
    fn input(c: &Conv, y: &[usize], w: &[usize]) -> Option<Self> {
        let (inputs, outputs) = c.positions();
        let (samples, channels, kernels, window) = (y[0], w[1], w[0] / c.groups, c.window());
        let outgoing = View {
            row_extent: narrow(&c.input),
            k_extent: narrow(&c.kernel),
            row_step: [1; 3],
            k_step: signed(&c.dilation).map(|d| -d),
            offset: signed(&c.pad_begin),
            divisor: signed(&c.stride),
            ..View::matrix(w[0] * outputs, outputs, kernels * outputs).spatial(&c.output()?)
        };
        let all = channels * c.groups;
        Some(Self {
            left: View::matrix(window, channels * window, kernels * channels * window)
                .split(window),
            right: outgoing,
            swapped: true,
            place: Place::new(inputs, inputs, all * inputs, channels * inputs),
            batches: c.groups,
            rows: channels,
            columns: samples * inputs,
            depth: kernels * window,
            images: None,
        })
    }

    /// Rows are output channels, columns (input channel, window), k is (sample, output position).
    fn weights(c: &Conv, x: &[usize], y: &[usize]) -> Option<Self> {
        let (inputs, outputs) = c.positions();
        let (samples, channels, kernels, window) =
            (x[0], x[1] / c.groups, y[1] / c.groups, c.window());
        let windows = View {
            row_extent: narrow(&c.kernel),
            k_extent: narrow(&c.output()?),
            row_step: signed(&c.dilation),
            k_step: signed(&c.stride),
            offset: signed(&c.pad_begin).map(|p| -p),
            ..View::matrix(inputs, x[1] * inputs, channels * inputs).spatial(&c.input)
        };
        let columns = channels * window;
        Some(Self {
            left: View::matrix(outputs, y[1] * outputs, kernels * outputs).split(outputs),
            right: windows,
            swapped: true,
            place: Place::new(columns, columns, 0, kernels * columns),
            batches: c.groups,
            rows: kernels,
            columns,
            depth: samples * outputs,
            images: None,
        })
    }
}

impl Place {
    fn new(row: usize, inner: usize, outer: usize, batch: usize) -> Self {
        Self {
            row: row as i64,
            outer: outer as i64,
            batch: batch as i64,
            inner: inner.max(1) as u32,
            unused: 0,
        }
    }
}

fn narrow(extents: &[usize; 3]) -> [u32; 3] {
    extents.map(|e| e as u32)
}

fn signed(numbers: &[usize; 3]) -> [i32; 3] {
    numbers.map(|x| x as i32)
}
