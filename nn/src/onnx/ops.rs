//! The operators, by kind. Each file has a table with one row an operator.

mod constants;
mod layout;

use super::registry::OpSpec;

/// The tables of all files.
pub(super) const TABLES: &[&[OpSpec]] = &[constants::OPS, layout::OPS];
