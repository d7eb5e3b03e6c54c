//! Convolutions as matrix products whose operands are read where they lie: the windows are packed into panels as they are
//! read, all samples are one product, and the terms are joined along the inner dimension.

use super::gemm::{Block, Dense, Lines, Side, Target, gemm};
use crate::conv::Conv;
use crate::{Bilinear, R64};

/// Words of window columns that stand at once in the transposed convolution.
const COLUMNS: usize = 1 << 19;
/// Fewer output channels a group than this are summed up without packing.
const THIN: usize = 4;

/// A convolution with its sizes worked out. Extents have the used axes last, so that runs are as long as they can be.
pub(super) struct Geometry {
    samples: usize,
    groups: usize,
    /// Input and output channels of one group.
    inputs: usize,
    outputs: usize,
    input: [usize; 3],
    output: [usize; 3],
    kernel: [usize; 3],
    stride: [usize; 3],
    dilation: [usize; 3],
    pad: [usize; 3],
}

/// Positions of the output that lie together, and where they are read from.
struct Run {
    /// First position of the output, and how many.
    output: usize,
    len: usize,
    /// The input position of the first; the next are `stride` apart.
    input: usize,
}

impl Geometry {
    /// For operands of these shapes, which fit.
    pub(super) fn new(f: Bilinear, c: &Conv, x: &[usize], y: &[usize]) -> Self {
        let turn = |v: [usize; 3]| std::array::from_fn(|a| v[(a + c.rank) % 3]);
        // Kernels are [outputs, inputs of a group, …].
        let (samples, inputs, outputs) = match f {
            Bilinear::ConvWeights(_) => (x[0], x[1] / c.groups, y[1] / c.groups),
            _ => (x[0], y[1], y[0] / c.groups),
        };
        Self {
            samples,
            groups: c.groups,
            inputs,
            outputs,
            input: turn(c.input),
            output: turn(c.output().unwrap_or_default()),
            kernel: turn(c.kernel),
            stride: turn(c.stride),
            dilation: turn(c.dilation),
            pad: turn(c.pad_begin),
        }
    }

    fn window(&self) -> usize {
        self.kernel.iter().product()
    }

    /// Positions of a channel of the input and of the output.
    fn positions(&self) -> (usize, usize) {
        (self.input.iter().product(), self.output.iter().product())
    }

    /// Visits what entry `w` of the window reads for the output positions `range` of one channel.
    fn runs(&self, w: usize, range: std::ops::Range<usize>, mut visit: impl FnMut(Run)) {
        let [_, k1, k2] = self.kernel;
        let entry = [w / (k1 * k2), w / k2 % k1, w % k2];
        let [_, rows, width] = self.output;
        let place = |a: usize, o: usize| {
            (o * self.stride[a] + entry[a] * self.dilation[a])
                .checked_sub(self.pad[a])
                .filter(|&i| i < self.input[a])
        };
        // Along the last axis the positions that do not fall on padding are one range, the same for all rows.
        let offset = entry[2] * self.dilation[2];
        let first = self.pad[2].saturating_sub(offset).div_ceil(self.stride[2]);
        let past = (self.input[2] + self.pad[2])
            .saturating_sub(offset)
            .div_ceil(self.stride[2])
            .min(width);
        let mut at = range.start;
        while at < range.end {
            let (row, o2) = (at / width, at % width);
            let end = range.end.min((row + 1) * width);
            let from = o2.max(first);
            let to = (end - row * width).min(past);
            if let (Some(i0), Some(i1)) = (place(0, row / rows), place(1, row % rows))
                && from < to
            {
                let i2 = from * self.stride[2] + offset - self.pad[2];
                visit(Run {
                    output: row * width + from,
                    len: to - from,
                    input: (i0 * self.input[1] + i1) * self.input[2] + i2,
                });
            }
            at = end;
        }
    }

