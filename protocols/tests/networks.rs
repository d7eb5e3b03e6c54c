//! Networks of other shapes than a perceptron, trained by every optimizer on shares and in plaintext.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
mod mnist;

use std::time::Instant;

use common::secure::Secure;
use ndarray::{ArrayD, Axis, IxDyn, Slice};
use tacit_examples::DIGITS;
use tacit_mpc::simulate::{mem, simulate_seeded};
use tacit_nn::layers::{conv, max_pool, window::Window};
use tacit_nn::network::{Applied, Parameter, Pass};
use tacit_nn::optimizer::{LearningRate, Rule, Schedule};
use tacit_nn::random::Stream;
use tacit_nn::{
    Data, Engine, Graph, Loss, Metric, Network, Optimizer, Plain, Recipe, Released, Result, Split,
    train_network,
};
use tacit_protocols::malicious::MaliciousEngine;
use tacit_protocols::rep3::Rep3Engine;

/// Convolution, relu, max-pooling, twice; then two fully connected layers.
struct LeNet {
    side: usize,
    channels: [usize; 2],
    kernels: [usize; 2],
    hidden: usize,
    classes: usize,
}

impl LeNet {
    fn flat(&self) -> usize {
        let pooled = |side: usize, kernel: usize| (side - kernel).div_ceil(2);
        let side = pooled(pooled(self.side, self.kernels[0]), self.kernels[1]);
        self.channels[1] * side * side
    }
}

/// Weights uniform in ±√(6/in), biases 0.
fn layers(shapes: &[(&str, Vec<usize>, usize)]) -> Vec<Parameter> {
    let mut stream = Stream::new(&[3; 32], "weights");
    let mut tensors = Vec::new();
    for (name, shape, inputs) in shapes {
        let bound = (6.0 / *inputs as f64).sqrt();
        let value = ArrayD::from_shape_simple_fn(IxDyn(shape), || bound * stream.symmetric());
        let biases = if shape.len() == 4 { shape[0] } else { shape[1] };
        tensors.push(Parameter {
            name: format!("{name}.weight"),
            value,
        });
        tensors.push(Parameter {
            name: format!("{name}.bias"),
            value: ArrayD::zeros(IxDyn(&[biases])),
        });
    }
    tensors
}

impl Network for LeNet {
    fn parameters(&self) -> Result<Vec<Parameter>> {
        let ([c1, c2], [k1, k2]) = (self.channels, self.kernels);
        Ok(layers(&[
            ("conv1", vec![c1, 1, k1, k1], k1 * k1),
            ("conv2", vec![c2, c1, k2, k2], c1 * k2 * k2),
            ("fc1", vec![self.flat(), self.hidden], self.flat()),
            ("fc2", vec![self.hidden, self.classes], 3 * self.hidden),
        ]))
    }

    fn apply(&self, g: &mut Graph, pass: &Pass<'_>) -> Result<Applied> {
        let rows = g.shape(pass.x)?[0];
        let mut x = g.reshape(pass.x, &[rows, 1, self.side, self.side])?;
        let pool = Window {
            stride: vec![2, 2],
            ..Window::new(&[2, 2])
        };
        for layer in pass.parameters[..4].chunks(2) {
            let window = Window::new(&g.shape(layer[0])?[2..]);
            x = conv::conv(g, x, layer[0], Some(layer[1]), &window, 1)?;
            x = max_pool::max_pool(g, x, &pool)?;
            x = g.relu(x)?;
        }
        x = g.reshape(x, &[rows, self.flat()])?;
        x = g.matmul(x, pass.parameters[4])?;
        x = g.add(x, pass.parameters[5])?;
        x = g.relu(x)?;
        x = g.matmul(x, pass.parameters[6])?;
        Ok(Applied {
            outputs: g.add(x, pass.parameters[7])?,
            state: vec![],
            masks: vec![],
        })
    }
}

/// Fully connected layers with relu between them.
struct Dense(Vec<usize>);

