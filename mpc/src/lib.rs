//! What every protocol stands on: ring tensors, local kernels, transports, pseudo-random secret sharing, sessions.
//!
//! Nothing here knows a protocol, a file, a command line or the wall clock.

pub mod bilinear;
pub mod chunk;
pub mod conv;
#[cfg(feature = "test-util")]
pub mod counted;
mod error;
pub mod hash;
pub mod kernels;
pub mod keys;
pub mod net;
pub mod prss;
pub mod rehearsal;
pub mod replay;
pub mod ring;
pub mod script;
pub mod session;
pub mod simulate;
pub mod strand;
pub mod wire;

pub use bilinear::Bilinear;
pub use chunk::{Chunk, Cut, MAX_ELEMENTS};
pub use conv::Conv;
pub use error::{Error, Result};
pub use hash::Hash;
pub use kernels::Kernels;
pub use prss::Purpose;
pub use ring::{R64, Tensor};
pub use session::{Cost, Label, Offline, Session};
pub use strand::{Role, Strand};

/// The index of a party in a session: 0, 1, 2 for three parties.
pub type PartyId = usize;
