//! The links of one session as a [`Transport`].

use std::collections::BTreeMap;

use bytes::Bytes;
use tacit_mpc::PartyId;
use tacit_mpc::net::{Error, Transport};

use super::link::Link;

/// What a party has sent over its links.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Frames.
    pub frames: u64,
    /// Bytes of those frames.
    pub payload_bytes: u64,
    /// Bytes on the sockets, with framing and TLS records and without the handshakes.
    pub wire_bytes: u64,
}

/// TLS links to the peers of a session. Dropping it sends what waits and closes them.
pub struct TlsNet {
    me: PartyId,
    links: BTreeMap<PartyId, Link>,
}

impl TlsNet {
    /// The links of party `me`.
    pub(super) fn new(me: PartyId, links: impl IntoIterator<Item = (PartyId, Link)>) -> Self {
        Self {
            me,
            links: links.into_iter().collect(),
        }
    }

    /// Cuts all links at once: whoever waits on one, here or there, sees it closed.
    pub fn abort(&self) {
        self.links.values().for_each(Link::abort);
    }

    /// What this party has sent so far, over all links.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.links
            .values()
            .map(Link::traffic)
            .fold(Traffic::default(), |sum, link| Traffic {
                frames: sum.frames + link.frames,
                payload_bytes: sum.payload_bytes + link.payload_bytes,
                wire_bytes: sum.wire_bytes + link.wire_bytes,
            })
    }

    fn link(&self, peer: PartyId) -> Result<&Link, Error> {
        self.links.get(&peer).ok_or(Error::NoLink { peer })
    }
}

impl Transport for TlsNet {
    fn me(&self) -> PartyId {
        self.me
    }

    fn send(&self, to: PartyId, frame: Bytes) -> Result<(), Error> {
        self.link(to)?.send(frame)
    }

    fn recv(&self, from: PartyId) -> Result<Bytes, Error> {
        self.link(from)?.recv()
    }
}
