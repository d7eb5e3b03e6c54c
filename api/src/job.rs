//! The job file: what is trained, on whose rows, and who receives what.

mod model;
mod protocol;
mod training;

use serde::{Deserialize, Deserializer};

use crate::job_check;

pub use crate::job_check::check_service;
pub use model::{ModelFile, ModelSpec, ServiceSpec, Weights, default_bits, default_rows};
pub use protocol::{Comparison, Protocol, ProtocolSpec};
pub use training::{Loss, Optimizer, Schedule, TrainingSpec};

/// The largest job file in bytes.
pub const MAX_JOB_BYTES: usize = 1 << 20;

/// The largest model file that travels with a job in bytes: half of a message of the control plane.
pub const MAX_MODEL_BYTES: usize = 32 << 20;

/// Why a job file is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum JobError {
    /// The file is too large or not text.
    #[error("the job file must be UTF-8 text of at most {MAX_JOB_BYTES} bytes")]
    NotText,
    /// The file is not TOML, or a field is missing, unknown or of the wrong type.
    #[error("line {line}, column {column} of the job file: {problem}")]
    Syntax {
        /// Counted from 1.
        line: usize,
        /// Counted from 1, in characters.
        column: usize,
        /// What was found and what was expected.
        problem: String,
    },
    /// A field has a value that makes no sense.
    #[error("{field} in the job file: {problem}")]
    Field {
        /// The field's path, such as `training.epochs`.
        field: String,
        /// What is wrong and what would be right.
        problem: String,
    },
}

/// A job, checked by [`JobSpec::parse`].
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobSpec {
    /// What people call it.
    pub name: String,
    /// What is to be done.
    pub kind: Kind,
    /// The member that the result is sealed to.
    pub recipient: String,
    /// The three parties that compute, in the order of their indices 0, 1, 2.
    pub compute: [String; 3],
    /// The parties that contribute rows; those that compute, where the file does not say.
    #[serde(default)]
    pub contributors: Vec<String>,
    /// The rows. A job that serves has none.
    #[serde(default)]
    pub data: DataSpec,
    /// The network.
    pub model: ModelSpec,
    /// How it is trained.
    #[serde(default)]
    pub training: TrainingSpec,
    /// What the recipient learns besides the model.
    #[serde(default)]
    pub release: ReleaseSpec,
    /// How the parties compute.
    #[serde(default)]
    pub protocol: ProtocolSpec,
    /// To whom and how long a model is served; for [`Kind::Serve`].
    pub service: Option<ServiceSpec>,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Train one model on the rows of all contributors.
    Train,
    /// Answer clients' questions to a model.
    Serve,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Train => f.write_str("train"),
            Self::Serve => f.write_str("serve"),
        }
    }
}

/// The rows of a job: the same columns at every contributor.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSpec {
    /// A name that each contributor maps to a file of its own.
    pub dataset: String,
    /// The column that holds what is learned: the class, an integer from 0, or a number.
    pub label: String,
    /// How many classes there are; none where a number is learned.
    #[serde(default)]
    pub classes: usize,
    /// The least and the greatest number that the label can be, where a number is learned.
    pub label_bounds: Option<Bounds>,
    /// Every contributor pads its rows to this number, so that nobody learns how many it has.
    pub pad_rows: Option<usize>,
    /// The columns that the model sees, in order.
    pub features: Vec<Feature>,
}

/// The range of a column: public knowledge, not an extreme over anyone's rows.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bounds {
    /// The smallest value that can occur.
    #[serde(deserialize_with = "number")]
    pub min: f64,
    /// The largest value that can occur.
    #[serde(deserialize_with = "number")]
    pub max: f64,
}

/// One input column.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feature {
    /// The column's header.
    pub name: String,
    /// The smallest value that can occur: public knowledge, not a minimum over anyone's rows.
    #[serde(deserialize_with = "number")]
    pub min: f64,
    /// The largest value that can occur.
    #[serde(deserialize_with = "number")]
    pub max: f64,
}

/// What the recipient learns besides the model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReleaseSpec {
    /// Quality on the held-out rows.
    pub metrics: Vec<Metric>,
    /// The mean training loss of every epoch.
    pub epoch_loss: bool,
}

/// A measure of quality on the held-out rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Metric {
    /// The share of rows whose class is predicted.
    Accuracy,
    /// The area under the ROC curve; for several classes the mean of one against the rest.
    Auc,
    /// The mean loss.
    Loss,
    /// The root of the mean squared difference between the number and what is predicted.
    Rmse,
}

impl std::fmt::Display for Metric {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Accuracy => "accuracy",
            Self::Auc => "auc",
            Self::Loss => "loss",
            Self::Rmse => "rmse",
        })
    }
}

impl JobSpec {
    /// Reads and checks the text of a job file.
    pub fn parse(text: &str) -> Result<Self, JobError> {
        if text.len() > MAX_JOB_BYTES {
            return Err(JobError::NotText);
        }
        let mut job: Self = toml::from_str(text).map_err(|error| syntax(text, &error))?;
        if job.contributors.is_empty() && job.kind == Kind::Train {
            job.contributors = job.compute.to_vec();
        }
        job_check::check(&job)?;
        Ok(job)
    }

