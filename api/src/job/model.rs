//! The network of a job, and to whom it is served.

use std::sync::Arc;

use serde::Deserialize;

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
    /// The output of the file that the loss of a training is computed from; its first, where none is named.
    pub output: Option<String>,
    /// The bytes of the ONNX file, once they are there.
    #[serde(skip)]
    pub file: Option<ModelFile>,
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
#[derive(Clone, Debug, PartialEq, Deserialize)]
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
    /// The least and the greatest number of each input, in the order of the model's; none for ±65536 each. What a client
    /// shares beyond counts as the bound; booleans are 0 or 1 whatever stands here, and integers are rounded down. The owner
    /// of private weights declines bounds beyond those of its own configuration.
    #[serde(default)]
    pub bounds: Vec<[f64; 2]>,
}

/// Rows of a question and of a batch at most, unless somebody says otherwise.
#[must_use]
pub fn default_rows() -> usize {
    128
}

fn default_gather() -> u64 {
    5
}

/// Fractional bits of a service, unless somebody says otherwise.
#[must_use]
pub fn default_bits() -> u32 {
    18
}

/// The bytes of a model file.
#[derive(Clone, PartialEq, Eq)]
pub struct ModelFile(pub(super) Arc<[u8]>);

impl ModelFile {
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for ModelFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ModelFile({} bytes)", self.0.len())
    }
}
