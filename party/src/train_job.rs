//! What a training job makes the engines do, and what its recipient gets: shared by parties and recipients, so that
//! both read the released words alike.

use tacit_api::job::{JobSpec, Metric};
use tacit_nn::train::{TrainSpec, released_shapes};

/// The training that `job` describes.
#[must_use]
pub fn spec(job: &JobSpec) -> TrainSpec {
    TrainSpec {
        features: job.data.features.len(),
        classes: job.data.classes,
        hidden: job.model.hidden.clone(),
        epochs: job.training.epochs,
        batch: job.training.batch,
        learning_rate: job.training.learning_rate,
        momentum: job.training.momentum,
        test_fraction: job.training.test_fraction,
        seed: job.training.seed_bytes(),
        auc: job.release.metrics.contains(&Metric::Auc),
        epoch_loss: job.release.epoch_loss,
    }
}

/// One tensor of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// `layer0.weight` and so on for the model, `accuracy` or `auc` for metrics.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
}

/// What the words of a result are, in order: the tensors of the model, then the metrics that the job asks for. A metric
/// that the job does not list is not released, even where the training computes it.
#[must_use]
pub fn released(job: &JobSpec) -> (Vec<Part>, Vec<Part>) {
    let (tensors, metrics) = released_shapes(&spec(job));
    let tensors = tensors
        .into_iter()
        .map(|(name, shape)| Part { name, shape });
    let metrics = metrics.into_iter().filter(|name| releases(job, name));
    (
        tensors.collect(),
        metrics
            .map(|name| Part {
                name,
                shape: vec![1, 1],
            })
            .collect(),
    )
}

/// Whether `job` asks for the metric of this name.
pub(crate) fn releases(job: &JobSpec, metric: &str) -> bool {
    job.release
        .metrics
        .iter()
        .any(|listed| listed.to_string() == metric)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_job::job;

    #[test]
    fn only_metrics_that_the_job_lists_are_released() {
        let mut job = job("");
        let names = |parts: Vec<Part>| parts.into_iter().map(|part| part.name).collect::<Vec<_>>();
        assert_eq!(names(released(&job).0), ["layer0.weight", "layer0.bias"]);
        assert_eq!(names(released(&job).1), ["accuracy", "auc"]);
        job.release.metrics = vec![Metric::Auc];
        assert_eq!(names(released(&job).1), ["auc"]);
        job.release.metrics.clear();
        assert!(released(&job).1.is_empty());
    }
}
