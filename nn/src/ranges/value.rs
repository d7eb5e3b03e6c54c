//! The intervals of a tensor.

use ndarray::{ArrayD, Axis, IxDyn};

use super::{Interval, products};
use crate::{Error, Layout, Result};

/// The intervals of a tensor's entries, in words below 2^62. A bit is the word 0 or 1.
#[derive(Clone, Debug)]
pub(super) struct Value {
    pub(super) lo: ArrayD<i64>,
    pub(super) hi: ArrayD<i64>,
    /// A bound on the sum of magnitudes along the last axis, in words, where one is known that the intervals do not tell.
    pub(super) mass: Option<f64>,
}

impl Value {
    pub(super) fn point(words: ArrayD<i64>) -> Self {
        Self {
            hi: words.clone(),
            lo: words,
            mass: None,
        }
    }

    pub(super) fn hull(&self) -> Interval {
        let lo = self.lo.iter().copied().min().unwrap_or(0);
        let hi = self.hi.iter().copied().max().unwrap_or(0);
        (lo.into(), hi.into())
    }

    /// From intervals whose ends are words.
    pub(super) fn collect(
        shape: &[usize],
        entries: impl IntoIterator<Item = Interval>,
    ) -> Result<Self> {
        let (lo, hi): (Vec<i64>, Vec<i64>) = entries
            .into_iter()
            .map(|(lo, hi)| (lo as i64, hi as i64))
            .unzip();
        let array =
            |v| ArrayD::from_shape_vec(IxDyn(shape), v).map_err(|e| Error::Invalid(e.to_string()));
        Ok(Self {
            lo: array(lo)?,
            hi: array(hi)?,
            mass: None,
        })
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = Interval> {
        let pairs = self.lo.iter().zip(&self.hi);
        pairs.map(|(&lo, &hi)| (i128::from(lo), i128::from(hi)))
    }

    /// A bound on the sum of magnitudes along the last axis.
    pub(super) fn row_mass(&self) -> f64 {
        let n = self.lo.shape().last().copied().unwrap_or(1).max(1);
        let sizes: Vec<f64> = self
            .entries()
            .map(|(lo, hi)| lo.unsigned_abs().max(hi.unsigned_abs()) as f64)
            .collect();
        let most = sizes
            .chunks(n)
            .map(|row| row.iter().sum::<f64>() * (1.0 + products::ROUNDING))
            .fold(0.0, f64::max);
        self.mass.map_or(most, |mass| mass.min(most))
    }

    /// Whether all positions of an axis hold the same.
    pub(super) fn alike_along(&self, axis: usize) -> bool {
        let alike = |x: &ArrayD<i64>| {
            let mut parts = x.axis_iter(Axis(axis));
            parts
                .next()
                .is_none_or(|first| parts.all(|part| part == first))
        };
        self.lo.shape()[axis] > 1 && alike(&self.lo) && alike(&self.hi)
    }

    pub(super) fn first_along(&self, axis: usize) -> Self {
        let first = |x: &ArrayD<i64>| x.slice_axis(Axis(axis), (0..1).into()).to_owned();
        Self {
            lo: first(&self.lo),
            hi: first(&self.hi),
            mass: self.mass,
        }
    }

    pub(super) fn repeated(&self, shape: &[usize]) -> Result<Self> {
        let layout = Layout::Broadcast(shape.to_vec());
        Ok(Self {
            lo: layout.apply(&self.lo)?,
            hi: layout.apply(&self.hi)?,
            mass: self.mass,
        })
    }
}
