//! `tacit check`: where a private run departs from plaintext, and where it comes close to overflow.

mod compare;
mod gauge;

pub use compare::{Finding, MARGIN_BITS, Overflow, Report, Tolerance, compare};
pub use gauge::{Peak, peaks};
