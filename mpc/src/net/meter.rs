//! Counts what a party sends over each link.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use super::{Error, Transport};
use crate::PartyId;

/// What went over one directed link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCount {
    /// Frames sent.
    pub frames: u64,
    /// Bytes of those frames, session headers included, transport framing and TLS not.
    pub bytes: u64,
}

/// A transport that counts the frames and bytes it sends.
pub struct Meter<T> {
    inner: T,
    sent: Mutex<Vec<LinkCount>>,
}

impl<T: Transport> Meter<T> {
    /// Counts what goes through `inner`.
    pub fn new(inner: T) -> Self {
        Self {
            inner,
            sent: Mutex::default(),
        }
    }

    /// What was sent to party `to` so far.
    pub fn sent_to(&self, to: PartyId) -> LinkCount {
        self.sent
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(to)
            .copied()
            .unwrap_or_default()
    }
}

impl<T: Transport> Transport for Meter<T> {
    fn me(&self) -> PartyId {
        self.inner.me()
    }

    fn send(&self, to: PartyId, frame: Bytes) -> Result<(), Error> {
        let bytes = frame.len() as u64;
        self.inner.send(to, frame)?;
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        if sent.len() <= to {
            sent.resize(to + 1, LinkCount::default());
        }
        sent[to].frames += 1;
        sent[to].bytes += bytes;
        Ok(())
    }

    fn recv(&self, from: PartyId) -> Result<Bytes, Error> {
        self.inner.recv(from)
    }
}
