//! Which keys a query sees, where everybody may know it.

use ndarray::{ArrayD, IxDyn};

use super::HIDDEN;
use crate::layers::invalid;
use crate::{Layout, Result};

/// Public rules of what a query sees; a key must satisfy all of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Visible {
    /// Whether no query sees a key behind its own position.
    pub causal: bool,
    /// How many keys before and behind its position a query sees, if that is bounded.
    pub window: (Option<usize>, Option<usize>),
    /// Keys that came before those of this call: query i stands at position `past` + i.
    pub past: usize,
    /// How many keys of each sample count, if they were padded to one length and `past` is not used; the last query of a
    /// sample stands at its last key.
    pub lengths: Option<Vec<usize>>,
    /// A mask that broadcasts to \[batch, heads, queries, keys\], or to fewer keys: the others are not seen.
    pub mask: Option<PublicMask>,
}

/// A mask that everybody knows.
#[derive(Clone, Debug, PartialEq)]
pub enum PublicMask {
    /// Whether each key is seen.
    Seen(ArrayD<bool>),
    /// What is added to each score; -2^30 and less hides the key.
    Bias(ArrayD<f64>),
}

impl Visible {
    /// Whether query i of a sample may see key j, the mask aside.
    fn sees(&self, sample: usize, queries: usize, i: usize, j: usize) -> bool {
        let (length, offset) = match &self.lengths {
            Some(lengths) => {
                let n = lengths.get(sample).copied().unwrap_or(0);
                (n, n as i64 - queries as i64)
            }
            None => (usize::MAX, self.past as i64),
        };
        // How far the key lies behind the query's position.
        let behind = j as i64 - (offset + i as i64);
        let (before, after) = self.window;
        let within = |bound: Option<usize>, distance: i64| {
            bound.is_none_or(|b| distance <= 0 || distance.unsigned_abs() <= b as u64)
        };
        j < length
            && (!self.causal || behind <= 0)
            && within(before, -behind)
            && within(after, behind)
    }

    /// What is added to scores of shape \[batch, heads, queries, keys\], if anything: a shape that broadcasts to it.
    ///
    /// # Errors
    /// A mask or lengths of another shape.
    pub(super) fn bias(&self, full: &[usize; 4]) -> Result<Option<ArrayD<f64>>> {
        let [batch, _, queries, keys] = *full;
        if let Some(lengths) = &self.lengths
            && (lengths.len() != batch || lengths.iter().any(|&n| n > keys))
        {
            return Err(invalid(format!(
                "{lengths:?} are no lengths of {batch} samples of up to {keys} keys"
            )));
        }
        let mask = self.mask.as_ref().map(|m| m.bias(keys)).transpose()?;
        if let Some(mask) = &mask {
            Layout::Broadcast(full.to_vec()).output_shape(mask.shape())?;
        }
        let ruled = self.causal || self.window != (None, None) || self.lengths.is_some();
        if !ruled {
            return Ok(mask.filter(|m| m.iter().any(|&v| v != 0.0)));
        }
        let samples = if self.lengths.is_some() { batch } else { 1 };
        let rules = ArrayD::from_shape_fn(IxDyn(&[samples, 1, queries, keys]), |at| {
            if self.sees(at[0], queries, at[2], at[3]) {
                0.0
            } else {
                HIDDEN
            }
        });
        let Some(mask) = mask else {
            return Ok(Some(rules));
        };
        // Both to a common shape; what is hidden twice is hidden.
        let mut shape = vec![1; rules.ndim()];
        for s in [rules.shape(), mask.shape()] {
            for (to, &n) in shape.iter_mut().rev().zip(s.iter().rev()) {
                *to = n.max(*to);
            }
        }
        let wide = Layout::Broadcast(shape);
        let sum = wide.apply(&rules)? + wide.apply(&mask)?;
        Ok(Some(sum.mapv(|v| v.max(HIDDEN))))
    }

    /// The rows \[batch·heads·queries\] that see no key.
    ///
    /// # Errors
    /// As for [`Self::bias`].
    pub(super) fn blind(&self, full: &[usize; 4]) -> Result<Vec<bool>> {
        let [batch, heads, queries, _] = *full;
        let Some(bias) = self.bias(full)? else {
            return Ok(vec![false; batch * heads * queries]);
        };
        let rows = bias.map_axis(ndarray::Axis(bias.ndim() - 1), |row| {
            if row.iter().all(|&v| v <= HIDDEN) {
                1.0
            } else {
                0.0
            }
        });
        let rows = Layout::Broadcast(vec![batch, heads, queries]).apply(&rows)?;
        Ok(rows.iter().map(|&v| v == 1.0).collect())
    }
}

impl PublicMask {
    /// As numbers to add, for so many keys.
    fn bias(&self, keys: usize) -> Result<ArrayD<f64>> {
        let bias = match self {
            Self::Seen(seen) => seen.mapv(|seen| if seen { 0.0 } else { HIDDEN }),
            Self::Bias(bias) => bias.mapv(|v| v.max(HIDDEN)),
        };
        let shape = bias.shape().to_vec();
        let Some((&last, others)) = shape.split_last() else {
            return Err(invalid("a mask of attention has no axis"));
        };
        if last > keys || bias.iter().any(|v| v.is_nan()) || shape.len() > 4 {
            return Err(invalid(format!(
                "a mask of shape {shape:?} does not fit {keys} keys"
            )));
        }
        if last == keys {
            return Ok(bias);
        }
        let rest = ArrayD::from_elem(IxDyn(&[others, &[keys - last]].concat()), HIDDEN);
        let axis = ndarray::Axis(others.len());
        ndarray::concatenate(axis, &[bias.view(), rest.view()]).map_err(|e| invalid(e.to_string()))
    }
}