    /// The positions of the input that a run reads.
    fn taps<'x>(&self, x: &'x [R64], run: &Run) -> impl Iterator<Item = &'x R64> {
        x[run.input..].iter().step_by(self.stride[2]).take(run.len)
    }
}

/// The windows of one group as a matrix: line (channel, entry of the window), along it the output positions of all samples.
struct Windows<'a> {
    geometry: &'a Geometry,
    x: &'a [R64],
    group: usize,
}

impl Lines for Windows<'_> {
    fn fill(&self, line: usize, from: usize, out: &mut [R64]) {
        let g = self.geometry;
        let (inputs, outputs) = g.positions();
        let (channel, w) = (line / g.window(), line % g.window());
        out.fill(R64::default());
        let mut rest = out;
        let mut at = from;
        while !rest.is_empty() {
            let (sample, start) = (at / outputs, at % outputs);
            let end = (start + rest.len()).min(outputs);
            let (piece, later) = rest.split_at_mut(end - start);
            let channel = (sample * g.groups + self.group) * g.inputs + channel;
            let x = &self.x[channel * inputs..][..inputs];
            g.runs(w, start..end, |run| {
                let out = &mut piece[run.output - start..][..run.len];
                if g.stride[2] == 1 {
                    out.copy_from_slice(&x[run.input..][..run.len]);
                } else {
                    out.iter_mut()
                        .zip(g.taps(x, &run))
                        .for_each(|(o, &v)| *o = v);
                }
            });
            (at, rest) = (at + end - start, later);
        }
    }
}

/// The channels of one group of an output: line channel, along it the positions of all samples.
struct Channels<'a> {
    geometry: &'a Geometry,
    y: &'a [R64],
    group: usize,
}

impl Lines for Channels<'_> {
    fn fill(&self, line: usize, mut from: usize, out: &mut [R64]) {
        let g = self.geometry;
        let (_, outputs) = g.positions();
        let mut rest = out;
        while !rest.is_empty() {
            let (sample, start) = (from / outputs, from % outputs);
            let here = (outputs - start).min(rest.len());
            let (piece, later) = rest.split_at_mut(here);
            let channel = (sample * g.groups + self.group) * g.outputs + line;
            piece.copy_from_slice(&self.y[channel * outputs + start..][..here]);
            (from, rest) = (from + here, later);
        }
    }
}

/// out += Σ f(x, y) for the convolution maps; operands row-major and of the shapes that the geometry was made for.
pub(super) fn bilinear(
    block: &Block,
    f: Bilinear,
    g: &Geometry,
    terms: &[(&[R64], &[R64])],
    out: &mut [R64],
) {
    let (_, outputs) = g.positions();
    if g.samples * outputs * g.window() * g.inputs * g.outputs == 0 {
        return;
    }
    if g.outputs < THIN {
        terms.iter().for_each(|&(x, y)| thin(f, g, x, y, out));
        return;
    }
    for group in 0..g.groups {
        match f {
            Bilinear::ConvInput(_) => input(block, g, group, terms, out),
            Bilinear::ConvWeights(_) => weights(block, g, group, terms, out),
            _ => forward(block, g, group, terms, out),
        }
    }
}

/// The kernels of one group: line output channel, along it (channel, entry of the window).
fn kernels<'a>(g: &Geometry, group: usize, words: &'a [R64]) -> Dense<'a> {
    let columns = g.inputs * g.window();
    let size = g.outputs * columns;
    Dense {
        words: &words[group * size..][..size],
        columns,
    }
}

