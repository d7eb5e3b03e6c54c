//! Connections, counted: a member holds so many at a time and no more, listed as a client or not.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tacit_api::certificate::Fingerprint;
use tacit_api::listen::Connections;
use tacit_api::tls;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_stream::{Stream, StreamExt};
use tonic::transport::server::Connected;

/// Connections of one member at a time.
pub(super) const MOST: usize = 16;

/// How many connections each certificate holds.
#[derive(Clone, Default)]
struct Held(Arc<Mutex<HashMap<Fingerprint, usize>>>);

/// A connection that counts until it is dropped.
pub(super) struct Counted {
    stream: TlsStream<TcpStream>,
    peer: Fingerprint,
    held: Held,
}

/// Those of `connections` that are not too many of one member. The others are dropped, and their callers try again.
pub(super) fn counted(connections: Connections) -> impl Stream<Item = io::Result<Counted>> {
    let held = Held::default();
    connections.filter_map(move |stream| match stream {
        Ok(stream) => held.count(stream).map(Ok),
        Err(error) => Some(Err(error)),
    })
}

impl Held {
    fn count(&self, stream: TlsStream<TcpStream>) -> Option<Counted> {
        // The handshake asks for a certificate, so there is one.
        let peer = tls::fingerprint(stream.get_ref().1.peer_certificates()?)?;
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = held.entry(peer).or_default();
        if *own >= MOST {
            tracing::info!(%peer, "dropped a connection: {MOST} of this member are open");
            return None;
        }
        *own += 1;
        drop(held);
        Some(Counted {
            stream,
            peer,
            held: self.clone(),
        })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut held = self.held.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = held.get_mut(&self.peer) {
            *own = own.saturating_sub(1);
        }
    }
}

impl Connected for Counted {
    type ConnectInfo = <TlsStream<TcpStream> as Connected>::ConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.stream.connect_info()
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
