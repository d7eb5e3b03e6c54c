//! A run in time before it runs: the parties' scripts on a logical clock.
//!
//! A party is what [`Session::for_each_chunk`](crate::Session::for_each_chunk) makes of it: a window of strands, polled in order,
//! that waits for the first message needed; outboxes that leave when they are full or before it waits. Links are those of
//! [`crate::net::Sim`]. Where computing takes no time, a replay ends at the nanosecond at which the run itself would end on that
//! transport: each party receives from one link at a time and its strands are straight-line code, so when something happens does
//! not depend on which party is followed first (Kahn, IFIP 1974), and passes may be followed one after the other.

use std::collections::{HashSet, VecDeque};
use std::rc::Rc;

use crate::PartyId;
use crate::net::Profile;
use crate::script::{Act, Script};
use crate::session::{FLUSH, HEADER, WINDOW};

/// Processor seconds of a party for what a script does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// What computing takes, as a multiple of what it was measured to take; 0 follows the network alone.
    pub compute: f64,
    /// A frame, sent or received.
    pub frame: f64,
    /// A byte of a frame, sent or received.
    pub byte: f64,
}

/// What a chunk is at each party.
pub type Scripts = Rc<Vec<Script>>;

/// Parties that follow scripts.
#[derive(Clone, Debug)]
pub struct Replay {
    profile: Profile,
    rates: Rates,
    parties: Vec<Party>,
    /// Frames under way, by receiver and sender.
    links: Vec<Vec<VecDeque<Frame>>>,
}

/// A message within a pass: chunk and gate.
type Message = (u32, u16);

#[derive(Clone, Debug)]
struct Frame {
    arrival_ns: u64,
    bytes: usize,
    messages: Vec<Message>,
}

/// A chunk and its next step, for which is computed already where it waits for a message.
#[derive(Clone, Copy, Debug)]
struct Strand {
    chunk: u32,
    step: usize,
    computed: bool,
}

#[derive(Clone, Debug, Default)]
struct Party {
    now_ns: u64,
    cpu_seconds: f64,
    frames: u64,
    /// When the link to each other party is free again.
    free_ns: Vec<u64>,
    outbox: Vec<(usize, Vec<Message>)>,
    inbox: HashSet<(PartyId, Message)>,
    /// Strands on their way, oldest first.
    active: Vec<Strand>,
    next_chunk: usize,
    waits_for: Option<PartyId>,
    done: bool,
}

/// Scripts that do not fit together: somebody waits for what nobody sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("party {party} waits for a message of party {peer} that nobody sends")]
pub struct Stuck {
    /// Who waits.
    pub party: PartyId,
    /// For whom.
    pub peer: PartyId,
}

impl Party {
    /// Computes for so long.
    fn work(&mut self, seconds: f64) {
        self.cpu_seconds += seconds;
        self.now_ns += (seconds * 1e9).round() as u64;
    }
}

impl Replay {
    /// So many parties, at time 0.
    #[must_use]
    pub fn new(parties: usize, profile: Profile, rates: Rates) -> Self {
        let party = Party {
            free_ns: vec![0; parties],
            outbox: vec![(0, Vec::new()); parties],
            ..Party::default()
        };
        Self {
            profile,
            rates,
            parties: vec![party; parties],
            links: vec![vec![VecDeque::new(); parties]; parties],
        }
    }

    /// The clock of a party, in seconds.
    #[must_use]
    pub fn seconds(&self, party: PartyId) -> f64 {
        self.parties[party].now_ns as f64 * 1e-9
    }

    /// Processor seconds of a party.
    #[must_use]
    pub fn cpu_seconds(&self, party: PartyId) -> f64 {
        self.parties[party].cpu_seconds
    }

    /// Frames that a party has sent.
    #[must_use]
    pub fn frames(&self, party: PartyId) -> u64 {
        self.parties[party].frames
    }

    /// Work of a party that others do not notice.
    pub fn local(&mut self, party: PartyId, seconds: f64) {
        let seconds = seconds * self.rates.compute;
        self.parties[party].work(seconds);
    }

