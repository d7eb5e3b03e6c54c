//! Brings up the links of one session.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tacit_mpc::{PartyId, net::Error};

use super::channel::Channel;
use super::hello::{Hello, SessionId};
use super::link::{Link, fault};
use super::registry::Registry;
use super::tls::{Credentials, Fingerprint};
use super::tls_net::TlsNet;

/// A member that takes part in a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its index in the session.
    pub index: PartyId,
    /// Its name in the roster.
    pub name: String,
    /// Where its listener is, as "host:port".
    pub address: String,
    /// Fingerprint of its certificate.
    pub fingerprint: Fingerprint,
}

/// What a party needs to link up with others, the same for all its sessions.
#[derive(Clone)]
pub struct Connector {
    /// This party's name in the roster.
    pub name: String,
    /// This party's certificate and key.
    pub credentials: Arc<Credentials>,
    /// Where this party's listener leaves accepted connections.
    pub registry: Arc<Registry>,
    /// Until all links of a session must be up.
    pub connect_deadline: Duration,
    /// Longest wait for a peer while a session runs.
    pub exchange_deadline: Duration,
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
        let until = Instant::now() + self.connect_deadline;
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
                Link::start(channel, peer.index, self.exchange_deadline)?,
            ));
        }
        Ok(TlsNet::new(me, links))
    }

    /// Dials until the peer answers with its hello, which it does once the session has begun there.
    fn dial(&self, session: SessionId, peer: &Peer, until: Instant) -> Result<Channel, Error> {
        let config = self.credentials.client(peer.fingerprint);
        let config = config.map_err(|e| Error::Io {
            peer: peer.index,
            what: e.to_string(),
        })?;
        let mine = Hello {
            session,
            name: self.name.clone(),
        }
        .encode();
        let mut pause = PAUSE.0;
        loop {
            let attempt = || {
                let mut channel = Channel::dial(&peer.address, config.clone(), until)?;
                channel.send(&mine, until)?;
                let theirs = Hello::decode(&channel.recv(until)?);
                match theirs {
                    Some(hello) if hello.session == session && hello.name == peer.name => {
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
                Err(e) => return Err(fault(peer.index, &e)),
            }
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    /// Waits for the peer's call and answers it.
    fn accept(&self, session: SessionId, peer: &Peer, until: Instant) -> Result<Channel, Error> {
        let claimed = self.registry.claim(session, &peer.name, until);
        let mut channel = claimed.ok_or(Error::Timeout { peer: peer.index })?;
        if channel.peer() != Some(peer.fingerprint) {
            let what = "its certificate is not the one in the roster".into();
            return Err(Error::Io {
                peer: peer.index,
                what,
            });
        }
        let hello = Hello {
            session,
            name: self.name.clone(),
        }
        .encode();
        channel
            .send(&hello, until)
            .map_err(|e| fault(peer.index, &e))?;
        Ok(channel)
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
