//! The open port of the data plane: shakes hands, learns who calls and for which session, and parks the connection.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustls::ServerConfig;
use tacit_api::identity::Identity;
use tacit_api::member::Role;
use tacit_api::roster::Roster;
use tacit_api::tls::TlsError;
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::channel::Channel;
use super::hello::{Hello, SessionId};
use super::registry::Registry;
use super::tls;

/// What strangers may take of a listener.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// From the TCP connection to the end of the first frame.
    pub handshake: Duration,
    /// How long an accepted connection waits for its session to begin here.
    pub unclaimed: Duration,
    /// Connections that may be in their handshake at once; more are dropped.
    pub half_open: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            unclaimed: Duration::from_secs(30),
            half_open: 64,
        }
    }
}

/// Accepts connections of the consortium's members: parties for their sessions, clients for services.
pub struct Listener {
    config: Arc<ServerConfig>,
    roster: Arc<Roster>,
    registry: Arc<Registry>,
    limits: Limits,
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
        }))
    }

    /// Serves until dropped. Nothing that a caller does ends it.
    pub async fn serve(self: Arc<Self>, socket: TcpListener) {
        let half_open = Arc::new(Semaphore::new(self.limits.half_open));
        loop {
            let (stream, address) = match socket.accept().await {
                Ok(accepted) => accepted,
                Err(e) => {
                    tracing::warn!("cannot accept a connection: {e}");
                    tokio::time::sleep(Duration::from_millis(100)).await; // out of file descriptors: others will close
                    continue;
                }
            };
            let Ok(permit) = half_open.clone().try_acquire_owned() else {
                tracing::warn!(%address, "dropped a connection: too many are in their handshake");
                continue;
            };
            let this = self.clone();
            let work = move || match this.admit(stream, permit) {
                Ok(()) => {}
                Err(e) => tracing::warn!(%address, "refused a connection: {e}"),
            };
            if let Err(e) = thread::Builder::new().name("handshake".into()).spawn(work) {
                tracing::warn!(%address, "cannot serve a connection: {e}");
            }
        }
    }

    /// One connection, from its handshake until its session claims it.
    fn admit(&self, stream: tokio::net::TcpStream, permit: OwnedSemaphorePermit) -> io::Result<()> {
        let (channel, session, member) = self.introduce(stream)?;
        drop(permit);
        if !self
            .registry
            .park(session, &member, channel, self.limits.unclaimed)
        {
            tracing::warn!(%member, ?session, "dropped a connection that no session here waited for");
        }
        Ok(())
    }

    fn introduce(&self, stream: tokio::net::TcpStream) -> io::Result<(Channel, SessionId, String)> {
        let stream: TcpStream = stream.into_std()?;
        stream.set_nonblocking(false)?;
        let until = Instant::now() + self.limits.handshake;
        let mut channel = Channel::accept(stream, self.config.clone(), until)?;
        let member = channel
            .peer()
            .and_then(|fingerprint| self.roster.by_fingerprint(&fingerprint));
        let member = member
            .ok_or_else(|| io::Error::other("its certificate is no member's in the roster"))?;
        let (role, member) = (member.role(), member.name());
        let hello = Hello::decode(&channel.recv(until)?);
        let hello = hello.ok_or_else(|| {
            io::Error::other(format!("{member} began with something else than a hello"))
        })?;
        if hello.name != member {
            return Err(io::Error::other(format!(
                "{member} gave another name than its own"
            )));
        }
        if role != Role::Party && !self.registry.invites(hello.session, member) {
            let what = format!("{member} is a client and called for no service that is open to it");
            return Err(io::Error::other(what));
        }
        Ok((channel, hello.session, hello.name))
    }
}
