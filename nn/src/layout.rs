//! Local rearrangements: they move or add entries and need no communication on any linear representation.

use std::borrow::Cow;
use std::ops::Add;

use ndarray::{ArrayD, Axis, IxDyn};

use crate::{Error, Result};

/// A rearrangement of one tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layout {
    /// The same entries in row-major order under another shape.
    Reshape(Vec<usize>),
    /// The axes in another order.
    Transpose(Vec<usize>),
    /// Entries of `axis` at the given public positions.
    Gather {
        /// The axis.
        axis: usize,
        /// Positions along it, each below its length.
        index: Vec<usize>,
    },
    /// Adds entry k of `axis` to position index\[k\] of an axis of the given length: the transpose of `Gather`.
    Scatter {
        /// The axis.
        axis: usize,
        /// A position below `length` for each entry.
        index: Vec<usize>,
        /// The new length of the axis.
        length: usize,
    },
    /// Entries start..end of `axis`.
    Slice {
        /// The axis.
        axis: usize,
        /// First position.
        start: usize,
        /// One past the last position.
        end: usize,
    },
    /// Sums over `axis`, which stays with length 1.
    Sum {
        /// The axis.
        axis: usize,
    },
    /// Repeats along axes of length 1 (and leading axes) up to the given shape.
    Broadcast(Vec<usize>),
}

impl Layout {
    /// The shape of the result.
    ///
    /// # Errors
    /// [`Error::Shape`] where the layout does not fit `x`.
    pub fn output_shape(&self, x: &[usize]) -> Result<Vec<usize>> {
        let bad = |right: &[usize]| {
            Err(Error::Shape {
                op: "layout",
                left: x.to_vec(),
                right: right.to_vec(),
            })
        };
        match self {
            Self::Reshape(s) => {
                if s.iter().product::<usize>() == x.iter().product::<usize>() {
                    Ok(s.clone())
                } else {
                    bad(s)
                }
            }
            Self::Transpose(p) => {
                let mut seen = vec![false; x.len()];
                if p.len() != x.len()
                    || !p
                        .iter()
                        .all(|&a| a < x.len() && !std::mem::replace(&mut seen[a], true))
                {
                    return bad(p);
                }
                Ok(p.iter().map(|&a| x[a]).collect())
            }
            Self::Gather { axis, index } => {
                if *axis >= x.len() || index.iter().any(|&i| i >= x[*axis]) {
                    return bad(&[*axis]);
                }
                let mut s = x.to_vec();
                s[*axis] = index.len();
                Ok(s)
            }
            Self::Scatter {
                axis,
                index,
                length,
            } => {
                if x.get(*axis) != Some(&index.len()) || index.iter().any(|i| i >= length) {
                    return bad(&[*axis, *length]);
                }
                let mut s = x.to_vec();
                s[*axis] = *length;
                Ok(s)
            }
            Self::Slice { axis, start, end } => {
                if *axis >= x.len() || start > end || *end > x[*axis] {
                    return bad(&[*axis, *start, *end]);
                }
                let mut s = x.to_vec();
                s[*axis] = end - start;
                Ok(s)
            }
            Self::Sum { axis } => {
                if *axis >= x.len() {
                    return bad(&[*axis]);
                }
                let mut s = x.to_vec();
                s[*axis] = 1;
                Ok(s)
            }
            Self::Broadcast(s) => {
                let fits = s.len() >= x.len()
                    && x.iter()
                        .rev()
                        .zip(s.iter().rev())
                        .all(|(&a, &b)| a == b || a == 1);
                if fits { Ok(s.clone()) } else { bad(s) }
            }
        }
    }

