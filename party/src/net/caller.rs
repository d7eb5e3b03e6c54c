//! Members that call for a service while it runs: whoever, whenever, one connection each.

use std::time::{Duration, Instant};

use bytes::Bytes;
use tacit_mpc::net::Error;

use super::budget::Account;
use super::channel::Channel;
use super::connect::Connector;
use super::frame::OVERHEAD;
use super::hello::SessionId;
use super::link::{Limits, Link, fault};
use super::pace::RATE;

/// Places of callers start after those of the computing parties.
const FIRST: usize = 3;

/// How long the answer to a call may take.
const HELLO: Duration = Duration::from_secs(10);

/// What a caller may take.
pub(crate) struct Allowance {
    /// Bytes of a frame at most.
    pub(crate) frame: usize,
    /// Unread bytes at most.
    pub(crate) unread: usize,
    /// How long it may be silent.
    pub(crate) silence: Duration,
    /// Bytes that may wait to be sent to it.
    pub(crate) unsent: usize,
    /// How long it may take nothing of what is written to it; it takes [`RATE`] bytes a second at least on the whole.
    pub(crate) write: Duration,
    /// The memory for frames from it and to it.
    pub(crate) account: Account,
}

/// A connected caller.
pub(crate) struct Caller {
    /// Its place in the list of members that may call.
    pub(crate) member: usize,
    link: Link,
    /// Bytes that may wait to be sent to it.
    unsent: usize,
    account: Account,
}

impl Caller {
    /// The next frame from it.
    ///
    /// # Errors
    /// It closed the link, was silent for too long, or sent a frame that is too long.
    pub(crate) fn recv(&self) -> Result<Bytes, Error> {
        self.link.recv()
    }

    /// Leaves a frame to the thread that writes to it, and never waits.
    ///
    /// # Errors
    /// The link is closed, or it does not read what it is sent: it is to be hung up on.
    pub(crate) fn send(&self, frame: Bytes) -> Result<(), Error> {
        let charge = self.account.charge(frame.len() + OVERHEAD);
        let charge = charge.ok_or_else(|| Error::Io {
            peer: FIRST + self.member,
            what: "it and others have left more unread than is kept for them here".into(),
        })?;
        self.link.post(charge.hold(frame), self.unsent)
    }

    /// Sends what waits, then closes the link.
    pub(crate) fn leave(&self) {
        self.link.finish();
    }

    /// Waits until it has closed its end, at most `wait`.
    pub(crate) fn wait_for_end(&self, wait: Duration) {
        self.link.wait_for_end(wait);
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

/// A member that has called and has not been answered yet.
pub(crate) struct Call {
    /// Its place in the list of members that may call.
    pub(crate) member: usize,
    channel: Channel,
}

impl Open<'_> {
    /// Waits until the given instant for a member to call; `None` if nobody does.
    pub(crate) fn next_call(&self, until: Instant) -> Option<Call> {
        let registry = &self.connector.registry;
        let (member, channel) = registry.claim_any(self.session, self.members, until)?;
        Some(Call { member, channel })
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

    /// Answers a call of the member `name`. Takes as long as the member likes, ten seconds at most.
    ///
    /// # Errors
    /// The caller left in the middle of its hello, or has another certificate than the roster.
    pub(crate) fn answer_call(
        &self,
        session: SessionId,
        name: &str,
        call: Call,
        allowance: Allowance,
    ) -> Result<Caller, Error> {
        let Call {
            member,
            mut channel,
        } = call;
        let peer = FIRST + member;
        let refuse = |what: &str| Error::Io {
            peer,
            what: what.into(),
        };
        let certificate = self.roster.member(name);
        let certificate = certificate
            .map_err(|e| refuse(&e.to_string()))?
            .certificate();
        if channel.peer() != Some(certificate.fingerprint()) {
            return Err(refuse("its certificate is not the one in the roster"));
        }
        let hello = self.hello(session, peer)?.encode();
        let until = Instant::now() + HELLO;
        channel.send(&hello, until).map_err(|e| fault(peer, &e))?;
        let Allowance {
            frame,
            unread,
            silence,
            unsent,
            write,
            account,
        } = allowance;
        channel.decoder.set_account(account.clone());
        let limits = Limits {
            max_frame: frame,
            unread,
            silence,
            write,
            rate: Some(RATE),
        };
        Ok(Caller {
            member,
            link: Link::limited(channel, peer, limits)?,
            unsent,
            account,
        })
    }
}
