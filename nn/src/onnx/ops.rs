//! The operators, by kind. Each file has a table with one row an operator.

mod activation;
mod arithmetic;
mod attention;
mod constants;
mod conv;
mod depth;
mod dropout;
mod einsum;
mod factors;
mod gather;
mod labels;
mod layout;
mod logic;
mod matmul;
mod ml;
mod norm;
mod order;
mod pad;
mod pool;
mod recurrent;
mod reduce;
mod resize;

use super::registry::OpSpec;

/// The tables of all files.
pub(super) const TABLES: &[&[OpSpec]] = &[
    activation::OPS,
    arithmetic::OPS,
    attention::OPS,
    constants::OPS,
    conv::OPS,
    depth::OPS,
    dropout::OPS,
    einsum::OPS,
    gather::OPS,
    labels::OPS,
    layout::OPS,
    logic::OPS,
    matmul::OPS,
    ml::OPS,
    norm::OPS,
    order::OPS,
    pad::OPS,
    pool::OPS,
    recurrent::OPS,
    reduce::OPS,
    resize::OPS,
];
