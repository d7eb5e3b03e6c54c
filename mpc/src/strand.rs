//! Strands: one chunk of a tensor on its way through a gate, with one party as its dealer.
//!
//! A gate is straight-line code that one party runs for one chunk. All chunks of a tensor run at once on one thread: where
//! a strand waits for a message another one goes on, so that a dealer's messages travel ahead, sending overlaps computing,
//! and a party is dealer for one third of the elements while it is in the pair for the other two. The executor is the
//! simplest one possible: poll every strand; if all wait, wait for the next frame from who sends the first message needed.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};

use crate::chunk::{Chunk, MAX_CHUNKS};
use crate::prss::Purpose;
use crate::session::{Label, Session, Windows};
use crate::{Error, Hash, PartyId, R64, Result};

/// What this party is for a chunk. With dealer D: A = P_{D+1}, B = P_{D+2}.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Knows shares D and D+1, deals, receives nothing.
    Dealer,
    /// Knows shares D+1 and D+2.
    A,
    /// Knows shares D+2 and D.
    B,
}

/// The role of party `me` where `dealer` deals.
#[must_use]
pub fn role(me: PartyId, dealer: PartyId) -> Role {
    match (me + 3 - dealer) % 3 {
        0 => Role::Dealer,
        1 => Role::A,
        _ => Role::B,
    }
}

/// One chunk of a tensor in one pass, as one party sees it.
pub struct Strand<'s> {
    session: &'s Session,
    chunk: Chunk,
    base: Label,
    gate: Cell<u16>,
    clock: Cell<u32>,
    /// The logical time of the correlation that is being made, if one is.
    offline: Cell<Option<u32>>,
    /// The latest gate of which a message was awaited.
    #[cfg(any(test, feature = "test-util"))]
    awaited: Cell<u16>,
}

impl<'s> Strand<'s> {
    /// The elements this strand is about.
    #[must_use]
    pub fn chunk(&self) -> Chunk {
        self.chunk
    }

