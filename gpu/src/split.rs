//! Maps whose operands do not fit into a device's memory, in halves.

use ndarray::Axis;
use tacit_mpc::Bilinear;

use crate::word::{TensorOf, Word};

/// How a map is the map of two halves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Split {
    /// Along which axes operands are cut: the first,
    x: Option<usize>,
    /// and the second. What is not cut belongs to both halves.
    y: Option<usize>,
    /// The axis along which results are put together; none where they are added up.
    join: Option<usize>,
}

impl Split {
    /// The best cut for operands of these shapes: of what is not used twice first, then of what is longest. None where
    /// nothing can be cut.
    pub(crate) fn of(f: Bilinear, x: &[usize], y: &[usize]) -> Option<Self> {
        let cut = |x, y, join| Self { x, y, join };
        let all = match f {
            Bilinear::Mul => {
                let axis = x.iter().position(|&n| n > 1)?;
                return Some(cut(Some(axis), Some(axis), Some(axis)));
            }
            Bilinear::MatMul => {
                let batch = x.len().checked_sub(2)?;
                if let Some(axis) = x[..batch].iter().position(|&n| n > 1) {
                    return Some(cut(Some(axis), Some(axis), Some(axis)));
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
        };
        let longest = all
            .into_iter()
            .filter(|(n, _)| *n > 1)
            .max_by_key(|(n, _)| *n);
        longest.map(|(_, split)| split)
    }

    /// The two halves of a term.
    pub(crate) fn halves<W: Word>(
        &self,
        (x, y): (&TensorOf<W>, &TensorOf<W>),
    ) -> [(TensorOf<W>, TensorOf<W>); 2] {
        [false, true].map(|second| (half(x, self.x, second), half(y, self.y, second)))
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

fn half<W: Word>(x: &TensorOf<W>, axis: Option<usize>, second: bool) -> TensorOf<W> {
    let Some(axis) = axis else { return x.clone() };
    let (first, rest) = x.view().split_at(Axis(axis), x.shape()[axis].div_ceil(2));
    if second {
        rest.to_owned()
    } else {
        first.to_owned()
    }
}
