//! Convolutions as matrix products whose right operand is packed as images, once, and not unrolled to windows: `Windows` of
//! `kernels/tiles.cuh`.
//!
//! Rows of a packed image are its pixels, entries its channels, padded to whole steps of the kernel; k is (term, place in the
//! window, channel). So the image is read once and packed once where unrolling reads and packs it for each place of the window.

use bytemuck::{Pod, Zeroable};
use tacit_mpc::Bilinear;

use crate::parts::{MOST_BLOCKS, PATCH, Packing};
use crate::view::{Product, View};

/// What a convolution's product knows of its images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Images {
    /// Rows are pixels, k is the channel.
    pub(crate) image: View,
    /// The left operand, but for padding: k is (place in the window, channel).
    weights: View,
    /// Words from a channel of the left operand to the next.
    stride: usize,
    pub(crate) channels: usize,
    /// Places of the window.
    pub(crate) window: usize,
    pub(crate) samples: usize,
    /// Pixels of a sample, and columns of the result that it has.
    pub(crate) pixels: usize,
    pub(crate) positions: usize,
}

/// How images lie on the device: `Images` of `kernels/tiles.cuh`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(crate) struct Layout {
    pub(crate) blocks: u32,
    pub(crate) pixels: u32,
    pub(crate) term: u64,
}

impl Images {
    /// Of a convolution or its transpose. The kernel's gradient has sums over pixels, which are no steps of channels.
    pub(crate) fn of(f: Bilinear, x: &[usize], w: &[usize]) -> Option<Self> {
        let (Bilinear::Conv(c) | Bilinear::ConvInput(c)) = f else {
            return None;
        };
        let ((inputs, outputs), window) = (c.positions(), c.window());
        let (kernels, channels) = (w[0] / c.groups, w[1]);
        let batch = kernels * channels * window;
        let side = |row, channels, stride, (pixels, positions)| Self {
            image: View::pixels(x[1] * pixels, pixels, channels * pixels),
            weights: View::matrix(row, 1, batch),
            stride,
            channels,
            window,
            samples: x[0],
            pixels,
            positions,
        };
        Some(if matches!(f, Bilinear::Conv(_)) {
            side(channels * window, channels, window, (inputs, outputs))
        } else {
            side(window, kernels, channels * window, (outputs, inputs))
        })
    }

    /// Channels with padding.
    pub(crate) fn padded(&self, packing: &Packing) -> usize {
        self.channels.next_multiple_of(packing.step)
    }

    /// The left operand with channels padded: entries of padding are zero.
    pub(crate) fn weights(&self, packing: &Packing) -> View {
        self.weights
            .padded(self.padded(packing), self.channels, self.stride)
    }

    /// Whether images take less than windows do, padding at most a quarter more products, and a kernel one launch to pack.
    pub(crate) fn worth(&self, product: &Product, packing: &Packing, terms: usize) -> bool {
        let padded = self.padded(packing);
        let images = self.samples * self.pixels * padded;
        let windows = product.columns * product.depth.next_multiple_of(packing.step);
        4 * padded <= 5 * self.channels
            && images < windows
            && i32::try_from(images).is_ok()
            && terms * self.window * padded <= packing.most
            && self.window * padded <= PATCH * MOST_BLOCKS
    }
}

/// A convolution in parts: so many rows of the result, and of the columns whole samples, or so many lines (positions of the
/// first axis) of one sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parts {
    pub(crate) rows: usize,
    pub(crate) samples: usize,
    pub(crate) lines: usize,
}

impl Parts {
    /// The largest that take at most `bytes`; none where not even a line does, or images are not worth it.
    pub(crate) fn of(
        product: &Product,
        images: &Images,
        packing: &Packing,
        terms: usize,
        bytes: usize,
    ) -> Option<Self> {
        if !images.worth(product, packing, terms) {
            return None;
        }
        let padded = terms * images.padded(packing);
        let lines = product.right.lines();
        let mut parts = Self {
            rows: product.rows,
            samples: images.samples,
            lines,
        };
        loop {
            let weights = parts.rows * images.window * padded * packing.entry;
            let pixels = parts.pixels(product, images);
            let columns = parts.samples * images.positions / lines * parts.lines;
            let right = pixels * padded * packing.entry + columns * parts.rows * packing.result;
            if (weights + right) as u128 * product.batches as u128 <= bytes as u128 {
                return Some(parts);
            }
            if parts.rows > packing.tile && weights > right {
                parts.rows = parts.rows.div_ceil(2).next_multiple_of(packing.tile);
            } else if parts.samples > 1 {
                parts.samples = parts.samples.div_ceil(2);
            } else if parts.lines > 1 {
                parts.lines = parts.lines.div_ceil(2);
            } else {
                return None;
            }
        }
    }

    /// The most pixels that a part reads.
    pub(crate) fn pixels(&self, product: &Product, images: &Images) -> usize {
        if self.lines == product.right.lines() {
            return self.samples * images.pixels;
        }
        let all = product.right.lines();
        let most = (0..all).step_by(self.lines).map(|line| {
            let (_, from, to) = product.right.of_lines(line, self.lines.min(all - line));
            to - from
        });
        most.max().unwrap_or(0) * (images.pixels / product.right.limit_lines())
    }
}
