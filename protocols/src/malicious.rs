//! Three-party replicated secret sharing over Z_2^64, honest majority, **malicious with abort**: one party of three may do
//! whatever it likes, and no honest party gives out a wrong value.
//!
//! The sharing is that of [`crate::rep3`]: x = x_0 + x_1 + x_2, P_i holds x_i and x_{i+1}, and *index* j (share x_j, key k_j)
//! is known to exactly P_j and P_{j-1}. What a party may lie about is reduced to one kind of message: the summand z_i of a
//! product, from P_i to P_{i-1} (`product.rs`), the input of one party (`input.rs`), and the openings of results, which are
//! compared with a hash of the other holder before anything else is sent (`open.rs`). Truncation, comparison, conversions between
//! words and bits, tables and exponentials are made of these (`split.rs`, `known.rs` and what is named after each): nothing is
//! dealt, and nothing at all is opened before everything is proved.
//!
//! What a party claims about its messages is a list of relations (`log.rs`), each with one half of its data known to P_{i-1}
//! and the other to P_{i+1}. The proof (`proof.rs`) shows all of them at once, with a number of bytes that grows with the
//! logarithm of the number of gates: a fully linear proof with two verifiers (Boneh, Boyle, Corrigan-Gibbs, Gilboa, Ishai,
//! CRYPTO 2019; Boyle, Gilboa, Ishai, Nof, CCS 2019). The step from Z_2^64 to a field is **new, not peer reviewed**: SECURITY.md
//! says what it assumes and what it rests on.

mod adder;
mod arguments;
mod bilinear;
mod boolean;
#[cfg(test)]
mod check;
mod circuit;
mod compare;
mod convert;
mod cost;
mod engine;
mod exact;
mod exp;
mod failure;
mod graph;
mod input;
mod known;
mod log;
mod open;
pub(crate) mod pair;
mod product;
mod program;
mod proof;
mod proved;
mod scaled;
mod settings;
mod shared;
mod split;
mod table;
mod tensor_gate;
#[cfg(test)]
mod tests;
mod truncate;
mod value;

pub use boolean::SharedBits;
pub use cost::CostEngine;
pub use engine::{MaliciousEngine, ProofWatch, Proving};
pub use failure::Failures;
pub use proved::Proved;
pub use value::{ForeignValue, Value};
