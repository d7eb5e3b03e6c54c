//! How good a model is on held-out rows, computed where nobody sees a row, a label or a score.
//!
//! Every metric takes optional row weights of 0 or 1, so that padding rows do not count.

use crate::{Edge, Graph, Result, loss::Loss, mean::RowMean};

/// What is measured on the held-out rows, in the order in which it is released.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    /// [`accuracy`].
    Accuracy,
    /// [`auc`].
    Auc,
    /// The mean loss that the training makes small.
    Loss,
    /// [`rmse`].
    Rmse,
}

impl Metric {
    /// Its name among what is released.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::Auc => "auc",
            Self::Loss => "loss",
            Self::Rmse => "rmse",
        }
    }
}

/// The AUC compares every positive with every negative row, so it is taken over at most this many held-out rows: the first
/// ones in the order of the split, which is random.
pub const MOST_AUC_ROWS: usize = 1000;

/// Pairs compared in one operation, to bound memory.
const PAIRS_AT_ONCE: usize = 1 << 17;

/// The part of the rows whose class is the label, \[1, 1\]. With one logit the class is 1 where it is not negative; with
/// several it is that of the greatest.
///
/// # Errors
/// [`crate::Error::Shape`] where logits, labels and weights do not fit.
pub fn accuracy(
    g: &mut Graph,
    logits: Edge,
    y: Edge,
    weights: Option<Edge>,
    rows: RowMean,
) -> Result<Edge> {
    let hits = if g.shape(logits)?[1] == 1 {
        // y·(1-b) + (1-y)·b for the bit b = [z < 0] is the miss; the hit is y + b - 2yb.
        let below = g.negative(logits)?;
        let both = g.mul(y, below)?;
        g.linear(&[(1, y), (1, below), (-2, both)], 0.0)?
    } else {
        let chosen = g.mul(logits, y)?;
        let chosen = g.sum(chosen, 1)?;
        let greatest = g.max_over(logits, &[1])?;
        // They are equal in a hit; a few units of the last place allow for the rounding of the product.
        let gap = g.linear(&[(1, chosen), (-1, greatest)], 2f64.powi(-16))?;
        let miss = g.negative(gap)?;
        g.linear(&[(-1, miss)], 1.0)?
    };
    mean(g, hits, weights, rows)
}

/// The mean of one number a row, \[rows, 1\], over the rows that count; \[1, 1\].
///
/// # Errors
/// [`crate::Error::Shape`] where weights do not fit.
pub fn mean(g: &mut Graph, x: Edge, weights: Option<Edge>, rows: RowMean) -> Result<Edge> {
    let x = weights.map_or(Ok(x), |w| g.mul(x, w))?;
    let sum = g.sum(x, 0)?;
    rows.of_sum(g, sum)
}

/// The root of the mean squared difference between outputs and targets, \[1, 1\]; with several outputs over all of them.
///
/// # Errors
/// [`crate::Error::Shape`] where outputs, targets and weights do not fit.
pub fn rmse(
    g: &mut Graph,
    outputs: Edge,
    targets: Edge,
    weights: Option<Edge>,
    rows: RowMean,
) -> Result<Edge> {
    let squares = Loss::MeanSquared.of_rows(g, outputs, targets)?;
    let square = mean(g, squares, weights, rows)?;
    g.sqrt(square)
}

/// The area under the ROC curve, \[1, 1\]: the part of the pairs of a positive and a negative row that the score puts in the
/// right order. A tie counts as wrong; scores with 18 fractional bits hardly ever tie. With several classes it is the mean
/// over the classes, each against the rest, scored by its log-probability. A class without a positive or without a negative
/// row counts as 0.
///
/// # Errors
/// [`crate::Error::Shape`] where logits, labels and weights do not fit.
pub fn auc(g: &mut Graph, logits: Edge, y: Edge, weights: Option<Edge>) -> Result<Edge> {
    let classes = g.shape(logits)?[1];
    let scores = if classes == 1 {
        logits
    } else {
        g.log_softmax(logits, 1)?
    };
    let mut areas = Vec::with_capacity(classes);
    for class in 0..classes {
        let score = g.slice(scores, 1, class..class + 1)?;
        let label = g.slice(y, 1, class..class + 1)?;
        areas.push((1, auc_of_class(g, score, label, weights)?));
    }
    let sum = g.linear(&areas, 0.0)?;
    if classes == 1 {
        Ok(sum)
    } else {
        g.divide(sum, classes)
    }
}

