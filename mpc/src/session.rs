//! A session: one party's links, keys and kernels while the parties run one program together.

mod cost;
mod label;
mod lead;
mod links;
mod place;

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::BytesMut;

use crate::chunk::Cut;
use crate::keys::{Binding, agree_epoch};
use crate::net::Transport;
use crate::prss::{Prss, Purpose};
use crate::script::Recorder;
use crate::{Bilinear, Chunk, Error, Kernels, PartyId, R64, Result, Tensor};

pub use cost::{Cost, Offline};
pub use label::Label;
pub(crate) use lead::Windows;
pub(crate) use links::{FLUSH, Message};
pub use links::{HEADER, parse_frame};

/// Strands at once: enough that what they send between two waits fills frames, and not so many that what they work on leaves the
/// caches.
pub const WINDOW: usize = 24;
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
    /// Who waits for nobody in gates, if somebody does.
    lead: RefCell<Option<lead::Lead>>,
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
            lead: RefCell::default(),
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
        self.await_windows(0)?;
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

    /// Forgets the keys of this session where they lie: no draw is made after it.
    pub fn wipe_keys(&self) {
        self.prss.wipe();
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
