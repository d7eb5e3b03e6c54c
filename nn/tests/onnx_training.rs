//! Model files as they come from other tools, trained: in plaintext and in the ring, and written back.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use ndarray::{ArrayD, Axis, IxDyn};
use tacit_nn::onnx::{Choice, Feed, Model, Options, Trainable};
use tacit_nn::{
    Clear, Data, Engine, Loss, Metric, Network, Optimizer, Plain, Recipe, Result, Ring, Split, run,
    train_network,
};

const ROWS: usize = 240;

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

fn model(name: &str) -> Model {
    let file = examples().join("models").join(format!("{name}.onnx"));
    Model::parse(&std::fs::read(file).unwrap()).unwrap()
}

/// Pixels of digits in [0, 1], and one-hot labels.
fn digits() -> (ArrayD<f64>, ArrayD<f64>) {
    let text = std::fs::read_to_string(examples().join("data/digits.csv")).unwrap();
    let rows: Vec<Vec<f64>> = (text.lines().skip(1).take(ROWS))
        .map(|line| line.split(',').map(|v| v.trim().parse().unwrap()).collect())
        .collect();
    let x = ArrayD::from_shape_fn(IxDyn(&[ROWS, 64]), |i| rows[i[0]][i[1]] / 16.0);
    let y = ArrayD::from_shape_fn(IxDyn(&[ROWS, 10]), |i| {
        f64::from(u8::from(rows[i[0]][64] as usize == i[1]))
    });
    (x, y)
}

fn network(name: &str, train: &[String]) -> Trainable {
    let choice = Choice {
        features: 64,
        loss: Loss::SoftmaxCrossEntropy,
        output: None,
        train,
    };
    Trainable::new(&model(name), &choice).unwrap()
}

fn recipe(epochs: usize, optimizer: Optimizer) -> Recipe {
    Recipe {
        epochs,
        batch: 20,
        loss: Loss::SoftmaxCrossEntropy,
        optimizer,
        test_fraction: 0.25,
        seed: [2; 32],
        metrics: [Metric::Accuracy, Metric::Loss].into(),
        epoch_loss: true,
    }
}

struct Outcome {
    tensors: Vec<(String, ArrayD<f64>)>,
    accuracy: f64,
    loss: f64,
    losses: Vec<f64>,
}

fn train<E: Engine>(
    e: &mut E,
    network: &Trainable,
    recipe: &Recipe,
    decode: impl Fn(&E, &E::Value) -> ArrayD<f64>,
) -> Outcome {
    let (x, y) = digits();
    let data = Data {
        x: e.public(&x).unwrap(),
        y: e.public(&y).unwrap(),
        weights: None,
    };
    let split = Split::new(recipe.test_fraction, [1; 32], ROWS);
    let mut losses = Vec::new();
    let mut observer = |e: &mut E, _: usize, loss: Option<&E::Value>| -> Result<()> {
        losses.push(decode(e, loss.unwrap())[[0, 0]]);
        Ok(())
    };
    let released = train_network(e, network, recipe, &data, &split, &mut observer).unwrap();
    let metric = |k: usize| decode(e, &released.metrics[k].1)[[0, 0]];
    Outcome {
        accuracy: metric(0),
        loss: metric(1),
        tensors: (released.model.iter())
            .map(|(name, v)| (name.clone(), decode(e, v)))
            .collect(),
        losses,
    }
}

/// In plaintext and in the ring, which must learn the same.
fn both(name: &str, network: &Trainable, recipe: &Recipe) -> [Outcome; 2] {
    let plain = train(&mut Plain, network, recipe, |_, v| v.mapv(f64::from));
    let ring = train(&mut Ring::new(18), network, recipe, |e, v| e.decode(v));
    println!(
        "{name}: plain {:.4} {:.4} {:.4?}, ring {:.4} {:.4} {:.4?}",
        plain.accuracy, plain.loss, plain.losses, ring.accuracy, ring.loss, ring.losses
    );
    assert!((plain.accuracy - ring.accuracy).abs() <= 1.001 / 60.0);
    assert!((plain.loss - ring.loss).abs() < 0.02);
    for (plain, ring) in plain.losses.iter().zip(&ring.losses) {
        assert!((plain - ring).abs() < 0.02);
    }
    [plain, ring]
}