impl Network for Dense {
    fn parameters(&self) -> Result<Vec<Parameter>> {
        let shapes: Vec<_> = (self.0.windows(2))
            .map(|w| ("fc", vec![w[0], w[1]], w[0]))
            .collect();
        Ok(layers(&shapes))
    }

    fn apply(&self, g: &mut Graph, pass: &Pass<'_>) -> Result<Applied> {
        let mut x = pass.x;
        for (k, layer) in pass.parameters.chunks(2).enumerate() {
            if k > 0 {
                x = g.relu(x)?;
            }
            x = g.matmul(x, layer[0])?;
            x = g.add(x, layer[1])?;
        }
        Ok(Applied {
            outputs: x,
            state: vec![],
            masks: vec![],
        })
    }
}

/// Pixels in [0, 1] and one-hot labels.
struct Pictures {
    x: ArrayD<f64>,
    y: ArrayD<f64>,
}

impl Pictures {
    fn digits(rows: usize) -> Self {
        let numbers: Vec<Vec<f64>> = (DIGITS.rows().take(rows))
            .map(|r| r.split(',').map(|v| v.parse().unwrap()).collect())
            .collect();
        let x = ArrayD::from_shape_fn(IxDyn(&[rows, 64]), |i| numbers[i[0]][i[1]] / 16.0);
        let y = ArrayD::from_shape_fn(IxDyn(&[rows, 10]), |i| {
            f64::from(u8::from(numbers[i[0]][64] as usize == i[1]))
        });
        Self { x, y }
    }

    fn rows(&self, rows: std::ops::Range<usize>) -> Self {
        let cut = |v: &ArrayD<f64>| v.slice_axis(Axis(0), Slice::from(rows.clone())).to_owned();
        Self {
            x: cut(&self.x),
            y: cut(&self.y),
        }
    }
}

fn recipe(epochs: usize, batch: usize, optimizer: Optimizer) -> Recipe {
    Recipe {
        epochs,
        batch,
        loss: Loss::SoftmaxCrossEntropy,
        optimizer,
        test_fraction: 0.25,
        seed: [2; 32],
        metrics: [Metric::Accuracy, Metric::Loss].into(),
        epoch_loss: false,
    }
}

/// Accuracy and loss on the held-out rows.
type Scores = [f64; 2];

fn scores<V>(released: &Released<V>, mut open: impl FnMut(&V) -> ArrayD<f64>) -> Scores {
    let names: Vec<&str> = released.metrics.iter().map(|(n, _)| n.as_str()).collect();
    assert_eq!(names, ["accuracy", "loss"]);
    [0, 1].map(|k| open(&released.metrics[k].1)[[0, 0]])
}

/// Trains in single precision.
fn in_plaintext(network: &dyn Network, recipe: &Recipe, data: &Pictures, split: &Split) -> Scores {
    let whole = Data {
        x: Plain.public(&data.x).unwrap(),
        y: Plain.public(&data.y).unwrap(),
        weights: None,
    };
    let mut quiet = |_: &mut Plain, _: usize, _: Option<&_>| Ok(());
    let released = train_network(&mut Plain, network, recipe, &whole, split, &mut quiet).unwrap();
    scores(&released, |v| v.mapv(f64::from))
}

/// Trains on shares and in plaintext, and gives the scores of both.
fn both(
    name: &str,
    network: &(dyn Network + Sync),
    recipe: &Recipe,
    data: &Pictures,
    split: &Split,
) -> [Scores; 2] {
    let plain = in_plaintext(network, recipe, data, split);
    let (private, _) = on_shares::<Rep3Engine>(name, network, recipe, data, split);
    println!(
        "{name} in plaintext: accuracy {:.4}, loss {:.4}",
        plain[0], plain[1]
    );
    [private, plain]
}

