//! A connection in use: one thread reads it at all times, another writes what the session leaves to it.
//!
//! Because every party keeps reading while it writes, parties that send in a ring cannot lock each other up, whatever
//! the size of the frames and of the socket buffers.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use rustls::Connection;
use tacit_mpc::{PartyId, net::Error};

use super::channel::{Channel, TooLongFrame, feed};
use super::frame::{Decoder, HEADER, MAX_FRAME, header};
use super::mailbox::Mailbox;
use super::outbox::Outbox;
use super::pace::Pace;
use super::tls::explain;
use super::tls_net::Traffic;

/// Bytes of plaintext encrypted while the TLS state is locked; the first piece of a frame is one TLS record.
const RECORD: usize = 16 << 10;
const PIECE: usize = 8 * RECORD;

/// Bytes taken from the socket at once.
const READ: usize = 256 << 10;

/// Unread bytes a peer may pile up here, twice the rows that one contributor may share.
const UNREAD: usize = 1 << 30;

/// How long a closed link waits for the peer to close its end.
const LINGER: Duration = Duration::from_secs(5);

/// What the other end of a link may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Bytes of a frame at most.
    pub(super) max_frame: usize,
    /// Bytes of frames that may lie here unread before no more are taken from the socket.
    pub(super) unread: usize,
    /// How long it may be silent.
    pub(super) silence: Duration,
    /// How long a piece of a frame may take to be written; in hand of one that has a pace.
    pub(super) write: Duration,
    /// Bytes a second that it must read of what is written to it, if it need not be trusted.
    pub(super) rate: Option<u32>,
}

/// The link to one peer. Dropping it sends what waits, then closes.
pub(super) struct Link {
    shared: Arc<Shared>,
    deadline: Duration,
}

struct Shared {
    peer: PartyId,
    socket: TcpStream,
    tls: Mutex<Connection>,
    pace: Option<Mutex<Pace>>,
    inbox: Mailbox,
    outbox: Outbox,
    frames: AtomicU64,
    payload: AtomicU64,
    wire: AtomicU64,
}

impl Link {
    /// Puts an authenticated channel to a party to work. A send or receive that makes no progress for `deadline` fails.
    pub(super) fn start(
        channel: Channel,
        peer: PartyId,
        deadline: Duration,
    ) -> Result<Self, Error> {
        let limits = Limits {
            max_frame: MAX_FRAME,
            unread: UNREAD,
            silence: deadline,
            write: deadline,
            rate: None,
        };
        Self::limited(channel, peer, limits)
    }

    /// The same within other limits.
    pub(super) fn limited(channel: Channel, peer: PartyId, limits: Limits) -> Result<Self, Error> {
        let Channel {
            socket,
            tls,
            mut decoder,
        } = channel;
        decoder.set_max(limits.max_frame);
        let fail = |e: io::Error| fault(peer, &e);
        socket.set_read_timeout(None).map_err(fail)?;
        socket.set_write_timeout(Some(limits.write)).map_err(fail)?;
        let shared = Arc::new(Shared {
            peer,
            socket,
            tls: Mutex::new(tls),
            pace: limits
                .rate
                .map(|rate| Mutex::new(Pace::new(limits.write, rate))),
            inbox: Mailbox::new(limits.unread),
            outbox: Outbox::default(),
            frames: AtomicU64::new(0),
            payload: AtomicU64::new(0),
            wire: AtomicU64::new(0),
        });
        let link = Self {
            shared: shared.clone(),
            deadline: limits.silence,
        };
        let reader = shared.clone();
        let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
            thread::Builder::new()
                .name(format!("{name} {peer}"))
                .spawn(work)
                .map(drop)
                .map_err(fail)
        };
        spawn(
            "from party",
            Box::new(move || reader.read_until_closed(decoder)),
        )?;
        spawn("to party", Box::new(move || shared.write_until_closed()))?;
        Ok(link)
    }

    /// Sends a frame, or leaves it to the writer thread.
    pub(super) fn send(&self, frame: Bytes) -> Result<(), Error> {
        let Shared { peer, outbox, .. } = &*self.shared;
        if frame.len() > MAX_FRAME {
            return Err(Error::TooLong {
                peer: *peer,
                len: frame.len(),
                max: MAX_FRAME,
            });
        }
        outbox.send(frame, *peer, self.deadline, |frame| {
            self.shared.write(frame)
        })
    }

    /// Leaves a frame to the writer thread without waiting, if no more than `most` bytes wait then. An error says that the peer is gone, or does not read.
    pub(super) fn post(&self, frame: Bytes, most: usize) -> Result<(), Error> {
        let Shared { peer, outbox, .. } = &*self.shared;
        outbox.post(frame, *peer, most)
    }

    /// The next frame of the peer.
    pub(super) fn recv(&self) -> Result<Bytes, Error> {
        self.shared
            .inbox
            .take(self.deadline)
            .unwrap_or(Err(Error::Timeout {
                peer: self.shared.peer,
            }))
    }

    /// Sends what waits, then closes the link.
    pub(super) fn finish(&self) {
        self.shared.outbox.close();
    }

    /// Waits until the peer has closed its end, at most `wait`.
    pub(super) fn wait_for_end(&self, wait: Duration) {
        self.shared.inbox.wait_for_end(wait);
    }

    /// Cuts the link at once; both ends see it closed.
    pub(super) fn abort(&self) {
        let _ = self.shared.socket.shutdown(Shutdown::Both);
    }

    /// What has been written so far.
    pub(super) fn traffic(&self) -> Traffic {
        let Shared {
            frames,
            payload,
            wire,
            ..
        } = &*self.shared;
        let [frames, payload_bytes, wire_bytes] =
            [frames, payload, wire].map(|count| count.load(Ordering::Relaxed));
        Traffic {
            frames,
            payload_bytes,
            wire_bytes,
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.shared.inbox.abandon();
        self.shared.outbox.close();
    }
}

