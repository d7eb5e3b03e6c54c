//! Local rearrangements: they move or add entries and need no communication on any linear representation.

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
            Self::Gather { axis, index } => x.select(Axis(*axis), index),
            Self::Scatter { axis, index, .. } => {
                let mut sums = ArrayD::from_elem(IxDyn(&shape), T::default());
                for (part, &to) in x.axis_iter(Axis(*axis)).zip(index) {
                    sums.index_axis_mut(Axis(*axis), to)
                        .zip_mut_with(&part, |sum, &v| *sum = *sum + v);
                }
                sums
            }
            Self::Slice { axis, start, end } => x
                .slice_axis(Axis(*axis), (*start..*end).into())
                .as_standard_layout()
                .into_owned(),
            Self::Sum { axis } => x
                .fold_axis(Axis(*axis), T::default(), |&a, &b| a + b)
                .insert_axis(Axis(*axis)),
            Self::Broadcast(_) => x
                .broadcast(IxDyn(&shape))
                .ok_or_else(misfit)?
                .as_standard_layout()
                .into_owned(),
        })
    }
}
