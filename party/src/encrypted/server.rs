//! The service as a whole: from its configuration to a clean stop.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tacit_api::identity::Identity;
use tacit_api::listen;
use tacit_api::proto::encrypted_server::EncryptedServer;
use tacit_api::roster::Roster;
use tacit_api::tls::{self, TlsError};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tonic::transport;

use super::config::EncryptedConfig;
use super::connections::counted;
use super::key_store::{KeyStore, KeyStoreError};
use super::model::Model;
use super::queue::{Local, Queue};
use super::ready_keys::ReadyKeys;
use super::service::{Calls, Pace, Service};
use super::worker::Workshop;

/// How long questions that are computed, and uploads, may still take when the service stops.
const FAREWELL: Duration = Duration::from_secs(30);
/// How long the news that there will be no answer may take to travel.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Calls of one connection at a time.
const CALLS: u32 = 64;
/// The longest message of a client: a piece of a key or of a question.
const MESSAGE: usize = 1 << 20;
/// How often a connection is tried, and how long it may take to answer: who is gone without a word holds nothing.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// Why encrypted inference cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncryptedError {
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Keys cannot be kept.
    #[error(transparent)]
    Keys(#[from] KeyStoreError),
    /// Nothing can listen at the address.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// A model cannot be served.
    #[error("the model {name} in {path}: {reason}")]
    Model {
        /// Its name for clients.
        name: String,
        /// Its file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The program was built without TFHE.
    #[error("[encrypted] is configured, but this program was built without the feature `tfhe`")]
    NotBuilt,
    /// A client that is configured is nobody.
    #[error("[encrypted] lists the client {0}, who is not in the roster")]
    Client(String),
    /// The system gives no more threads.
    #[error("cannot start a worker: {0}")]
    Worker(io::Error),
    /// The gRPC server failed.
    #[error("the server failed: {0}")]
    Transport(#[from] transport::Error),
}

/// A service that listens, and whose workers wait.
pub struct Server<M: Model> {
    pub(super) service: Service<M>,
    tls: tokio_rustls::rustls::ServerConfig,
    listener: TcpListener,
    queue: Arc<dyn Queue>,
    workers: Vec<JoinHandle<()>>,
    /// [`FAREWELL`], but in tests.
    pub(super) farewell: Duration,
}

impl<M: Model> Server<M> {
    /// Opens the store of keys, starts workers, and listens.
    pub async fn bind(
        config: &EncryptedConfig,
        identity: &Identity,
        roster: Arc<Roster>,
        models: BTreeMap<String, Arc<M>>,
    ) -> Result<Self, EncryptedError> {
        if let Some(nobody) = config
            .clients
            .iter()
            .find(|name| roster.member(name).is_err())
        {
            return Err(EncryptedError::Client(nobody.clone()));
        }
        let tls = tls::server_tls(identity, &roster)?;
        let listener = TcpListener::bind(&config.listen).await;
        let listener = listener.map_err(|source| EncryptedError::Listen {
            address: config.listen.clone(),
            source,
        })?;
        let workers = config.workers.max(1);
        let threads = match config.threads {
            0 => thread::available_parallelism().map_or(1, NonZero::get) / workers,
            threads => threads,
        };
        let queue: Arc<dyn Queue> = Arc::new(Local::new(config.bounds()));
        let served: BTreeSet<_> = models
            .values()
            .map(|model| model.describe())
            .filter(|model| !model.keyless)
            .map(|model| model.parameters)
            .collect();
        let of_use = |client: &str, key: &[u8]| {
            config.clients.iter().any(|listed| listed == client)
                && M::parameters_of(key).is_some_and(|set| served.contains(set))
        };
        let keys = KeyStore::open(&config.keys, config.quota(), of_use)?;
        let workshop = Arc::new(Workshop {
            models,
            keys: Arc::new(keys),
            ready: ReadyKeys::new(config.ready_keys, config.clients.len()),
            queue: queue.clone(),
            threads: threads.max(1),
        });
        let start = |k: usize| {
            let workshop = workshop.clone();
            let thread = thread::Builder::new().name(format!("worker {k}"));
            thread.spawn(move || workshop.work())
        };
        let workers = (0..workers).map(start).collect::<io::Result<_>>();
        let workers = workers.map_err(|error| {
            queue.close();
            EncryptedError::Worker(error)
        })?;
        Ok(Self {
            service: Service {
                roster,
                clients: config.clients.clone(),
                workshop,
                patience: config.patience,
                pace: Pace::default(),
                calls: Calls::default(),
            },
            tls,
            listener,
            queue,
            workers,
            farewell: FAREWELL,
        })
    }

    /// Serves until `shutdown` is ready. Questions that wait are then refused; those that are computed get half a minute
    /// more, and are refused too if they are not answered by then.
    pub async fn run(
        self,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), EncryptedError> {
        let queue = self.queue;
        let connections = counted(listen::connections(self.listener, self.tls));
        let (stop, stopped) = oneshot::channel::<()>();
        let server = transport::Server::builder()
            .max_concurrent_streams(Some(CALLS))
            .http2_keepalive_interval(Some(KEEPALIVE))
            .http2_keepalive_timeout(Some(KEEPALIVE))
            .add_service(EncryptedServer::new(self.service).max_decoding_message_size(MESSAGE))
            .serve_with_incoming_shutdown(connections, async {
                stopped.await.ok(); // told to stop, or the sender is gone: the same
            });
        let mut server = std::pin::pin!(server);
        let ended = tokio::select! {
            result = &mut server => Some(result),
            () = shutdown => None,
        };
        let served = match ended {
            Some(result) => result,
            None => {
                queue.close();
                stop.send(()).ok();
                match timeout(self.farewell, &mut server).await {
                    Ok(result) => result,
                    Err(_) => {
                        queue.abandon();
                        // Whoever still holds on after that is cut off.
                        timeout(LAST_WORDS, &mut server).await.unwrap_or(Ok(()))
                    }
                }
            }
        };
        // Workers stop at their next report: nobody waits for them any longer.
        queue.abandon();
        let joined = tokio::task::spawn_blocking(move || {
            for worker in self.workers {
                // A worker catches what panics inside.
                let _ = worker.join();
            }
        });
        let _ = joined.await;
        Ok(served?)
    }
}
