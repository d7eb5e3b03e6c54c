//! The operators, by kind. Each file has a table with one row an operator.

mod attention;
mod constants;
mod conv;
mod depth;
mod einsum;
mod layout;
mod norm;
mod pool;
mod recurrent;
mod resize;

use super::registry::OpSpec;

/// The tables of all files.
pub(super) const TABLES: &[&[OpSpec]] = &[
    attention::OPS,
    constants::OPS,
    conv::OPS,
    depth::OPS,
    einsum::OPS,
    layout::OPS,
    norm::OPS,
    pool::OPS,
    recurrent::OPS,
    resize::OPS,
];
