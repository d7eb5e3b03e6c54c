//! The metrics of [`crate::metrics`] by counting, where logits and labels are known.

use ndarray::{Array2, ArrayView1};

/// The part of the rows whose class is the label. One logit stands for class 1 where it is not negative.
#[must_use]
pub fn accuracy(logits: &Array2<f64>, y: &Array2<f64>) -> f64 {
    let hit = |z: ArrayView1<'_, f64>, y: ArrayView1<'_, f64>| {
        if z.len() == 1 {
            (z[0] >= 0.0) == (y[0] > 0.5)
        } else {
            let chosen: f64 = z.iter().zip(y).map(|(z, y)| z * y).sum();
            z.iter().all(|&z| z <= chosen)
        }
    };
    let hits = logits
        .rows()
        .into_iter()
        .zip(y.rows())
        .filter(|(z, y)| hit(*z, *y))
        .count();
    hits as f64 / logits.nrows().max(1) as f64
}

/// The area under the ROC curve; with several classes the mean over the classes, each against the rest, scored by its
/// log-probability. A class without a positive or without a negative row counts as 0.
#[must_use]
pub fn auc(logits: &Array2<f64>, y: &Array2<f64>) -> f64 {
    let mut scores = logits.clone();
    if logits.ncols() > 1 {
        for mut row in scores.rows_mut() {
            let max = row.fold(f64::MIN, |a, &b| a.max(b));
            let ln = row.iter().map(|z| (z - max).exp()).sum::<f64>().ln() + max;
            row -= ln;
        }
    }
    let areas = scores
        .columns()
        .into_iter()
        .zip(y.columns())
        .map(|(scores, labels)| auc_of_class(scores, labels));
    areas.sum::<f64>() / logits.ncols().max(1) as f64
}

/// Counts, below each positive row in the order of scores, the negative rows.
fn auc_of_class(scores: ArrayView1<'_, f64>, labels: ArrayView1<'_, f64>) -> f64 {
    let mut rows: Vec<(f64, bool)> = scores
        .iter()
        .zip(labels)
        .map(|(&s, &y)| (s, y > 0.5))
        .collect();
    // Of equal scores the positive ones come first, so that a tie counts as wrong.
    rows.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)));
    let (mut negatives, mut ordered) = (0usize, 0usize);
    for &(_, positive) in &rows {
        if positive {
            ordered += negatives;
        } else {
            negatives += 1;
        }
    }
    let pairs = negatives * (rows.len() - negatives);
    if pairs == 0 {
        0.0
    } else {
        ordered as f64 / pairs as f64
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn areas_and_hits_of_small_cases() {
        let y = array![[0.0], [0.0], [1.0], [1.0]];
        let logits = array![[-2.0], [0.5], [0.25], [3.0]];
        assert_eq!(accuracy(&logits, &y), 0.75);
        assert_eq!(auc(&logits, &y), 0.75);
        assert_eq!(auc(&y, &y), 1.0);
        assert_eq!(auc(&array![[1.0], [1.0], [1.0], [1.0]], &y), 0.0);
        assert_eq!(auc(&logits, &array![[1.0], [1.0], [1.0], [1.0]]), 0.0);
        let onehot = array![[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
        assert_eq!(
            (accuracy(&onehot, &onehot), auc(&onehot, &onehot)),
            (1.0, 1.0)
        );
    }
}