/// Trains on shares of one of the engines; its scores, and the bytes of all parties.
fn on_shares<E: Secure>(
    name: &str,
    network: &(dyn Network + Sync),
    recipe: &Recipe,
    data: &Pictures,
    split: &Split,
) -> (Scores, f64) {
    let start = Instant::now();
    let mut parties = simulate_seeded(mem(), 5, |session| {
        let mut e = E::start(session, 18).unwrap();
        let me = e.session().me();
        let mut share = |owner: usize, v: &ArrayD<f64>| e.share(owner, v).unwrap();
        let data = Data {
            x: share(0, &data.x),
            y: share(1, &data.y),
            weights: None,
        };
        let mut progress = |_: &mut E, epoch: usize, _: Option<&_>| {
            if me == 0 {
                println!(
                    "{name}: epoch {epoch}, {:.0} s",
                    start.elapsed().as_secs_f64()
                );
            }
            Ok(())
        };
        let released = train_network(&mut e, network, recipe, &data, split, &mut progress).unwrap();
        let scores = scores(&released, |v| e.open(v).unwrap());
        (scores, e.session().cost())
    });
    let rounds = parties.iter().map(|p| p.1.rounds).max().unwrap();
    let bytes: f64 = parties.iter().map(|p| p.1.bytes as f64).sum();
    let private = parties.swap_remove(0).0;
    println!(
        "{name}: accuracy {:.4}, loss {:.4}, {:.1} s, {:.1} MB, {rounds} rounds",
        private[0],
        private[1],
        start.elapsed().as_secs_f64(),
        bytes / 1e6,
    );
    (private, bytes)
}

/// Both learn, and equally well: two of the held-out rows may fall to the other side, and the private loss may not be higher
/// by more than `apart` (lower by chance it may be: other roundings lead to another minimum).
fn assert_alike([private, plain]: [Scores; 2], rows: usize, least: f64, apart: f64) {
    assert!(
        private[0] > least && plain[0] > least,
        "{private:?} {plain:?}"
    );
    let gap = (private[0] - plain[0]).abs();
    assert!(gap <= 2.001 / rows as f64, "accuracies {gap} apart");
    let gap = private[1] - plain[1];
    assert!(gap < apart, "the private loss is {gap} higher");
}

const SMALL: LeNet = LeNet {
    side: 8,
    channels: [8, 32],
    kernels: [3, 2],
    hidden: 32,
    classes: 10,
};

#[test]
fn a_convolutional_network_learns_by_gradient_descent() {
    let data = Pictures::digits(400);
    let optimizer = Optimizer {
        clip_norm: Some(4.0),
        weight_decay: 1e-3,
        rate: LearningRate {
            base: 0.1,
            schedule: Schedule::Cosine,
            warmup_steps: 5,
        },
        ..Optimizer::sgd(0.1, 0.9)
    };
    let split = Split::new(0.25, [1; 32], 400);
    let scores = both(
        "lenet sgd",
        &SMALL,
        &recipe(12, 25, optimizer),
        &data,
        &split,
    );
    assert_alike(scores, 100, 0.8, 0.06);
}

/// The two levels of security train alike, and the proved one sends less than twice as much.
#[test]
fn a_convolutional_network_learns_on_proved_shares() {
    let data = Pictures::digits(100);
    let split = Split::new(0.25, [1; 32], 100);
    let recipe = recipe(2, 25, Optimizer::sgd(0.1, 0.9));
    let (honest, few) = on_shares::<Rep3Engine>("lenet", &SMALL, &recipe, &data, &split);
    let (proved, more) =
        on_shares::<MaliciousEngine>("lenet, proved", &SMALL, &recipe, &data, &split);
    println!("{:.3} times the bytes", more / few);
    assert!(
        (honest[1] - proved[1]).abs() < 0.01,
        "{honest:?} {proved:?}"
    );
    assert!(more < 2.0 * few, "{more} bytes instead of {few}");
}

