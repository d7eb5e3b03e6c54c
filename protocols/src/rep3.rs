//! Three-party replicated secret sharing over Z_2^64, honest majority, semi-honest.
//!
//! x = x_0 + x_1 + x_2; P_i holds x_i and x_{i+1} (Araki, Furukawa, Lindell, Nof, Ohara, CCS 2016). Key k_j is shared by
//! the holders of share j, P_j and P_{j-1}.
//!
//! Everything nonlinear uses the **two-sided form**: with a dealer D, and A = P_{D+1}, B = P_{D+2},
//!     x = c + s,   c = x_{D+2} known to A and B,   s = x_D + x_{D+1} known to D.
//! It costs nothing. It is the masked sharing of ASTRA (Chaudhari et al., CCSW 2019), ABY2.0 (Patra et al., USENIX Security
//! 2021) and Meteor (Dong et al., WWW 2023) with the mask taken from the sharing itself, and with a dealer that changes from
//! chunk to chunk. Four ways to send serve every gate: `input`, [`product`], `deal` and `swap` (`exchange.rs`); besides them
//! only openings are sent.
//!
//! **Why it is private** (masking lemma): P_i lacks exactly one key, k_{i-1}. Every message to P_i is u - F(k_{i-1}) with a
//! draw of its own, u depending on secrets, P_i's keys and earlier draws only. So each message, given all that P_i saw before
//! it, is uniform, whatever the circuit. SECURITY.md states the functionalities and what the rounding coin gives away.

mod a2b;
pub(crate) mod bilinear;
pub(crate) mod bits;
mod boolean;
mod choice;
mod circuit;
pub(crate) mod combine;
mod compare;
pub mod contribute;
mod convert;
mod cost;
mod dcf;
mod engine;
mod equal;
mod exact;
mod exchange;
pub(crate) mod exp;
pub(crate) mod exp_negative;
mod graph;
mod held;
pub(crate) mod lookup;
mod onehot;
mod plan;
mod polygate;
mod program;
mod rounding;
pub(crate) mod scaled;
mod scan;
pub(crate) mod select_row;
pub(crate) mod share;
mod truncate;
#[cfg(test)]
pub(crate) mod uniform;
mod value;

pub use crate::cost::Value as CostValue;
pub use bilinear::product;
pub use choice::Choice;
pub use circuit::SharedBits;
pub use cost::CostEngine;
pub use engine::Rep3Engine;
pub use plan::Depth;
pub use share::{Rep3, input, open};
pub use value::Value;
