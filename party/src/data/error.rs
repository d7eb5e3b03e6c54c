//! What can be wrong with a data file. An error says where, and never repeats a value.

use std::path::{Path, PathBuf};

/// A data file cannot be used for a job.
///
/// `Display` is for the institution's own log: it names the file and the line. [`Error::for_others`] is what may leave.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{}: {fault}", file.display())]
pub struct Error {
    /// The file.
    pub file: PathBuf,
    /// What is wrong in it.
    pub fault: Fault,
}

/// What is wrong in a data file.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Fault {
    /// The file cannot be opened or read.
    #[error("cannot be read ({0}); check the path under [datasets] and the file's permissions")]
    Unreadable(String),
    /// Not even a header line.
    #[error("is empty; its first line must name the columns")]
    Empty,
    /// A header and nothing below it.
    #[error("has a header but no rows")]
    NoRows,
    /// A line that is not UTF-8, or has another number of fields than the header.
    #[error("line {line}: {what}")]
    Malformed {
        /// Line of the file, counted from 1.
        line: u64,
        /// What the parser met.
        what: String,
    },
    /// The job lists a column that the file lacks.
    #[error("line 1: the column \"{column}\" that the job lists is missing")]
    MissingColumn {
        /// The column.
        column: String,
    },
    /// The file has a column that the job does not list.
    #[error(
        "line 1: the job does not list the column \"{column}\"; remove it from the file or add it to the job, \
         so that nothing is used or dropped by accident"
    )]
    ExtraColumn {
        /// The column.
        column: String,
    },
    /// Two columns of one name.
    #[error("line 1: the column \"{column}\" appears twice")]
    DuplicateColumn {
        /// The column.
        column: String,
    },
    /// A field that is no number.
    #[error("line {line}, column \"{column}\": is not a number")]
    NotANumber {
        /// Line of the file, counted from 1.
        line: u64,
        /// The column.
        column: String,
    },
    /// Infinity or NaN.
    #[error("line {line}, column \"{column}\": is not finite")]
    NotFinite {
        /// Line of the file, counted from 1.
        line: u64,
        /// The column.
        column: String,
    },
    /// A number outside the bounds of the job.
    #[error(
        "line {line}, column \"{column}\": lies outside the job's bounds [{min}, {max}]; correct the row or agree on \
         wider bounds"
    )]
    OutOfRange {
        /// Line of the file, counted from 1.
        line: u64,
        /// The column.
        column: String,
        /// Least value the job allows.
        min: f64,
        /// Greatest value the job allows.
        max: f64,
    },
    /// A label that is no class.
    #[error("line {line}, column \"{column}\": the label must be an integer from 0 to {}", classes - 1)]
    Label {
        /// Line of the file, counted from 1.
        line: u64,
        /// The label's column.
        column: String,
        /// Number of classes of the job.
        classes: usize,
    },
    /// More rows than the job pads to.
    #[error("has more rows than the {bound} that the job pads every contribution to")]
    TooManyRows {
        /// Rows after padding.
        bound: usize,
    },
}

impl Error {
    /// `fault` in `file`.
    pub(super) fn new(file: &Path, fault: Fault) -> Self {
        Self {
            file: file.to_path_buf(),
            fault,
        }
    }

    /// The reason in words that only the job's own text already contains: no path, no line, no column of the
    /// institution's own.
    #[must_use]
    pub fn for_others(&self) -> String {
        match &self.fault {
            Fault::MissingColumn { column } => {
                format!("its data set lacks the column \"{column}\"")
            }
            Fault::OutOfRange {
                column, min, max, ..
            } => {
                format!("its data set has values of \"{column}\" outside [{min}, {max}]")
            }
            Fault::TooManyRows { bound } => {
                format!("its data set has more rows than pad_rows = {bound}")
            }
            Fault::NotANumber { column, .. } | Fault::NotFinite { column, .. } => {
                format!("its data set has a field of \"{column}\" that is not a finite number")
            }
            Fault::Label {
                column, classes, ..
            } => {
                format!(
                    "its data set has a label \"{column}\" outside 0..{}",
                    classes - 1
                )
            }
            Fault::Unreadable(_) | Fault::Empty | Fault::NoRows | Fault::Malformed { .. } => {
                "its data set cannot be read".into()
            }
            Fault::ExtraColumn { .. } | Fault::DuplicateColumn { .. } => {
                "its data set has columns that the job does not list, or lists twice".into()
            }
        }
    }
}
