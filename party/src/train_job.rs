//! What a training job makes the engines do, and what its recipient gets: shared by parties and recipients, so that
//! both read the released words alike.

use tacit_api::job::{self, JobSpec, Metric, TrainingSpec};
use tacit_nn::onnx::{self, Choice, Trainable};
use tacit_nn::optimizer::{LearningRate, Rule, Schedule};
use tacit_nn::train::{
    Data, EpochObserver, Recipe, Split, TrainSpec, released_shapes, released_shapes_of, train,
    train_network,
};
use tacit_nn::{Engine, Error, Loss, Network, Optimizer, Result};

/// A job as the engines see it.
#[derive(Clone, Debug)]
pub enum Plan {
    /// A multilayer perceptron on standardised features.
    Perceptron(TrainSpec),
    /// A model file, on features as they are.
    Model {
        /// The network in the file.
        network: Box<Trainable>,
        /// How it is trained.
        recipe: Recipe,
    },
}

impl Plan {
    /// What `job` asks for. Takes as long as its model file is large.
    ///
    /// # Errors
    /// Says what no engine can run: a number out of range, a model file that cannot be trained on these columns.
    pub fn of(job: &JobSpec) -> Result<Self> {
        if job.model.onnx.is_none() {
            let spec = spec(job);
            spec.validate()?;
            return Ok(Self::Perceptron(spec));
        }
        let file = job.model.file.as_ref();
        let file = file.ok_or_else(|| Error::Invalid("the model file is missing".into()))?;
        let invalid = |e: onnx::Error| Error::Invalid(e.to_string());
        let model = onnx::Model::parse(file.bytes()).map_err(invalid)?;
        let recipe = recipe(job);
        recipe.validate()?;
        let choice = Choice {
            features: job.data.features.len(),
            loss: recipe.loss,
            output: job.model.output.as_deref(),
            train: &job.training.train,
        };
        let network = Box::new(Trainable::new(&model, &choice).map_err(invalid)?);
        let (outputs, wanted) = (network.outputs(), job.data.label_width());
        if outputs != wanted {
            return Err(Error::Invalid(format!(
                "the model gives {outputs} numbers a row, and the label of this job has {wanted}"
            )));
        }
        if job.data.pad_rows.is_some() && !network.state()?.is_empty() {
            let why = "statistics over a batch would count padded rows: leave out data.pad_rows";
            return Err(Error::Invalid(why.into()));
        }
        Ok(Self::Model { network, recipe })
    }

    /// How the network is trained.
    #[must_use]
    pub fn recipe(&self) -> &Recipe {
        match self {
            Self::Perceptron(spec) => &spec.recipe,
            Self::Model { recipe, .. } => recipe,
        }
    }

    /// What a result consists of.
    ///
    /// # Errors
    /// None for a plan that [`Plan::of`] has made.
    pub fn released(&self) -> Result<Released> {
        let (tensors, metrics) = match self {
            Self::Perceptron(spec) => released_shapes(spec),
            Self::Model { network, recipe } => released_shapes_of(&**network, recipe)?,
        };
        let part = |(name, shape)| Part { name, shape };
        Ok(Released {
            tensors: tensors.into_iter().map(part).collect(),
            metrics: (metrics.into_iter())
                .map(|name| part((name, vec![1, 1])))
                .collect(),
            coin: part(("coin".to_owned(), vec![COIN_WORDS])),
        })
    }

    /// Numbers that the result tells about the rows: those of the model.
    ///
    /// # Errors
    /// As for [`Self::released`].
    pub fn parameters(&self) -> Result<usize> {
        Ok(self.released()?.tensors.iter().map(Part::len).sum())
    }

    /// Trains on any engine.
    ///
    /// # Errors
    /// Data that do not fit, and whatever the engine or the observer reports.
    pub fn train<E: Engine>(
        &self,
        e: &mut E,
        data: &Data<E::Value>,
        split: &Split,
        observer: &mut EpochObserver<'_, E>,
    ) -> Result<tacit_nn::Released<E::Value>> {
        match self {
            Self::Perceptron(spec) => train(e, spec, data, split, observer),
            Self::Model { network, recipe } => {
                train_network(e, &**network, recipe, data, split, observer)
            }
        }
    }
}

/// The perceptron that `job` describes, if it is not about a model file.
#[must_use]
pub fn spec(job: &JobSpec) -> TrainSpec {
    TrainSpec {
        features: job.data.features.len(),
        classes: job.data.classes,
        hidden: job.model.hidden.clone(),
        recipe: recipe(job),
    }
}

fn recipe(job: &JobSpec) -> Recipe {
    Recipe {
        epochs: job.training.epochs,
        batch: job.training.batch,
        loss: loss(job),
        optimizer: optimizer(&job.training),
        test_fraction: job.training.test_fraction,
        seed: job.training.seed_bytes(),
        metrics: job.release.metrics.iter().map(|m| metric(*m)).collect(),
        epoch_loss: job.release.epoch_loss,
    }
}

