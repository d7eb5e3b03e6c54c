//! The job file: what is trained, on whose rows, and who receives what.

use serde::{Deserialize, Deserializer};
use sha2::{Digest, Sha256};

use crate::job_check;

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
    /// The column that holds the class, an integer from 0.
    pub label: String,
    /// How many classes there are.
    pub classes: usize,
    /// Every contributor pads its rows to this number, so that nobody learns how many it has.
    pub pad_rows: Option<usize>,
    /// The columns that the model sees, in order.
    pub features: Vec<Feature>,
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

/// A network: a multilayer perceptron, or any that an ONNX file describes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSpec {
    /// The widths of the hidden layers; none for logistic or softmax regression.
    #[serde(default)]
    pub hidden: Vec<usize>,
    /// The model's ONNX file, from the job file's directory on, instead of `hidden`. Its bytes travel with the job and are
    /// signed with it.
    pub onnx: Option<String>,
    /// Who knows the weights of a model that is served.
    #[serde(default)]
    pub weights: Weights,
}

/// Who knows the weights of a model that is served.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub enum Weights {
    /// Everybody: they are in the model file.
    #[default]
    Public,
    /// This computing party, which has them in a file of its own; the model file that travels with the job has zeros in
    /// their place.
    Owner(String),
}

impl From<String> for Weights {
    fn from(text: String) -> Self {
        match text.as_str() {
            "public" => Self::Public,
            _ => Self::Owner(text),
        }
    }
}

/// A model that is served to clients.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceSpec {
    /// The members that may ask.
    pub clients: Vec<String>,
    /// Rows of a batch at most, and of one question.
    #[serde(default = "default_rows")]
    pub max_rows: usize,
    /// How long a batch waits for more questions after its first, in milliseconds.
    #[serde(default = "default_gather")]
    pub gather_ms: u64,
    /// How long the service runs.
    pub minutes: u64,
    /// Fractional bits of the fixed-point numbers.
    #[serde(default = "default_bits")]
    pub fraction_bits: u32,
}

fn default_rows() -> usize {
    128
}

fn default_gather() -> u64 {
    5
}

fn default_bits() -> u32 {
    18
}

/// Stochastic gradient descent with momentum.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainingSpec {
    /// How often every training row is used.
    pub epochs: usize,
    /// Rows a step.
    pub batch: usize,
    /// The step size.
    #[serde(deserialize_with = "number")]
    pub learning_rate: f64,
    /// How much of the last step is kept.
    #[serde(deserialize_with = "number")]
    pub momentum: f64,
    /// The share of the rows that is held out and on which metrics are computed.
    #[serde(deserialize_with = "number")]
    pub test_fraction: f64,
    /// Any text; it decides the initial weights, which are public. Which rows train is decided by a coin that the computing
    /// parties toss, so that no submitter can choose them.
    pub seed: String,
    /// Fractional bits of the fixed-point numbers.
    pub fraction_bits: u32,
}

impl Default for TrainingSpec {
    fn default() -> Self {
        Self {
            epochs: 10,
            batch: 32,
            learning_rate: 0.1,
            momentum: 0.9,
            test_fraction: 0.25,
            seed: "tacit".into(),
            fraction_bits: 18,
        }
    }
}

impl TrainingSpec {
    /// The seed text as 32 bytes.
    pub fn seed_bytes(&self) -> [u8; 32] {
        Sha256::digest(self.seed.as_bytes()).into()
    }
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
}

impl std::fmt::Display for Metric {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Accuracy => "accuracy",
            Self::Auc => "auc",
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
        assert_eq!(job.training.learning_rate, 1.0);
        assert_eq!((job.training.batch, job.training.fraction_bits), (32, 18));
        assert_eq!(job.parties(), ["north", "west", "south", "east"]);
        assert_eq!(job.release.metrics, [Metric::Accuracy, Metric::Auc]);
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
