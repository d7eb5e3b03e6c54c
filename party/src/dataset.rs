//! The data sets that this institution declares: for each a file of rows, and a description that somebody here has
//! reviewed.
//!
//! A job describes its data as well, but rows are held against the institution's own description alone. A verdict on an
//! offer is public: whoever could choose the bounds that rows are held against could find every extreme value by
//! bisection, and with `pad_rows` the number of rows.

use std::fs;
use std::io;
use std::path::PathBuf;

use tacit_api::job::{DataSpec, JobError};

use crate::config::DatasetFiles;
use crate::data::{self, Rows};

/// Why a declared data set cannot be used. For the institution's own eyes: it names files, lines and columns.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// The description cannot be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The description.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The description is no `[data]` table of a job file.
    #[error("{}: {source}", path.display())]
    Description {
        /// The description.
        path: PathBuf,
        /// Where and what.
        source: JobError,
    },
    /// The description is one of another data set.
    #[error("{}: describes the data set {found:?}, but the configuration names it for {expected:?}", path.display())]
    Mistaken {
        /// The description.
        path: PathBuf,
        /// The name under `[datasets]`.
        expected: String,
        /// The name in the description.
        found: String,
    },
    /// The rows do not fit the description.
    #[error(transparent)]
    Rows(#[from] data::Error),
}

/// Where a job departs from what this institution declared. It repeats the job, and neither rows nor declaration.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("my description of the data set {dataset:?} disagrees with the job about {field}")]
pub(crate) struct Difference {
    dataset: String,
    field: String,
}

/// A declared data set.
#[derive(Debug)]
pub(crate) struct Dataset {
    file: PathBuf,
    declared: DataSpec,
}

impl Dataset {
    /// Reads the description of the data set `name`, and all rows once to see whether they fit it.
    pub(crate) fn load(name: &str, files: &DatasetFiles) -> Result<Self, DatasetError> {
        let path = || files.description.clone();
        let text =
            fs::read_to_string(&files.description).map_err(|source| DatasetError::Unreadable {
                path: path(),
                source,
            })?;
        let declared = DataSpec::parse(&text).map_err(|source| DatasetError::Description {
            path: path(),
            source,
        })?;
        if declared.dataset != name {
            return Err(DatasetError::Mistaken {
                path: path(),
                expected: name.to_owned(),
                found: declared.dataset,
            });
        }
        data::read(&files.file, &declared)?;
        Ok(Self {
            file: files.file.clone(),
            declared,
        })
    }

    /// The declared description with its columns in the order of `asked`, which must say the same otherwise.
    pub(crate) fn agree(&self, asked: &DataSpec) -> Result<DataSpec, Difference> {
        let declared = &self.declared;
        let differs = |field: String| Difference {
            dataset: declared.dataset.clone(),
            field,
        };
        for (same, field) in [
            (asked.dataset == declared.dataset, "data.dataset"),
            (asked.label == declared.label, "data.label"),
            (asked.classes == declared.classes, "data.classes"),
            (
                asked.label_bounds == declared.label_bounds,
                "data.label_bounds",
            ),
            (asked.pad_rows == declared.pad_rows, "data.pad_rows"),
        ] {
            if !same {
                return Err(differs(field.to_owned()));
            }
        }
        let mut features = Vec::with_capacity(declared.features.len());
        for wanted in &asked.features {
            let named = |own: &&tacit_api::job::Feature| own.name == wanted.name;
            let Some(own) = declared.features.iter().find(named) else {
                let field = format!("the column {:?} in data.features", wanted.name);
                return Err(differs(field));
            };
            if own != wanted {
                let field = format!("the bounds of {:?} in data.features", wanted.name);
                return Err(differs(field));
            }
            features.push(own.clone());
        }
        // A job lists no column twice, so that all are there if as many are there.
        if features.len() != declared.features.len() {
            return Err(differs("the number of columns in data.features".into()));
        }
        Ok(DataSpec {
            features,
            ..declared.clone()
        })
    }

    /// Reads the rows anew, as `agreed` by [`Self::agree`].
    pub(crate) fn read(&self, agreed: &DataSpec) -> Result<Rows, data::Error> {
        data::read(&self.file, agreed)
    }

    /// The file of the rows, for the log.
    pub(crate) fn file(&self) -> std::path::Display<'_> {
        self.file.display()
    }
}

#[cfg(test)]
mod tests;