    /// The session it runs in.
    #[must_use]
    pub fn session(&self) -> &'s Session {
        self.session
    }

    /// This party's role.
    #[must_use]
    pub fn role(&self) -> Role {
        role(self.session.me(), self.chunk.dealer)
    }

    /// The party that plays a role in this strand.
    #[must_use]
    pub fn party(&self, role: Role) -> PartyId {
        (self.chunk.dealer + role as usize) % 3
    }

    /// The label of the next gate. All parties count gates alike: the code is straight-line, awaits messages in the order of their
    /// gates, and sends nothing under a gate when it has awaited something of a later one. Which peer a party waits for
    /// rests on that ([`Session::for_each_chunk`]); tests hold every gate to it.
    ///
    /// # Errors
    /// [`Error::Exhausted`] after 2^12 gates in one pass.
    pub fn next_gate(&self) -> Result<Label> {
        let gate = self.gate.get();
        if gate >= 1 << 12 {
            return Err(Error::Exhausted {
                what: "gate numbers",
            });
        }
        self.gate.set(gate + 1);
        Ok(Label {
            gate: self.base.gate | gate,
            ..self.base
        })
    }

    /// Fills `out` with words of F(k_j, label, purpose); `j` is this party's index or the next, modulo 3.
    ///
    /// # Errors
    /// The key's blocks are used up.
    pub fn draw_into(
        &self,
        j: PartyId,
        label: Label,
        purpose: Purpose,
        out: &mut [R64],
    ) -> Result<()> {
        self.session.draw(j, label, purpose, out)
    }

    /// `n` words of F(k_j, label, purpose); `j` is this party's index or the next, modulo 3.
    ///
    /// # Errors
    /// The key's blocks are used up.
    pub fn draw(&self, j: PartyId, label: Label, purpose: Purpose, n: usize) -> Result<Vec<R64>> {
        let mut out = vec![R64::default(); n];
        self.draw_into(j, label, purpose, &mut out)?;
        Ok(out)
    }

    /// Fills `out` with words of F(k, label, purpose) for the key with `peer`, which draws the same.
    ///
    /// # Errors
    /// The key's blocks are used up, or there is no such peer.
    pub fn draw_with_into(
        &self,
        peer: PartyId,
        label: Label,
        purpose: Purpose,
        out: &mut [R64],
    ) -> Result<()> {
        self.session.draw_with(peer, label, purpose, out)
    }

    /// `n` words of F(k, label, purpose) for the key with `peer`, which draws the same.
    ///
    /// # Errors
    /// The key's blocks are used up, or there is no such peer.
    pub fn draw_with(
        &self,
        peer: PartyId,
        label: Label,
        purpose: Purpose,
        n: usize,
    ) -> Result<Vec<R64>> {
        let mut out = vec![R64::default(); n];
        self.draw_with_into(peer, label, purpose, &mut out)?;
        Ok(out)
    }

    /// Runs `making`, which makes a correlation that depends on nobody's data: what it sends is counted as [`crate::session::Offline`], and
    /// its rounds from the start, since all correlations can be made at once and before. What it needs itself may be
    /// made inside of it in the same way.
    pub async fn offline<T>(&self, making: impl Future<Output = T>) -> T {
        let around = self.offline.replace(Some(0));
        let made = making.await;
        let inside = self.offline.get();
        self.offline
            .set(around.map(|time| inside.map_or(time, |inside| time.max(inside))));
        made
    }

    /// A one-way function of its own for gate `label`: its public key is the address of the gate's roots, salted by the session
    /// and the epoch of its keys, so that what somebody computed beforehand or for another session is of no use.
    #[must_use]
    pub fn hash(&self, label: Label) -> Hash {
        let key = label.address(Purpose::Root) ^ self.session.prss().salt;
        Hash::new(&key.to_be_bytes())
    }

    /// Sends a message of gate `label` and of `len` bytes, which `append` puts behind what leaves before it. It never waits for
    /// the receiver.
    ///
    /// # Errors
    /// The link failed.
    pub fn send(
        &self,
        to: PartyId,
        label: Label,
        len: usize,
        append: impl FnOnce(&mut BytesMut),
    ) -> Result<()> {
        #[cfg(any(test, feature = "test-util"))]
        assert!(
            label.gate >= self.awaited.get(),
            "{label} sends after it awaited a message of a later gate: parties could wait in a ring"
        );
        let offline = self.offline.get();
        let clock = offline.unwrap_or_else(|| self.clock.get());
        let session = self.session;
        session.post(to, label, clock, offline.is_some(), len, append)
    }

    /// The message of gate `label` from a peer, which must have exactly `len` bytes: sizes are public (R12).
    ///
    /// # Errors
    /// The link failed or the peer sent another length.
    pub async fn recv(&self, from: PartyId, label: Label, len: usize) -> Result<Bytes> {
        #[cfg(any(test, feature = "test-util"))]
        self.awaited.set(self.awaited.get().max(label.gate));
        let message = poll_fn(|_| match self.session.take(from, label) {
            Some(m) => Poll::Ready(m),
            None => {
                self.session.blocked_on.set(Some((from, label.gate)));
                Poll::Pending
            }
        })
        .await;
        if message.body.len() != len {
            let what = format!(
                "its message of {label} has {} bytes instead of {len}",
                message.body.len()
            );
            return Err(Error::PeerMisbehaved { peer: from, what });
        }
        let arrival = message.clock.saturating_add(1);
        if let Some(time) = self.offline.get() {
            let time = time.max(arrival);
            self.offline.set(Some(time));
            let peak = &self.session.offline_peak;
            peak.set(peak.get().max(time));
        } else {
            self.clock.set(self.clock.get().max(arrival));
            let peak = &self.session.peak;
            peak.set(peak.get().max(self.clock.get()));
        }
        Ok(message.body)
    }
}

