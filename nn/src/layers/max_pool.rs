//! Maxima of windows: one axis after the other, and windows that overlap share comparisons.

use ndarray::{ArrayD, IxDyn};

use super::invalid;
use super::pool::{counted, only_padding, spatial};
use super::window::{Along, Window};
use crate::{Edge, Graph, Result};

/// The maximum of each window of `x` \[n, channels, spatial…\]. What lies on padding does not count.
///
/// # Errors
/// Shapes that do not fit, and windows that see nothing but padding.
pub fn max_pool(g: &mut Graph, x: Edge, window: &Window) -> Result<Edge> {
    let along = spatial(g, x, window)?;
    let mut y = Candidates {
        value: x,
        offset: None,
    };
    y = y.needed(g, &along)?;
    for (a, along) in along.iter().enumerate() {
        y = y.reduce(g, a + 2, along)?;
    }
    Ok(y.value)
}

/// The maximum of each window, and where it was found: the first such entry, as a position in the whole of `x` counted in
/// row-major order, or with the spatial axes in column-major order.
///
/// # Errors
/// As for [`max_pool`].
pub fn max_pool_with_indices(
    g: &mut Graph,
    x: Edge,
    window: &Window,
    column_major: bool,
) -> Result<(Edge, Edge)> {
    let along = spatial(g, x, window)?;
    let shape = g.shape(x)?.to_vec();
    let offsets = g.public(positions(&shape, column_major));
    let mut y = Candidates {
        value: x,
        offset: Some(offsets),
    };
    y = y.needed(g, &along)?;
    // The last axis first: of equal maxima the first in row-major order wins.
    for (a, along) in along.iter().enumerate().rev() {
        y = y.reduce(g, a + 2, along)?;
    }
    let offset = y
        .offset
        .ok_or_else(|| invalid("positions were asked for"))?;
    let planes: usize = shape[..2].iter().product();
    let plane: usize = shape[2..].iter().product();
    let starts = ArrayD::from_shape_fn(IxDyn(&[planes]), |p| (p[0] * plane) as f64);
    let mut broad = shape[..2].to_vec();
    broad.resize(shape.len(), 1);
    let starts = g.public(starts);
    let starts = g.reshape(starts, &broad)?;
    Ok((y.value, g.add(offset, starts)?))
}

/// Where each entry of a plane lies in it, one plane for all channels.
fn positions(shape: &[usize], column_major: bool) -> ArrayD<f64> {
    let spatial = &shape[2..];
    ArrayD::from_shape_fn(IxDyn(shape), |at| {
        let mut place = 0;
        let mut step = 1;
        let mut add = |a: usize| {
            place += at[a + 2] * step;
            step *= spatial[a];
        };
        if column_major {
            (0..spatial.len()).for_each(&mut add);
        } else {
            (0..spatial.len()).rev().for_each(&mut add);
        }
        place as f64
    })
}

/// Values of which the largest is sought, and where each comes from if anybody asks.
#[derive(Clone, Copy)]
struct Candidates {
    value: Edge,
    offset: Option<Edge>,
}

impl Candidates {
    fn each(self, mut f: impl FnMut(Edge) -> Result<Edge>) -> Result<Self> {
        Ok(Self {
            value: f(self.value)?,
            offset: self.offset.map(f).transpose()?,
        })
    }

    /// The larger of each pair; of two that are equal the left one.
    fn larger(g: &mut Graph, left: Self, right: Self) -> Result<Self> {
        match (left.offset, right.offset) {
            (Some(l), Some(r)) => {
                let second = g.less(left.value, right.value)?;
                Ok(Self {
                    value: g.select(second, right.value, left.value)?,
                    offset: Some(g.select(second, r, l)?),
                })
            }
            _ => Ok(Self {
                value: g.max(left.value, right.value)?,
                offset: None,
            }),
        }
    }

    /// Only the entries that some window sees, in the order of their places in the padded input. An entry on padding is
    /// replaced by the nearest that a window which sees it sees as well, which changes no maximum.
    fn needed(self, g: &mut Graph, along: &[Along]) -> Result<Self> {
        let mut y = self;
        for (a, along) in along.iter().enumerate() {
            if counted(along, false).contains(&0) {
                return Err(only_padding(along));
            }
            let index = places(along)
                .into_iter()
                .map(|p| nearest(along, p))
                .collect::<Result<Vec<usize>>>()?;
            if index.iter().copied().ne(0..along.input) {
                y = y.each(|x| g.gather(x, a + 2, &index))?;
            }
        }
        Ok(y)
    }

    /// The maximum over the windows along one axis whose entries are those of [`places`].
    fn reduce(self, g: &mut Graph, axis: usize, along: &Along) -> Result<Self> {
        let places = places(along);
        let starts: Vec<usize> = (0..along.output).map(|o| along.place(o, 0)).collect();
        let shared = shared_cost(&starts, along.kernel, along.dilation);
        if shared < (along.kernel - 1) * along.output {
            self.shared(g, axis, &places, &starts, along.kernel, along.dilation)
        } else {
            self.tournament(g, axis, &places, along)
        }
    }

