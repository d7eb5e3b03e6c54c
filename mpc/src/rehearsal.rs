//! One chunk of a gate at all three parties, on this thread: what it costs is what it does.
//!
//! A gate is the same code for a chunk of a million values as for one of three, and what it sends depends on the length of its
//! chunk only (R12). So a protocol tells what a tensor will cost by running its gate for one chunk of each length, on zeros, under
//! keys that everybody knows.

mod party;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use party::Party;

use crate::net::{self, Transport};
use crate::prss::Prss;
use crate::script::{Clock, Script, Watch};
use crate::{Cost, Error, Kernels, PartyId, Result, Session, Strand};

/// Frames that were sent and not yet received, by receiver and sender.
type Queues = [[VecDeque<Bytes>; 3]; 3];

/// A party's end of links on which nobody ever waits.
struct Desk {
    me: PartyId,
    queues: Arc<Mutex<Queues>>,
}

impl Desk {
    /// Whether a frame of `from` lies here.
    fn holds(&self, from: PartyId) -> bool {
        let queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        !queues[self.me][from].is_empty()
    }
}

impl Transport for Desk {
    fn me(&self) -> PartyId {
        self.me
    }

    fn send(&self, to: PartyId, frame: Bytes) -> std::result::Result<(), net::Error> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        queues[to][self.me].push_back(frame);
        Ok(())
    }

    fn recv(&self, from: PartyId) -> std::result::Result<Bytes, net::Error> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let frame = queues[self.me][from].pop_front();
        frame.ok_or(net::Error::Timeout { peer: from })
    }
}

/// Three parties that rehearse gates. Nothing secret may be given to them: their keys are known.
pub struct Rehearsal {
    parties: [(Arc<Desk>, Session); 3],
    watch: Option<Watch>,
}

impl std::fmt::Debug for Rehearsal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rehearsal").finish_non_exhaustive()
    }
}

/// What a chunk came to at one party.
#[derive(Clone, Debug)]
pub struct Rehearsed<T> {
    /// What the gate gave.
    pub result: T,
    /// What it sent and drew; the rounds are the logical time at its end.
    pub cost: Cost,
    /// What it did, step by step.
    pub script: Script,
}

impl Rehearsal {
    /// Three parties with these kernels.
    #[must_use]
    pub fn new(kernels: &Arc<dyn Kernels>) -> Self {
        let queues = Arc::new(Mutex::new(Queues::default()));
        let party = |me: PartyId| {
            let queues = Arc::clone(&queues);
            let desk = Arc::new(Desk { me, queues });
            let prss = Prss::new(me, 3, 0, |peer| [(me + peer) as u8; 16]);
            let net: Arc<dyn Transport> = Arc::clone(&desk) as _;
            (desk, Session::new(net, prss, Arc::clone(kernels)))
        };
        Self {
            parties: [0, 1, 2].map(party),
            watch: None,
        }
    }

    /// From now on scripts tell how long steps take, by this clock.
    pub fn watch(&mut self, clock: Clock) {
        self.watch = Some(Watch::of(clock));
    }