impl Session {
    /// One chunk in the pass of a label, from now on.
    pub(crate) fn strand(&self, chunk: Chunk, base: Label) -> Strand<'_> {
        Strand {
            session: self,
            chunk,
            base: Label {
                strand: chunk.index as u16,
                ..base
            },
            gate: Cell::new(0),
            #[cfg(any(test, feature = "test-util"))]
            awaited: Cell::new(0),
            clock: Cell::new(self.clock.get()),
            offline: Cell::new(None),
        }
    }

    /// Runs `gate` for every chunk of a tensor of `n` elements and gives the results in the order of the chunks.
    ///
    /// # Errors
    /// The first error of a strand, a failed link, or a peer out of step.
    pub fn fan_out<'s, T>(
        &'s self,
        n: usize,
        gate: impl AsyncFn(Strand<'s>) -> Result<T>,
    ) -> Result<Vec<(Chunk, T)>> {
        let mut results = Vec::new();
        self.for_each_chunk(n, gate, |chunk, result| {
            results.push((chunk, result));
            Ok(())
        })?;
        results.sort_unstable_by_key(|(chunk, _)| chunk.index);
        Ok(results)
    }

    /// Runs `gate` for every chunk of a tensor of `n` elements and gives each result to `sink` when it is there, in any order:
    /// what strands hold at once is bounded by the window.
    ///
    /// # Errors
    /// The first error of a strand or of `sink`, a failed link, or a peer out of step.
    pub fn for_each_chunk<'s, T>(
        &'s self,
        n: usize,
        gate: impl AsyncFn(Strand<'s>) -> Result<T>,
        mut sink: impl FnMut(Chunk, T) -> Result<()>,
    ) -> Result<()> {
        let base = self.begin_pass()?;
        let all = self.chunks(n);
        if all.len() > MAX_CHUNKS {
            return Err(Error::Exhausted {
                what: "chunk numbers",
            });
        }
        let mut windows = Windows::new(self, base, &all);
        let mut waiting = all.iter().copied();
        let mut active: Vec<(Chunk, Pin<Box<dyn Future<Output = Result<T>> + '_>>)> = Vec::new();
        let mut context = Context::from_waker(Waker::noop());
        loop {
            while active.len() < self.window.get() {
                let Some(chunk) = waiting.next() else { break };
                windows.begin(chunk)?;
                active.push((chunk, Box::pin(gate(self.strand(chunk, base)))));
            }
            if active.is_empty() {
                break;
            }
            let mut first_needed: Option<((usize, u16, usize), PartyId)> = None;
            let mut still = Vec::with_capacity(active.len());
            for (chunk, mut future) in active {
                match future.as_mut().poll(&mut context) {
                    Poll::Ready(result) => {
                        sink(chunk, result?)?;
                        windows.end(chunk);
                    }
                    Poll::Pending => {
                        if let Some((peer, gate)) = self.blocked_on.take() {
                            let place = (chunk.index / self.window.get(), gate, chunk.index);
                            if first_needed.is_none_or(|(first, _)| place < first) {
                                first_needed = Some((place, peer));
                            }
                        }
                        still.push((chunk, future));
                    }
                }
            }
            active = still;
            // Wait for the first message needed: by windows of strands, within a window by gates, within a gate by strands. All
            // parties go by this order, and their windows are alike. Who has not sent what is waited for waits itself: in
            // the same strand, and then for a gate that is not later, because nothing is sent under a gate when one of a later
            // gate was awaited; or with a window of strands that are all older, of which not all can be in the window of this
            // one, and then for an earlier window. So places do not increase along a ring of waiting parties, which would
            // all be at one gate of one strand; and code that cannot end even alone is no gate. Always waiting for the
            // oldest strand would let the others rest until it has ended, though what they need is there.
            if let Some((_, peer)) = first_needed
                && (active.len() >= self.window.get() || waiting.len() == 0)
            {
                self.flush()?;
                self.pump(peer, base)?;
            }
        }
        self.end_pass(base)?;
        self.clock.set(self.clock.get().max(self.peak.get()));
        Ok(())
    }
}