    /// Reads and checks the bytes of a job file.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, JobError> {
        Self::parse(std::str::from_utf8(bytes).map_err(|_| JobError::NotText)?)
    }

    /// Checks the size of the model file that came with the job, and that one came if the job names one.
    pub fn check_model(&self, bytes: &[u8]) -> Result<(), JobError> {
        let problem = match &self.model.onnx {
            Some(file) if bytes.is_empty() => {
                format!("{file:?} is empty or did not come with the job")
            }
            Some(file) if bytes.len() > MAX_MODEL_BYTES => {
                let (len, most) = (bytes.len() >> 20, MAX_MODEL_BYTES >> 20);
                format!("{file:?} has {len} MiB, at most {most} MiB travel with a job")
            }
            None if !bytes.is_empty() => "a model file came with the job, which names none".into(),
            _ => return Ok(()),
        };
        Err(JobError::Field {
            field: "model.onnx".into(),
            problem,
        })
    }

    /// Reads and checks the bytes of a job file and those of the model file that it names, which are empty if it names none.
    ///
    /// # Errors
    /// As for [`Self::parse`]; [`JobError::Field`] where the model file is missing, too large or not asked for.
    pub fn with_model(bytes: &[u8], model: &[u8]) -> Result<Self, JobError> {
        let mut job = Self::from_bytes(bytes)?;
        job.check_model(model)?;
        if !model.is_empty() {
            job.model.file = Some(ModelFile(model.into()));
        }
        Ok(job)
    }

    /// Everyone who takes part: the computing parties, then the contributors that do not compute, in the order of
    /// their indices in a session.
    pub fn parties(&self) -> Vec<&str> {
        let outside = self
            .contributors
            .iter()
            .filter(|name| !self.compute.contains(name));
        self.compute
            .iter()
            .chain(outside)
            .map(String::as_str)
            .collect()
    }
}

impl DataSpec {
    /// Columns of the label: one for two classes or a number, else one a class.
    pub fn label_width(&self) -> usize {
        if self.classes > 2 { self.classes } else { 1 }
    }

    /// Reads and checks the `[data]` table of a job file. Whatever else the file holds is not looked at, so that it may
    /// be a whole job or that table alone.
    pub fn parse(text: &str) -> Result<Self, JobError> {
        #[derive(Deserialize)]
        struct File {
            data: DataSpec,
        }
        if text.len() > MAX_JOB_BYTES {
            return Err(JobError::NotText);
        }
        let File { data } = toml::from_str(text).map_err(|error| syntax(text, &error))?;
        job_check::columns(&data)?;
        Ok(data)
    }
}

/// What the parser of TOML says about `text`, by line and column.
fn syntax(text: &str, error: &toml::de::Error) -> JobError {
    let before = error.span().and_then(|span| text.get(..span.start));
    let before = before.unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    JobError::Syntax {
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
        problem: error.message().to_owned(),
    }
}

/// A real number, be it written as `1` or `1.0`.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a number")]
    enum Number {
        Integer(i64),
        Real(f64),
    }
    Ok(match Number::deserialize(deserializer)? {
        Number::Integer(value) => value as f64,
        Number::Real(value) => value,
    })
}

