//! How near a program is to its model, on rows that it was not fitted to.

use std::thread;

use ndarray::{Array2, ArrayView1, Axis};

use crate::program::Program;

/// What a program is held to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// The share of rows on which it says the class that the model says; of a single result, one less the root mean square
    /// error over the standard deviation.
    Agreement(f64),
    /// The share of rows on which it says the class of the label.
    Accuracy(f64),
}

/// How near a program is to its model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Nearness {
    /// As [`Target::Agreement`].
    pub agreement: f64,
    /// As [`Target::Accuracy`], where there are labels;
    pub accuracy: Option<f64>,
    /// the same of the model.
    pub model_accuracy: Option<f64>,
    /// The largest distance of a result from the model's.
    pub max_error: f64,
}

impl Nearness {
    /// What the target is about.
    #[must_use]
    pub fn of(&self, target: Target) -> f64 {
        match target {
            Target::Agreement(_) => self.agreement,
            Target::Accuracy(_) => self.accuracy.unwrap_or(0.0),
        }
    }

    /// Whether the target is met.
    #[must_use]
    pub fn meets(&self, target: Target) -> bool {
        match target {
            Target::Agreement(least) | Target::Accuracy(least) => self.of(target) >= least,
        }
    }
}

/// The class that results say: the largest, of equal ones the first; of a single one, whether it is above `cut`.
fn class(results: ArrayView1<'_, f64>, cut: f64) -> usize {
    if results.len() == 1 {
        return usize::from(results[0] > cut);
    }
    let better = |best: usize, k: usize| if results[k] > results[best] { k } else { best };
    (0..results.len()).fold(0, better)
}

/// The results of a program for rows, as numbers.
pub(super) fn results(program: &Program, rows: &Array2<f32>) -> Array2<f64> {
    let input = &program.parts().input;
    let scale = f64::from(program.parts().output_scale);
    let width = program.result_ranges().len();
    let mut results = Array2::zeros((rows.nrows(), width));
    let each = rows
        .nrows()
        .div_ceil(thread::available_parallelism().map_or(1, usize::from));
    thread::scope(|scope| {
        let parts = results.axis_chunks_iter_mut(Axis(0), each.max(1));
        for (mut part, rows) in parts.zip(rows.axis_chunks_iter(Axis(0), each.max(1))) {
            scope.spawn(move || {
                for (mut result, row) in part.rows_mut().into_iter().zip(rows.rows()) {
                    let row = input.quantize(&row.to_vec());
                    for (r, x) in result.iter_mut().zip(program.run(&row)) {
                        *r = x as f64 * scale;
                    }
                }
            });
        }
    });
    results
}

/// Compares a program with the model's results on rows, and with their labels if there are any. A single result says one of
/// two classes by whether it is above `cut`.
pub(super) fn nearness(
    program: &Program,
    rows: &Array2<f32>,
    model: &Array2<f64>,
    labels: Option<&[usize]>,
    cut: f64,
) -> Nearness {
    let found = results(program, rows);
    let classes = |of: &Array2<f64>| -> Vec<usize> {
        of.rows().into_iter().map(|row| class(row, cut)).collect()
    };
    let (said, wanted) = (classes(&found), classes(model));
    let share = |a: &[usize], b: &[usize]| {
        let same = a.iter().zip(b).filter(|(a, b)| a == b).count();
        same as f64 / a.len().max(1) as f64
    };
    let agreement = match model.ncols() {
        1 => {
            let mean = model.mean().unwrap_or(0.0);
            let spread: f64 = model.iter().map(|x| (x - mean).powi(2)).sum();
            let off: f64 = model.iter().zip(&found).map(|(x, y)| (x - y).powi(2)).sum();
            if off == 0.0 {
                1.0
            } else {
                1.0 - (off / spread).sqrt()
            }
        }
        _ => share(&said, &wanted),
    };
    let errors = model.iter().zip(&found).map(|(x, y)| (x - y).abs());
    Nearness {
        agreement,
        accuracy: labels.map(|labels| share(&said, labels)),
        model_accuracy: labels.map(|labels| share(&wanted, labels)),
        max_error: errors.fold(0.0, f64::max),
    }
}
