//! What to train, and everything public that follows from it.

use std::collections::BTreeSet;

use crate::{
    Error, Result,
    loss::Loss,
    metrics::Metric,
    model::Mlp,
    network::Network,
    optimizer::{Clock, Optimizer},
    random::Stream,
};

/// How a network is trained, whatever it is. Everything here is public.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// Passes over the training rows.
    pub epochs: usize,
    /// Rows in one step.
    pub batch: usize,
    /// What is made small.
    pub loss: Loss,
    /// How.
    pub optimizer: Optimizer,
    /// Part of the rows that is held out to measure the model, in (0, 1).
    pub test_fraction: f64,
    /// Public seed of initial weights and of what is dropped. Which rows train and in what order is not its business: see
    /// [`Split`].
    pub seed: [u8; 32],
    /// What is measured on the held-out rows.
    pub metrics: BTreeSet<Metric>,
    /// Whether to show the mean training loss of every epoch.
    pub epoch_loss: bool,
}

impl Recipe {
    /// Checks every field.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the first field that is out of range.
    pub fn validate(&self) -> Result<()> {
        let by_class = [Metric::Accuracy, Metric::Auc];
        let needless = self.metrics.iter().find(|metric| {
            **metric != Metric::Loss && by_class.contains(metric) != self.loss.classifies()
        });
        let checks = [
            ("epochs must be at least 1", self.epochs > 0),
            ("batch must be at least 1", self.batch > 0),
            (
                "test_fraction must lie in (0, 1)",
                self.test_fraction > 0.0 && self.test_fraction < 1.0,
            ),
            (
                "accuracy and auc are for losses of classes, rmse for those of numbers",
                needless.is_none(),
            ),
        ];
        if let Some((what, _)) = checks.into_iter().find(|&(_, holds)| !holds) {
            return Err(Error::Invalid(what.into()));
        }
        self.loss.validate()?;
        self.optimizer.validate()
    }

    /// Where the training is before step `step` of all steps over `rows` training rows.
    pub(crate) fn clock(&self, step: usize, rows: usize) -> Clock {
        Clock {
            step,
            steps_per_epoch: rows.div_ceil(self.batch.max(1)),
            epochs: self.epochs,
        }
    }
}

/// A multilayer perceptron and how it is trained.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainSpec {
    /// Columns of the data, without the label.
    pub features: usize,
    /// Labels are 0..classes. Two classes have one logit, more have one each.
    pub classes: usize,
    /// Widths of the hidden layers; none is logistic or softmax regression.
    pub hidden: Vec<usize>,
    /// How it is trained. The loss is [`Loss::of_classes`].
    pub recipe: Recipe,
}

impl TrainSpec {
    /// Checks every field.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the first field that is out of range.
    pub fn validate(&self) -> Result<()> {
        let checks = [
            ("features must be at least 1", self.features > 0),
            ("classes must be at least 2", self.classes >= 2),
            (
                "hidden widths must be at least 1",
                self.hidden.iter().all(|&n| n > 0),
            ),
            (
                "loss must be the cross-entropy of these classes",
                self.recipe.loss == Loss::of_classes(self.classes),
            ),
        ];
        match checks.into_iter().find(|&(_, holds)| !holds) {
            Some((what, _)) => Err(Error::Invalid(what.into())),
            None => self.recipe.validate(),
        }
    }

    /// The shape of the labels of this many rows: one column of 0 and 1, or one-hot rows.
    #[must_use]
    pub fn label_shape(&self, rows: usize) -> Vec<usize> {
        vec![rows, Mlp::of(self).outputs()]
    }
}

/// Which rows train, which are held out, and in what order the batches take them: a public permutation.
///
/// Its seed must come from nobody's choice. Who picks it can try seeds until the few rows that he is curious about train,
/// and read them from the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// Positions of the training rows.
    pub train: Vec<usize>,
    /// Positions of the held-out rows.
    pub test: Vec<usize>,
    /// The seed that they were drawn from, and that the order of the batches is.
    pub order_seed: [u8; 32],
}

impl Split {
    /// Divides this many rows at `test_fraction`. Both parts are non-empty from two rows on.
    #[must_use]
    pub fn new(test_fraction: f64, order_seed: [u8; 32], rows: usize) -> Self {
        let mut train = Stream::new(&order_seed, "split").permutation(rows);
        let wanted = (rows as f64 * test_fraction).round() as usize;
        let held_out = wanted.clamp(1.min(rows), rows.saturating_sub(1).max(1.min(rows)));
        let test = train.split_off(rows - held_out);
        Self {
            train,
            test,
            order_seed,
        }
    }

    /// The training rows in the order of an epoch.
    pub(crate) fn order(&self, epoch: usize) -> Vec<usize> {
        let mut stream = Stream::new(&self.order_seed, &format!("epoch {epoch}"));
        let order = stream.permutation(self.train.len());
        order.into_iter().map(|k| self.train[k]).collect()
    }
}

