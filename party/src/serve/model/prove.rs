//! Whether every number of a model with private weights stays in range: for its owner, at a time of its own, within bounds of
//! its own. No job has a part in it, so that no answer to a job tells of the weights.

use tacit_nn::onnx::Source;
use tacit_nn::ranges::{self, Unproven};

use super::{ModelError, Served};

/// Why the owner of weights cannot be shown that every number stays in range. It tells of the weights: for its log alone.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RangeError {
    /// A graph cannot be made again.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A node whose numbers may leave the range, as far as can be shown.
    #[error("{rows} rows: {source}")]
    Outside {
        /// The number of rows.
        rows: usize,
        /// The node, and the interval.
        source: Box<Unproven>,
    },
}

impl Served {
    /// Shows that no number of any graph that may be run leaves the range of the arithmetic, whatever is asked within the
    /// bounds: where products wrap, answers tell more of the weights than they should. Rows that only fill up a batch are not
    /// looked at: nobody gets what becomes of them.
    ///
    /// # Errors
    /// [`RangeError::Outside`] for the first node where it may happen as far as can be shown.
    pub(crate) fn prove(&self) -> Result<(), RangeError> {
        for &rows in &self.sizes {
            let made;
            let lowered = match self.graphs.get(&rows) {
                Some(lowered) => lowered,
                None => {
                    made = self.make(rows)?;
                    &made
                }
            };
            let (mut bounds, mut weights) = (self.bounds.iter(), self.private.iter());
            let known: Option<Vec<ranges::Input<'_>>> = lowered
                .sources
                .iter()
                .map(|source| match source {
                    Source::Input(_) => {
                        let &(lo, hi) = bounds.next()?;
                        Some(ranges::Input::Within(lo, hi))
                    }
                    Source::Weight { .. } => {
                        let (_, value) = weights.next()?;
                        Some(ranges::Input::Known(value))
                    }
                    Source::Parameter(_) | Source::Mask { .. } => None,
                })
                .collect();
            let known = known.ok_or(ModelError::Masks)?;
            ranges::prove(&lowered.graph, &known, self.fraction_bits).map_err(|source| {
                RangeError::Outside {
                    rows,
                    source: Box::new(source),
                }
            })?;
        }
        Ok(())
    }
}