    /// Every window on its own: pairs of neighbours, then of the winners.
    fn tournament(
        self,
        g: &mut Graph,
        axis: usize,
        places: &[usize],
        along: &Along,
    ) -> Result<Self> {
        let windows = along.output;
        let taps: Vec<usize> = (0..along.kernel)
            .flat_map(|k| (0..windows).map(move |o| along.place(o, k)))
            .collect();
        let mut y = self;
        // Where each entry lies: at first among what all windows see, then one block after the other.
        let mut order = found(places, &taps);
        let mut left = along.kernel;
        if left == 1 {
            return y.each(|x| g.gather(x, axis, &order));
        }
        while left > 1 {
            // Blocks of one entry a window; an odd one sits out.
            let block = |b: usize| order[b * windows..(b + 1) * windows].iter().copied();
            let blocks = |parity: usize| -> Vec<usize> {
                (0..left / 2).flat_map(|b| block(2 * b + parity)).collect()
            };
            let (even, odd) = (blocks(0), blocks(1));
            let first = y.each(|x| g.gather(x, axis, &even))?;
            let second = y.each(|x| g.gather(x, axis, &odd))?;
            let mut winners = Self::larger(g, first, second)?;
            if left % 2 == 1 {
                let last: Vec<usize> = block(left - 1).collect();
                let odd = y.each(|x| g.gather(x, axis, &last))?;
                winners = Self {
                    value: g.concat(axis, &[winners.value, odd.value])?,
                    offset: match (winners.offset, odd.offset) {
                        (Some(w), Some(o)) => Some(g.concat(axis, &[w, o])?),
                        _ => None,
                    },
                };
            }
            y = winners;
            left = left.div_ceil(2);
            order = (0..left * windows).collect();
        }
        Ok(y)
    }

    /// A window is the union of two that are half as long, which its neighbours need too.
    fn shared(
        self,
        g: &mut Graph,
        axis: usize,
        places: &[usize],
        starts: &[usize],
        length: usize,
        dilation: usize,
    ) -> Result<Self> {
        if length == 1 {
            return self.each(|x| g.gather(x, axis, &found(places, starts)));
        }
        let (halves, half, shift) = halved(starts, length, dilation);
        let y = self.shared(g, axis, places, &halves, half, dilation)?;
        let late: Vec<usize> = starts.iter().map(|s| s + shift).collect();
        let first = y.each(|x| g.gather(x, axis, &found(&halves, starts)))?;
        let second = y.each(|x| g.gather(x, axis, &found(&halves, &late)))?;
        Self::larger(g, first, second)
    }
}

/// The starts of the half windows that cover windows of `length` entries, their length, and how far the second half lies
/// behind the first.
fn halved(starts: &[usize], length: usize, dilation: usize) -> (Vec<usize>, usize, usize) {
    let half = length.div_ceil(2);
    let shift = (length - half) * dilation;
    let mut halves: Vec<usize> = starts.iter().flat_map(|&s| [s, s + shift]).collect();
    halves.sort_unstable();
    halves.dedup();
    (halves, half, shift)
}

/// Comparisons that [`Candidates::shared`] takes.
fn shared_cost(starts: &[usize], length: usize, dilation: usize) -> usize {
    if length == 1 {
        return 0;
    }
    let (halves, half, _) = halved(starts, length, dilation);
    starts.len() + shared_cost(&halves, half, dilation)
}

/// Every place of the padded axis that a window sees, ascending.
fn places(along: &Along) -> Vec<usize> {
    let mut places: Vec<usize> = (0..along.output)
        .flat_map(|o| (0..along.kernel).map(move |k| along.place(o, k)))
        .collect();
    places.sort_unstable();
    places.dedup();
    places
}

/// The positions of `wanted` in the ascending `all`, which holds them.
fn found(all: &[usize], wanted: &[usize]) -> Vec<usize> {
    wanted
        .iter()
        .map(|w| all.partition_point(|p| p < w))
        .collect()
}

/// The entry of the input at a place of the padded axis, or the nearest to it among those a whole number of dilations away:
/// a window that reaches over the border sees that one, if it sees any.
fn nearest(along: &Along, place: usize) -> Result<usize> {
    let d = along.dilation;
    let end = along.begin + along.input;
    let place = if place < along.begin {
        place + (along.begin - place).div_ceil(d) * d
    } else if place >= end {
        place - (place + 1 - end).div_ceil(d) * d
    } else {
        place
    };
    (along.begin..end)
        .contains(&place)
        .then(|| place - along.begin)
        .ok_or_else(|| only_padding(along))
}

#[cfg(test)]
mod tests;
