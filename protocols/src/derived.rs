//! A full engine from a few primitives: whoever brings a linear secret sharing over Z_2^64 and over GF(2), with products on
//! both, has every instruction of a program, every product of tensors and Boolean circuits. Semi-honest, any number of parties.
//!
//! What a protocol brings is [`Primitives`]; what is built on it is [`DerivedEngine`]. Everything nonlinear opens m = x + r for
//! an r that is uniform over the whole ring, used once, and of which something else is shared too: bits, r >> p, the unit
//! vector of a part of it ([`Correlation`]). So whatever is opened is uniform and independent of x, perfectly and not only
//! statistically, and what else is sent is sent by the primitives: the views of an adversary are simulated by those of the
//! primitives and uniform words (composition: Canetti, Journal of Cryptology 2000). Nothing is truncated share by share.
//!
//! Correlated values come from the primitives themselves ([`generate`]: each party contributes, so that one who is honest keeps
//! them uniform), or from a protocol that has them cheaper, by a dealer for instance: it overrides [`Primitives::correlated`] and
//! deals what [`Correlation::deal`] makes.

mod boolean;
mod cells;
mod circuit;
mod compare;
mod convert;
mod correlation;
mod engine;
mod generate;
mod graph;
mod parts;
mod primitives;
mod private;
mod products;
mod program;
mod scaled;
mod share;
mod sum;
mod table;
mod truncate;
mod value;

pub use boolean::SharedBits;
pub use cells::Cells;
pub use circuit::Circuit;
pub use correlation::{Correlated, Correlation, Dealt};
pub use engine::DerivedEngine;
pub use generate::generate;
pub use parts::share_chunks;
pub use primitives::{Primitives, Term};
pub use private::Private;
pub use share::{Bits, Shared, Words};
pub use value::Value;
