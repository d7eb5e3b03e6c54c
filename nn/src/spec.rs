//! What to train, and everything public that follows from it.

use crate::{Error, Result, fixed, model::Mlp, random::Stream};

/// A training job as the engines see it. Everything here is public.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainSpec {
    /// Columns of the data, without the label.
    pub features: usize,
    /// Labels are 0..classes. Two classes have one logit, more have one each.
    pub classes: usize,
    /// Widths of the hidden layers; none is logistic or softmax regression.
    pub hidden: Vec<usize>,
    /// Passes over the training rows.
    pub epochs: usize,
    /// Rows in one step.
    pub batch: usize,
    /// Step size of gradient descent.
    pub learning_rate: f64,
    /// Part of the last step that is added to the next, in [0, 1).
    pub momentum: f64,
    /// Part of the rows that is held out to measure the model, in (0, 1).
    pub test_fraction: f64,
    /// Public seed of the initial weights. Which rows train and in what order is not its business: see [`Split`].
    pub seed: [u8; 32],
    /// Whether to release the area under the ROC curve.
    pub auc: bool,
    /// Whether to show the mean training loss of every epoch.
    pub epoch_loss: bool,
}

impl TrainSpec {
    /// Checks every field.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the first field that is out of range.
    pub fn validate(&self) -> Result<()> {
        let positive = |n: usize| n > 0;
        let checks = [
            ("features must be at least 1", positive(self.features)),
            ("classes must be at least 2", self.classes >= 2),
            (
                "hidden widths must be at least 1",
                self.hidden.iter().all(|&n| n > 0),
            ),
            ("epochs must be at least 1", positive(self.epochs)),
            ("batch must be at least 1", positive(self.batch)),
            (
                "learning_rate must lie in (0, 1000]",
                self.learning_rate > 0.0 && self.learning_rate <= 1000.0,
            ),
            (
                "learning_rate is too small for fixed point",
                fixed::scale_factor(self.learning_rate).is_ok(),
            ),
            (
                "momentum must lie in [0, 1)",
                (0.0..1.0).contains(&self.momentum),
            ),
            (
                "momentum is too small for fixed point: use 0",
                fixed::scale_factor(self.momentum).is_ok(),
            ),
            (
                "test_fraction must lie in (0, 1)",
                self.test_fraction > 0.0 && self.test_fraction < 1.0,
            ),
        ];
        match checks.into_iter().find(|&(_, holds)| !holds) {
            Some((what, _)) => Err(Error::Invalid(what.into())),
            None => Ok(()),
        }
    }

    /// The shape of the labels of this many rows: one column of 0 and 1, or one-hot rows.
    #[must_use]
    pub fn label_shape(&self, rows: usize) -> Vec<usize> {
        vec![rows, Mlp::of(self).outputs()]
    }

    /// A public stream for one purpose.
    pub(crate) fn stream(&self, purpose: &str) -> Stream {
        Stream::new(&self.seed, purpose)
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
    pub fn new(spec: &TrainSpec, order_seed: [u8; 32], rows: usize) -> Self {
        let mut train = Stream::new(&order_seed, "split").permutation(rows);
        let wanted = (rows as f64 * spec.test_fraction).round() as usize;
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

/// What a training releases: names and shapes of the model's tensors, and names of the metrics, each of shape \[1, 1\].
/// The opened words hold them in this order.
#[must_use]
pub fn released_shapes(spec: &TrainSpec) -> (Vec<(String, Vec<usize>)>, Vec<String>) {
    let mlp = Mlp::of(spec);
    let tensors = mlp.layers().enumerate().flat_map(|(k, (from, to))| {
        [
            (format!("layer{k}.weight"), vec![from, to]),
            (format!("layer{k}.bias"), vec![1, to]),
        ]
    });
    let metrics = ["accuracy"].into_iter().chain(spec.auc.then_some("auc"));
    (tensors.collect(), metrics.map(String::from).collect())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn spec(features: usize, classes: usize, hidden: &[usize]) -> TrainSpec {
        TrainSpec {
            features,
            classes,
            hidden: hidden.to_vec(),
            epochs: 10,
            batch: 32,
            learning_rate: 0.1,
            momentum: 0.9,
            test_fraction: 0.25,
            seed: [1; 32],
            auc: true,
            epoch_loss: true,
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
        refused(&|s| s.epochs = 0, "epochs");
        refused(&|s| s.batch = 0, "batch");
        refused(&|s| s.learning_rate = f64::NAN, "learning_rate");
        refused(&|s| s.learning_rate = 1e-30, "learning_rate is too small");
        refused(&|s| s.momentum = 1.0, "momentum");
        refused(&|s| s.momentum = 1e-30, "momentum is too small");
        refused(&|s| s.test_fraction = 1.0, "test_fraction");
    }

    #[test]
    fn the_split_is_a_partition_that_its_own_seed_fixes() {
        let s = spec(3, 2, &[]);
        for rows in [0, 1, 2, 3, 100] {
            let Split { train, test, .. } = Split::new(&s, [1; 32], rows);
            let mut all = [train.clone(), test.clone()].concat();
            all.sort_unstable();
            assert_eq!(all, (0..rows).collect::<Vec<_>>());
            assert!(
                rows < 2 || (!train.is_empty() && !test.is_empty()),
                "{rows}"
            );
        }
        let one = Split::new(&s, [1; 32], 100);
        assert_eq!(one.test.len(), 25);
        assert_ne!(one, Split::new(&s, [2; 32], 100));
        // The seed of the job has no say in it.
        let grinding = TrainSpec { seed: [2; 32], ..s };
        assert_eq!(one, Split::new(&grinding, [1; 32], 100));

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
