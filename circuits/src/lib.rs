//! Boolean circuits.
//!
//! A circuit is read from a Bristol Fashion file ([`Circuit::parse`]), cut into layers of conjunctions that wait for nothing
//! but earlier layers ([`Plan`]), and evaluated on anything that has bits ([`Bits`]): words in the clear ([`Clear`]) or the
//! shares of a protocol. Many instances run at once, one bit of each in a plane.

mod circuit;
mod clear;
mod parse;
mod plan;
#[cfg(feature = "test-util")]
mod shared;

pub use circuit::{Circuit, Gate, Wire};
pub use clear::{Clear, from_planes, to_planes};
pub use parse::ParseError;
pub use plan::{Bits, Plan, Run};
#[cfg(feature = "test-util")]
pub use shared::shared;