#[test]
fn a_convolutional_network_learns_by_adam_and_its_variants() {
    let data = Pictures::digits(400);
    let split = Split::new(0.25, [1; 32], 400);
    for (amsgrad, decoupled) in [(false, true), (true, false)] {
        let optimizer = Optimizer {
            rule: Rule::Adam {
                beta1: 0.9,
                beta2: 0.999,
                epsilon: 2f64.powi(-15),
                amsgrad,
                decoupled,
            },
            weight_decay: 1e-3,
            ..Optimizer::adam(0.01)
        };
        let name = if amsgrad {
            "lenet amsgrad"
        } else {
            "lenet adamw"
        };
        let scores = both(name, &SMALL, &recipe(10, 25, optimizer), &data, &split);
        assert_alike(scores, 100, 0.8, 0.03);
    }
}

#[test]
fn mnist_a_subset_by_a_perceptron() {
    let Some(data) = mnist::read(900, 400) else {
        return;
    };
    let split = mnist::split(900, 400);
    let network = Dense(vec![784, 128, 128, 10]);
    let recipe = recipe(4, 64, Optimizer::sgd(0.02, 0.9));
    let scores = both("mnist mlp", &network, &recipe, &data, &split);
    assert_alike(scores, 400, 0.75, 0.02);
}

const LENET: LeNet = LeNet {
    side: 28,
    channels: [20, 50],
    kernels: [5, 5],
    hidden: 500,
    classes: 10,
};

/// A network that starts a unit of fixed point away: how far two runs in single precision end from each other.
struct Moved<'a>(&'a dyn Network);

impl Network for Moved<'_> {
    fn parameters(&self) -> Result<Vec<Parameter>> {
        let mut tensors = self.0.parameters()?;
        for tensor in &mut tensors {
            tensor.value.mapv_inplace(|v| v + 2f64.powi(-18));
        }
        Ok(tensors)
    }

    fn apply(&self, g: &mut Graph, pass: &Pass<'_>) -> Result<Applied> {
        self.0.apply(g, pass)
    }
}

/// The whole of MNIST: within 0.2 points of plaintext.
fn whole_mnist(name: &str, network: &(dyn Network + Sync), epochs: usize, base: f64) {
    let data = mnist::read(60_000, 10_000).expect("the whole of MNIST");
    let split = mnist::split(60_000, 10_000);
    // The step size ends at nothing: a run that ends in full motion is a matter of chance by more than 0.2 points.
    let optimizer = Optimizer {
        rate: LearningRate {
            base,
            schedule: Schedule::Cosine,
            warmup_steps: 0,
        },
        ..Optimizer::sgd(base, 0.9)
    };
    let recipe = recipe(epochs, 128, optimizer);
    let moved = in_plaintext(&Moved(network), &recipe, &data, &split);
    println!("{name}: in plaintext from weights 2^-18 away: {moved:.4?}");
    let [private, plain] = both(name, network, &recipe, &data, &split);
    assert!(
        (private[0] - plain[0]).abs() <= 0.002,
        "{private:?} {plain:?}"
    );
}

#[test]
#[ignore = "the whole of MNIST, 2345 steps: cargo test --release -p tacit-protocols --test networks -- --ignored mlp"]
fn mnist_whole_by_an_mlp() {
    let network = Dense(vec![784, 128, 128, 10]);
    whole_mnist("mnist mlp", &network, 5, 0.05);
}

#[test]
#[ignore = "the whole of MNIST, 938 steps: cargo test --release -p tacit-protocols --test networks -- --ignored lenet"]
fn mnist_whole_by_a_lenet() {
    whole_mnist("mnist lenet", &LENET, 2, 0.02);
}

/// The first rows of MNIST: checks reading and split.
#[test]
fn pictures_are_what_they_should_be() {
    let digits = Pictures::digits(20).rows(5..9);
    assert_eq!(
        (digits.x.shape(), digits.y.shape()),
        (&[4, 64][..], &[4, 10][..])
    );
    if let Some(mnist) = mnist::read(10, 5) {
        assert_eq!(mnist.x.shape(), [15, 784]);
        // The first training picture is a five.
        assert_eq!(mnist.y[[0, 5]], 1.0);
        assert!(mnist.x.iter().all(|v| (0.0..=1.0).contains(v)));
    }
}
