//! Convolutions and their transposes over one to three spatial axes, each one product of the engine.

use tacit_mpc::{Bilinear, Conv};

use super::window::{Padding, Window};
use super::{add_per_channel, invalid, pad_axis};
use crate::{Edge, Graph, Result};

/// Spatial axes at most, as many as [`Conv`] has.
const MOST_AXES: usize = 3;

/// Convolution as ONNX defines it: `x` \[n, channels, spatial…\], `w` \[outputs, channels/groups, kernel…\], `bias`
/// \[outputs\]. The kernel's extents are those of `w`; `window.kernel` is not read.
///
/// # Errors
/// Shapes that do not fit, and other than one to three spatial axes.
pub fn conv(
    g: &mut Graph,
    x: Edge,
    w: Edge,
    bias: Option<Edge>,
    window: &Window,
    groups: usize,
) -> Result<Edge> {
    let (input, kernel) = (spatial(g, x)?, spatial(g, w)?);
    let window = Window {
        kernel: kernel.clone(),
        ..window.clone()
    };
    if input.len() != kernel.len() {
        return Err(invalid(format!(
            "a kernel with {} spatial axes for an input with {}",
            kernel.len(),
            input.len()
        )));
    }
    let mut c = Conv::new(&input, &kernel);
    c.groups = groups;
    for (a, along) in window.along(&input)?.iter().enumerate() {
        c.stride[a] = along.stride;
        c.dilation[a] = along.dilation;
        c.pad_begin[a] = along.begin;
        c.pad_end[a] = along.end;
    }
    let y = g.bilinear(Bilinear::Conv(c), x, w)?;
    bias.map_or(Ok(y), |bias| add_per_channel(g, y, bias))
}

/// What a transposed convolution needs beside its operands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transposed {
    /// Stride, dilation and padding; its kernel is that of the weights.
    pub window: Window,
    /// Entries added at the far end of each axis, to choose among the inputs that a convolution maps to one length.
    pub output_padding: Vec<usize>,
    /// The spatial extents wanted; the padding follows from them.
    pub output_shape: Option<Vec<usize>>,
    /// Groups of channels that do not see each other.
    pub groups: usize,
}

/// Transposed convolution as ONNX defines it: `x` \[n, channels, spatial…\], `w` \[channels, outputs/groups, kernel…\], `bias`
/// \[outputs\].
///
/// # Errors
/// Shapes that do not fit, and other than one to three spatial axes.
pub fn conv_transpose(
    g: &mut Graph,
    x: Edge,
    w: Edge,
    bias: Option<Edge>,
    spec: &Transposed,
) -> Result<Edge> {
    let (input, kernel) = (spatial(g, x)?, spatial(g, w)?);
    let cuts = (0..input.len())
        .map(|a| cut(spec, a, input[a], kernel.get(a).copied().unwrap_or(0)))
        .collect::<Result<Vec<_>>>()?;
    let lengths: Vec<usize> = cuts.iter().map(|cut| cut.length).collect();
    if kernel.len() != input.len() {
        return Err(invalid(format!(
            "a kernel with {} spatial axes for an input with {}",
            kernel.len(),
            input.len()
        )));
    }
    let mut c = Conv::new(&lengths, &kernel);
    c.groups = spec.groups;
    for (a, cut) in cuts.iter().enumerate() {
        c.stride[a] = spec.window.stride[a];
        c.dilation[a] = spec.window.dilation[a];
        c.pad_begin[a] = cut.begin.max(0) as usize;
        c.pad_end[a] = cut.end.max(0) as usize;
    }
    let mut y = g.bilinear(Bilinear::ConvInput(c), x, w)?;
    for (a, cut) in cuts.iter().enumerate() {
        let zeros = |cut: isize| cut.min(0).unsigned_abs();
        y = pad_axis(g, y, a + 2, zeros(cut.begin), zeros(cut.end))?;
    }
    bias.map_or(Ok(y), |bias| add_per_channel(g, y, bias))
}

/// What is cut off the full transposed convolution at either end; a negative number stands for zeros added.
struct Cut {
    begin: isize,
    end: isize,
    /// What is left before zeros are added.
    length: usize,
}

fn cut(spec: &Transposed, a: usize, input: usize, kernel: usize) -> Result<Cut> {
    let misfit = || {
        invalid(format!(
            "a transposed convolution of {input} entries with a kernel of {kernel} does not give spatial axis {a} of {spec:?}"
        ))
    };
    let of = |v: &[usize]| v.get(a).copied().ok_or_else(misfit);
    let (stride, dilation) = (of(&spec.window.stride)?, of(&spec.window.dilation)?);
    if stride == 0 || dilation == 0 || input == 0 || kernel == 0 {
        return Err(misfit());
    }
    let extra = spec.output_padding.get(a).copied().unwrap_or(0);
    // All sizes come from files: 2^31 entries are more than any tensor has.
    let small = [input, kernel, stride, dilation, extra];
    if small.iter().any(|&n| n >= 1 << 31) {
        return Err(misfit());
    }
    let full = stride
        .checked_mul(input - 1)
        .and_then(|n| {
            n.checked_add((kernel - 1).checked_mul(dilation)?)?
                .checked_add(1)
        })
        .ok_or_else(misfit)?;
    let all = (full + extra) as isize;
    // Where more is wanted than there is, nothing is cut and the rest is at the end, as runtimes do it.
    let split = |total: isize| {
        if total < 0 {
            return (0, total);
        }
        let upper = matches!(spec.window.padding, Padding::SameUpper);
        let half = total / 2;
        if upper {
            (half, total - half)
        } else {
            (total - half, half)
        }
    };
    let wanted = match (&spec.output_shape, &spec.window.padding) {
        (Some(shape), _) => Some(of(shape)?),
        (None, Padding::SameUpper | Padding::SameLower) => Some(input * stride),
        _ => None,
    };
    let (begin, end) = match (wanted, &spec.window.padding) {
        (Some(n), _) => split(all - isize::try_from(n).map_err(|_| misfit())?),
        (None, Padding::Explicit { begin, end }) => {
            let signed = |n: usize| isize::try_from(n).map_err(|_| misfit());
            (signed(of(begin)?)?, signed(of(end)?)?)
        }
        _ => (0, 0),
    };
    let end = end - extra as isize;
    let length = full as isize - begin.max(0) - end.max(0);
    if length <= 0 {
        return Err(misfit());
    }
    Ok(Cut {
        begin,
        end,
        length: length as usize,
    })
}

/// The extents after batch and channels.
fn spatial(g: &Graph, x: Edge) -> Result<Vec<usize>> {
    match g.shape(x)? {
        [_, _, spatial @ ..] if (1..=MOST_AXES).contains(&spatial.len()) => Ok(spatial.to_vec()),
        other => Err(invalid(format!(
            "a convolution has one to {MOST_AXES} spatial axes after batch and channels; the shape is {other:?}"
        ))),
    }
}

#[cfg(test)]
mod tests;
