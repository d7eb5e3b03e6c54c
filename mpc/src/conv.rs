//! The geometry of convolutions, and their lowering to matrix products.

use std::ops::AddAssign;

/// Spatial axes at most.
pub const MAX_RANK: usize = 3;

/// A convolution over `rank` spatial axes; axes from `rank` on have extent, kernel, stride and dilation 1 and no padding.
///
/// Tensors are \[batch, channels, spatial…\], kernels \[output channels, input channels / groups, spatial…\] as in ONNX. The
/// kernel is not mirrored (cross-correlation).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Conv {
    /// Spatial axes, 1 to 3.
    pub rank: usize,
    /// Extents of the input.
    pub input: [usize; MAX_RANK],
    /// Extents of the kernel.
    pub kernel: [usize; MAX_RANK],
    /// Steps between windows.
    pub stride: [usize; MAX_RANK],
    /// Steps between the entries of a window.
    pub dilation: [usize; MAX_RANK],
    /// Zeros before the input.
    pub pad_begin: [usize; MAX_RANK],
    /// Zeros after it.
    pub pad_end: [usize; MAX_RANK],
    /// Groups of channels that do not see each other.
    pub groups: usize,
}

impl Conv {
    /// Stride 1, no padding, no dilation, one group.
    ///
    /// # Panics
    /// For other than 1 to 3 axes, or a kernel with another number of them.
    #[must_use]
    pub fn new(input: &[usize], kernel: &[usize]) -> Self {
        assert!(
            (1..=MAX_RANK).contains(&input.len()) && input.len() == kernel.len(),
            "1 to {MAX_RANK} spatial axes, as many of the kernel"
        );
        let fill = |s: &[usize]| std::array::from_fn(|a| s.get(a).copied().unwrap_or(1));
        Self {
            rank: input.len(),
            input: fill(input),
            kernel: fill(kernel),
            stride: [1; MAX_RANK],
            dilation: [1; MAX_RANK],
            pad_begin: [0; MAX_RANK],
            pad_end: [0; MAX_RANK],
            groups: 1,
        }
    }

    /// Extents of the output; `None` where a window does not fit or a parameter is zero.
    #[must_use]
    pub fn output(&self) -> Option<[usize; MAX_RANK]> {
        let mut output = [1; MAX_RANK];
        for (a, output) in output.iter_mut().enumerate() {
            let window = self.dilation[a].checked_mul(self.kernel[a].checked_sub(1)?)?;
            let padded = self.input[a]
                .checked_add(self.pad_begin[a])?
                .checked_add(self.pad_end[a])?;
            *output = padded
                .checked_sub(window.checked_add(1)?)?
                .checked_div(self.stride[a])?
                + 1;
        }
        (self.groups > 0 && self.dilation.iter().all(|&d| d > 0)).then_some(output)
    }

    /// Entries of a window.
    #[must_use]
    pub fn window(&self) -> usize {
        self.kernel.iter().product()
    }

    /// Shape \[n, channels, spatial…\] with the given extents.
    fn shape(&self, n: usize, channels: usize, extents: &[usize; MAX_RANK]) -> Vec<usize> {
        [&[n, channels], &extents[..self.rank]].concat()
    }

    /// (batch, channels) of a tensor with the given extents.
    fn leading(&self, x: &[usize], extents: &[usize; MAX_RANK]) -> Option<(usize, usize)> {
        (x.len() == self.rank + 2 && x[2..] == extents[..self.rank]).then(|| (x[0], x[1]))
    }

    /// Shape of the output for input `x` and kernel `w`.
    #[must_use]
    pub fn forward_shape(&self, x: &[usize], w: &[usize]) -> Option<Vec<usize>> {
        let ((n, c), (m, cg)) = (
            self.leading(x, &self.input)?,
            self.leading(w, &self.kernel)?,
        );
        let fits = cg.checked_mul(self.groups)? == c && m % self.groups == 0;
        let output = self.output()?;
        fits.then(|| self.shape(n, m, &output))
    }

    /// Shape of the input for output `y` and kernel `w`.
    #[must_use]
    pub fn input_shape(&self, y: &[usize], w: &[usize]) -> Option<Vec<usize>> {
        let ((n, m), (mw, cg)) = (
            self.leading(y, &self.output()?)?,
            self.leading(w, &self.kernel)?,
        );
        (m == mw && m % self.groups == 0).then(|| self.shape(n, cg * self.groups, &self.input))
    }

    /// Shape of the kernel for input `x` and output `y`.
    #[must_use]
    pub fn weights_shape(&self, x: &[usize], y: &[usize]) -> Option<Vec<usize>> {
        let ((n, c), (ny, m)) = (
            self.leading(x, &self.input)?,
            self.leading(y, &self.output()?)?,
        );
        let fits = n == ny && c % self.groups == 0 && m % self.groups == 0;
        fits.then(|| self.shape(m, c / self.groups, &self.kernel))
    }

    /// Visits (entry of the window, position in the output, position in the input) for one channel of one sample; positions
    /// are row-major. What falls on padding is left out.
    pub fn visit(&self, mut f: impl FnMut(usize, usize, usize)) {
        let Some(out) = self.output() else { return };
        let place = |a: usize, o: usize, k: usize| {
            (o * self.stride[a] + k * self.dilation[a])
                .checked_sub(self.pad_begin[a])
                .filter(|&i| i < self.input[a])
        };
        let [k0, k1, k2] = self.kernel;
        for (window, (a, b, c)) in (0..k0)
            .flat_map(|a| (0..k1).flat_map(move |b| (0..k2).map(move |c| (a, b, c))))
            .enumerate()
        {
            for o0 in 0..out[0] {
                let Some(i0) = place(0, o0, a) else { continue };
                for o1 in 0..out[1] {
                    let Some(i1) = place(1, o1, b) else { continue };
                    for o2 in 0..out[2] {
                        let Some(i2) = place(2, o2, c) else { continue };
                        f(
                            window,
                            (o0 * out[1] + o1) * out[2] + o2,
                            (i0 * self.input[1] + i1) * self.input[2] + i2,
                        );
                    }
                }
            }
        }
    }

    /// The windows of `channels` channels of one sample as a matrix \[channels·window, output positions\].
    #[must_use]
    pub fn columns<T: Copy + Default>(&self, x: &[T], channels: usize) -> Vec<T> {
        let (inputs, outputs) = self.positions();
        let mut columns = vec![T::default(); channels * self.window() * outputs];
        for c in 0..channels {
            let x = &x[c * inputs..][..inputs];
            let rows = &mut columns[c * self.window() * outputs..][..self.window() * outputs];
            self.visit(|w, o, i| rows[w * outputs + o] = x[i]);
        }
        columns
    }

    /// The transpose of [`Self::columns`]: adds each entry of the matrix to the entry of the input it was taken from.
    #[must_use]
    pub fn add_columns<T: Copy + Default + AddAssign>(
        &self,
        columns: &[T],
        channels: usize,
    ) -> Vec<T> {
        let (inputs, outputs) = self.positions();
        let mut x = vec![T::default(); channels * inputs];
        for c in 0..channels {
            let x = &mut x[c * inputs..][..inputs];
            let rows = &columns[c * self.window() * outputs..][..self.window() * outputs];
            self.visit(|w, o, i| x[i] += rows[w * outputs + o]);
        }
        x
    }

    /// Positions of the input and of the output.
    #[must_use]
    pub fn positions(&self) -> (usize, usize) {
        let outputs = self.output().map_or(0, |o| o.iter().product());
        (self.input.iter().product(), outputs)
    }
}
