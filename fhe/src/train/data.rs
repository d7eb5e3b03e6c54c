//! Rows to train on, and what they say about a program.

use ndarray::{Array2, Axis};
use tacit_nn::random::Stream;

use super::{Periodic, TrainError, invalid};
use crate::program::{Input, Program};

/// Quantised rows and their classes.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows {
    /// Integers, \[rows, features\].
    pub(super) x: Array2<f32>,
    /// A class for each row, from 0 on.
    pub(super) classes: Vec<usize>,
}

impl Rows {
    /// Rows as `input` quantises them; `numbers` holds one row after the other.
    ///
    /// # Errors
    /// [`TrainError::Invalid`] unless there are as many numbers as rows of features.
    pub fn new(input: &Input, numbers: &[f32], classes: &[usize]) -> Result<Self, TrainError> {
        let x = numbers
            .chunks(input.len.max(1))
            .filter(|row| row.len() == input.len)
            .flat_map(|row| input.quantize(row))
            .map(f32::from)
            .collect();
        let x = Array2::from_shape_vec((classes.len(), input.len), x).ok();
        let x = x.filter(|x| x.len() == numbers.len()).ok_or_else(|| {
            invalid(format!(
                "{} rows of {} features are {} numbers, not {}",
                classes.len(),
                input.len,
                classes.len() * input.len,
                numbers.len()
            ))
        })?;
        Ok(Self {
            x,
            classes: classes.to_vec(),
        })
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.classes.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.classes.is_empty()
    }

    /// Some of them.
    ///
    /// # Panics
    /// For a row that is not there.
    #[must_use]
    pub fn select(&self, rows: &[usize]) -> Self {
        Self {
            x: self.x.select(Axis(0), rows),
            classes: rows.iter().map(|&row| self.classes[row]).collect(),
        }
    }

    pub(super) fn one_hot(&self, rows: &[usize], classes: usize) -> Array2<f32> {
        Array2::from_shape_fn((rows.len(), classes), |(row, class)| {
            f32::from(u8::from(self.classes[rows[row]] == class))
        })
    }

    pub(super) fn validate(&self, network: &Periodic) -> Result<(), TrainError> {
        if self.x.ncols() != network.len {
            return Err(invalid(format!(
                "rows of {} features for a network of {}",
                self.x.ncols(),
                network.len
            )));
        }
        match self.classes.iter().find(|&&class| class >= network.classes) {
            Some(class) => Err(invalid(format!(
                "class {class} of {} classes",
                network.classes
            ))),
            None => Ok(()),
        }
    }
}

/// The part of the rows whose class has the greatest result of the program, the first of equal ones; with one result,
/// class 1 is where it is above 0.
///
/// # Panics
/// If the rows are not those of the program's input.
#[must_use]
pub fn accuracy(program: &Program, rows: &Rows) -> f64 {
    let right = |(x, &class): (ndarray::ArrayView1<'_, f32>, &usize)| {
        let x: Vec<u16> = x.iter().map(|&v| v as u16).collect();
        let scores = program.run(&x);
        let best = match scores[..] {
            [score] => usize::from(score > 0),
            _ => (0..scores.len())
                .rev()
                .max_by_key(|&k| scores[k])
                .unwrap_or(0),
        };
        best == class
    };
    let rights = rows.x.rows().into_iter().zip(&rows.classes);
    rights.filter(|&row| right(row)).count() as f64 / rows.len().max(1) as f64
}

/// `count` ways to hold out a part of the rows, each (kept, held out): every row is held out once.
#[must_use]
pub fn folds(rows: usize, count: usize, seed: u64) -> Vec<(Vec<usize>, Vec<usize>)> {
    let order = Stream::new(&super::descend::seed_bytes(seed), "folds").permutation(rows);
    let fold = |fold: usize| {
        let numbered = order.iter().enumerate();
        let (held, kept): (Vec<_>, Vec<_>) = numbered.partition(|(k, _)| k % count.max(1) == fold);
        let rows = |part: Vec<(usize, &usize)>| part.into_iter().map(|(_, &row)| row).collect();
        (rows(kept), rows(held))
    };
    (0..count).map(fold).collect()
}