/// A real number that may be left out.
fn perhaps<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    number(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FULL: &str = r#"
name = "breast-cancer-lr"
kind = "train"
recipient = "analyst"
compute = ["north", "west", "south"]
contributors = ["south", "east"]
[data]
dataset = "breast-cancer"
label = "malignant"
classes = 2
pad_rows = 300
features = [
  { name = "mean radius", min = 5, max = 30.5 },
  { name = "mean texture", min = 9, max = 40 },
]
[model]
hidden = [16]
[training]
epochs = 12
learning_rate = 1
seed = "again"
[release]
metrics = ["accuracy", "auc"]
epoch_loss = true
"#;

    #[test]
    fn a_full_job_is_read_with_defaults_for_the_rest() {
        let job = JobSpec::parse(FULL).unwrap();
        assert_eq!(job.data.features[0].max, 30.5);
        assert_eq!(job.training.step_size(), 1.0);
        assert_eq!((job.training.batch, job.training.fraction_bits), (32, 18));
        assert_eq!(job.parties(), ["north", "west", "south", "east"]);
        assert_eq!(job.release.metrics, [Metric::Accuracy, Metric::Auc]);
    }

    #[test]
    fn the_variant_of_comparisons_is_read() {
        let asked = |lines: &str| {
            JobSpec::parse(&format!("{FULL}{lines}")).map(|job| job.protocol.comparison)
        };
        assert_eq!(asked(""), Ok(Comparison::Auto));
        for (word, variant) in [
            ("auto", Comparison::Auto),
            ("few-bytes", Comparison::FewBytes),
            ("few-rounds", Comparison::FewRounds),
        ] {
            assert_eq!(
                asked(&format!("[protocol]\ncomparison = \"{word}\"\n")),
                Ok(variant)
            );
        }
        let refused = |lines: &str| asked(lines).unwrap_err().to_string();
        assert!(refused("[protocol]\nverify_every_mib = 64\n").contains("rep3-malicious"));
        assert!(refused("[protocol]\ncomparison = \"fast\"\n").contains("few-rounds"));
        assert!(refused("[protocol]\nrounding = 1\n").contains("rounding"));
    }

    #[test]
    fn optimizers_schedules_and_losses_are_read() {
        let read = |lines: &str| {
            let text = FULL.replace("learning_rate = 1\n", &format!("{lines}\n"));
            JobSpec::parse(&text).map(|job| job.training)
        };
        let training = read(
            "optimizer = \"adamw\"\nschedule = { kind = \"step\", epochs = 2, factor = 0.5 }\nweight_decay = 1e-2",
        );
        let training = training.unwrap();
        assert_eq!(training.optimizer, Optimizer::AdamW);
        assert_eq!((training.step_size(), training.weight_decay), (0.001, 0.01));
        let halves = Schedule::Step {
            epochs: 2,
            factor: 0.5,
        };
        assert_eq!(training.schedule, halves);
        let cosine = read("schedule = { kind = \"cosine\" }\nclip_norm = 1").unwrap();
        assert_eq!(cosine.schedule, Schedule::Cosine {});
        assert_eq!((cosine.step_size(), cosine.clip_norm), (0.1, Some(1.0)));
        assert!(read("schedule = { kind = \"cosine\", factor = 1 }").is_err());
        assert!(
            read("optimizer = \"lion\"")
                .unwrap_err()
                .to_string()
                .contains("lion")
        );

        let text = FULL
            .replace("classes = 2", "label_bounds = { min = 0, max = 9.5 }")
            .replace("hidden = [16]", "onnx = \"m.onnx\"")
            .replace("[training]", "[training]\nloss = { huber = { delta = 2 } }")
            .replace("\"accuracy\", \"auc\"", "\"rmse\"");
        let job = JobSpec::with_model(text.as_bytes(), b"onnx").unwrap();
        assert_eq!(job.training.loss, Some(Loss::Huber { delta: 2.0 }));
        assert_eq!(
            (job.data.label_width(), job.model.file.is_some()),
            (1, true)
        );
        let refused = |text: &str, model: &[u8]| {
            JobSpec::with_model(text.as_bytes(), model)
                .unwrap_err()
                .to_string()
        };
        assert!(refused(&text, b"").contains("m.onnx"));
        assert!(refused(FULL, b"onnx").contains("model.onnx"));
        assert!(refused(&text, &vec![0; MAX_MODEL_BYTES + 1]).contains("at most 32 MiB"));
    }

    #[test]
    fn contributors_default_to_the_computing_parties() {
        let text = FULL.replace("contributors = [\"south\", \"east\"]\n", "");
        let job = JobSpec::parse(&text).unwrap();
        assert_eq!(job.contributors, job.compute);
        assert_eq!(job.parties(), ["north", "west", "south"]);
    }

    #[test]
    fn syntax_errors_name_line_and_column() {
        let at = |text: &str| match JobSpec::parse(text).unwrap_err() {
            JobError::Syntax { line, column, .. } => (line, column),
            error => panic!("{error}"),
        };
        assert_eq!(at("name = \"a\"\nkind = train"), (2, 8));
        assert_eq!(at(&FULL.replace("[16]", "[16]\nwidth = 3")).0, 18);
        assert_eq!(at(&FULL.replace("max = 40", "max = \"40\"")).0, 14);
        assert_eq!(at(&FULL.replace(", \"south\"]\ncon", "]\ncon")).0, 5);
    }

    #[test]
    fn the_data_table_of_a_job_is_read_alone() {
        let job = JobSpec::parse(FULL).unwrap();
        assert_eq!(DataSpec::parse(FULL).unwrap(), job.data);
        let (from, to) = (FULL.find("[data]").unwrap(), FULL.find("[model]").unwrap());
        assert_eq!(DataSpec::parse(&FULL[from..to]).unwrap(), job.data);
        let error = |text: &str| DataSpec::parse(text).unwrap_err().to_string();
        assert!(error("").contains("data"));
        assert!(error(&FULL.replace("pad_rows", "pad_row")).starts_with("line 11,"));
        assert!(error(&FULL.replace("classes = 2", "classes = 1")).contains("data.classes"));
        assert!(error(&FULL.replace("max = 40", "max = 9")).contains("mean texture"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            at in 0..FULL.len(),
        ) {
            let mut damaged = FULL.as_bytes().to_vec();
            damaged.splice(at..at, bytes.iter().copied());
            let _ = JobSpec::from_bytes(&bytes);
            let _ = JobSpec::from_bytes(&damaged);
        }
    }
}
