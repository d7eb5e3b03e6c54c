//! A session: one party's links, keys and kernels while the parties run one program together.

mod cost;

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::chunk::Cut;
use crate::keys::{Binding, agree_epoch};
use crate::net::{self, Transport};
use crate::prss::{Prss, Purpose};
use crate::script::{Act, Recorder};
use crate::{Bilinear, Chunk, Error, Kernels, PartyId, R64, Result, Tensor};

pub use cost::{Cost, Offline};

/// Where in the program a message or a draw belongs. Structured, so that it does not depend on the order of execution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Label {
    /// The run of a graph within the session.
    pub invocation: u32,
    /// The node of the graph, below 2^24.
    pub node: u32,
    /// The chunk of the tensor.
    pub strand: u16,
    /// The gate within the node: pass in the upper 4 bits, gate of that pass in the lower 12.
    pub gate: u16,
}

impl Label {
    /// The 96-bit address of a draw, shifted over the 32-bit block counter.
    #[must_use]
    pub fn address(self, purpose: Purpose) -> u128 {
        u128::from(self.invocation) << 96
            | u128::from(self.node) << 72
            | u128::from(self.strand) << 56
            | u128::from(self.gate) << 40
            | (purpose as u128) << 32
    }

    /// Invocation, node and pass: what all strands of one pass share.
    fn pass(self) -> (u32, u32, u16) {
        (self.invocation, self.node, self.gate >> 12)
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "run {} node {} chunk {} gate {}",
            self.invocation, self.node, self.strand, self.gate
        )
    }
}

/// Bytes of the header of a message: length, label, logical time.
pub const HEADER: usize = 20;
/// An outbox is sent when it has grown to this many bytes, or when this party is about to wait.
pub(crate) const FLUSH: usize = 1 << 20;
/// Strands at once: enough that what they send between two waits fills frames, and not so many that what they work on leaves the
/// caches.
pub const WINDOW: usize = 24;
/// Messages of one peer that may wait for a gate this party has not reached. The window of strands keeps honest peers below, with
/// programs that deal less than about 10 kB a value.
const MAX_WAITING: usize = 1 << 16;
/// Bytes of them.
const MAX_WAITING_BYTES: usize = 1 << 29;

/// Rounds that a peer's logical clock may be ahead of ours.
const MAX_LEAD: u32 = 1 << 20;

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

/// Sessions of this process so far.
static SESSIONS: AtomicU64 = AtomicU64::new(0);

/// One party's end of a session.
pub struct Session {
    net: Arc<dyn Transport>,
    prss: Prss,
    /// Renewals of the keys so far.
    epoch: u32,
    number: u64,
    /// Runs under the same keys at most.
    runs: u32,
    kernels: Arc<dyn Kernels>,
    invocation: Cell<u32>,
    node: Cell<u32>,
    pass: Cell<u16>,
    checks: Cell<u32>,
    /// Node and pass in which a check is run.
    around_check: Cell<Option<(u32, u16)>>,
    nodes_run: RefCell<HashSet<u32>>,
    inbox: RefCell<HashMap<(PartyId, Label), Message>>,
    /// Messages and bytes of each peer in the inbox.
    waiting: Box<[Cell<(usize, usize)>]>,
    outbox: RefCell<Box<[BytesMut]>>,
    /// Bytes of the last frame to each party.
    frame: Box<[Cell<usize>]>,
    /// How tensors are cut into chunks.
    cut: Cell<Cut>,
    cost: Cell<Cost>,
    pub(crate) window: Cell<usize>,
    pub(crate) clock: Cell<u32>,
    pub(crate) peak: Cell<u32>,
    /// The longest chain of messages for one correlation.
    pub(crate) offline_peak: Cell<u32>,
    /// The peer that the last blocked strand waits for, and the gate.
    pub(crate) blocked_on: Cell<Option<(PartyId, u16)>>,
    /// What writes down what the strand of a rehearsal does.
    pub(crate) recorder: RefCell<Option<Recorder>>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("me", &self.me())
            .field("cost", &self.cost())
            .finish_non_exhaustive()
    }
}

impl Session {
    /// A session over agreed keys ([`crate::keys::agree`]).
    #[must_use]
    pub fn new(net: Arc<dyn Transport>, prss: Prss, kernels: Arc<dyn Kernels>) -> Self {
        let parties = prss.parties();
        Self {
            net,
            prss,
            epoch: 0,
            number: SESSIONS.fetch_add(1, Ordering::Relaxed),
            runs: u32::MAX,
            kernels,
            invocation: Cell::new(0),
            node: Cell::new(0),
            pass: Cell::new(0),
            checks: Cell::new(0),
            around_check: Cell::new(None),
            nodes_run: RefCell::default(),
            inbox: RefCell::default(),
            waiting: vec![Cell::default(); parties].into(),
            outbox: RefCell::new(vec![BytesMut::new(); parties].into()),
            frame: vec![Cell::default(); parties].into(),
            cut: Cell::new(Cut::of(parties)),
            cost: Cell::default(),
            window: Cell::new(WINDOW),
            clock: Cell::new(0),
            peak: Cell::new(0),
            offline_peak: Cell::new(0),
            blocked_on: Cell::new(None),
            recorder: RefCell::default(),
        }
    }

