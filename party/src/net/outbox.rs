//! Frames that wait to be written.
//!
//! A session thread writes a short frame itself when nothing waits before it, which saves a change of threads in the
//! many small rounds of a protocol. Long frames go through the link's writer thread, so that the links to several
//! peers fill side by side. What is posted to somebody who may not read always goes through that thread, and never waits.

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

/// What a frame takes: its bytes and what holds them, so that small frames are not free.
fn cost(frame: &Bytes) -> usize {
    frame.len() + 128
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
        state.bytes += cost(&frame);
        state.frames.push_back(frame);
        self.changed.notify_all();
        Ok(())
    }

    /// Leaves `frame` to the writer thread and never waits: where more than `most` bytes wait, the peer is given up. A single
    /// frame may have more.
    pub(super) fn post(&self, frame: Bytes, peer: PartyId, most: usize) -> Result<(), Error> {
        let mut state = self.lock();
        if let Some(fault) = &state.fault {
            return Err(fault.clone());
        }
        if state.closing {
            return Err(Error::Closed { peer });
        }
        if state.bytes > 0 && state.bytes + cost(&frame) > most {
            drop(state);
            self.fail(Error::Timeout { peer });
            return Err(Error::Timeout { peer });
        }
        state.bytes += cost(&frame);
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
            let mut state = self.lock();
            state.bytes -= cost(&frame);
            drop(state);
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::thread;

    use super::*;

    /// Nobody writes: a post that waited would hang this test.
    #[test]
    fn a_post_never_waits_and_gives_up_who_does_not_read() {
        let outbox = Outbox::default();
        let post = |len| outbox.post(vec![0; len].into(), 7, 1000);
        // A long frame alone is no fault, and small ones are not free.
        assert_eq!(post(2000), Ok(()));
        assert_eq!(post(0), Err(Error::Timeout { peer: 7 }));
        assert_eq!(post(0), Err(Error::Timeout { peer: 7 }), "for good");
        let outbox = Outbox::default();
        let posted = (0..100).take_while(|_| outbox.post(Bytes::new(), 7, 1000).is_ok());
        assert_eq!(posted.count(), 7);
    }

    #[test]
    fn a_frame_that_could_not_be_written_is_noticed_by_the_next_and_order_is_kept() {
        let outbox = Outbox::default();
        let (begun, begins) = channel();
        let (release, wait) = channel::<()>();
        thread::scope(|scope| {
            let outbox = &outbox;
            scope.spawn(move || {
                outbox.drain(|frame| {
                    begun.send(frame.to_vec()).unwrap();
                    wait.recv().map_err(|_| Error::Closed { peer: 7 })
                });
            });
            for frame in [&b"a"[..], b"b"] {
                outbox.post(Bytes::from_static(frame), 7, 1000).unwrap();
            }
            assert_eq!(begins.recv().unwrap(), b"a");
            release.send(()).unwrap();
            assert_eq!(begins.recv().unwrap(), b"b");
            outbox.post(Bytes::from_static(b"c"), 7, 1000).unwrap();
            drop(release);
        });
        let late = outbox.post(Bytes::from_static(b"d"), 7, 1000);
        assert_eq!(late, Err(Error::Closed { peer: 7 }));
    }
}
