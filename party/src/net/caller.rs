//! Members that call for a service while it runs: whoever, whenever, one connection each.

use std::time::{Duration, Instant};

use bytes::Bytes;
use tacit_mpc::net::Error;

use super::connect::Connector;
use super::hello::SessionId;
use super::link::{Link, fault};

/// Places of callers start after those of the computing parties.
const FIRST: usize = 3;

/// What a caller may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowance {
    /// Bytes of a frame at most.
    pub(crate) frame: usize,
    /// Unread bytes at most.
    pub(crate) unread: usize,
    /// How long it may be silent, and how long a frame to it may take.
    pub(crate) silence: Duration,
}

/// A connected caller.
pub(crate) struct Caller {
    /// Its place in the list of members that may call.
    pub(crate) member: usize,
    link: Link,
}

impl Caller {
    /// The next frame from it.
    ///
    /// # Errors
    /// It closed the link, was silent for too long, or sent a frame that is too long.
    pub(crate) fn recv(&self) -> Result<Bytes, Error> {
        self.link.recv()
    }

    /// Sends a frame to it.
    ///
    /// # Errors
    /// The link is closed or stuck.
    pub(crate) fn send(&self, frame: Bytes) -> Result<(), Error> {
        self.link.send(frame)
    }

    /// Sends what waits, then closes the link.
    pub(crate) fn leave(&self) {
        self.link.finish();
    }

    /// Cuts the link.
    pub(crate) fn hang_up(&self) {
        self.link.abort();
    }
}

/// A service that members may call for, as long as this lives.
pub(crate) struct Open<'a> {
    connector: &'a Connector,
    session: SessionId,
    members: &'a [String],
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.connector.registry.close(self.session);
    }
}

impl Connector {
    /// Opens a service to these members.
    pub(crate) fn open<'a>(&'a self, session: SessionId, members: &'a [String]) -> Open<'a> {
        self.registry.open(session, members);
        Open {
            connector: self,
            session,
            members,
        }
    }
}

impl Open<'_> {
    /// Waits until the given instant for a member to call; `None` if nobody does.
    ///
    /// # Errors
    /// The caller left in the middle of its hello, or has another certificate than the roster.
    pub(crate) fn next_caller(
        &self,
        allowance: Allowance,
        until: Instant,
    ) -> Result<Option<Caller>, Error> {
        let Self {
            connector,
            session,
            members,
        } = *self;
        let claimed = connector.registry.claim_any(session, members, until);
        let Some((member, mut channel)) = claimed else {
            return Ok(None);
        };
        let peer = FIRST + member;
        let refuse = |what: &str| Error::Io {
            peer,
            what: what.into(),
        };
        let certificate = connector.roster.member(&members[member]);
        let certificate = certificate
            .map_err(|e| refuse(&e.to_string()))?
            .certificate();
        if channel.peer() != Some(certificate.fingerprint()) {
            return Err(refuse("its certificate is not the one in the roster"));
        }
        let hello = connector.hello(session, peer)?.encode();
        let soon = Instant::now() + Duration::from_secs(10);
        channel.send(&hello, soon).map_err(|e| fault(peer, &e))?;
        let Allowance {
            frame,
            unread,
            silence,
        } = allowance;
        let link = Link::limited(channel, peer, silence, frame, unread)?;
        Ok(Some(Caller { member, link }))
    }
}
