//! The open port of the data plane: shakes hands, learns who calls and for which session, and parks the connection.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustls::ServerConfig;
use tacit_api::identity::Identity;
use tacit_api::member::Role;
use tacit_api::roster::Roster;
use tacit_api::tls::TlsError;
use tokio::net::TcpListener;

use super::channel::Channel;
use super::half_open::{HalfOpen, Place};
use super::hello::{Hello, SessionId};
use super::registry::Registry;
use super::tls;
use crate::log_limit::LogLimit;

/// What strangers may take of a listener.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// From the TCP connection to the end of the caller's first message of the handshake.
    pub first_message: Duration,
    /// From the TCP connection to the end of the first frame.
    pub handshake: Duration,
    /// How long an accepted connection waits for its session to begin here.
    pub unclaimed: Duration,
    /// Connections that may be in their handshake at once. For one more, the oldest of the address that holds most is cut.
    pub half_open: usize,
    /// Those of one address: an IPv4 address, or an IPv6 network of 64 bits.
    pub half_open_of_one: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            first_message: Duration::from_secs(2),
            handshake: Duration::from_secs(10),
            unclaimed: Duration::from_secs(30),
            half_open: 64,
            half_open_of_one: 32,
        }
    }
}

/// Accepts connections of the consortium's members: parties for their sessions, clients for services.
pub struct Listener {
    config: Arc<ServerConfig>,
    roster: Arc<Roster>,
    registry: Arc<Registry>,
    limits: Limits,
    told: Mutex<Told>,
}

/// When the log last told of what callers did.
#[derive(Default)]
struct Told {
    cut: LogLimit,
    strangers: LogLimit,
    members: HashMap<String, LogLimit>,
}

/// Why a connection was refused.
struct Refused {
    /// Who it was, if it is known.
    member: Option<String>,
    why: io::Error,
}

impl From<io::Error> for Refused {
    fn from(why: io::Error) -> Self {
        Self { member: None, why }
    }
}

impl Listener {
    /// A listener that knows the parties of `roster` by their certificates and hands over through `registry`.
    ///
    /// # Errors
    /// The identity is not in the roster, or cannot be used for TLS.
    pub fn new(
        identity: &Identity,
        roster: Arc<Roster>,
        registry: Arc<Registry>,
        limits: Limits,
    ) -> Result<Arc<Self>, TlsError> {
        Ok(Arc::new(Self {
            config: tls::server(identity, &roster)?,
            roster,
            registry,
            limits,
            told: Mutex::default(),
        }))
    }

    /// Serves until dropped. Nothing that a caller does ends it.
    pub async fn serve(self: Arc<Self>, socket: TcpListener) {
        let half_open = HalfOpen::new(self.limits.half_open, self.limits.half_open_of_one);
        loop {
            let (stream, address) = match socket.accept().await {
                Ok(accepted) => accepted,
                Err(e) => {
                    tracing::warn!("cannot accept a connection: {e}");
                    tokio::time::sleep(Duration::from_millis(100)).await; // out of file descriptors: others will close
                    continue;
                }
            };
            let entered = stream.into_std().and_then(|stream| {
                stream.set_nonblocking(false)?;
                let place = half_open.enter(address.ip(), stream.try_clone()?);
                Ok((stream, place))
            });
            let (stream, place) = match entered {
                Ok((stream, Some((place, cut)))) => {
                    if cut > 0 {
                        self.tell_cut(address, "cut a connection in its handshake for a newer one");
                    }
                    (stream, place)
                }
                Ok((_, None)) => {
                    self.tell_cut(address, "dropped a connection: too many come at once");
                    continue;
                }
                Err(e) => {
                    self.tell_refused(address, &e.into());
                    continue;
                }
            };
            let this = self.clone();
            let work = move || {
                if let Err(refused) = this.admit(stream, place) {
                    this.tell_refused(address, &refused);
                }
            };
            if let Err(e) = thread::Builder::new().name("handshake".into()).spawn(work) {
                self.tell_refused(address, &e.into());
            }
        }
    }

    fn tell_cut(&self, address: SocketAddr, what: &str) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(more) = told.cut.tell(Instant::now()) {
            tracing::warn!(%address, more, "{what}");
        }
    }

    /// Strangers cannot hide by their number what members do.
    fn tell_refused(&self, address: SocketAddr, Refused { member, why }: &Refused) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let limit = match member {
            Some(member) => told.members.entry(member.clone()).or_default(),
            None => &mut told.strangers,
        };
        if let Some(more) = limit.tell(Instant::now()) {
            tracing::warn!(%address, more, "refused a connection: {why}");
        }
    }

    /// One connection, from its handshake until its session claims it.
    fn admit(&self, stream: TcpStream, place: Place) -> Result<(), Refused> {
        let (channel, session, member) = self.introduce(stream)?;
        drop(place);
        let parked = self
            .registry
            .park(session, &member, channel, self.limits.unclaimed);
        if parked {
            return Ok(());
        }
        Err(Refused {
            why: io::Error::other(format!(
                "no session here waited for {member} in {session:?}"
            )),
            member: Some(member),
        })
    }

    fn introduce(&self, stream: TcpStream) -> Result<(Channel, SessionId, String), Refused> {
        let now = Instant::now();
        let (first, until) = (now + self.limits.first_message, now + self.limits.handshake);
        let mut channel = Channel::accept(stream, self.config.clone(), first, until)?;
        let member = channel
            .peer()
            .and_then(|fingerprint| self.roster.by_fingerprint(&fingerprint));
        let member = member
            .ok_or_else(|| io::Error::other("its certificate is no member's in the roster"))?;
        let (role, member) = (member.role(), member.name());
        let refused = |why: io::Error| Refused {
            member: Some(member.to_owned()),
            why,
        };
        let wrong = |what: &str| refused(io::Error::other(format!("{member} {what}")));
        let hello = Hello::decode(&channel.recv(until).map_err(refused)?);
        let hello = hello.ok_or_else(|| wrong("began with something else than a hello"))?;
        if hello.name != member {
            return Err(wrong("gave another name than its own"));
        }
        if role != Role::Party && !self.registry.invites(hello.session, member) {
            return Err(wrong(
                "is a client and called for no service that is open to it",
            ));
        }
        Ok((channel, hello.session, hello.name))
    }
}