fn loss(job: &JobSpec) -> Loss {
    match job.training.loss {
        Some(job::Loss::Mse) => Loss::MeanSquared,
        Some(job::Loss::L1) => Loss::Absolute,
        Some(job::Loss::Huber { delta }) => Loss::Huber { delta },
        None if job.data.classes == 0 => Loss::MeanSquared,
        None | Some(job::Loss::CrossEntropy) => Loss::of_classes(job.data.classes),
    }
}

fn optimizer(training: &TrainingSpec) -> Optimizer {
    let base = training.step_size();
    let plain = match training.optimizer {
        job::Optimizer::Sgd => Optimizer::sgd(base, training.momentum.unwrap_or(0.9)),
        _ => Optimizer::adam(base),
    };
    let rule = match plain.rule {
        Rule::Sgd { momentum, .. } => Rule::Sgd {
            momentum,
            nesterov: training.nesterov,
        },
        Rule::Adam {
            beta1,
            beta2,
            epsilon,
            ..
        } => Rule::Adam {
            beta1: training.beta1.unwrap_or(beta1),
            beta2: training.beta2.unwrap_or(beta2),
            epsilon: training.epsilon.unwrap_or(epsilon),
            amsgrad: training.optimizer == job::Optimizer::AmsGrad,
            decoupled: training.optimizer == job::Optimizer::AdamW,
        },
    };
    let schedule = match training.schedule {
        job::Schedule::Constant => Schedule::Constant,
        job::Schedule::Step { epochs, factor } => Schedule::Step { epochs, factor },
        job::Schedule::Exponential { factor } => Schedule::Exponential { factor },
        job::Schedule::Cosine {} => Schedule::Cosine,
    };
    Optimizer {
        rule,
        rate: LearningRate {
            base,
            schedule,
            warmup_steps: training.warmup_steps,
        },
        weight_decay: training.weight_decay,
        clip_norm: training.clip_norm,
    }
}

fn metric(metric: Metric) -> tacit_nn::Metric {
    match metric {
        Metric::Accuracy => tacit_nn::Metric::Accuracy,
        Metric::Auc => tacit_nn::Metric::Auc,
        Metric::Loss => tacit_nn::Metric::Loss,
        Metric::Rmse => tacit_nn::Metric::Rmse,
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
        let released = |job: &JobSpec| Plan::of(job).unwrap().released().unwrap();
        let names = |parts: Vec<Part>| parts.into_iter().map(|part| part.name).collect::<Vec<_>>();
        assert_eq!(released(&job).words(), 2 + 1 + 2 + 4);
        assert_eq!(Plan::of(&job).unwrap().parameters().unwrap(), 3);
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
    fn the_words_of_a_job_reach_the_optimizer() {
        let training = "training.optimizer = \"amsgrad\"\ntraining.beta1 = 0.5\ntraining.clip_norm = 2\n\
                        training.schedule = { kind = \"exponential\", factor = 0.5 }\ntraining.warmup_steps = 3";
        let recipe = Plan::of(&job(training)).unwrap().recipe().clone();
        let Rule::Adam {
            beta1,
            beta2,
            amsgrad: true,
            decoupled: false,
            ..
        } = recipe.optimizer.rule
        else {
            panic!("{recipe:?}");
        };
        assert_eq!(
            (beta1, beta2, recipe.optimizer.clip_norm),
            (0.5, 0.999, Some(2.0))
        );
        let rate = recipe.optimizer.rate;
        assert_eq!((rate.base, rate.warmup_steps), (0.5, 3));
        assert_eq!(rate.schedule, Schedule::Exponential { factor: 0.5 });
        let sgd = Plan::of(&job("")).unwrap().recipe().optimizer;
        assert_eq!(sgd, Optimizer::sgd(0.5, 0.9));
    }

    #[test]
    fn a_model_file_that_is_missing_or_none_is_refused() {
        let mut job = job("");
        job.model.onnx = Some("m.onnx".into());
        let error = Plan::of(&job).unwrap_err().to_string();
        assert!(error.contains("missing"), "{error}");
        let text = crate::test_job::job_toml("").replace("model.hidden = []", "model.onnx = \"m\"");
        let job = JobSpec::with_model(text.as_bytes(), b"no model").unwrap();
        let error = Plan::of(&job).unwrap_err().to_string();
        assert!(error.contains("ONNX"), "{error}");
    }

    #[test]
    fn a_coin_is_read_as_it_was_written() {
        let tossed: [u8; 32] = std::array::from_fn(|k| k as u8 * 7);
        assert_eq!(coin(&coin_words(&tossed)), Some(tossed));
        assert_eq!(coin(&[1, 2, 3]), None);
    }
}