/// The accuracy on the held-out rows of a file, as an inference.
fn accuracy(file: &[u8], shape: &[usize]) -> f64 {
    let (x, y) = digits();
    let test = Split::new(0.25, [1; 32], ROWS).test;
    let (x, y) = (x.select(Axis(0), &test), y.select(Axis(0), &test));
    let shape: Vec<usize> = [test.len()].iter().chain(shape).copied().collect();
    let model = Model::parse(file).unwrap();
    let lowered = model.lower(&[Feed::Private(shape.clone())], &Options::default());
    let x = x.into_shape_with_order(shape).unwrap();
    let out = run(&lowered.unwrap().graph, &mut Clear, &[x])
        .unwrap()
        .remove(0);
    let best = |row: ndarray::ArrayViewD<'_, f64>| {
        let pairs = row.iter().copied().enumerate();
        pairs.max_by(|a, b| a.1.total_cmp(&b.1)).unwrap().0
    };
    let hits =
        (out.outer_iter().zip(y.outer_iter())).filter(|(z, y)| best(z.view()) == best(y.view()));
    hits.count() as f64 / test.len() as f64
}

/// Its last layer was trained, the features are random: training all of them improves it. Statistics of the batches go into
/// the running ones, and everything back into the file.
#[test]
fn a_lenet_with_normalisation_trains_and_returns_into_its_file() {
    let network = network("lenet", &[]);
    let names: Vec<String> = network
        .parameters()
        .unwrap()
        .into_iter()
        .map(|p| p.name)
        .collect();
    assert!(
        names.contains(&"conv0.weight".into()) && names.contains(&"last.bias".into()),
        "{names:?}"
    );
    let state = network.state().unwrap();
    assert_eq!(state.len(), 4, "the moments of two layers: {state:?}");
    assert!(state.iter().all(|held| !names.contains(&held.name)));
    let outcomes = both("lenet", &network, &recipe(6, Optimizer::adam(0.005)));
    for outcome in &outcomes {
        assert!(
            outcome.losses[5] < 0.2 * outcome.losses[0],
            "{:?}",
            outcome.losses
        );
        let file = network.write(&outcome.tensors).unwrap();
        let again = accuracy(&file, &[1, 8, 8]);
        assert!(
            (again - outcome.accuracy).abs() < 1e-3,
            "{again} not {}",
            outcome.accuracy
        );
        let written = Model::parse(&file).unwrap().parameters();
        for (name, value) in &outcome.tensors {
            let (_, held) = written.iter().find(|(other, _)| other == name).unwrap();
            assert!((held - value).iter().all(|d| d.abs() < 1e-5), "{name}");
        }
        for held in &state {
            let (_, value) = outcome
                .tensors
                .iter()
                .find(|(n, _)| *n == held.name)
                .unwrap();
            assert!(
                (value - &held.value).iter().any(|d| d.abs() > 1e-3),
                "{}",
                held.name
            );
        }
    }
}

#[test]
fn a_chosen_layer_is_trained_and_the_others_stay() {
    let network = network("mlp", &["fc1".into()]);
    let names: Vec<String> = network
        .parameters()
        .unwrap()
        .into_iter()
        .map(|p| p.name)
        .collect();
    assert_eq!(names, ["fc1.weight", "fc1.bias"]);
    let before = model("mlp").parameters();
    let [plain, _] = both(
        "mlp, one layer",
        &network,
        &recipe(2, Optimizer::adam(0.01)),
    );
    let after = Model::parse(&network.write(&plain.tensors).unwrap())
        .unwrap()
        .parameters();
    for ((name, before), (_, after)) in before.iter().zip(&after) {
        assert_eq!(before == after, !name.starts_with("fc1."), "{name}");
    }
}

#[test]
fn a_transformer_block_trains() {
    let network = network("transformer", &[]);
    let [plain, ring] = both("transformer", &network, &recipe(2, Optimizer::adam(0.002)));
    assert!(plain.losses[1] < plain.losses[0] && ring.losses[1] < ring.losses[0]);
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let refused = |change: &dyn Fn(&mut Choice<'_>), want: &str| {
        let mut choice = Choice {
            features: 64,
            loss: Loss::SoftmaxCrossEntropy,
            output: None,
            train: &[],
        };
        change(&mut choice);
        let error = Trainable::new(&model("mlp"), &choice)
            .unwrap_err()
            .to_string();
        assert!(error.contains(want), "{error}");
    };
    refused(&|c| c.features = 63, "63 columns");
    refused(&|c| c.output = Some("logits"), "no such output");
    let unknown = ["fc9".to_string()];
    let choice = Choice {
        features: 64,
        loss: Loss::SoftmaxCrossEntropy,
        output: None,
        train: &unknown,
    };
    let error = Trainable::new(&model("mlp"), &choice)
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("fc9: the model has no such tensor"),
        "{error}"
    );
}
