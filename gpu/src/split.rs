//! How a map is put together from the same map of parts.

use std::borrow::Cow;
use std::ops::Range;

use ndarray::{Axis, Slice};
use tacit_mpc::Bilinear;

use crate::word::{TensorOf, Word};

/// How a map is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Split {
    /// Along which axes operands are cut: the first,
    x: Option<usize>,
    /// and the second. What is not cut belongs to all parts.
    y: Option<usize>,
    /// The axis along which results are put together; none where they are added up.
    join: Option<usize>,
}

impl Split {
    /// The best cut for operands of these shapes: of what is not used twice first, then of what the device holds no copy of,
    /// then of what is longest. None where nothing can be cut.
    pub(crate) fn of(f: Bilinear, x: &[usize], y: &[usize], held: [bool; 2]) -> Option<Self> {
        let all = Self::all(f, x, y)?.into_iter().filter(|(n, _)| *n > 1);
        let best = all.max_by_key(|(n, split)| (!split.cuts(held), *n));
        best.map(|(_, split)| split)
    }

    /// The best cut into parts whose results stand side by side, and that copies nothing which the device holds.
    pub(crate) fn beside(f: Bilinear, x: &[usize], y: &[usize], held: [bool; 2]) -> Option<Self> {
        let all = Self::all(f, x, y)?.into_iter();
        let all = all.filter(|(n, split)| *n > 1 && split.join.is_some() && !split.cuts(held));
        all.max_by_key(|(n, _)| *n).map(|(_, split)| split)
    }

    fn cuts(&self, held: [bool; 2]) -> bool {
        held[0] && self.x.is_some() || held[1] && self.y.is_some()
    }

    /// Every cut that may be the best, and how long is what it cuts.
    fn all(f: Bilinear, x: &[usize], y: &[usize]) -> Option<Vec<(usize, Self)>> {
        let cut = |x, y, join| Self { x, y, join };
        Some(match f {
            Bilinear::Mul => {
                let axis = x.iter().position(|&n| n > 1)?;
                vec![(x[axis], cut(Some(axis), Some(axis), Some(axis)))]
            }
            Bilinear::MatMul => {
                let batch = x.len().checked_sub(2)?;
                if let Some(axis) = x[..batch].iter().position(|&n| n > 1) {
                    return Some(vec![(x[axis], cut(Some(axis), Some(axis), Some(axis)))]);
                }
                let (row, column) = (batch, batch + 1);
                vec![
                    (x[row], cut(Some(row), None, Some(row))),
                    (y[column], cut(None, Some(column), Some(column))),
                    (x[column], cut(Some(column), Some(row), None)),
                ]
            }
            // Groups of channels see each other's no more than samples do, but are not worth a third way to cut.
            Bilinear::Conv(c) => {
                let samples = (x[0], cut(Some(0), None, Some(0)));
                let channels = [
                    (y[0], cut(None, Some(0), Some(1))),
                    (x[1], cut(Some(1), Some(1), None)),
                ];
                one_first(samples, c.groups, channels)
            }
            Bilinear::ConvInput(c) => {
                let samples = (x[0], cut(Some(0), None, Some(0)));
                let channels = [
                    (y[1], cut(None, Some(1), Some(1))),
                    (x[1], cut(Some(1), Some(0), None)),
                ];
                one_first(samples, c.groups, channels)
            }
            Bilinear::ConvWeights(c) => {
                let samples = (x[0], cut(Some(0), Some(0), None));
                let channels = [
                    (y[1], cut(None, Some(1), Some(0))),
                    (x[1], cut(Some(1), None, Some(1))),
                ];
                one_first(samples, c.groups, channels)
            }
        })
    }

    /// How long is what is cut, of operands of these shapes.
    pub(crate) fn length(&self, x: &[usize], y: &[usize]) -> usize {
        match (self.x, self.y) {
            (Some(axis), _) => x[axis],
            (None, Some(axis)) => y[axis],
            (None, None) => 1,
        }
    }

    /// Which operands are cut.
    pub(crate) fn cut(&self) -> [bool; 2] {
        [self.x.is_some(), self.y.is_some()]
    }

    /// The axis along which results stand side by side.
    pub(crate) fn join_axis(&self) -> Option<Axis> {
        self.join.map(Axis)
    }

    /// The part of a term. What is not cut is the same tensor, of which the device may have a copy.
    pub(crate) fn part<'x, W: Word>(
        &self,
        (x, y): (&'x TensorOf<W>, &'x TensorOf<W>),
        range: &Range<usize>,
    ) -> (Cow<'x, TensorOf<W>>, Cow<'x, TensorOf<W>>) {
        (part(x, self.x, range), part(y, self.y, range))
    }

    /// The two halves of a term.
    pub(crate) fn halves<'x, W: Word>(
        &self,
        (x, y): (&'x TensorOf<W>, &'x TensorOf<W>),
    ) -> [(Cow<'x, TensorOf<W>>, Cow<'x, TensorOf<W>>); 2] {
        let length = self.length(x.shape(), y.shape());
        let half = length.div_ceil(2);
        [0..half, half..length].map(|range| self.part((x, y), &range))
    }

    /// The result of both halves.
    pub(crate) fn join<W: Word>(&self, first: TensorOf<W>, second: TensorOf<W>) -> TensorOf<W> {
        match self.join {
            None => sum(first, &second),
            Some(axis) => ndarray::concatenate(Axis(axis), &[first.view(), second.view()])
                .unwrap_or_else(|_| unreachable!("halves differ along the axis that was cut")),
        }
    }
}

/// Samples while there is more than one; channels where they are in one group.
fn one_first(
    samples: (usize, Split),
    groups: usize,
    channels: [(usize, Split); 2],
) -> Vec<(usize, Split)> {
    if samples.0 > 1 {
        return vec![samples];
    }
    if groups == 1 {
        channels.to_vec()
    } else {
        Vec::new()
    }
}

/// The sum of two results of one shape.
pub(crate) fn sum<W: Word>(mut x: TensorOf<W>, y: &TensorOf<W>) -> TensorOf<W> {
    x.zip_mut_with(y, |a, b| a.0 = a.0.plus(b.0));
    x
}

fn part<'x, W: Word>(
    x: &'x TensorOf<W>,
    axis: Option<usize>,
    range: &Range<usize>,
) -> Cow<'x, TensorOf<W>> {
    let Some(axis) = axis else {
        return Cow::Borrowed(x);
    };
    Cow::Owned(
        x.slice_axis(Axis(axis), Slice::from(range.clone()))
            .to_owned(),
    )
}
