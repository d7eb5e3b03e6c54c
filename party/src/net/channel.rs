//! An authenticated connection before its session begins: the handshake and single frames, all under one deadline.

use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection};
use tacit_api::certificate::Fingerprint;
use tacit_api::tls::fingerprint;

use super::frame::{Decoder, Refused, header};
use super::hello::Hello;

/// A connection whose other end has shown a certificate of the consortium.
pub(super) struct Channel {
    pub(super) socket: TcpStream,
    pub(super) tls: Connection,
    pub(super) decoder: Decoder,
}

impl Channel {
    /// The accepting side of the handshake. The caller's first message must be there by `first`.
    pub(super) fn accept(
        socket: TcpStream,
        config: Arc<ServerConfig>,
        first: Instant,
        until: Instant,
    ) -> io::Result<Self> {
        let mut tls: Connection = ServerConnection::new(config).map_err(invalid)?.into();
        let mut timed = Timed {
            socket: &socket,
            until: first.min(until),
        };
        // There is something to say once it has been read whole.
        while !tls.wants_write() {
            if tls.read_tls(&mut timed)? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            if let Err(e) = tls.process_new_packets() {
                let _ = tls.write_tls(&mut timed);
                return Err(invalid(e));
            }
        }
        Self::handshake(socket, tls, until)
    }

    /// Connects to `address` ("host:port") and does the dialing side of the handshake with the member called `name`.
    pub(super) fn dial(
        address: &str,
        name: ServerName<'static>,
        config: Arc<ClientConfig>,
        until: Instant,
    ) -> io::Result<Self> {
        let mut socket = Err(io::Error::new(
            ErrorKind::NotFound,
            format!("\"{address}\" has no address"),
        ));
        for address in address.to_socket_addrs()? {
            socket = TcpStream::connect_timeout(&address, remaining(until)?);
            if socket.is_ok() {
                break;
            }
        }
        let tls = ClientConnection::new(config, name).map_err(invalid)?;
        Self::handshake(socket?, tls.into(), until)
    }

    fn handshake(socket: TcpStream, mut tls: Connection, until: Instant) -> io::Result<Self> {
        socket.set_nodelay(true)?;
        tls.set_buffer_limit(None);
        while tls.is_handshaking() {
            tls.complete_io(&mut Timed {
                socket: &socket,
                until,
            })?;
        }
        Ok(Self {
            socket,
            tls,
            decoder: Decoder::new(Hello::MAX),
        })
    }

    /// The fingerprint of the certificate at the other end.
    pub(super) fn peer(&self) -> Option<Fingerprint> {
        fingerprint(self.tls.peer_certificates()?)
    }

    /// Sends one frame.
    pub(super) fn send(&mut self, frame: &[u8], until: Instant) -> io::Result<()> {
        let header = header(frame.len()).ok_or_else(|| invalid("the frame is too long"))?;
        self.tls.writer().write_all(&[&header, frame].concat())?;
        while self.tls.wants_write() {
            self.tls.write_tls(&mut Timed {
                socket: &self.socket,
                until,
            })?;
        }
        Ok(())
    }

    /// Waits for one frame. What comes after it stays in the decoder.
    pub(super) fn recv(&mut self, until: Instant) -> io::Result<Bytes> {
        loop {
            feed(&mut self.tls, &mut self.decoder)?;
            if let Some(frame) = self.decoder.next() {
                return Ok(frame);
            }
            if self.tls.read_tls(&mut Timed {
                socket: &self.socket,
                until,
            })? == 0
            {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            if let Err(e) = self.tls.process_new_packets() {
                // Tells the other end why, as far as its socket takes it.
                let _ = self.tls.write_tls(&mut Timed {
                    socket: &self.socket,
                    until,
                });
                return Err(invalid(e));
            }
        }
    }
}

/// Moves what `tls` has decrypted into `decoder`.
pub(super) fn feed(tls: &mut Connection, decoder: &mut Decoder) -> io::Result<()> {
    loop {
        let mut reader = tls.reader();
        let plain = match reader.fill_buf() {
            Ok([]) => return Ok(()),
            Ok(plain) => plain,
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(e) => return Err(e),
        };
        let taken = plain.len();
        decoder.feed(plain).map_err(|e| match e {
            Refused::TooLong { len, max } => invalid(TooLongFrame { len, max }),
            Refused::NoMemory => invalid("it and others have sent more than is kept for them here"),
        })?;
        reader.consume(taken);
    }
}

/// The decoder's refusal as an I/O error, for [`super::link`] to recognise.
#[derive(Debug, thiserror::Error)]
#[error("a frame of {len} bytes was announced, the limit is {max}")]
pub(super) struct TooLongFrame {
    pub(super) len: usize,
    pub(super) max: usize,
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}

fn remaining(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() {
        Err(ErrorKind::TimedOut.into())
    } else {
        Ok(left)
    }
}

/// A socket whose calls all end at one instant, however slowly the other end trickles.
pub(super) struct Timed<'a> {
    pub(super) socket: &'a TcpStream,
    pub(super) until: Instant,
}

impl Read for Timed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.set_read_timeout(Some(remaining(self.until)?))?;
        self.socket.read(buffer)
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket
            .set_write_timeout(Some(remaining(self.until)?))?;
        self.socket.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