    /// Applies the layout.
    ///
    /// # Errors
    /// [`Error::Shape`] where the layout does not fit `x`.
    pub fn apply<T: Copy + Default + Add<Output = T>>(&self, x: &ArrayD<T>) -> Result<ArrayD<T>> {
        let shape = self.output_shape(x.shape())?;
        let misfit = || Error::Shape {
            op: "layout",
            left: x.shape().to_vec(),
            right: shape.clone(),
        };
        Ok(match self {
            Self::Reshape(_) => x
                .as_standard_layout()
                .into_owned()
                .into_shape_with_order(IxDyn(&shape))
                .map_err(|_| misfit())?,
            Self::Transpose(p) => x
                .view()
                .permuted_axes(IxDyn(p))
                .as_standard_layout()
                .into_owned(),
            Self::Gather { axis, index } => {
                Blocks::of(x, *axis).collect(&shape, index.iter().copied())
            }
            Self::Scatter { axis, index, .. } => {
                let mut sums = ArrayD::from_elem(IxDyn(&shape), T::default());
                for (part, &to) in x.axis_iter(Axis(*axis)).zip(index) {
                    sums.index_axis_mut(Axis(*axis), to)
                        .zip_mut_with(&part, |sum, &v| *sum = *sum + v);
                }
                sums
            }
            Self::Slice { axis, start, end } => Blocks::of(x, *axis).collect(&shape, *start..*end),
            Self::Sum { axis } => Blocks::of(x, *axis).sum(&shape),
            Self::Broadcast(_) => x
                .broadcast(IxDyn(&shape))
                .ok_or_else(misfit)?
                .as_standard_layout()
                .into_owned(),
        })
    }
}

/// A tensor cut along an axis into blocks that lie one after the other: what is copied or added as a whole.
struct Blocks<'x, T: Copy> {
    entries: Cow<'x, [T]>,
    /// Entries of a block: those that one position of the axis has, for one choice of the axes before it.
    block: usize,
    /// Positions of the axis.
    positions: usize,
}

impl<'x, T: Copy + Default + Add<Output = T>> Blocks<'x, T> {
    fn of(x: &'x ArrayD<T>, axis: usize) -> Self {
        Self {
            entries: x
                .as_slice()
                .map_or_else(|| x.iter().copied().collect(), Cow::Borrowed),
            block: x.shape()[axis + 1..].iter().product(),
            positions: x.shape()[axis],
        }
    }

    /// One choice of the axes before it after the other.
    fn groups(&self) -> impl Iterator<Item = &[T]> {
        self.entries
            .chunks_exact((self.positions * self.block).max(1))
    }

    /// The blocks at some positions of the axis.
    fn collect(
        &self,
        shape: &[usize],
        positions: impl Iterator<Item = usize> + Clone,
    ) -> ArrayD<T> {
        let mut out = Vec::with_capacity(shape.iter().product());
        for group in self.groups() {
            for k in positions.clone() {
                out.extend_from_slice(&group[k * self.block..][..self.block]);
            }
        }
        array(shape, out)
    }

    /// The sum of the blocks of all positions.
    fn sum(&self, shape: &[usize]) -> ArrayD<T> {
        let mut out = vec![T::default(); shape.iter().product()];
        let sums = out.chunks_exact_mut(self.block.max(1));
        for (group, sums) in self.groups().zip(sums) {
            for block in group.chunks_exact(self.block.max(1)) {
                sums.iter_mut().zip(block).for_each(|(s, &v)| *s = *s + v);
            }
        }
        array(shape, out)
    }
}

fn array<T>(shape: &[usize], entries: Vec<T>) -> ArrayD<T> {
    ArrayD::from_shape_vec(IxDyn(shape), entries).expect("as many entries as the shape has")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(shape: &[usize]) -> ArrayD<i64> {
        let mut k = 0;
        ArrayD::from_shape_simple_fn(IxDyn(shape), || {
            k += 1;
            k
        })
    }

    /// Whatever the order in which the entries lie, and with axes of length zero.
    #[test]
    fn blocks_are_what_the_array_library_says() {
        for x in [
            numbers(&[2, 3, 4]),
            numbers(&[4, 3, 2]).reversed_axes(),
            numbers(&[2, 0, 4]),
            numbers(&[0, 3, 4]),
            numbers(&[2, 3, 0]),
        ] {
            for axis in 0..3 {
                let n = x.shape()[axis];
                let index: Vec<usize> = (0..5).map(|k| (2 * k + 1) % n.max(1)).collect();
                if n > 0 {
                    let gather = Layout::Gather {
                        axis,
                        index: index.clone(),
                    };
                    assert_eq!(gather.apply(&x).unwrap(), x.select(Axis(axis), &index));
                }
                let (start, end) = (n / 2, n);
                let slice = Layout::Slice { axis, start, end };
                let want = x.slice_axis(Axis(axis), (start..end).into());
                assert_eq!(slice.apply(&x).unwrap(), want);
                let want = x.sum_axis(Axis(axis)).insert_axis(Axis(axis));
                assert_eq!(Layout::Sum { axis }.apply(&x).unwrap(), want);
            }
        }
        assert!(Layout::Sum { axis: 0 }.apply(&numbers(&[])).is_err());
    }
}