    /// This party's index.
    #[must_use]
    pub fn me(&self) -> PartyId {
        self.net.me()
    }

    /// Which session of this process it is, and which epoch of its keys: what was made in one, such as the trees of oblivious
    /// transfers, must not be used in another, where labels begin anew.
    #[must_use]
    pub fn identity(&self) -> (u64, u32) {
        (self.number, self.epoch)
    }

    /// The number of parties.
    #[must_use]
    pub fn parties(&self) -> usize {
        self.prss.parties()
    }

    /// The party after this one.
    #[must_use]
    pub fn next(&self) -> PartyId {
        (self.me() + 1) % self.parties()
    }

    /// The party before this one.
    #[must_use]
    pub fn prev(&self) -> PartyId {
        (self.me() + self.parties() - 1) % self.parties()
    }

    /// Cuts tensors in this way from now on. All parties of a session do so at the same place.
    pub fn set_cut(&self, cut: Cut) {
        self.cut.set(cut);
    }

    /// The chunks of a tensor of `n` elements in this session.
    #[must_use]
    pub fn chunks(&self, n: usize) -> Vec<Chunk> {
        self.cut.get().chunks(n)
    }

    /// Kernels for local bilinear maps.
    #[must_use]
    pub fn kernels(&self) -> &dyn Kernels {
        &*self.kernels
    }

    /// This party's keys.
    #[must_use]
    pub fn prss(&self) -> &Prss {
        &self.prss
    }

    /// What the session has cost this party so far.
    #[must_use]
    pub fn cost(&self) -> Cost {
        let mut cost = self.cost.get();
        cost.rounds = u64::from(self.clock.get());
        cost.offline.rounds = u64::from(self.offline_peak.get());
        cost
    }

    /// Chunks in flight at once, at least 1 and at all parties as many. It bounds memory and how far a dealer runs ahead (R8).
    pub fn set_window(&self, chunks: usize) {
        self.window.set(chunks.max(1));
    }

    /// Lets so few runs begin under the same keys, instead of 2^32 − 1.
    pub fn limit_runs(&mut self, runs: u32) {
        self.runs = runs;
    }

    /// Whether half of what the keys of this party give is used up, or half of the runs that have labels under them: time to
    /// renew them. Parties may differ in it by a little.
    #[must_use]
    pub fn wants_new_keys(&self) -> bool {
        self.prss.is_half_used() || self.invocation.get() > self.runs / 2
    }

    /// Renews the keys, between two runs and with all parties at once: a fresh agreement ([`crate::keys`]) bound to the
    /// session and the number of the renewal. Old keys are forgotten, so no draw of the one epoch says anything about the
    /// other's,
    /// and runs are numbered from the start again. 1.5 round trips.
    ///
    /// # Errors
    /// A peer is at another place of the program, or the agreement fails.
    pub fn renew_keys(&mut self, binding: &Binding) -> Result<()> {
        self.flush()?;
        // Every message of a run is received in it, so the next frame of each peer belongs to the agreement.
        if let Some(&(peer, label)) = self.inbox.borrow().keys().next() {
            let what = format!("it sent a message of {label} while keys are renewed");
            return Err(Error::PeerMisbehaved { peer, what });
        }
        let epoch = self.epoch.checked_add(1).ok_or(Error::Exhausted {
            what: "numbers of key renewals",
        })?;
        let limit = self.prss.limited_to();
        let (have, parties) = (binding.identities.len(), self.parties());
        if have != parties {
            let need = "as many identities";
            return Err(Error::Parties { have, need });
        }
        self.prss = agree_epoch(&*self.net, binding, epoch)?;
        self.prss.limit(limit);
        self.epoch = epoch;
        // Labels are addresses under a key, and these keys are new. Nothing of the old epoch is on its way: messages of a
        // run are received in it, and links keep their order.
        self.enter_run(0);
        Ok(())
    }

    /// Starts a new run of a graph: the same nodes get new addresses (R5).
    ///
    /// # Errors
    /// [`Error::Exhausted`] after 2^32 − 1 runs, or those of [`Session::limit_runs`], under the same keys.
    pub fn begin_run(&self) -> Result<()> {
        let next = self
            .invocation
            .get()
            .checked_add(1)
            .filter(|&next| next <= self.runs)
            .ok_or(Error::Exhausted {
                what: "invocation numbers",
            })?;
        self.enter_run(next);
        Ok(())
    }

    fn enter_run(&self, invocation: u32) {
        self.invocation.set(invocation);
        self.checks.set(0);
        self.nodes_run.borrow_mut().clear();
        self.node.set(0);
        self.pass.set(0);
    }

