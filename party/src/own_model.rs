//! The models whose weights this party owns, and within what it serves them.
//!
//! Whether a model is served must not tell of its weights to whoever submits jobs: an answer that depended on the weights and
//! on what a job says would give a weight away, one bit a job. So the owner says in its configuration within what bounds it
//! serves, and a job is held against that alone; what the weights have a part in is decided once, when the configuration is
//! loaded, and is the same for every job.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tacit_api::job::{JobError, ProtocolSpec, ServiceSpec, check_service};
use tacit_nn::onnx;

use crate::config::OwnedModel;
use crate::serve::{Held, ModelError, Served, Terms, bounds_of};

/// A model of this party, the same without its weights, and within what it is served.
pub(crate) struct OwnModel {
    pub(crate) model: onnx::Model,
    skeleton: Vec<u8>,
    /// The least and the greatest number of each input.
    bounds: Vec<(f64, f64)>,
    max_rows: usize,
    fraction_bits: u32,
    /// Whether every number stays in range within them, or need not.
    open: bool,
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
    /// It is no model that has a skeleton.
    #[error("models.{name}: {file}: {source}", file = file.display())]
    Model {
        /// The model's name in the configuration.
        name: String,
        /// Its file.
        file: PathBuf,
        /// What the importer said.
        source: Box<onnx::Error>,
    },
    /// It is served within numbers that no job could have.
    #[error(transparent)]
    Terms(#[from] JobError),
    /// It is no model that can be served within what the configuration says.
    #[error("models.{name}: {file}: cannot be served: {source}", file = file.display())]
    Served {
        /// The model's name in the configuration.
        name: String,
        /// Its file.
        file: PathBuf,
        /// Why.
        source: Box<ModelError>,
    },
}

/// Why a job does not get a model of this party. Nothing of it depends on the weights and on the job.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotOffered {
    /// The same for every job.
    #[error(
        "this model is open for no service: its owner could not show that every number stays in range within the bounds of \
         its own configuration (its log says where)"
    )]
    Closed,
    /// A rule that everybody may know.
    #[error(
        "the owner of these weights serves this model within bounds {bounds:?}, in questions and batches of at most \
         {max_rows} rows and with {fraction_bits} fractional bits: submit a job with service.bounds, service.max_rows and \
         service.fraction_bits within these"
    )]
    Beyond {
        /// The least and the greatest number of each input.
        bounds: Vec<(f64, f64)>,
        /// Rows of a batch at most.
        max_rows: usize,
        /// Fractional bits.
        fraction_bits: u32,
    },
    /// The job's bounds are none for this model.
    #[error("the model cannot be served: {0}")]
    Bounds(#[from] ModelError),
}

impl fmt::Debug for OwnModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnModel").finish_non_exhaustive()
    }
}

impl OwnModel {
    /// Reads the model that the configuration calls `name`, and makes all that a job may ask of it: takes about as long as a
    /// few runs in the clear. `trusts` says that clients may have what numbers out of range tell.
    ///
    /// # Errors
    /// The file cannot be read, or holds no model with private weights, or none that is served within what is declared. A model
    /// whose numbers may leave their range is kept and open to no job; the log says where it happens.
    pub(crate) fn load(
        name: &str,
        declared: &OwnedModel,
        trusts: bool,
    ) -> Result<Self, OwnModelError> {
        let file: &Path = &declared.file;
        check_service(
            &format!("models.{name}"),
            declared.max_rows,
            declared.fraction_bits,
            &declared.bounds,
        )?;
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
        let unserved = |source| OwnModelError::Served {
            name: name.into(),
            file: file.into(),
            source: Box::new(source),
        };
        let model = onnx::Model::parse(&bytes).map_err(refused)?;
        let skeleton = model.skeleton().map_err(refused)?.bytes;
        let terms = Terms {
            clients: Vec::new(),
            fraction_bits: declared.fraction_bits,
            protocol: ProtocolSpec::default(),
            max_rows: declared.max_rows,
            gather: Duration::ZERO,
            duration: Duration::ZERO,
            bounds: pairs(&declared.bounds),
        };
        let bounds = bounds_of(&model, &terms.bounds).map_err(unserved)?;
        // Which of the parties owns the weights makes no difference to the graphs.
        let served = Served::new(model.clone(), Held::Owner(0), &terms).map_err(unserved)?;
        let open = trusts
            || match served.prove() {
                Ok(()) => true,
                Err(error) => {
                    tracing::error!(
                        "models.{name} is open for no service, because numbers may leave the range of the arithmetic: {error}. \
                         Give it narrower bounds here, or a Clip before this node; or say in the policy that clients are \
                         trusted with the weights (unproven_ranges)"
                    );
                    false
                }
            };
        Ok(Self {
            model,
            skeleton,
            bounds,
            max_rows: declared.max_rows,
            fraction_bits: declared.fraction_bits,
            open,
        })
    }

    /// Whether these bytes are the model without its weights.
    pub(crate) fn has_skeleton(&self, bytes: &[u8]) -> bool {
        self.skeleton == bytes
    }

    /// Whether the model is open for such a service. Looks at no weight.
    ///
    /// # Errors
    /// [`NotOffered`].
    pub(crate) fn offers(&self, service: &ServiceSpec) -> Result<(), NotOffered> {
        if !self.open {
            return Err(NotOffered::Closed);
        }
        let asked = bounds_of(&self.model, &pairs(&service.bounds))?;
        let mut inputs = asked.iter().zip(&self.bounds);
        let within = inputs.all(|(asked, own)| own.0 <= asked.0 && asked.1 <= own.1);
        if within
            && service.max_rows <= self.max_rows
            && service.fraction_bits == self.fraction_bits
        {
            return Ok(());
        }
        Err(NotOffered::Beyond {
            bounds: self.bounds.clone(),
            max_rows: self.max_rows,
            fraction_bits: self.fraction_bits,
        })
    }
}

/// Bounds as the engine takes them.
pub(crate) fn pairs(bounds: &[[f64; 2]]) -> Vec<(f64, f64)> {
    bounds.iter().map(|&[lo, hi]| (lo, hi)).collect()
}
