//! What can be wrong with a data file. An error says where, and never repeats a value.

use std::path::{Path, PathBuf};

/// A data file cannot be used.
///
/// This is for the institution's own log: what is wrong, and where, tells about the rows and must not leave.
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
    /// The description lists a column that the file lacks.
    #[error("line 1: the column \"{column}\" that the description lists is missing")]
    MissingColumn {
        /// The column.
        column: String,
    },
    /// The file has a column that the description does not list.
    #[error(
        "line 1: the description does not list the column \"{column}\"; remove it from the file or add it to the \
         description, so that nothing is used or dropped by accident"
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
    /// A number outside the bounds of the description.
    #[error(
        "line {line}, column \"{column}\": lies outside the described bounds [{min}, {max}]; correct the row or agree \
         on wider bounds"
    )]
    OutOfRange {
        /// Line of the file, counted from 1.
        line: u64,
        /// The column.
        column: String,
        /// Least value the description allows.
        min: f64,
        /// Greatest value the description allows.
        max: f64,
    },
    /// A label that is no class.
    #[error("line {line}, column \"{column}\": the label must be an integer from 0 to {}", classes - 1)]
    Label {
        /// Line of the file, counted from 1.
        line: u64,
        /// The label's column.
        column: String,
        /// Number of classes of the description.
        classes: usize,
    },
    /// More rows than the description pads to.
    #[error("has more rows than the {bound} that every contribution is padded to")]
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
}
