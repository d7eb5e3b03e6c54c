//! The models whose weights this party owns.

use std::fmt;
use std::path::{Path, PathBuf};

use tacit_nn::onnx;

/// A model of this party, and the same without its weights.
pub(crate) struct OwnModel {
    pub(crate) model: onnx::Model,
    skeleton: Vec<u8>,
}

/// Why a declared model cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OwnModelError {
    /// The file cannot be read.
    #[error("models.{name}: {file}: {source}", file = file.display())]
    File {
        /// The model's name in the configuration.
        name: String,
        /// Its file.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is no model that can be served.
    #[error("models.{name}: {file}: {source}", file = file.display())]
    Model {
        /// The model's name in the configuration.
        name: String,
        /// Its file.
        file: PathBuf,
        /// What the importer said.
        source: Box<onnx::Error>,
    },
}

impl fmt::Debug for OwnModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnModel").finish_non_exhaustive()
    }
}

impl OwnModel {
    /// Reads the model that the configuration calls `name`.
    ///
    /// # Errors
    /// The file cannot be read, or holds no model with private weights.
    pub(crate) fn load(name: &str, file: &Path) -> Result<Self, OwnModelError> {
        let bytes = std::fs::read(file).map_err(|source| OwnModelError::File {
            name: name.into(),
            file: file.into(),
            source,
        })?;
        let refused = |source| OwnModelError::Model {
            name: name.into(),
            file: file.into(),
            source: Box::new(source),
        };
        let model = onnx::Model::parse(&bytes).map_err(refused)?;
        let skeleton = model.skeleton().map_err(refused)?.bytes;
        Ok(Self { model, skeleton })
    }

    /// Whether these bytes are the model without its weights.
    pub(crate) fn has_skeleton(&self, bytes: &[u8]) -> bool {
        self.skeleton == bytes
    }
}