    /// Runs `gate` at all parties for a chunk of `len` values with this dealer, from these logical times on.
    ///
    /// # Errors
    /// What the gate returns at a party, or [`net::Error::Timeout`] where it waits for what nobody sends.
    pub fn chunk<T>(
        &self,
        len: usize,
        dealer: PartyId,
        clocks: [u64; 3],
        gate: impl AsyncFn(Strand<'_>) -> Result<T>,
    ) -> Result<[Rehearsed<T>; 3]> {
        let mut before = [Cost::default(); 3];
        let parties = self.parties.iter().zip(clocks).zip(&mut before);
        for (((_, s), clock), before) in parties {
            s.start_at(clock as u32);
            *before = s.cost();
        }
        let together = self.together(&[(len, dealer)], gate)?;
        let rehearsed = together.into_iter().zip(&self.parties).zip(before);
        let rehearsed = rehearsed.map(|((strands, (_, s)), before)| {
            let now = s.cost();
            let cost = Cost {
                rounds: now.rounds,
                ..now.since(&before)
            };
            let strand = strands.into_iter().next();
            let (result, script) = strand.ok_or(Error::Exhausted { what: "results" })?;
            Ok(Rehearsed {
                result,
                cost,
                script,
            })
        });
        three(rehearsed.collect::<Result<_>>()?)
    }

    /// Runs `gate` at all parties for chunks of these lengths with these dealers, all of them on their way at once as in a
    /// window of a session: what a strand has in the cache is as much as there, and messages of several leave together. For
    /// each party what the gate gave for each chunk, and what it did.
    ///
    /// # Errors
    /// As [`Self::chunk`].
    pub fn window<T>(
        &self,
        chunks: &[(usize, PartyId)],
        gate: impl AsyncFn(Strand<'_>) -> Result<T>,
    ) -> Result<[Vec<(T, Script)>; 3]> {
        self.parties.iter().for_each(|(_, s)| s.start_at(0));
        self.together(chunks, gate)
    }

    fn together<T>(
        &self,
        chunks: &[(usize, PartyId)],
        gate: impl AsyncFn(Strand<'_>) -> Result<T>,
    ) -> Result<[Vec<(T, Script)>; 3]> {
        let mut running = Vec::with_capacity(3);
        for (desk, s) in &self.parties {
            s.begin_run()?;
            let base = s.begin_pass()?;
            running.push(Party::new(desk, s, base, self.watch, chunks, &gate));
        }
        while running.iter().any(|party| !party.has_ended()) {
            let mut came = false;
            for party in &mut running {
                party.poll()?;
                party.session.flush()?;
            }
            for party in &mut running {
                came |= party.receive()?;
            }
            let waits = running.iter().filter(|party| !party.has_ended());
            let missing = waits.flat_map(|party| party.needed.first()).next();
            if let (Some(&peer), false) = (missing, came) {
                return Err(Error::Net(net::Error::Timeout { peer }));
            }
        }
        let ended = running.into_iter().map(Party::finish);
        three(ended.collect::<Result<_>>()?)
    }
}

fn three<T>(parties: Vec<T>) -> Result<[T; 3]> {
    let three = <[T; 3]>::try_from(parties);
    three.map_err(|_| Error::Exhausted { what: "results" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels;
    use crate::simulate::{mem, simulate_seeded};

    /// Each sends its length to the party before it, which answers with one byte more.
    async fn gate(strand: Strand<'_>) -> Result<usize> {
        let (s, n) = (strand.session(), strand.chunk().len());
        let (to, from) = (s.prev(), s.next());
        let label = strand.next_gate()?;
        strand.send(to, label, n, |out| out.resize(out.len() + n, 0))?;
        strand.recv(from, label, n).await?;
        let label = strand.next_gate()?;
        if s.me() == strand.chunk().dealer {
            strand.send(from, label, 1, |out| out.extend_from_slice(&[0]))?;
        } else if from == (strand.chunk().dealer + 2) % 3 {
            strand.recv((from + 1) % 3, label, 1).await?;
        }
        Ok(n)
    }

    #[test]
    fn a_chunk_costs_what_it_costs_in_a_session() {
        let gate = async |strand: Strand<'_>| {
            let label = strand.next_gate()?;
            let (s, n) = (strand.session(), strand.chunk().len());
            strand.send(s.prev(), label, n, |out| out.resize(out.len() + n, 0))?;
            strand.recv(s.next(), label, n).await?;
            strand.draw(s.me(), label, crate::Purpose::Zero, 2 * n)?;
            Ok(n)
        };
        let real = simulate_seeded(mem(), 1, |s| {
            s.fan_out(3, gate).unwrap();
            s.cost()
        });
        let rehearsal = Rehearsal::new(&Arc::from(kernels::cpu()));
        let mut sum = [Cost::default(); 3];
        for dealer in 0..3 {
            let chunk = rehearsal.chunk(1, dealer, [0; 3], gate).unwrap();
            for (sum, party) in sum.iter_mut().zip(chunk) {
                assert_eq!(party.result, 1);
                sum.bytes += party.cost.bytes;
                sum.header_bytes += party.cost.header_bytes;
                sum.messages += party.cost.messages;
                sum.drawn += party.cost.drawn;
                sum.rounds = sum.rounds.max(party.cost.rounds);
            }
        }
        assert_eq!(real, sum);
    }

    #[test]
    fn logical_times_go_on_from_where_they_were() {
        let rehearsal = Rehearsal::new(&Arc::from(kernels::cpu()));
        let rounds = |clocks: [u64; 3]| {
            let parties = rehearsal.chunk(5, 0, clocks, gate);
            parties.map(|p| p.map(|p| p.cost.rounds))
        };
        assert_eq!(rounds([0, 0, 0]).unwrap(), [1, 2, 1]);
        assert_eq!(rounds([7, 2, 3]).unwrap(), [7, 8, 8]);
    }

    #[test]
    fn who_waits_in_vain_is_told() {
        let rehearsal = Rehearsal::new(&Arc::from(kernels::cpu()));
        let silent = async |strand: Strand<'_>| {
            let label = strand.next_gate()?;
            strand.recv(strand.session().next(), label, 1).await
        };
        let ended = rehearsal.chunk(1, 0, [0; 3], silent).map(|_| ());
        assert!(matches!(ended, Err(Error::Net(net::Error::Timeout { .. }))));
    }
}