impl Shared {
    fn tls(&self) -> MutexGuard<'_, Connection> {
        self.tls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The work of the reader thread. A peer that has closed its end is not sent to either.
    fn read_until_closed(&self, decoder: Decoder) {
        let reason = self.read(decoder);
        self.outbox.fail(reason.clone());
        self.inbox.end(reason);
    }

    /// Passes on what the peer sends; returns why it ended.
    fn read(&self, mut decoder: Decoder) -> Error {
        let peer = self.peer;
        let mut buffer = vec![0; READ];
        let mut end = None;
        loop {
            // What arrived together with the first frame of the connection is in the decoder already.
            while let Some(frame) = decoder.next() {
                self.inbox.put(frame);
            }
            match end {
                Some(Error::Closed { .. }) if decoder.is_inside_frame() => {
                    return Error::Io {
                        peer,
                        what: "it closed the link in the middle of a frame".into(),
                    };
                }
                Some(end) => return end,
                None => {}
            }
            end = match (&self.socket).read(&mut buffer) {
                Ok(0) => Some(Error::Closed { peer }),
                Ok(n) => self
                    .decrypt(&buffer[..n], &mut decoder)
                    .err()
                    .map(|e| fault(peer, &e)),
                Err(e) if e.kind() == ErrorKind::Interrupted => None,
                Err(e) => Some(fault(peer, &e)),
            };
        }
    }

    /// Feeds the decoder with what these bytes decrypt to; an `UnexpectedEof` says that the peer has closed its end.
    fn decrypt(&self, mut wire: &[u8], decoder: &mut Decoder) -> io::Result<()> {
        let mut tls = self.tls();
        while !wire.is_empty() {
            tls.read_tls(&mut wire)?;
            let state = tls
                .process_new_packets()
                .map_err(|e| io::Error::new(ErrorKind::InvalidData, e))?;
            feed(&mut tls, decoder)?;
            if state.peer_has_closed() {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }

    /// Writes one frame to the socket. The outbox lets one thread at a time in here.
    fn write(&self, frame: &[u8]) -> Result<(), Error> {
        let peer = self.peer;
        let too_long = || Error::TooLong {
            peer,
            len: frame.len(),
            max: MAX_FRAME,
        };
        let header = header(frame.len()).ok_or_else(too_long)?;
        let (start, rest) = frame.split_at(frame.len().min(RECORD - HEADER));
        let start = [&header, start].concat();
        let mut wire = Vec::with_capacity(start.len() + 64);
        for piece in std::iter::once(&start[..]).chain(rest.chunks(PIECE)) {
            self.encrypt(&mut wire, |tls| tls.writer().write_all(piece))?;
            self.put_on_wire(&mut wire)?;
        }
        self.frames.fetch_add(1, Ordering::Relaxed);
        self.payload
            .fetch_add(frame.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// The work of the writer thread: everything that waits, then the end of the link.
    fn write_until_closed(&self) {
        self.outbox.drain(|frame| self.write(frame));
        let mut wire = Vec::new();
        let close = |tls: &mut Connection| {
            tls.send_close_notify();
            Ok(())
        };
        // The peer may be gone already, and then need not be told.
        let _ = self
            .encrypt(&mut wire, close)
            .and_then(|()| self.put_on_wire(&mut wire));
        let _ = self.socket.shutdown(Shutdown::Write);
        // To close a socket with unread bytes would reset it and might destroy our last frames on their way.
        self.inbox.wait_for_end(LINGER);
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    /// Runs `act` on the TLS state and collects in `wire` what it wants to send.
    fn encrypt(
        &self,
        wire: &mut Vec<u8>,
        act: impl FnOnce(&mut Connection) -> io::Result<()>,
    ) -> Result<(), Error> {
        let mut tls = self.tls();
        let run = || {
            act(&mut tls)?;
            while tls.wants_write() {
                tls.write_tls(wire)?;
            }
            Ok(())
        };
        run().map_err(|e: io::Error| fault(self.peer, &e))
    }

    fn put_on_wire(&self, wire: &mut Vec<u8>) -> Result<(), Error> {
        let written = match &self.pace {
            None => (&self.socket).write_all(wire),
            Some(pace) => {
                let mut pace = pace.lock().unwrap_or_else(PoisonError::into_inner);
                pace.write(&self.socket, wire)
            }
        };
        written.map_err(|e| fault(self.peer, &e))?;
        self.wire.fetch_add(wire.len() as u64, Ordering::Relaxed);
        wire.clear();
        Ok(())
    }
}

/// What an I/O error says about the peer.
pub(super) fn fault(peer: PartyId, error: &io::Error) -> Error {
    if let Some(inner) = error.get_ref() {
        if let Some(&TooLongFrame { len, max }) = inner.downcast_ref() {
            return Error::TooLong { peer, len, max };
        }
        if let Some(e) = inner.downcast_ref() {
            return Error::Io {
                peer,
                what: explain(e),
            };
        }
    }
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Error::Timeout { peer },
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::NotConnected
        | ErrorKind::UnexpectedEof => Error::Closed { peer },
        _ => Error::Io {
            peer,
            what: error.to_string(),
        },
    }
}
