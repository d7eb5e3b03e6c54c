//! The coordinator as a whole: from its configuration to a clean stop.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tacit_api::MAX_MESSAGE_BYTES;
use tacit_api::certificate::CertificateError;
use tacit_api::identity::{Identity, IdentityError};
use tacit_api::listen;
use tacit_api::proto::coordinator_server::CoordinatorServer;
use tacit_api::roster::{COORDINATOR, Roster, RosterError};
use tacit_api::tls::{self, TlsError};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tonic::transport;

use crate::config::Config;
use crate::scheduler::Scheduler;
use crate::service::Service;
use crate::sqlite::SqliteStore;
use crate::store::{Store, StoreError};

/// How long streams may take to end when the coordinator stops.
const FAREWELL: Duration = Duration::from_secs(2);

/// Why the coordinator cannot serve any longer, or at all.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The roster is unusable.
    #[error(transparent)]
    Roster(#[from] RosterError),
    /// The key file is unusable.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The key is a member's, not the coordinator's.
    #[error("{identity} is the key of {member}, not of the coordinator: run `coordinator init`")]
    NotCoordinator {
        /// The key file.
        identity: PathBuf,
        /// Whose key it is.
        member: String,
    },
    /// The coordinator's certificate is not valid now.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address of the configuration.
        address: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The gRPC server failed.
    #[error("the server failed: {0}")]
    Transport(#[from] transport::Error),
}

/// A coordinator that listens but does not serve yet.
pub struct Server {
    config: Config,
    roster: Arc<Roster>,
    tls: tokio_rustls::rustls::ServerConfig,
    store: Arc<SqliteStore>,
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Loads everything that `config` names and starts to listen.
    pub async fn bind(config: Config) -> Result<Self, ServeError> {
        let roster = Roster::load(&config.roster)?;
        let identity = Identity::load(&config.identity)?;
        let certificate = identity.certificate(&roster)?;
        if certificate.name() != COORDINATOR {
            return Err(ServeError::NotCoordinator {
                identity: config.identity,
                member: certificate.name().to_owned(),
            });
        }
        certificate.check_valid_at(SystemTime::now())?;
        let tls = tls::server_tls(&identity, &roster)?;
        let store = Arc::new(SqliteStore::open(&config.database).await?);
        let failed = |source| ServeError::Listen {
            address: config.listen.clone(),
            source,
        };
        let listener = TcpListener::bind(&config.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self {
            config,
            roster: Arc::new(roster),
            tls,
            store,
            listener,
            address,
        })
    }

    /// Where it listens: with port 0 in the configuration, the only way to know.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The roster that it serves.
    pub fn roster(&self) -> &Roster {
        &self.roster
    }

    /// Serves until `shutdown` completes. Streams of parties and watchers then end, and begun jobs count as failed
    /// from the next start on.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), ServeError> {
        let store: Arc<dyn Store> = self.store;
        let (scheduler, handle) = Scheduler::resume(store.clone(), &self.config).await?;
        let service = CoordinatorServer::new(Service {
            roster: self.roster.clone(),
            store,
            handle,
        })
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
        let keepalive = self.config.deadlines.keepalive;
        let (stop, stopped) = oneshot::channel::<()>();
        let server = transport::Server::builder()
            .http2_keepalive_interval(Some(keepalive))
            .http2_keepalive_timeout(Some(keepalive))
            .add_service(service)
            .serve_with_incoming_shutdown(listen::connections(self.listener, self.tls), async {
                stopped.await.ok(); // told to stop, or the sender is gone: the same
            });
        tracing::info!(
            consortium = self.roster.name(),
            roster = %self.roster.fingerprint(),
            "listening on {}",
            self.address
        );
        let mut server = std::pin::pin!(server);
        tokio::select! {
            result = &mut server => return Ok(result?),
            // Ends with the shutdown or with the store; either way every party's stream ends with it.
            result = scheduler.run(shutdown) => result?,
        }
        stop.send(()).ok();
        match tokio::time::timeout(FAREWELL, server).await {
            Ok(result) => Ok(result?),
            Err(_) => Ok(()), // whoever still holds on is cut off
        }
    }
}

/// Serves as `config` says until `shutdown` completes.
pub async fn serve(
    config: Config,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    Server::bind(config).await?.run(shutdown).await
}
