//! Frames that wait to be written.
//!
//! A session thread writes a short frame itself when nothing waits before it, which saves a change of threads in the
//! many small rounds of a protocol. Long frames go through the link's writer thread, so that the links to several
//! peers fill side by side.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tacit_mpc::{PartyId, net::Error};

/// Longest frame that the session thread writes itself.
const INLINE: usize = 32 << 10;

/// Bytes that may wait for the writer thread before a send waits too.
const CAPACITY: usize = 64 << 20;

/// A queue between the session and the thread that writes a link.
#[derive(Default)]
pub(super) struct Outbox {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    frames: VecDeque<Bytes>,
    bytes: usize,
    /// Somebody is writing; frames keep their order because nobody else starts.
    writing: bool,
    closing: bool,
    fault: Option<Error>,
}

impl Outbox {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes `frame` or leaves it to the writer thread; waits at most `wait` for room. A fault of an earlier frame is
    /// reported here.
    pub(super) fn send(
        &self,
        frame: Bytes,
        peer: PartyId,
        wait: Duration,
        write: impl FnOnce(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut state = self.lock();
        if state.fault.is_none()
            && frame.len() <= INLINE
            && state.frames.is_empty()
            && !state.writing
        {
            state.writing = true;
            drop(state);
            return self.written(write(&frame));
        }
        let full = |s: &mut State| {
            s.fault.is_none() && !s.frames.is_empty() && s.bytes + frame.len() > CAPACITY
        };
        let waited = self.changed.wait_timeout_while(state, wait, full);
        let (mut state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        if let Some(fault) = &state.fault {
            return Err(fault.clone());
        }
        if timeout.timed_out() {
            drop(state);
            self.fail(Error::Timeout { peer }); // or the stream would go on without this frame
            return Err(Error::Timeout { peer });
        }
        state.bytes += frame.len();
        state.frames.push_back(frame);
        self.changed.notify_all();
        Ok(())
    }

    /// The work of the writer thread: writes what waits, until the outbox is closed and empty or a write fails.
    pub(super) fn drain(&self, write: impl Fn(&[u8]) -> Result<(), Error>) {
        loop {
            let idle = |s: &mut State| {
                s.fault.is_none() && (s.writing || (s.frames.is_empty() && !s.closing))
            };
            let mut state = self
                .changed
                .wait_while(self.lock(), idle)
                .unwrap_or_else(PoisonError::into_inner);
            if state.fault.is_some() {
                return;
            }
            let Some(frame) = state.frames.pop_front() else {
                return;
            };
            state.writing = true;
            drop(state);
            let result = write(&frame);
            self.lock().bytes -= frame.len();
            if self.written(result).is_err() {
                return;
            }
        }
    }

    /// Lets the writer thread end once everything is written.
    pub(super) fn close(&self) {
        self.lock().closing = true;
        self.changed.notify_all();
    }

    /// Nothing can be sent any more, for this reason.
    pub(super) fn fail(&self, fault: Error) {
        let mut state = self.lock();
        state.fault.get_or_insert(fault);
        state.frames.clear();
        self.changed.notify_all();
    }

    fn written(&self, result: Result<(), Error>) -> Result<(), Error> {
        self.lock().writing = false;
        match &result {
            Ok(()) => self.changed.notify_all(),
            Err(fault) => self.fail(fault.clone()),
        }
        result
    }
}
