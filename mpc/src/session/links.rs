//! Messages of a session on its links: gathered into frames before they leave, sorted by label when they come.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{Label, Session};
use crate::script::Act;
use crate::{Error, PartyId, Result, net};

/// Bytes of the header of a message: length, label, logical time.
pub const HEADER: usize = 20;
/// An outbox is sent when it has grown to this many bytes, or when this party is about to wait.
pub(crate) const FLUSH: usize = 1 << 20;
/// Messages of one peer that may wait for a gate this party has not reached. The window of strands keeps honest peers below, with
/// programs that deal less than about 10 kB a value.
const MAX_WAITING: usize = 1 << 16;
/// Bytes of them.
const MAX_WAITING_BYTES: usize = 1 << 29;

/// Rounds that a peer's logical clock may be ahead of ours.
const MAX_LEAD: u32 = 1 << 20;

/// The header of a message.
pub(super) fn head(out: &mut BytesMut, len: u32, label: Label, clock: u32) {
    out.put_u32_le(len);
    out.put_u32_le(label.invocation);
    out.put_u32_le(label.node);
    out.put_u16_le(label.strand);
    out.put_u16_le(label.gate);
    out.put_u32_le(clock);
}

/// The messages of a frame: label, logical time of sending, body.
///
/// # Errors
/// What is wrong with the frame, as the end of a sentence about its sender.
pub fn parse_frame(
    mut frame: Bytes,
) -> std::result::Result<Vec<(Label, u32, Bytes)>, &'static str> {
    if frame.is_empty() {
        return Err("it sent an empty frame");
    }
    let mut messages = Vec::new();
    while !frame.is_empty() {
        if frame.len() < HEADER {
            return Err("it sent a frame with a truncated header");
        }
        let len = frame.get_u32_le() as usize;
        let label = Label {
            invocation: frame.get_u32_le(),
            node: frame.get_u32_le(),
            strand: frame.get_u16_le(),
            gate: frame.get_u16_le(),
        };
        let clock = frame.get_u32_le();
        if frame.len() < len {
            return Err("it sent a frame shorter than its messages");
        }
        messages.push((label, clock, frame.split_to(len)));
    }
    Ok(messages)
}

/// A message body and the logical time at which it was sent.
pub(crate) struct Message {
    pub(crate) body: Bytes,
    pub(crate) clock: u32,
}

impl Session {
    /// Queues one message of `len` bytes, which `append` puts behind what is there. It leaves when the outbox is full or this
    /// party is about to wait.
    pub(crate) fn post(
        &self,
        to: PartyId,
        label: Label,
        clock: u32,
        offline: bool,
        len: usize,
        append: impl FnOnce(&mut BytesMut),
    ) -> Result<()> {
        let announced = u32::try_from(len).map_err(|_| Error::Exhausted {
            what: "bytes of one message",
        })?;
        let full = {
            let mut outbox = self.outbox.borrow_mut();
            let out = outbox.get_mut(to).ok_or(net::Error::NoLink { peer: to })?;
            if out.is_empty() {
                // Frames of one protocol are about as long as the one before: no growing by copies.
                out.reserve(self.frame[to].get());
            }
            out.reserve(HEADER + len);
            head(out, announced, label, clock);
            let start = out.len();
            append(out);
            assert_eq!(
                out.len() - start,
                len,
                "a message has the length it announces"
            );
            out.len() >= FLUSH
        };
        self.count(|cost| {
            if offline {
                cost.offline.bytes += len as u64;
                cost.offline.header_bytes += HEADER as u64;
                cost.offline.messages += 1;
            } else {
                cost.bytes += len as u64;
                cost.header_bytes += HEADER as u64;
                cost.messages += 1;
            }
        });
        if let Some(lead) = &mut *self.lead.borrow_mut() {
            lead.sends(to, HEADER + len);
        }
        let (gate, bytes) = (label.gate, len);
        self.record(Act::Send { to, gate, bytes });
        if full { self.flush_to(to) } else { Ok(()) }
    }

    fn flush_to(&self, to: PartyId) -> Result<()> {
        let frame = std::mem::take(&mut self.outbox.borrow_mut()[to]).freeze();
        if frame.is_empty() {
            return Ok(());
        }
        self.frame[to].set(frame.len());
        Ok(self.net.send(to, frame)?)
    }

    pub(crate) fn flush(&self) -> Result<()> {
        (0..self.parties()).try_for_each(|to| self.flush_to(to))
    }

    /// A message that has arrived, if it has.
    pub(crate) fn take(&self, from: PartyId, label: Label) -> Option<Message> {
        let message = self.inbox.borrow_mut().remove(&(from, label))?;
        let bytes = message.body.len();
        self.waiting[from].update(|(n, b)| (n - 1, b - bytes));
        let gate = label.gate;
        self.record(Act::Recv { from, gate });
        Some(message)
    }

    fn record(&self, act: Act) {
        if let Some(recorder) = &mut *self.recorder.borrow_mut() {
            recorder.act(act);
        }
    }

    /// Waits for one frame of `from` and sorts its messages into the inbox.
    pub(crate) fn pump(&self, from: PartyId, here: Label) -> Result<()> {
        let frame = self.net.recv(from)?;
        let misbehaved = |what: &str| Error::PeerMisbehaved {
            peer: from,
            what: what.into(),
        };
        let mut inbox = self.inbox.borrow_mut();
        for (label, clock, body) in parse_frame(frame).map_err(misbehaved)? {
            // A peer that finished the same pass may be ahead in its own later passes, never behind.
            let past = label.invocation < here.invocation
                || (label.pass() != here.pass() && self.is_past(label));
            let desync = Error::Desync {
                peer: from,
                want: here,
                got: label,
            };
            if past || clock > self.peak.get().saturating_add(MAX_LEAD) {
                return Err(desync);
            }
            let bytes = body.len();
            if inbox
                .insert((from, label), Message { body, clock })
                .is_some()
            {
                return Err(desync);
            }
            self.waiting[from].update(|(n, b)| (n + 1, b + bytes));
            let (messages, bytes) = self.waiting[from].get();
            if messages > MAX_WAITING || bytes > MAX_WAITING_BYTES {
                return Err(misbehaved("it sent far ahead of the protocol"));
            }
        }
        Ok(())
    }
}