/// Σᵢⱼ pᵢ·nⱼ·\[sᵢ > sⱼ\] / (Σ pᵢ · Σ nⱼ) for the indicators p, n of positive and negative rows.
///
/// Numerator and both sums are divided by the number of rows, or its square, so that they lie in [0, 1]; the rounding of
/// that factor cancels. 4·P·N/rows² is at most 1, as the reciprocal wants it.
fn auc_of_class(g: &mut Graph, scores: Edge, labels: Edge, weights: Option<Edge>) -> Result<Edge> {
    let rows = g.shape(scores)?[0];
    let part = 1.0 / rows.max(1) as f64;
    let (positive, negative) = match weights {
        None => (labels, g.linear(&[(-1, labels)], 1.0)?),
        Some(w) => {
            let positive = g.mul(labels, w)?;
            (positive, g.sub(w, positive)?)
        }
    };
    let scores_across = g.transpose(scores)?;
    let mut counts = Vec::new();
    let chunk = (PAIRS_AT_ONCE / rows.max(1)).max(1);
    for start in (0..rows).step_by(chunk) {
        let scores_down = g.slice(scores, 0, start..rows.min(start + chunk))?;
        let difference = g.sub(scores_across, scores_down)?;
        let greater = g.negative(difference)?;
        let beaten = g.matmul(greater, negative)?;
        counts.push(g.scale(beaten, part)?);
    }
    let beaten = g.concat(0, &counts)?;
    let positive_across = g.transpose(positive)?;
    let ordered = g.matmul(positive_across, beaten)?;
    let ordered = g.scale(ordered, part)?;

    let share_of = |g: &mut Graph, indicator: Edge| {
        let sum = g.sum(indicator, 0)?;
        g.scale(sum, part)
    };
    let (p, n) = (share_of(g, positive)?, share_of(g, negative)?);
    let pairs = g.mul(p, n)?;
    let pairs = g.scale(pairs, 4.0)?;
    let inverse = g.reciprocal(pairs)?;
    let area = g.mul(ordered, inverse)?;
    g.scale(area, 4.0)
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, Axis};

    use super::*;
    use crate::{Engine, Plain, Ring, evaluate, random::Stream, run};

    struct Case {
        logits: Array2<f64>,
        y: Array2<f64>,
        weights: Option<Array2<f64>>,
    }

    /// Scores that lean towards the label, one class rare.
    fn case(rows: usize, classes: usize, real: Option<usize>) -> Case {
        let mut stream = Stream::new(&[5; 32], "metrics");
        let columns = if classes == 2 { 1 } else { classes };
        let labels: Vec<usize> = (0..rows)
            .map(|_| {
                if stream.below(5) == 0 {
                    0
                } else {
                    stream.below(classes)
                }
            })
            .collect();
        let y = Array2::from_shape_fn((rows, columns), |(i, j)| {
            f64::from(u8::from(labels[i] == if columns == 1 { 1 } else { j }))
        });
        let logits = y.mapv(|y| 1.5 * (y - 0.5) + 3.0 * stream.symmetric());
        let weights = real.map(|n| {
            Array2::from_shape_fn((rows, 1), |(i, _)| f64::from(u8::from(i * 7 % rows < n)))
        });
        Case { logits, y, weights }
    }

    fn measure<E: Engine>(e: &mut E, case: &Case) -> Vec<E::Value> {
        let mut g = Graph::new();
        let logits = g.input(case.logits.shape());
        let y = g.input(case.y.shape());
        let w = case.weights.as_ref().map(|w| g.input(w.shape()));
        let rows = RowMean::new(&mut g, case.y.nrows(), w).unwrap();
        let a = accuracy(&mut g, logits, y, w, rows).unwrap();
        let b = auc(&mut g, logits, y, w).unwrap();
        g.output(a);
        g.output(b);
        let mut inputs = vec![&case.logits, &case.y];
        inputs.extend(&case.weights);
        let inputs: Vec<_> = inputs
            .into_iter()
            .map(|x| e.public(&x.clone().into_dyn()).unwrap())
            .collect();
        run(&g, e, &inputs).unwrap()
    }

    /// The same by counting, over the rows that count.
    fn counted(case: &Case) -> [f64; 2] {
        let kept: Vec<usize> = (0..case.y.nrows())
            .filter(|&i| case.weights.as_ref().is_none_or(|w| w[[i, 0]] == 1.0))
            .collect();
        let (logits, y) = (
            case.logits.select(Axis(0), &kept),
            case.y.select(Axis(0), &kept),
        );
        [evaluate::accuracy(&logits, &y), evaluate::auc(&logits, &y)]
    }

    #[test]
    fn metrics_are_those_of_counting() {
        for (rows, classes, real) in [
            (143, 2, None),
            (143, 2, Some(60)),
            (120, 3, None),
            (120, 4, Some(100)),
            (400, 2, None),
            (10, 2, Some(4)),
        ] {
            let case = case(rows, classes, real);
            let want = counted(&case);
            let plain = measure(&mut Plain, &case);
            let mut ring = Ring::new(18);
            let words = measure(&mut ring, &case);
            for k in 0..2 {
                let name = ["accuracy", "auc"][k];
                let plain = f64::from(plain[k][[0, 0]]);
                let ring = ring.decode(&words[k])[[0, 0]];
                assert!(
                    (plain - want[k]).abs() < 1e-4,
                    "{name} {rows} {classes}: plain {plain}, counted {}",
                    want[k]
                );
                assert!(
                    (ring - want[k]).abs() < 1e-3,
                    "{name} {rows} {classes}: ring {ring}, counted {}",
                    want[k]
                );
            }
        }
    }

    #[test]
    fn the_root_of_the_mean_square_counts_the_rows_that_count() {
        let mut case = case(60, 4, Some(40));
        for scale in [0.0, 0.01, 1.0, 40.0] {
            let near = |c: &Case| &c.y + &((&c.logits - &c.y) * scale);
            let z = near(&case);
            let counts = |i: usize| case.weights.as_ref().is_none_or(|w| w[[i, 0]] == 1.0);
            let rows: Vec<usize> = (0..60).filter(|&i| counts(i)).collect();
            let squares = (&z - &case.y).mapv(|d| d * d).select(Axis(0), &rows);
            let want = squares.mean().unwrap().sqrt();

            let mut g = Graph::new();
            let (zs, ys) = (g.input(z.shape()), g.input(case.y.shape()));
            let w = case.weights.as_ref().map(|w| g.input(w.shape()));
            let mean = RowMean::new(&mut g, 60, w).unwrap();
            let root = rmse(&mut g, zs, ys, w, mean).unwrap();
            g.output(root);
            let mut e = Ring::new(18);
            let mut inputs = vec![&z, &case.y];
            inputs.extend(&case.weights);
            let inputs: Vec<_> = inputs
                .into_iter()
                .map(|x| e.public(&x.clone().into_dyn()).unwrap())
                .collect();
            let got = run(&g, &mut e, &inputs).unwrap().remove(0);
            let got = e.decode(&got)[[0, 0]];
            assert!((got - want).abs() < 2e-3 * (want + 1.0), "{got} not {want}");
            case.weights = None;
        }
    }

    #[test]
    fn a_missing_class_counts_as_zero() {
        let mut case = case(20, 2, None);
        case.y.fill(1.0);
        let mut ring = Ring::new(18);
        let words = measure(&mut ring, &case);
        assert_eq!(ring.decode(&words[1])[[0, 0]], 0.0);
    }
}
