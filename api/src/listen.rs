//! Accepting TLS connections for gRPC servers: nobody who does not finish the handshake keeps anything waiting.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;

/// How long a handshake may take.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);
/// Handshakes under way at once; more callers wait in the system's queue.
const MAX_HANDSHAKES: usize = 128;
/// The pause after the system refused to accept, for instance because too many files are open.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Connections whose handshake is done.
pub type Connections = ReceiverStream<io::Result<TlsStream<TcpStream>>>;

/// Accepts on `listener` until the returned stream is dropped.
pub fn connections(listener: TcpListener, mut config: ServerConfig) -> Connections {
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let handshakes = Arc::new(Semaphore::new(MAX_HANDSHAKES));
    let (ready, accepted) = mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            let permit = handshakes.clone().acquire_owned().await;
            let (tcp, peer) = tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        tracing::warn!("cannot accept a connection: {error}");
                        time::sleep(ACCEPT_PAUSE).await;
                        continue;
                    }
                },
                () = ready.closed() => return,
            };
            let (acceptor, ready) = (acceptor.clone(), ready.clone());
            tokio::spawn(async move {
                let _permit = permit;
                tcp.set_nodelay(true).ok(); // a matter of speed alone
                match time::timeout(HANDSHAKE_DEADLINE, acceptor.accept(tcp)).await {
                    Ok(Ok(tls)) => {
                        ready.send(Ok(tls)).await.ok(); // the server may be stopping
                    }
                    Ok(Err(error)) => tracing::info!(%peer, "refused a connection: {error}"),
                    Err(_) => tracing::info!(%peer, "dropped a connection: handshake too slow"),
                }
            });
        }
    });
    ReceiverStream::new(accepted)
}
