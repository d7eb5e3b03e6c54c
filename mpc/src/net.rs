//! How parties exchange frames. Protocols see only [`Transport`]; sockets live above, in `party`.

#[cfg(any(test, feature = "test-util"))]
mod gauge;
mod mem;
mod meter;
mod sim;
#[cfg(any(test, feature = "test-util"))]
mod tamper;

#[cfg(any(test, feature = "test-util"))]
pub use gauge::{Gauge, Reading};
pub use mem::MemNet;
pub use meter::{LinkCount, Meter};
pub use sim::{Profile, Sim};
#[cfg(any(test, feature = "test-util"))]
pub use tamper::Tamper;

use bytes::Bytes;

use crate::PartyId;

/// A link to a peer failed. Each variant names the peer at its other end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The peer closed the link, or its process ended.
    #[error("party {peer} closed the link")]
    Closed {
        /// The peer.
        peer: PartyId,
    },
    /// The peer sent nothing (or accepted nothing) before the deadline.
    #[error("party {peer} did not answer before the deadline")]
    Timeout {
        /// The peer.
        peer: PartyId,
    },
    /// The peer announced a frame longer than the limit.
    #[error("party {peer} sent a frame of {len} bytes, the limit is {max}")]
    TooLong {
        /// The peer.
        peer: PartyId,
        /// Announced length in bytes.
        len: usize,
        /// Longest frame accepted, in bytes.
        max: usize,
    },
    /// The operating system or TLS reported a failure on the link.
    #[error("the link to party {peer} failed: {what}")]
    Io {
        /// The peer.
        peer: PartyId,
        /// What was reported.
        what: String,
    },
    /// There is no link to this party.
    #[error("there is no link to party {peer}")]
    NoLink {
        /// The party that was asked for.
        peer: PartyId,
    },
}

impl Error {
    /// The peer at the other end of the link that failed.
    #[must_use]
    pub fn peer(&self) -> PartyId {
        match self {
            Self::Closed { peer }
            | Self::Timeout { peer }
            | Self::TooLong { peer, .. }
            | Self::Io { peer, .. }
            | Self::NoLink { peer } => *peer,
        }
    }
}

/// Links from this party to its peers.
///
/// Frames of one sender arrive whole and in order. A `send` must not wait for the peer's protocol to progress: an
/// implementation keeps reading from all links while its own sends block, or three parties that send in a ring deadlock.
/// `recv` waits until its own deadline and then reports [`Error::Timeout`]; nothing waits for ever.
pub trait Transport: Send + Sync {
    /// The index of this party.
    fn me(&self) -> PartyId;

    /// Sends one frame.
    ///
    /// # Errors
    /// The link to `to` is closed, missing, or did not take the frame before the deadline.
    fn send(&self, to: PartyId, frame: Bytes) -> Result<(), Error>;

    /// The next frame of `from`.
    ///
    /// # Errors
    /// The link to `from` is closed, missing, broken, or silent until the deadline.
    fn recv(&self, from: PartyId) -> Result<Bytes, Error>;
}
