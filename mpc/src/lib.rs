//! What every protocol stands on: ring tensors, local kernels, transports, pseudo-random secret sharing, sessions.
//!
//! Nothing here knows a protocol, a file, a command line or the wall clock.

pub mod ring;
pub mod bilinear;

pub use bilinear::Bilinear;
pub use ring::{R64, Tensor};

/// The index of a computing party in a session: 0, 1, 2 for three parties.
pub type PartyId = usize;