    /// One pass over chunks, of each of which this is the script.
    ///
    /// # Errors
    /// [`Stuck`] where scripts do not fit together.
    pub fn pass(&mut self, chunks: &[Scripts]) -> Result<(), Stuck> {
        for party in &mut self.parties {
            (party.next_chunk, party.done) = (0, false);
        }
        loop {
            let mut moved = false;
            for p in 0..self.parties.len() {
                moved |= !self.parties[p].done && self.advance(p, chunks);
            }
            if self.parties.iter().all(|party| party.done) {
                return Ok(());
            }
            if !moved {
                let stuck = self.parties.iter().enumerate();
                let mut stuck = stuck.filter_map(|(party, p)| Some((party, p.waits_for?)));
                let (party, peer) = stuck.next_back().unwrap_or_default();
                return Err(Stuck { party, peer });
            }
        }
    }

    /// Follows a party until it waits for what is not there; whether it came any further.
    fn advance(&mut self, p: PartyId, chunks: &[Scripts]) -> bool {
        let mut moved = false;
        loop {
            if let Some(peer) = self.parties[p].waits_for {
                let Some(frame) = self.links[p][peer].pop_front() else {
                    return moved;
                };
                let party = &mut self.parties[p];
                party.waits_for = None;
                party.now_ns = party.now_ns.max(frame.arrival_ns);
                party.work(self.rates.frame + self.rates.byte * frame.bytes as f64);
                let messages = frame.messages.into_iter();
                party.inbox.extend(messages.map(|message| (peer, message)));
            }
            moved = true;
            let party = &mut self.parties[p];
            while party.active.len() < WINDOW && party.next_chunk < chunks.len() {
                party.active.push(Strand {
                    chunk: party.next_chunk as u32,
                    step: 0,
                    computed: false,
                });
                party.next_chunk += 1;
            }
            if party.active.is_empty() {
                party.done = true;
                self.flush(p);
                return true;
            }
            let mut first_needed: Option<((usize, u16, u32), PartyId)> = None;
            let mut active = std::mem::take(&mut party.active);
            active.retain_mut(|strand| {
                let waits_for = self.poll(p, strand, &chunks[strand.chunk as usize][p]);
                if let Some((peer, gate)) = waits_for {
                    let place = (strand.chunk as usize / WINDOW, gate, strand.chunk);
                    if first_needed.is_none_or(|(first, _)| place < first) {
                        first_needed = Some((place, peer));
                    }
                }
                waits_for.is_some()
            });
            let all = active.len() >= WINDOW || self.parties[p].next_chunk == chunks.len();
            self.parties[p].active = active;
            if let Some((_, peer)) = first_needed
                && all
            {
                self.flush(p);
                self.parties[p].waits_for = Some(peer);
            }
        }
    }

    /// Follows a strand; whom it waits for at which gate, unless it has ended.
    fn poll(&mut self, p: PartyId, strand: &mut Strand, script: &Script) -> Option<(PartyId, u16)> {
        let (chunk, compute) = (strand.chunk, self.rates.compute);
        while let Some(step) = script.steps.get(strand.step) {
            let party = &mut self.parties[p];
            if !std::mem::replace(&mut strand.computed, true) {
                party.work(compute * step.seconds);
            }
            match step.act {
                Act::Recv { from, gate } => {
                    if !party.inbox.remove(&(from, (chunk, gate))) {
                        return Some((from, gate));
                    }
                }
                Act::Send { to, gate, bytes } => {
                    let (len, messages) = &mut party.outbox[to];
                    *len += HEADER + bytes;
                    messages.push((chunk, gate));
                    if *len >= FLUSH {
                        self.flush_to(p, to);
                    }
                }
            }
            (strand.step, strand.computed) = (strand.step + 1, false);
        }
        self.parties[p].work(compute * script.tail);
        None
    }

    fn flush(&mut self, p: PartyId) {
        (0..self.parties.len()).for_each(|to| self.flush_to(p, to));
    }

