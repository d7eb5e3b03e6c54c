//! What a training job makes the engines do, and what its recipient gets: shared by parties and recipients, so that
//! both read the released words alike.

use tacit_api::job::{JobSpec, Metric};
use tacit_nn::train::{Recipe, TrainSpec, released_shapes};
use tacit_nn::{Loss, Optimizer};

/// The training that `job` describes.
#[must_use]
pub fn spec(job: &JobSpec) -> TrainSpec {
    TrainSpec {
        features: job.data.features.len(),
        classes: job.data.classes,
        hidden: job.model.hidden.clone(),
        recipe: Recipe {
            epochs: job.training.epochs,
            batch: job.training.batch,
            loss: Loss::of_classes(job.data.classes),
            optimizer: Optimizer::sgd(job.training.learning_rate, job.training.momentum),
            test_fraction: job.training.test_fraction,
            seed: job.training.seed_bytes(),
            metrics: job.release.metrics.iter().map(|m| metric(*m)).collect(),
            epoch_loss: job.release.epoch_loss,
        },
    }
}

fn metric(metric: Metric) -> tacit_nn::Metric {
    match metric {
        Metric::Accuracy => tacit_nn::Metric::Accuracy,
        Metric::Auc => tacit_nn::Metric::Auc,
    }
}

/// Words of the coin in a result.
const COIN_WORDS: usize = 4;

/// One tensor of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// `layer0.weight` and so on for the model, `accuracy` or `auc` for metrics, `coin`.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
}

impl Part {
    /// Number of its words.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it has no words.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What the words of a result are, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Released {
    /// The tensors of the model, in fixed point.
    pub tensors: Vec<Part>,
    /// The metrics that the job asks for, in fixed point. One that the job does not list is not computed.
    pub metrics: Vec<Part>,
    /// The coin that the computing parties tossed, from which the split and the order of the batches follow: 32 bytes as
    /// they are and not in fixed point. [`coin`] reads them.
    pub coin: Part,
}

impl Released {
    /// Number of words in all.
    #[must_use]
    pub fn words(&self) -> usize {
        let parts = self.tensors.iter().chain(&self.metrics).chain([&self.coin]);
        parts.map(Part::len).sum()
    }
}

/// What a result of `job` consists of.
#[must_use]
pub fn released(job: &JobSpec) -> Released {
    let (tensors, metrics) = released_shapes(&spec(job));
    let part = |(name, shape)| Part { name, shape };
    Released {
        tensors: tensors.into_iter().map(part).collect(),
        metrics: (metrics.into_iter())
            .map(|name| part((name, vec![1, 1])))
            .collect(),
        coin: part(("coin".to_owned(), vec![COIN_WORDS])),
    }
}

/// The words of a coin, as [`coin`] reads them.
pub(crate) fn coin_words(coin: &[u8; 32]) -> [u64; COIN_WORDS] {
    let mut words = [0; COIN_WORDS];
    for (word, bytes) in words.iter_mut().zip(coin.as_chunks::<8>().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    words
}

/// The coin in these words of a result; `None` if they are not as many as it has.
#[must_use]
pub fn coin(words: &[u64]) -> Option<[u8; 32]> {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    bytes.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_job::job;

    #[test]
    fn only_metrics_that_the_job_lists_are_released() {
        let mut job = job("");
        let names = |parts: Vec<Part>| parts.into_iter().map(|part| part.name).collect::<Vec<_>>();
        assert_eq!(released(&job).words(), 2 + 1 + 2 + 4);
        assert_eq!(
            names(released(&job).tensors),
            ["layer0.weight", "layer0.bias"]
        );
        assert_eq!(names(released(&job).metrics), ["accuracy", "auc"]);
        job.release.metrics = vec![Metric::Auc];
        assert_eq!(names(released(&job).metrics), ["auc"]);
        job.release.metrics.clear();
        assert!(released(&job).metrics.is_empty());
    }

    #[test]
    fn a_coin_is_read_as_it_was_written() {
        let tossed: [u8; 32] = std::array::from_fn(|k| k as u8 * 7);
        assert_eq!(coin(&coin_words(&tossed)), Some(tossed));
        assert_eq!(coin(&[1, 2, 3]), None);
    }
}
