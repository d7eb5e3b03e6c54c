//! Brings up the links of one session.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tacit_api::certificate::Certificate;
use tacit_api::identity::Identity;
use tacit_api::member::Member;
use tacit_api::roster::Roster;
use tacit_api::tls::server_name;
use tacit_mpc::{PartyId, net::Error};

use super::channel::Channel;
use super::hello::{Hello, SessionId};
use super::link::{Link, fault};
use super::registry::Registry;
use super::tls;
use super::tls_net::TlsNet;

/// A member that takes part in a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its index in the session.
    pub index: PartyId,
    /// Where its listener is, as "host:port"; empty for a member that only dials.
    pub address: String,
    /// Its certificate, which also holds its name.
    pub certificate: Certificate,
}

impl Peer {
    /// `member` at `index` of a session.
    #[must_use]
    pub fn new(index: PartyId, member: &Member) -> Self {
        let address = member.address().unwrap_or_default().to_owned();
        Self {
            index,
            address,
            certificate: member.certificate().clone(),
        }
    }
}

/// How long the links of a session may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// Until all links of a session are up.
    pub connect: Duration,
    /// Longest wait for a peer while a session runs.
    pub exchange: Duration,
}

/// What a party needs to link up with others, the same for all its sessions.
#[derive(Clone)]
pub struct Connector {
    /// This party's keys.
    pub identity: Arc<Identity>,
    /// The members, this party among them.
    pub roster: Arc<Roster>,
    /// Where this party's listener leaves accepted connections.
    pub registry: Arc<Registry>,
    /// How long links may take.
    pub deadlines: Deadlines,
}

/// First and longest pause between two attempts to dial.
const PAUSE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

impl Connector {
    /// Links party `me` of `session` with `peers`: dials those with lower indices, then waits for those with higher
    /// ones, each group in order. Since party 0 only waits, and every party first dials those before it, the parties
    /// cannot wait for each other in a circle.
    ///
    /// # Errors
    /// A peer is not there before the deadline, or its certificate is not the one in the roster.
    pub fn connect(
        &self,
        session: SessionId,
        me: PartyId,
        peers: &[Peer],
    ) -> Result<TlsNet, Error> {
        let until = Instant::now() + self.deadlines.connect;
        let mut peers: Vec<&Peer> = peers.iter().collect();
        peers.sort_by_key(|peer| peer.index);
        let mut links = Vec::with_capacity(peers.len());
        for peer in peers {
            let channel = if peer.index < me {
                self.dial(session, peer, until)?
            } else {
                self.accept(session, peer, until)?
            };
            links.push((
                peer.index,
                Link::start(channel, peer.index, self.deadlines.exchange)?,
            ));
        }
        Ok(TlsNet::new(me, links))
    }

    /// Dials until the peer answers with its hello, which it does once the session has begun there.
    fn dial(&self, session: SessionId, peer: &Peer, until: Instant) -> Result<Channel, Error> {
        let Peer {
            index,
            address,
            certificate,
        } = peer;
        let setup = |e: tacit_api::tls::TlsError| Error::Io {
            peer: *index,
            what: e.to_string(),
        };
        let config = tls::client(&self.identity, &self.roster, certificate).map_err(setup)?;
        let name = server_name(certificate).map_err(setup)?;
        let mine = self.hello(session, *index)?.encode();
        let mut pause = PAUSE.0;
        loop {
            let attempt = || {
                let mut channel = Channel::dial(address, name.clone(), config.clone(), until)?;
                channel.send(&mine, until)?;
                match Hello::decode(&channel.recv(until)?) {
                    Some(theirs)
                        if theirs.session == session && theirs.name == certificate.name() =>
                    {
                        Ok(channel)
                    }
                    _ => Err(io::Error::other(
                        "it answered for another session or under another name",
                    )),
                }
            };
            match attempt() {
                Ok(channel) => return Ok(channel),
                Err(e) if may_pass(&e) && Instant::now() + pause < until => thread::sleep(pause),
                Err(e) => return Err(fault(*index, &e)),
            }
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    /// Waits for the peer's call and answers it.
    fn accept(&self, session: SessionId, peer: &Peer, until: Instant) -> Result<Channel, Error> {
        let Peer {
            index, certificate, ..
        } = peer;
        let claimed = self.registry.claim(session, certificate.name(), until);
        let mut channel = claimed.ok_or(Error::Timeout { peer: *index })?;
        if channel.peer() != Some(certificate.fingerprint()) {
            return Err(Error::Io {
                peer: *index,
                what: "its certificate is not the one in the roster".into(),
            });
        }
        let hello = self.hello(session, *index)?.encode();
        channel.send(&hello, until).map_err(|e| fault(*index, &e))?;
        Ok(channel)
    }

    pub(super) fn hello(&self, session: SessionId, peer: PartyId) -> Result<Hello, Error> {
        let own = self.identity.certificate(&self.roster);
        let own = own.map_err(|e| Error::Io {
            peer,
            what: e.to_string(),
        })?;
        Ok(Hello {
            session,
            name: own.name().to_owned(),
        })
    }
}

/// Whether the same call may succeed a moment later: the peer is starting, or had not begun the session yet.
fn may_pass(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
            | ErrorKind::UnexpectedEof
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
    )
}
