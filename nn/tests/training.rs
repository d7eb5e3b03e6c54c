//! Training on real data: the plaintext engine learns, and the ring engine learns the same.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use ndarray::{Array2, ArrayD, Axis};
use tacit_nn::{
    Data, Engine, Loss, Metric, Model, Optimizer, Plain, Recipe, Result, Ring, Split, TrainSpec,
    model_file::Feature, train,
};

/// A file of examples/data: features scaled to [-1, 1] by their extremes, labels one-hot or 0 and 1.
fn load(file: &str, classes: usize) -> (Array2<f64>, Array2<f64>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../examples/data")
        .join(file);
    let text = std::fs::read_to_string(path).unwrap();
    let rows: Vec<Vec<f64>> = text
        .lines()
        .skip(1)
        .map(|line| line.split(',').map(|v| v.trim().parse().unwrap()).collect())
        .collect();
    let features = rows[0].len() - 1;
    let mut x = Array2::from_shape_fn((rows.len(), features), |(i, j)| rows[i][j]);
    for mut column in x.columns_mut() {
        let (lo, hi) = column
            .iter()
            .fold((f64::MAX, f64::MIN), |(lo, hi), &v| (lo.min(v), hi.max(v)));
        column.mapv_inplace(|v| {
            if hi > lo {
                (2.0 * v - lo - hi) / (hi - lo)
            } else {
                0.0
            }
        });
    }
    let columns = if classes == 2 { 1 } else { classes };
    let label = |i: usize| rows[i][features] as usize;
    let y = Array2::from_shape_fn((rows.len(), columns), |(i, j)| {
        f64::from(u8::from(label(i) == if columns == 1 { 1 } else { j }))
    });
    (x, y)
}

fn spec(features: usize, classes: usize, hidden: &[usize], epochs: usize) -> TrainSpec {
    TrainSpec {
        features,
        classes,
        hidden: hidden.to_vec(),
        recipe: Recipe {
            epochs,
            batch: 32,
            loss: Loss::of_classes(classes),
            optimizer: Optimizer::sgd(0.05, 0.9),
            test_fraction: 0.25,
            seed: [1; 32],
            metrics: [Metric::Accuracy, Metric::Auc].into(),
            epoch_loss: true,
        },
    }
}

struct Outcome {
    accuracy: f64,
    auc: f64,
    /// The same of the released model, in plaintext.
    released: [f64; 2],
    losses: Vec<f64>,
}

fn outcome<E: Engine>(
    e: &mut E,
    spec: &TrainSpec,
    x: &Array2<f64>,
    y: &Array2<f64>,
    weights: Option<&Array2<f64>>,
    decode: impl Fn(&E, &E::Value) -> ArrayD<f64>,
) -> Outcome {
    let mut value = |v: &Array2<f64>| e.public(&v.clone().into_dyn()).unwrap();
    let data = Data {
        x: value(x),
        y: value(y),
        weights: weights.map(&mut value),
    };
    let split = Split::new(spec.recipe.test_fraction, [1; 32], x.nrows());
    let mut losses = Vec::new();
    let mut observer = |e: &mut E, epoch: usize, loss: Option<&E::Value>| -> Result<()> {
        assert_eq!(epoch, losses.len() + 1);
        losses.push(decode(e, loss.unwrap())[[0, 0]]);
        Ok(())
    };
    let released = train(e, spec, &data, &split, &mut observer).unwrap();
    let metrics: Vec<f64> = released
        .metrics
        .iter()
        .map(|(_, v)| decode(e, v)[[0, 0]])
        .collect();
    let tensors: Vec<ArrayD<f64>> = released.model.iter().map(|(_, v)| decode(e, v)).collect();
    let feature = |k: usize| Feature {
        name: format!("feature {k}"),
        min: -1.0,
        max: 1.0,
    };
    let features: Vec<Feature> = (0..spec.features).map(feature).collect();
    let model = Model::from_released(&features, &tensors).unwrap();
    let real: Vec<usize> = split
        .test
        .into_iter()
        .filter(|&i| weights.is_none_or(|w| w[[i, 0]] == 1.0))
        .collect();
    let (x, y) = (x.select(Axis(0), &real), y.select(Axis(0), &real));
    let labels: Vec<usize> = y
        .rows()
        .into_iter()
        .map(|y| {
            y.iter()
                .rposition(|&y| y == 1.0)
                .map_or(0, |c| c + usize::from(y.len() == 1))
        })
        .collect();
    let released = [
        model.accuracy(&x, &labels).unwrap(),
        model.auc(&x, &labels).unwrap(),
    ];
    Outcome {
        accuracy: metrics[0],
        auc: metrics[1],
        released,
        losses,
    }
}