fn forward(block: &Block, g: &Geometry, group: usize, terms: &[(&[R64], &[R64])], out: &mut [R64]) {
    let (_, outputs) = g.positions();
    let k = g.inputs * g.window();
    let of = |&(x, w)| {
        let windows = Windows {
            geometry: g,
            x,
            group,
        };
        ((kernels(g, group, w), k), (windows, k))
    };
    let (w, windows): (Vec<_>, Vec<_>) = terms.iter().map(of).unzip();
    let target = Target {
        row: outputs,
        run: outputs,
        jump: g.groups * g.outputs * outputs,
    };
    gemm(
        block,
        (g.outputs, g.samples * outputs),
        (&Side::new(&w, true), &Side::new(&windows, false)),
        &mut out[group * g.outputs * outputs..],
        target,
    );
}

fn weights(block: &Block, g: &Geometry, group: usize, terms: &[(&[R64], &[R64])], out: &mut [R64]) {
    let (_, outputs) = g.positions();
    let columns = g.inputs * g.window();
    let k = g.samples * outputs;
    let of = |&(x, y)| {
        let channels = Channels {
            geometry: g,
            y,
            group,
        };
        let windows = Windows {
            geometry: g,
            x,
            group,
        };
        ((channels, k), (windows, k))
    };
    let (channels, windows): (Vec<_>, Vec<_>) = terms.iter().map(of).unzip();
    gemm(
        block,
        (g.outputs, columns),
        (&Side::new(&channels, true), &Side::new(&windows, true)),
        &mut out[group * g.outputs * columns..],
        Target::matrix(columns),
    );
}

/// The columns of some samples at a time, each added to where it was taken from.
fn input(block: &Block, g: &Geometry, group: usize, terms: &[(&[R64], &[R64])], out: &mut [R64]) {
    let (inputs, outputs) = g.positions();
    let rows = g.inputs * g.window();
    let w: Vec<_> = terms
        .iter()
        .map(|&(_, w)| (kernels(g, group, w), g.outputs))
        .collect();
    let at_once = (COLUMNS / (rows * outputs)).clamp(1, g.samples);
    let mut columns = Vec::new();
    for first in (0..g.samples).step_by(at_once) {
        let samples = at_once.min(g.samples - first);
        let width = samples * outputs;
        let size = g.groups * g.outputs * outputs;
        let channels: Vec<_> = terms
            .iter()
            .map(|&(y, _)| {
                let channels = Channels {
                    geometry: g,
                    y: &y[first * size..],
                    group,
                };
                (channels, g.outputs)
            })
            .collect();
        columns.clear();
        columns.resize(rows * width, R64::default());
        gemm(
            block,
            (rows, width),
            (&Side::new(&w, false), &Side::new(&channels, false)),
            &mut columns,
            Target::matrix(width),
        );
        for sample in 0..samples {
            for (line, column) in columns.chunks_exact(width).enumerate() {
                let column = &column[sample * outputs..][..outputs];
                let channel = ((first + sample) * g.groups + group) * g.inputs + line / g.window();
                let x = &mut out[channel * inputs..][..inputs];
                g.runs(line % g.window(), 0..outputs, |run| {
                    let places = x[run.input..].iter_mut().step_by(g.stride[2]);
                    places
                        .zip(&column[run.output..][..run.len])
                        .for_each(|(x, &v)| *x += v);
                });
            }
        }
    }
}

