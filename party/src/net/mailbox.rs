//! Frames that have arrived and wait for the session.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tacit_mpc::net::Error;

/// A queue between the thread that reads a link and the session.
pub(super) struct Mailbox {
    /// Bytes that may wait before the reader pauses. Far above what a protocol leaves unread; it bounds the memory that
    /// a flooding peer can take.
    capacity: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    frames: VecDeque<Bytes>,
    bytes: usize,
    end: Option<Error>,
    abandoned: bool,
}

/// What a frame takes: its bytes and what holds them, so that small frames are not free.
fn cost(frame: &Bytes) -> usize {
    frame.len() + 128
}

impl Mailbox {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a frame; waits while the mailbox is full.
    pub(super) fn put(&self, frame: Bytes) {
        let full = |s: &mut State| s.bytes >= self.capacity && !s.abandoned;
        let mut state = self
            .changed
            .wait_while(self.lock(), full)
            .unwrap_or_else(PoisonError::into_inner);
        if !state.abandoned {
            state.bytes += cost(&frame);
            state.frames.push_back(frame);
            self.changed.notify_all();
        }
    }

    /// No frame will follow, for this reason.
    pub(super) fn end(&self, reason: Error) {
        self.lock().end = Some(reason);
        self.changed.notify_all();
    }

    /// The next frame, or the reason why there is none after the last; `None` if neither came within `wait`.
    pub(super) fn take(&self, wait: Duration) -> Option<Result<Bytes, Error>> {
        let nothing = |s: &mut State| s.frames.is_empty() && s.end.is_none();
        let waited = self.changed.wait_timeout_while(self.lock(), wait, nothing);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let Some(frame) = state.frames.pop_front() else {
            return state.end.clone().map(Err);
        };
        let was_full = state.bytes >= self.capacity;
        state.bytes -= cost(&frame);
        if was_full {
            self.changed.notify_all();
        }
        Some(Ok(frame))
    }

    /// Nobody will take frames any more: drops what is here and what still comes.
    pub(super) fn abandon(&self) {
        let mut state = self.lock();
        state.abandoned = true;
        state.frames.clear();
        self.changed.notify_all();
    }

    /// Waits until the peer has said its last word, at most `wait`.
    pub(super) fn wait_for_end(&self, wait: Duration) {
        drop(
            self.changed
                .wait_timeout_while(self.lock(), wait, |s| s.end.is_none()),
        );
    }
}