    fn flush_to(&mut self, p: PartyId, to: PartyId) {
        let party = &mut self.parties[p];
        let (bytes, messages) = std::mem::take(&mut party.outbox[to]);
        if messages.is_empty() {
            return;
        }
        party.work(self.rates.frame + self.rates.byte * bytes as f64);
        party.frames += 1;
        let sent = self.profile.sent(party.now_ns, party.free_ns[to], bytes);
        party.free_ns[to] = sent;
        self.links[to][p].push_back(Frame {
            arrival_ns: sent + self.profile.latency_ns,
            bytes,
            messages,
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::chunk::chunks;
    use crate::net::{MemNet, Sim, Transport};
    use crate::rehearsal::Rehearsal;
    use crate::script::Step;
    use crate::simulate::simulate_seeded;
    use crate::{Result, kernels};

    /// The dealer tells both others, who swap something longer and answer it.
    async fn gate(strand: crate::Strand<'_>) -> Result<()> {
        let (s, n) = (strand.session(), strand.chunk().len());
        let dealer = strand.chunk().dealer;
        let label = strand.next_gate()?;
        let fill = |n: usize| move |out: &mut bytes::BytesMut| out.resize(out.len() + n, 0);
        if s.me() == dealer {
            strand.send(s.prev(), label, 3 * n, fill(3 * n))?;
            strand.send(s.next(), label, n, fill(n))?;
        }
        let swap = strand.next_gate()?;
        if s.me() != dealer {
            let peer = 3 - s.me() - dealer;
            strand.send(peer, swap, 40 * n, fill(40 * n))?;
            let dealt = if s.me() == (dealer + 2) % 3 { 3 * n } else { n };
            strand.recv(dealer, label, dealt).await?;
            strand.recv(peer, swap, 40 * n).await?;
            let back = strand.next_gate()?;
            strand.send(dealer, back, 8, fill(8))?;
        } else {
            let back = strand.next_gate()?;
            for peer in [s.next(), s.prev()] {
                strand.recv(peer, back, 8).await?;
            }
        }
        Ok(())
    }

    /// Few chunks and more than a window of them, on a link that is slow and on one that is far: to the nanosecond.
    #[test]
    fn a_replay_ends_when_the_simulated_network_does() {
        for profile in [Profile::LAN, Profile::WAN] {
            for tensors in [vec![1, 50, 2], vec![400_000, 20, 123_456]] {
                let nets = MemNet::mesh(3)
                    .into_iter()
                    .map(|net| Arc::new(Sim::new(net, profile)));
                let nets: Vec<_> = nets.collect();
                let dynamic = nets.iter().map(|net| Arc::clone(net) as Arc<dyn Transport>);
                simulate_seeded(dynamic.collect(), 1, |s| {
                    for &n in &tensors {
                        s.begin_run().unwrap();
                        s.fan_out(n, gate).unwrap();
                    }
                });
                let rehearsal = Rehearsal::new(&Arc::from(kernels::cpu()));
                let mut replay = Replay::new(3, profile, Rates::default());
                for &n in &tensors {
                    let scripts = chunks(n).into_iter().map(|c| {
                        let parties = rehearsal.chunk(c.len(), c.dealer, [0; 3], gate).unwrap();
                        Rc::new(parties.map(|party| party.script).to_vec())
                    });
                    replay.pass(&scripts.collect::<Vec<_>>()).unwrap();
                }
                for (p, net) in nets.iter().enumerate() {
                    assert_eq!(replay.seconds(p), net.seconds(), "{profile:?} {tensors:?}");
                    assert!(replay.seconds(p) > 0.0 && replay.frames(p) > 0);
                }
            }
        }
    }

    /// Party 0 computes and tells party 1, which computes besides.
    #[test]
    fn computing_passes_while_messages_travel() {
        let profile = Profile {
            latency_ns: 3_000_000_000,
            bits_per_second: 8 * HEADER as u64,
        };
        let step = |seconds, act| Script {
            steps: vec![Step { seconds, act }],
            tail: 0.5,
        };
        let sends = Act::Send {
            to: 1,
            gate: 0,
            bytes: 0,
        };
        let scripts = vec![step(1.0, sends), step(2.0, Act::Recv { from: 0, gate: 0 })];
        let rates = Rates {
            compute: 2.0,
            frame: 0.25,
            ..Rates::default()
        };
        let mut replay = Replay::new(2, profile, rates);
        replay.pass(&[Rc::new(scripts.clone())]).unwrap();
        // 2 and 1 seconds of computing and the frame; a second on the wire, 3 of delay, the frame again, 1 of computing.
        assert_eq!([0, 1].map(|p| replay.seconds(p)), [3.25, 8.5]);
        assert_eq!([0, 1].map(|p| replay.cpu_seconds(p)), [3.25, 5.25]);
        let stuck = replay.pass(&[Rc::new(vec![Script::default(), scripts[1].clone()])]);
        assert_eq!(stuck, Err(Stuck { party: 1, peer: 0 }));
    }
}