    /// Enters a node of the graph.
    pub fn begin_node(&self, node: u32) {
        self.node.set(node);
        self.pass.set(0);
    }

    /// Puts the logical time forward to so many rounds, where it is not there yet: parties that begin something together count its
    /// rounds from one time on.
    pub fn begin_at(&self, rounds: u32) {
        let now = self.clock.get().max(rounds);
        self.clock.set(now);
        self.peak.set(self.peak.get().max(now));
    }

    /// Sets the logical time, back as well.
    pub(crate) fn start_at(&self, clock: u32) {
        self.clock.set(clock);
        self.peak.set(clock);
    }

    /// Runs `check` as the next check of this run: under node 2^24 - 1 or the next one below, which no graph reaches. Afterwards
    /// the session is in the node and pass where it was.
    ///
    /// # Errors
    /// [`Error::Exhausted`] after 2^20 checks in one run, or what `check` returns.
    pub fn in_check<T>(&self, check: impl FnOnce() -> Result<T>) -> Result<T> {
        let number = self.checks.get();
        if number >= 1 << 20 {
            return Err(Error::Exhausted { what: "checks" });
        }
        self.checks.set(number + 1);
        let (node, pass) = (self.node.get(), self.pass.get());
        self.begin_node((1 << 24) - 1 - number);
        self.around_check.set(Some((node, pass)));
        let result = check();
        self.around_check.set(None);
        self.node.set(node);
        self.pass.set(pass);
        result
    }

    /// Forgets the keys of this session where they lie: no draw is made after it.
    pub fn wipe_keys(&self) {
        self.prss.wipe();
    }

    /// The label of the next pass over the strands of the current node.
    pub(crate) fn begin_pass(&self) -> Result<Label> {
        let (node, pass) = (self.node.get(), self.pass.get());
        let label = Label {
            invocation: self.invocation.get(),
            node,
            strand: 0,
            gate: pass << 12,
        };
        if node >= 1 << 24 || pass > 15 {
            return Err(Error::Exhausted {
                what: "node numbers",
            });
        }
        if pass == 0 && !self.nodes_run.borrow_mut().insert(node) {
            return Err(Error::Reuse { label });
        }
        self.pass.set(pass + 1);
        Ok(label)
    }

    /// After a pass: nothing that belongs to it may be left over.
    pub(crate) fn end_pass(&self, label: Label) -> Result<()> {
        self.flush()?;
        match self
            .inbox
            .borrow()
            .keys()
            .find(|(_, l)| l.pass() == label.pass())
        {
            Some(&(peer, got)) => Err(Error::Desync {
                peer,
                want: label,
                got,
            }),
            None => Ok(()),
        }
    }

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
            out.put_u32_le(announced);
            out.put_u32_le(label.invocation);
            out.put_u32_le(label.node);
            out.put_u16_le(label.strand);
            out.put_u16_le(label.gate);
            out.put_u32_le(clock);
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

    /// Whether the pass of `label` was already run in this invocation.
    fn is_past(&self, label: Label) -> bool {
        let pass = label.gate >> 12;
        label.invocation == self.invocation.get()
            && match self.around_check.get() {
                _ if label.node == self.node.get() => pass < self.pass.get().saturating_sub(1),
                // A peer that has ended the check goes on in the node around it.
                Some((node, next)) if label.node == node => pass < next,
                _ => self.nodes_run.borrow().contains(&label.node),
            }
    }

    /// Fills `out` with F(k_j, label, purpose).
    pub(crate) fn draw(
        &self,
        j: PartyId,
        label: Label,
        purpose: Purpose,
        out: &mut [R64],
    ) -> Result<()> {
        self.count(|cost| cost.drawn += out.len() as u64);
        self.prss.draw(j % 3, label, purpose, out)
    }

    /// Fills `out` with what `peer` draws too.
    pub(crate) fn draw_with(
        &self,
        peer: PartyId,
        label: Label,
        purpose: Purpose,
        out: &mut [R64],
    ) -> Result<()> {
        self.count(|cost| cost.drawn += out.len() as u64);
        self.prss.draw_with(peer, label, purpose, out)
    }

    /// Σ f(xᵢ, yᵢ) by this party's kernels, counted.
    ///
    /// # Errors
    /// As for [`Kernels::bilinear`].
    pub fn bilinear(&self, f: Bilinear, terms: &[(&Tensor, &Tensor)]) -> Result<Tensor> {
        let done = terms
            .iter()
            .map(|(x, y)| f.multiplications(x.shape(), y.shape()));
        let done: u64 = done.sum();
        self.count(|cost| cost.multiplications += done);
        self.kernels.bilinear(f, terms)
    }

    fn count(&self, more: impl FnOnce(&mut Cost)) {
        let mut cost = self.cost.get();
        more(&mut cost);
        self.cost.set(cost);
    }
}

#[cfg(test)]
mod tests;
