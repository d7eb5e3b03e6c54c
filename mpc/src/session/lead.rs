//! How far a party that receives nothing may be ahead of the others (requirement R8 of protocols-rep3).
//!
//! Who waits for nobody, as a dealer of correlations does, would run through a whole program and leave all that it sends in the queues
//! of the links. So whoever follows it tells it after each window of strands, by a message without a body, that this is done, and
//! it begins a window only while at most so many bytes are on their way, to each party: what it sent in windows that this party
//! has not ended. Bytes queued are at most that limit and the messages of one window, which bodies of strands bound.
//!
//! Nobody waits in a ring. The leader waits for the end of windows all of whose messages it has sent, and before it waits it flushes.
//! A party that waits for the leader has ended all windows before the one it waits in, because places of the executor go by
//! windows first ([`Session::for_each_chunk`]), and has said so; so it waits for a window that the leader may begin. Among the others
//! the windows that the leader has sent are all that is needed to end them.
//!
//! The leader learns how far each party is, which is public, and nothing else. No logical time passes by it: rounds are those of the
//! program. 20 bytes of header and no body a window and party.

use std::collections::VecDeque;

use bytes::BytesMut;

use super::links::head;
use super::{HEADER, Label, Session, parse_frame};
use crate::net;
use crate::{Chunk, Error, PartyId, Result};

/// Deadlines of a link that the leader waits for a party: parties that compute between two windows are silent towards it alone.
const PATIENCE: usize = 10;

/// Who leads, as this party sees it.
#[derive(Debug)]
pub(super) enum Lead {
    /// This party does: how many bytes it may be ahead, and what is on the way to each other party.
    Own { limit: usize, peers: Vec<Ahead> },
    /// That party.
    Of(PartyId),
}

/// What was sent to a party in windows that it has not ended.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    /// The windows and their bytes, oldest first.
    windows: VecDeque<(Label, usize)>,
    bytes: usize,
}

impl Lead {
    /// Counts a message of the window that began last.
    pub(super) fn sends(&mut self, to: PartyId, bytes: usize) {
        if let Self::Own { peers, .. } = self
            && let Some(ahead) = peers.get_mut(to)
            && let Some((_, sent)) = ahead.windows.back_mut()
        {
            *sent += bytes;
            ahead.bytes += bytes;
        }
    }
}

impl Session {
    /// From now on `leader`, which receives nothing in gates, is at most `bytes` and a window of strands ahead of each other party. All
    /// parties call it at the same place, between two runs.
    pub fn bound_lead(&self, leader: PartyId, bytes: usize) {
        let lead = if leader == self.me() {
            let peers = (0..self.parties()).map(|_| Ahead::default());
            Lead::Own {
                limit: bytes,
                peers: peers.collect(),
            }
        } else {
            Lead::Of(leader)
        };
        *self.lead.borrow_mut() = Some(lead);
    }

    /// As the leader: waits until no party has more than the limit before it, then begins a window.
    fn begin_window(&self, label: Label) -> Result<()> {
        let Some(Lead::Own { limit, .. }) = *self.lead.borrow() else {
            return Ok(());
        };
        self.await_windows(limit)?;
        if let Some(Lead::Own { peers, .. }) = &mut *self.lead.borrow_mut() {
            for ahead in peers {
                ahead.windows.push_back((label, HEADER));
                ahead.bytes += HEADER;
            }
        }
        Ok(())
    }

    /// As the leader: waits for ends of windows until no party has more than `limit` bytes before it.
    pub(super) fn await_windows(&self, limit: usize) -> Result<()> {
        for peer in (0..self.parties()).filter(|&p| p != self.me()) {
            while let Some(want) = self.ahead_of(peer, limit) {
                self.flush()?;
                self.await_window(peer, want)?;
            }
        }
        Ok(())
    }

    /// The oldest window that a party has not ended, if more than `limit` bytes are before it.
    fn ahead_of(&self, peer: PartyId, limit: usize) -> Option<Label> {
        match &*self.lead.borrow() {
            Some(Lead::Own { peers, .. }) if peers[peer].bytes > limit => {
                peers[peer].windows.front().map(|(label, _)| *label)
            }
            _ => None,
        }
    }

    fn await_window(&self, peer: PartyId, want: Label) -> Result<()> {
        let mut frame = self.net.recv(peer);
        for _ in 1..PATIENCE {
            if !matches!(frame, Err(net::Error::Timeout { .. })) {
                break;
            }
            frame = self.net.recv(peer);
        }
        let misbehaved = |what: &str| Error::PeerMisbehaved {
            peer,
            what: what.into(),
        };
        let messages = parse_frame(frame?).map_err(misbehaved)?;
        match &messages[..] {
            [(got, _, body)] if body.is_empty() && *got == want => {}
            [(got, _, body)] if body.is_empty() => {
                let got = *got;
                return Err(Error::Desync { peer, want, got });
            }
            _ => {
                return Err(misbehaved(
                    "it sent more than the end of a window to who leads",
                ));
            }
        }
        if let Some(Lead::Own { peers, .. }) = &mut *self.lead.borrow_mut()
            && let Some((_, bytes)) = peers[peer].windows.pop_front()
        {
            peers[peer].bytes -= bytes;
        }
        Ok(())
    }

    /// Tells who leads that a window has ended here.
    fn end_window(&self, label: Label) {
        let Some(Lead::Of(leader)) = *self.lead.borrow() else {
            return;
        };
        let mut frame = BytesMut::with_capacity(HEADER);
        head(&mut frame, 0, label, 0);
        self.count(|cost| {
            cost.offline.header_bytes += HEADER as u64;
            cost.offline.messages += 1;
        });
        // A leader that has ended sends nothing any more and need not know: what is missing from it is missed where it is awaited.
        let _ = self.net.send(leader, frame.freeze());
    }
}

/// The windows of strands of one pass, of which both sides keep count.
pub(crate) struct Windows<'s> {
    session: &'s Session,
    base: Label,
    size: usize,
    /// Strands of each window that have not ended.
    open: Vec<usize>,
    begun: usize,
    ended: usize,
}

impl<'s> Windows<'s> {
    pub(crate) fn new(session: &'s Session, base: Label, chunks: &[Chunk]) -> Self {
        let size = session.window.get();
        let mut open = vec![0; chunks.last().map_or(0, |c| c.index / size + 1)];
        chunks.iter().for_each(|c| open[c.index / size] += 1);
        Self {
            session,
            base,
            size,
            open,
            begun: 0,
            ended: 0,
        }
    }

    fn label(&self, window: usize) -> Label {
        // No gate has a number as high as that of a strand's last one and is awaited by who leads.
        Label {
            strand: window as u16,
            gate: self.base.gate | 0xFFF,
            ..self.base
        }
    }

    /// A strand is about to begin.
    pub(crate) fn begin(&mut self, chunk: Chunk) -> Result<()> {
        while self.begun <= chunk.index / self.size {
            self.session.begin_window(self.label(self.begun))?;
            self.begun += 1;
        }
        Ok(())
    }

    /// A strand has ended.
    pub(crate) fn end(&mut self, chunk: Chunk) {
        self.open[chunk.index / self.size] -= 1;
        while self.open.get(self.ended) == Some(&0) {
            self.session.end_window(self.label(self.ended));
            self.ended += 1;
        }
    }
}

#[cfg(test)]
mod tests;
