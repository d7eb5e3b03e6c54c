//! A slow party, and how much waits for it: for tests of how far others run ahead.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use super::{Error, MemNet, Transport};
use crate::PartyId;

/// What the ends of all links know together.
#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// The one that may run ahead waits for a frame, or has ended.
    halted: bool,
    /// Bytes that it sent to the slow party and that this has not received, now and at most; and all of them.
    waiting: usize,
    peak: usize,
    sent: usize,
}

/// A link of a mesh in which one party receives only while another, that may run ahead, waits or has ended: so this is always as far
/// ahead as it can be, whatever the machine does.
pub struct Gauge {
    inner: MemNet,
    ahead: PartyId,
    slow: PartyId,
    shared: Arc<Shared>,
}

/// Reads a [`Gauge`] after the run.
pub struct Reading(Arc<Shared>);

impl Reading {
    /// Bytes that waited for the slow party at most, and all that were sent to it.
    #[must_use]
    pub fn peak_and_sent(&self) -> (usize, usize) {
        let state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        (state.peak, state.sent)
    }
}

impl Gauge {
    /// A mesh of `parties`, in which `slow` waits for `ahead`.
    #[must_use]
    pub fn mesh(parties: usize, ahead: PartyId, slow: PartyId) -> (Reading, Vec<Self>) {
        let shared = Arc::<Shared>::default();
        let wrap = |inner| Self {
            inner,
            ahead,
            slow,
            shared: Arc::clone(&shared),
        };
        let nets = MemNet::mesh(parties).into_iter().map(wrap).collect();
        (Reading(shared), nets)
    }

    fn with(&self, change: impl FnOnce(&mut State)) {
        let mut state = (self.shared.state.lock()).unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        self.shared.changed.notify_all();
    }
}

impl Transport for Gauge {
    fn me(&self) -> PartyId {
        self.inner.me()
    }

    fn send(&self, to: PartyId, frame: Bytes) -> Result<(), Error> {
        if self.me() == self.ahead && to == self.slow {
            self.with(|state| {
                state.waiting += frame.len();
                state.sent += frame.len();
                state.peak = state.peak.max(state.waiting);
            });
        }
        self.inner.send(to, frame)
    }

    fn recv(&self, from: PartyId) -> Result<Bytes, Error> {
        if self.me() == self.ahead {
            self.with(|state| state.halted = true);
            let frame = self.inner.recv(from);
            self.with(|state| state.halted = false);
            return frame;
        }
        if self.me() == self.slow {
            let state = (self.shared.state.lock()).unwrap_or_else(PoisonError::into_inner);
            let limit = Duration::from_secs(60);
            let halted = (self.shared.changed).wait_timeout_while(state, limit, |s| !s.halted);
            let (state, late) = halted.unwrap_or_else(PoisonError::into_inner);
            drop(state);
            if late.timed_out() {
                return Err(Error::Timeout { peer: self.ahead });
            }
        }
        let frame = self.inner.recv(from)?;
        if self.me() == self.slow && from == self.ahead {
            self.with(|state| state.waiting -= frame.len());
        }
        Ok(frame)
    }
}

impl Drop for Gauge {
    fn drop(&mut self) {
        if self.me() == self.ahead {
            self.with(|state| state.halted = true);
        }
    }
}