fn plain(
    spec: &TrainSpec,
    x: &Array2<f64>,
    y: &Array2<f64>,
    weights: Option<&Array2<f64>>,
) -> Outcome {
    outcome(&mut Plain, spec, x, y, weights, |_, v| v.mapv(f64::from))
}

fn ring(
    spec: &TrainSpec,
    x: &Array2<f64>,
    y: &Array2<f64>,
    weights: Option<&Array2<f64>>,
) -> Outcome {
    outcome(&mut Ring::new(18), spec, x, y, weights, |e, v| e.decode(v))
}

/// What was measured on shares is what the released model does: the statistics are folded in, padding does not count.
fn assert_released(o: &Outcome) {
    let [accuracy, auc] = o.released;
    assert!(
        (o.accuracy - accuracy).abs() < 1e-3,
        "accuracy {} measured, {accuracy} released",
        o.accuracy
    );
    assert!(
        (o.auc - auc).abs() < 1e-3,
        "auc {} measured, {auc} released",
        o.auc
    );
}

/// Trains in plaintext and in the ring; both must reach the accuracy, and agree.
fn both(file: &str, spec: &TrainSpec, least_accuracy: f64, least_auc: f64) {
    let (x, y) = load(file, spec.classes);
    let (plain, ring) = (plain(spec, &x, &y, None), ring(spec, &x, &y, None));
    println!(
        "{file} {:?}: plain {:.4} {:.4}, ring {:.4} {:.4}",
        spec.hidden, plain.accuracy, plain.auc, ring.accuracy, ring.auc
    );

    for o in [&plain, &ring] {
        assert_released(o);
        assert!(
            o.accuracy >= least_accuracy && o.auc >= least_auc,
            "accuracy {} auc {}",
            o.accuracy,
            o.auc
        );
        assert!(
            o.losses[spec.recipe.epochs - 1] < 0.6 * o.losses[0],
            "{:?}",
            o.losses
        );
    }
    assert!(
        (plain.accuracy - ring.accuracy).abs() <= 0.005,
        "accuracy {} against {}",
        plain.accuracy,
        ring.accuracy
    );
    assert!(
        (plain.auc - ring.auc).abs() <= 0.005,
        "auc {} against {}",
        plain.auc,
        ring.auc
    );
    for (a, b) in plain.losses.iter().zip(&ring.losses) {
        assert!(
            (a - b).abs() < 0.02,
            "losses {:?} against {:?}",
            plain.losses,
            ring.losses
        );
    }
}

#[test]
fn breast_cancer_by_logistic_regression() {
    both("breast-cancer.csv", &spec(30, 2, &[], 10), 0.95, 0.98);
}

#[test]
fn breast_cancer_by_one_hidden_layer() {
    both("breast-cancer.csv", &spec(30, 2, &[16], 10), 0.95, 0.98);
}

#[test]
fn digits_by_one_hidden_layer() {
    both("digits.csv", &spec(64, 10, &[32], 15), 0.95, 0.99);
}

#[test]
fn padding_rows_change_nothing_but_the_step_size() {
    let (x, y) = load("breast-cancer.csv", 2);
    let pads = 200;
    let n = x.nrows() + pads;
    // Padding in between, with labels and features that would spoil everything if they counted.
    let real: Vec<bool> = (0..n).map(|i| i * pads % n >= pads).collect();
    let place: Vec<usize> = real
        .iter()
        .scan(0, |k, &r| {
            let at = *k;
            *k += usize::from(r);
            Some(at)
        })
        .collect();
    let padded = |v: &Array2<f64>, with: f64| {
        Array2::from_shape_fn((n, v.ncols()), |(i, j)| {
            if real[i] { v[[place[i], j]] } else { with }
        })
    };
    let (px, py) = (padded(&x, -1.0), padded(&y, 1.0));
    let weights = padded(&Array2::ones((x.nrows(), 1)), 0.0);
    assert_eq!(weights.sum() as usize, x.nrows());
    let spec = spec(30, 2, &[], 10);
    for o in [
        plain(&spec, &px, &py, Some(&weights)),
        ring(&spec, &px, &py, Some(&weights)),
    ] {
        println!("{:.4} {:.4} {:.4?}", o.accuracy, o.auc, o.losses);
        assert!(
            o.accuracy > 0.95 && o.auc > 0.98,
            "accuracy {} auc {}",
            o.accuracy,
            o.auc
        );
        assert!(o.losses[9] < 0.12, "{:?}", o.losses);
    }
}
