//! The sample: one half to fit programs to, one to judge them, and both as integers.

use std::collections::BTreeMap;

use ndarray::{Array2, Axis};

use super::column::Column;
use super::level::Levels;
use super::measure::Target;
use super::network::Values;
use super::search::Request;
use super::{QuantizeError, Source, walk};
use crate::program::Input;

/// Fewer rows than these say nothing.
const FEWEST: usize = 16;

/// Rows of a half beyond these are left out.
const MOST: usize = 2000;

/// The sample in two halves, with the model's results.
pub(super) struct Halves {
    pub fit: Values,
    pub fit_rows: Array2<f32>,
    pub judge_rows: Array2<f32>,
    pub judge_results: Array2<f64>,
    pub judge_labels: Option<Vec<usize>>,
}

impl Source {
    /// Every other row is fitted to, the rest judges.
    pub(super) fn halves(&self, request: &Request<'_>) -> Result<Halves, QuantizeError> {
        let rows = request.sample.nrows();
        if rows < FEWEST {
            return Err(QuantizeError::Sample(format!(
                "has {rows} rows: {FEWEST} are needed, and some hundred say more"
            )));
        }
        if let Some(labels) = request.labels
            && labels.len() != rows
        {
            return Err(QuantizeError::Sample(format!(
                "has {rows} rows and {} labels",
                labels.len()
            )));
        }
        if let (Target::Accuracy(_), None) = (request.target, request.labels) {
            return Err(QuantizeError::Sample(
                "has no labels, without which there is no accuracy".into(),
            ));
        }
        let half = |first: usize| -> Vec<usize> { (first..rows).step_by(2).take(MOST).collect() };
        let (fit, judge) = (half(0), half(1));
        let fit_rows = request.sample.select(Axis(0), &fit);
        let judge_rows = request.sample.select(Axis(0), &judge);
        let judged = self.values(&judge_rows)?;
        let outputs = &self.network.outputs;
        let judge_results = Array2::from_shape_fn((judge.len(), outputs.len()), |(row, k)| {
            judged.forms[outputs[k]][row]
        });
        let labels = request.labels;
        Ok(Halves {
            fit: self.values(&fit_rows)?,
            fit_rows,
            judge_rows,
            judge_results,
            judge_labels: labels.map(|labels| judge.iter().map(|&k| labels[k]).collect()),
        })
    }

    /// How the input becomes integers, channel by channel, and what it is on the rows.
    pub(super) fn input(&self, rows: &Array2<f32>, max: u16) -> (Input, Vec<Column>) {
        let channel = |k: usize| walk::channel(self.shape(), k);
        let mut channels: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
        for (k, column) in rows.axis_iter(Axis(1)).enumerate() {
            let numbers = column.iter().map(|&x| f64::from(x));
            channels.entry(channel(k)).or_default().extend(numbers);
        }
        let levels: BTreeMap<usize, Option<Levels>> = channels
            .into_iter()
            .map(|(channel, numbers)| (channel, Levels::best(&numbers, max)))
            .collect();
        let of = |k: usize| levels[&channel(k)];
        let each = 0..rows.ncols();
        let input = Input {
            offset: each
                .clone()
                .map(|k| of(k).map_or(0.0, |l| l.offset as f32))
                .collect(),
            gain: each
                .clone()
                .map(|k| of(k).map_or(0.0, |l| (1.0 / l.scale) as f32))
                .collect(),
            len: rows.ncols(),
            max,
        };
        let integers: Vec<Vec<u16>> = rows
            .rows()
            .into_iter()
            .map(|row| input.quantize(&row.to_vec()))
            .collect();
        let columns = each.map(|k| {
            let alike = Levels {
                offset: 0.0,
                scale: 1.0,
                max,
            };
            let mut column = Column::new(of(k).unwrap_or(alike), (0, i64::from(max)));
            column.set(integers.iter().map(|row| row[k]).collect());
            column
        });
        (input, columns.collect())
    }
}