/// Few output channels a group, as in depthwise convolutions: a run of the output at a time.
fn thin(f: Bilinear, g: &Geometry, x: &[R64], y: &[R64], out: &mut [R64]) {
    let (inputs, outputs) = g.positions();
    for sample in 0..g.samples {
        for o in 0..g.groups * g.outputs {
            let output = (sample * g.groups * g.outputs + o) * outputs;
            for c in 0..g.inputs {
                let channel = sample * g.groups * g.inputs + o / g.outputs * g.inputs + c;
                let input = channel * inputs..(channel + 1) * inputs;
                for w in 0..g.window() {
                    let weight = (o * g.inputs + c) * g.window() + w;
                    g.runs(w, 0..outputs, |run| {
                        let positions = output + run.output..output + run.output + run.len;
                        match f {
                            Bilinear::ConvInput(_) => {
                                let places = out[input.clone()][run.input..]
                                    .iter_mut()
                                    .step_by(g.stride[2]);
                                places
                                    .zip(&x[positions])
                                    .for_each(|(o, &v)| *o += v * y[weight]);
                            }
                            Bilinear::ConvWeights(_) => {
                                let taps = g.taps(&x[input.clone()], &run);
                                out[weight] +=
                                    taps.zip(&y[positions]).map(|(&a, &b)| a * b).sum::<R64>();
                            }
                            _ => {
                                let taps = g.taps(&x[input.clone()], &run);
                                out[positions]
                                    .iter_mut()
                                    .zip(taps)
                                    .for_each(|(o, &v)| *o += v * y[weight]);
                            }
                        }
                    });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::kernels::suite::{definition, tensor};
    use crate::kernels::{Cpu, Kernels};
    use crate::{Bilinear, Conv};

    /// A geometry of 1 to 3 axes whose windows fit, and channels (input and output, of a group).
    fn any_conv() -> impl Strategy<Value = (Conv, usize, usize)> {
        let axis = (
            1usize..9,
            1usize..4,
            1usize..4,
            1usize..3,
            0usize..3,
            0usize..3,
        );
        let fits = |&(input, kernel, _, dilation, begin, end): &(
            usize,
            usize,
            usize,
            usize,
            usize,
            usize,
        )| { (kernel - 1) * dilation < input + begin + end };
        let axes = prop::collection::vec(axis.prop_filter("the window fits", fits), 1..4);
        (axes, 1usize..4, 1usize..4, 1usize..9).prop_map(|(axes, groups, c, m)| {
            let of = |f: fn(&(usize, usize, usize, usize, usize, usize)) -> usize| {
                axes.iter().map(f).collect::<Vec<_>>()
            };
            let mut conv = Conv::new(&of(|a| a.0), &of(|a| a.1));
            for (a, &(_, _, stride, dilation, begin, end)) in axes.iter().enumerate() {
                conv.stride[a] = stride;
                conv.dilation[a] = dilation;
                conv.pad_begin[a] = begin;
                conv.pad_end[a] = end;
            }
            conv.groups = groups;
            (conv, c, m)
        })
    }

    /// All three maps of a convolution on every path, two terms at once, against the definition.
    fn check((conv, c, m): (Conv, usize, usize), samples: usize, seed: u64) {
        let (inputs, outputs) = (c * conv.groups, m * conv.groups);
        let shape = |n: usize, channels: usize, extents: &[usize]| {
            [&[n, channels], &extents[..conv.rank]].concat()
        };
        let x = shape(samples, inputs, &conv.input);
        let w = shape(outputs, c, &conv.kernel);
        let y = shape(samples, outputs, &conv.output().unwrap());
        for (f, left, right) in [
            (Bilinear::Conv(conv), &x, &w),
            (Bilinear::ConvInput(conv), &y, &w),
            (Bilinear::ConvWeights(conv), &x, &y),
        ] {
            let t: Vec<_> = (0..2)
                .map(|k| (tensor(left, seed + k), tensor(right, seed ^ (k + 7))))
                .collect();
            let terms: Vec<_> = t.iter().map(|(a, b)| (a, b)).collect();
            let want = definition(f, &terms);
            for kernels in Cpu::all() {
                let got = kernels.bilinear(f, &terms).unwrap();
                assert_eq!(got, want, "{} {f} {conv:?}", kernels.name());
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        #[test]
        fn convolutions_give_the_bits_of_the_definition(conv in any_conv(), samples in 0usize..4, seed in 0u64..1 << 60) {
            check(conv, samples, seed);
        }
    }

    #[test]
    fn a_layer_larger_than_one_panel() {
        let conv = Conv {
            pad_begin: [2, 1, 0],
            ..Conv::new(&[12, 13], &[5, 5])
        };
        check((conv, 24, 37), 9, 5);
    }
}
