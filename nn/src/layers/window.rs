//! Where sliding windows fall: the geometry that convolutions and pooling share.

use super::invalid;
use crate::Result;

/// How an input is extended at its ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Padding {
    /// So many entries before and after each axis.
    Explicit {
        /// Before the first entry.
        begin: Vec<usize>,
        /// After the last.
        end: Vec<usize>,
    },
    /// As many as make the output ⌈input/stride⌉ long; of an odd number, the odd one goes to the end.
    SameUpper,
    /// The same, but the odd one goes to the beginning.
    SameLower,
    /// None.
    Valid,
}

/// Windows that slide over the spatial axes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Entries of a window along each axis.
    pub kernel: Vec<usize>,
    /// Steps between windows.
    pub stride: Vec<usize>,
    /// Steps between the entries of a window.
    pub dilation: Vec<usize>,
    /// What lies around the input.
    pub padding: Padding,
    /// Whether a last window may reach beyond the padded input, as long as it starts before the padding at the end.
    pub ceil: bool,
}

/// The windows along one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Along {
    pub(crate) input: usize,
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    pub(crate) dilation: usize,
    pub(crate) begin: usize,
    pub(crate) end: usize,
    pub(crate) output: usize,
}

impl Window {
    /// Stride 1, no dilation, no padding.
    #[must_use]
    pub fn new(kernel: &[usize]) -> Self {
        Self {
            kernel: kernel.to_vec(),
            stride: vec![1; kernel.len()],
            dilation: vec![1; kernel.len()],
            padding: Padding::Valid,
            ceil: false,
        }
    }

    /// The windows along each axis of an input with these extents.
    ///
    /// # Errors
    /// [`crate::Error::Invalid`] where a parameter is zero or missing for an axis, or no window fits.
    pub(crate) fn along(&self, input: &[usize]) -> Result<Vec<Along>> {
        let rank = input.len();
        let given = match &self.padding {
            Padding::Explicit { begin, end } => begin.len() == rank && end.len() == rank,
            _ => true,
        };
        if !given || [&self.kernel, &self.stride, &self.dilation].map(Vec::len) != [rank; 3] {
            return Err(invalid(format!(
                "windows need kernel, strides, dilations and pads for each of {rank} spatial axes"
            )));
        }
        (0..rank).map(|a| self.one(a, input[a])).collect()
    }

    fn one(&self, a: usize, input: usize) -> Result<Along> {
        let (kernel, stride, dilation) = (self.kernel[a], self.stride[a], self.dilation[a]);
        let misfit = || {
            invalid(format!(
                "no window of {kernel} entries, {dilation} apart, with stride {stride} fits into {input} entries and \
                 padding {:?} of spatial axis {a}",
                self.padding
            ))
        };
        if kernel == 0 || stride == 0 || dilation == 0 {
            return Err(misfit());
        }
        let span = (kernel - 1)
            .checked_mul(dilation)
            .and_then(|d| d.checked_add(1))
            .ok_or_else(misfit)?;
        // Sizes come from files: more entries than 2^31 along an axis are no tensor.
        let sane = |n: usize| n < 1 << 31;
        if ![input, kernel, stride, span].into_iter().all(sane) {
            return Err(misfit());
        }
        let same = || {
            let output = input.div_ceil(stride);
            let total = (output.max(1) - 1) * stride + span;
            (output, total.saturating_sub(input))
        };
        let (begin, end, output) = match &self.padding {
            Padding::SameUpper => {
                let (output, total) = same();
                (total / 2, total - total / 2, output)
            }
            Padding::SameLower => {
                let (output, total) = same();
                (total - total / 2, total / 2, output)
            }
            Padding::Valid => {
                let steps = input.checked_sub(span).ok_or_else(misfit)?;
                (0, 0, steps / stride + 1)
            }
            Padding::Explicit { begin, end } => {
                let (begin, end) = (begin[a], end[a]);
                let steps = input
                    .checked_add(begin)
                    .and_then(|n| n.checked_add(end).filter(|&n| sane(n))?.checked_sub(span))
                    .ok_or_else(misfit)?;
                let output = if self.ceil {
                    let output = steps.div_ceil(stride) + 1;
                    // The last window starts before the padding at the end.
                    output - usize::from((output - 1) * stride >= input + begin)
                } else {
                    steps / stride + 1
                };
                (begin, end, output)
            }
        };
        Ok(Along {
            input,
            kernel,
            stride,
            dilation,
            begin,
            end,
            output,
        })
    }
}

impl Along {
    /// Where entry `tap` of window `out` lies, counted from the beginning of the padding.
    pub(crate) fn place(&self, out: usize, tap: usize) -> usize {
        out * self.stride + tap * self.dilation
    }

    /// One past the last place that a window reaches.
    pub(crate) fn reach(&self) -> usize {
        if self.output == 0 {
            0
        } else {
            self.place(self.output - 1, self.kernel - 1) + 1
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(window: Window, input: usize) -> Along {
        window.along(&[input]).unwrap()[0]
    }

    #[test]
    fn same_padding_keeps_the_length_over_the_stride() {
        for (input, kernel, stride) in [(32, 2, 1), (7, 3, 2), (5, 4, 3), (3, 1, 2)] {
            let mut w = Window {
                stride: vec![stride],
                padding: Padding::SameUpper,
                ..Window::new(&[kernel])
            };
            let upper = one(w.clone(), input);
            w.padding = Padding::SameLower;
            let lower = one(w, input);
            assert_eq!(upper.output, input.div_ceil(stride));
            assert_eq!((upper.begin, upper.end), (lower.end, lower.begin));
            assert!(upper.end - upper.begin <= 1);
        }
    }

    #[test]
    fn a_rounded_up_window_starts_inside() {
        let ceil = |input, kernel, stride| {
            let padding = Padding::Explicit {
                begin: vec![0],
                end: vec![0],
            };
            let w = Window {
                stride: vec![stride],
                padding,
                ceil: true,
                ..Window::new(&[kernel])
            };
            one(w, input).output
        };
        assert_eq!(ceil(4, 3, 2), 2);
        assert_eq!(ceil(2, 1, 2), 1);
        assert_eq!(ceil(5, 3, 2), 2);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for w in [
            Window::new(&[6]),
            Window::new(&[0]),
            Window::new(&[2, 2]),
            Window {
                stride: vec![0],
                ..Window::new(&[1])
            },
            Window {
                dilation: vec![usize::MAX],
                ..Window::new(&[3])
            },
        ] {
            assert!(w.along(&[5]).is_err(), "{w:?}");
        }
    }
}
