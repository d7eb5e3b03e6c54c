//! Private training of real models, beside the same training in plaintext.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Instant;

use ndarray::{Array2, ArrayD};
use tacit_examples::{BREAST_CANCER, DIGITS, Dataset};
use tacit_mpc::Cost;
use tacit_mpc::simulate::{mem, simulate_seeded};
use tacit_nn::{Data, Engine, Loss, Metric, Optimizer, Plain, Recipe, Split, TrainSpec, train};
use tacit_protocols::rep3::Rep3Engine;

/// Features scaled to [-1, 1] by their extremes; labels 0 and 1, or one-hot.
fn load(data: Dataset, classes: usize) -> (Array2<f64>, Array2<f64>) {
    let rows: Vec<Vec<f64>> = data
        .rows()
        .map(|r| r.split(',').map(|v| v.parse().unwrap()).collect())
        .collect();
    let features = rows[0].len() - 1;
    let mut x = Array2::from_shape_fn((rows.len(), features), |(i, j)| rows[i][j]);
    for mut c in x.columns_mut() {
        let (lo, hi) = c
            .iter()
            .fold((f64::MAX, f64::MIN), |(lo, hi), &v| (lo.min(v), hi.max(v)));
        c.mapv_inplace(|v| {
            if hi > lo {
                (2.0 * v - lo - hi) / (hi - lo)
            } else {
                0.0
            }
        });
    }
    let columns = if classes == 2 { 1 } else { classes };
    let y = Array2::from_shape_fn((rows.len(), columns), |(i, j)| {
        f64::from(u8::from(
            rows[i][features] as usize == if columns == 1 { 1 } else { j },
        ))
    });
    (x, y)
}

struct Outcome {
    accuracy: f64,
    auc: f64,
    last_loss: f64,
    model: Vec<ArrayD<f64>>,
}

fn outcome<E: Engine>(
    e: &mut E,
    spec: &TrainSpec,
    (x, y): (E::Value, E::Value),
    rows: usize,
    mut open: impl FnMut(&mut E, &E::Value) -> ArrayD<f64>,
) -> Outcome {
    let split = Split::new(spec.recipe.test_fraction, [1; 32], rows);
    let mut last = None;
    let data = Data {
        x,
        y,
        weights: None,
    };
    let released = train(e, spec, &data, &split, &mut |_, _, loss| {
        last = loss.cloned();
        Ok(())
    })
    .unwrap();
    let metrics: Vec<f64> = released
        .metrics
        .iter()
        .map(|(_, v)| open(e, v)[[0, 0]])
        .collect();
    Outcome {
        accuracy: metrics[0],
        auc: metrics[1],
        last_loss: open(e, &last.unwrap())[[0, 0]],
        model: released.model.iter().map(|(_, v)| open(e, v)).collect(),
    }
}

/// Trains privately and in plaintext; both must agree to what fixed point allows.
fn private_and_plain(data: Dataset, classes: usize, hidden: &[usize], epochs: usize) -> Vec<Cost> {
    let (x, y) = load(data, classes);
    let spec = TrainSpec {
        features: x.ncols(),
        classes,
        hidden: hidden.to_vec(),
        recipe: Recipe {
            epochs,
            batch: 32,
            loss: Loss::of_classes(classes),
            optimizer: Optimizer::sgd(0.1, 0.9),
            test_fraction: 0.25,
            seed: [1; 32],
            metrics: [Metric::Accuracy, Metric::Auc].into(),
            epoch_loss: true,
        },
    };
    let (dx, dy) = (x.clone().into_dyn(), y.clone().into_dyn());
    let mut plain_engine = Plain;
    let values = (
        plain_engine.public(&dx).unwrap(),
        plain_engine.public(&dy).unwrap(),
    );
    let plain = outcome(&mut plain_engine, &spec, values, x.nrows(), |_, v| {
        v.mapv(f64::from)
    });
    let start = Instant::now();
    let mut parties = simulate_seeded(mem(), 11, |session| {
        let mut e = Rep3Engine::new(session, 18).unwrap();
        let me = e.session().me();
        let vx = e.input(0, dx.shape(), (me == 0).then_some(&dx)).unwrap();
        let vy = e.input(1, dy.shape(), (me == 1).then_some(&dy)).unwrap();
        let private = outcome(&mut e, &spec, (vx, vy), x.nrows(), |e, v| {
            e.reveal(v).unwrap()
        });
        (private, e.session().cost())
    });
    let costs: Vec<Cost> = parties.iter().map(|p| p.1).collect();
    let private = parties.swap_remove(0).0;
    println!(
        "{} {hidden:?}: accuracy {:.4} (plain {:.4}), AUC {:.5} ({:.5}), loss {:.5} ({:.5}), {:.2} s, {:.2} MB, {} rounds",
        data.name,
        private.accuracy,
        plain.accuracy,
        private.auc,
        plain.auc,
        private.last_loss,
        plain.last_loss,
        start.elapsed().as_secs_f64(),
        costs.iter().map(|c| c.bytes as f64).sum::<f64>() / 1e6,
        costs.iter().map(|c| c.rounds).max().unwrap(),
    );
    assert!(
        (private.accuracy - plain.accuracy).abs() <= 0.005,
        "accuracy within half a point of plaintext"
    );
    assert!((private.auc - plain.auc).abs() < 2e-3);
    assert!((private.last_loss - plain.last_loss).abs() < 2e-3);
    // Without hidden layers the optimum is unique and weights must agree; a relu net may find another one as good.
    if hidden.is_empty() {
        let apart = |(a, b): (&ArrayD<f64>, &ArrayD<f64>)| {
            a.iter()
                .zip(b)
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f64::max)
        };
        let worst = private
            .model
            .iter()
            .zip(&plain.model)
            .map(apart)
            .fold(0.0, f64::max);
        assert!(worst < 0.05, "weights differ by {worst}");
    }
    costs
}

#[test]
fn logistic_regression_learns_what_plaintext_learns_within_25_megabytes() {
    let costs = private_and_plain(BREAST_CANCER, 2, &[], 10);
    let bytes: u64 = costs.iter().map(|c| c.bytes + c.header_bytes).sum();
    assert!(bytes < 25_000_000, "{bytes} bytes");
}

#[test]
fn a_multilayer_perceptron_learns_what_plaintext_learns() {
    private_and_plain(BREAST_CANCER, 2, &[16], 10);
}

#[test]
fn ten_classes_with_softmax_learn_what_plaintext_learns() {
    private_and_plain(DIGITS, 10, &[], 3);
}