/// Names of tensors and their shapes, and names of metrics, each of shape \[1, 1\]: what a training releases. The opened
/// words hold them in this order.
pub type ReleasedShapes = (Vec<(String, Vec<usize>)>, Vec<String>);

/// What the training of a multilayer perceptron releases: weights and bias of each layer, for features as they came.
#[must_use]
pub fn released_shapes(spec: &TrainSpec) -> ReleasedShapes {
    let mlp = Mlp::of(spec);
    let tensors = mlp.layers().enumerate().flat_map(|(k, (from, to))| {
        [
            (format!("layer{k}.weight"), vec![from, to]),
            (format!("layer{k}.bias"), vec![1, to]),
        ]
    });
    (tensors.collect(), metric_names(&spec.recipe))
}

/// What the training of any network releases: its parameters and its state.
///
/// # Errors
/// Whatever keeps the network from being built.
pub fn released_shapes_of(network: &dyn Network, recipe: &Recipe) -> Result<ReleasedShapes> {
    let tensors = network.parameters()?.into_iter().chain(network.state()?);
    let tensors = tensors.map(|tensor| (tensor.name, tensor.value.shape().to_vec()));
    Ok((tensors.collect(), metric_names(recipe)))
}

fn metric_names(recipe: &Recipe) -> Vec<String> {
    recipe.metrics.iter().map(|m| m.name().into()).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn spec(features: usize, classes: usize, hidden: &[usize]) -> TrainSpec {
        TrainSpec {
            features,
            classes,
            hidden: hidden.to_vec(),
            recipe: Recipe {
                epochs: 10,
                batch: 32,
                loss: Loss::of_classes(classes),
                optimizer: Optimizer::sgd(0.1, 0.9),
                test_fraction: 0.25,
                seed: [1; 32],
                metrics: [Metric::Accuracy, Metric::Auc].into(),
                epoch_loss: true,
            },
        }
    }

    #[test]
    fn every_field_is_checked() {
        let good = spec(3, 2, &[4]);
        good.validate().unwrap();
        let refused = |change: &dyn Fn(&mut TrainSpec), want: &str| {
            let mut bad = good.clone();
            change(&mut bad);
            let error = bad.validate().unwrap_err().to_string();
            assert!(error.starts_with(want), "{error}");
        };
        refused(&|s| s.features = 0, "features");
        refused(&|s| s.classes = 1, "classes");
        refused(&|s| s.hidden = vec![3, 0], "hidden");
        refused(&|s| s.recipe.epochs = 0, "epochs");
        refused(&|s| s.recipe.batch = 0, "batch");
        refused(&|s| s.recipe.loss = Loss::MeanSquared, "loss");
        let sgd = |s: &mut TrainSpec, rate, momentum| {
            s.recipe.optimizer = Optimizer::sgd(rate, momentum);
        };
        refused(&|s| sgd(s, f64::NAN, 0.9), "learning_rate");
        refused(&|s| sgd(s, 1e-30, 0.9), "learning_rate is too small");
        refused(&|s| sgd(s, 0.1, 1.0), "momentum");
        refused(&|s| sgd(s, 0.1, 1e-30), "momentum is too small");
        refused(&|s| s.recipe.test_fraction = 1.0, "test_fraction");
        refused(
            &|s| s.recipe.metrics = [Metric::Rmse].into(),
            "accuracy and auc are for",
        );
    }

    #[test]
    fn the_split_is_a_partition_that_its_own_seed_fixes() {
        for rows in [0, 1, 2, 3, 100] {
            let Split { train, test, .. } = Split::new(0.25, [1; 32], rows);
            let mut all = [train.clone(), test.clone()].concat();
            all.sort_unstable();
            assert_eq!(all, (0..rows).collect::<Vec<_>>());
            assert!(
                rows < 2 || (!train.is_empty() && !test.is_empty()),
                "{rows}"
            );
        }
        let one = Split::new(0.25, [1; 32], 100);
        assert_eq!(one.test.len(), 25);
        assert_ne!(one, Split::new(0.25, [2; 32], 100));

        let mut order = one.order(1);
        assert_ne!(order, one.order(2));
        order.sort_unstable();
        let mut train = one.train;
        train.sort_unstable();
        assert_eq!(order, train);
    }

    #[test]
    fn released_tensors_are_named_by_layer() {
        let (tensors, metrics) = released_shapes(&spec(4, 3, &[5]));
        let want = [
            ("layer0.weight", vec![4, 5]),
            ("layer0.bias", vec![1, 5]),
            ("layer1.weight", vec![5, 3]),
            ("layer1.bias", vec![1, 3]),
        ];
        assert_eq!(tensors, want.map(|(name, shape)| (name.to_string(), shape)));
        assert_eq!(metrics, ["accuracy", "auc"]);
    }
}
