//! One chunk of a gate at all three parties, on this thread: what it costs is what it does.
//!
//! A gate is the same code for a chunk of a million values as for one of three, and what it sends depends on the length of its
//! chunk only (R12). So a protocol tells what a tensor will cost by running its gate for one chunk of each length, on zeros, under
//! keys that everybody knows.

use std::cell::Cell;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use crate::net::{self, Transport};
use crate::prss::Prss;
use crate::script::{Clock, Recorder, Script};
use crate::{Chunk, Cost, Error, Kernels, PartyId, Result, Session, Strand};

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
    clock: Option<Clock>,
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
            clock: None,
        }
    }

    /// From now on scripts tell how long steps take, by this clock.
    pub fn watch(&mut self, clock: Clock) {
        self.clock = Some(clock);
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
        let chunk = Chunk {
            index: 0,
            start: 0,
            end: len,
            dealer,
        };
        let mut before = [Cost::default(); 3];
        let mut bases = Vec::with_capacity(3);
        for (((_, s), clock), before) in self.parties.iter().zip(clocks).zip(&mut before) {
            s.begin_run()?;
            s.start_at(clock as u32);
            *before = s.cost();
            bases.push(s.begin_pass()?);
            *s.recorder.borrow_mut() = Some(Recorder::new(self.clock));
        }
        let mut running: Vec<Option<Pin<Box<dyn Future<Output = Result<T>> + '_>>>> = Vec::new();
        for ((_, s), &base) in self.parties.iter().zip(&bases) {
            running.push(Some(Box::pin(gate(s.strand(chunk, base)))));
        }
        let results: [Cell<Option<T>>; 3] = Default::default();
        let mut context = Context::from_waker(Waker::noop());
        while running.iter().any(Option::is_some) {
            let mut waits = [None; 3];
            for (p, (_, s)) in self.parties.iter().enumerate() {
                if let Some(gate) = &mut running[p] {
                    s.recorder
                        .borrow_mut()
                        .iter_mut()
                        .for_each(Recorder::resume);
                    let polled = gate.as_mut().poll(&mut context);
                    s.recorder.borrow_mut().iter_mut().for_each(Recorder::pause);
                    match polled {
                        Poll::Ready(result) => {
                            results[p].set(Some(result?));
                            running[p] = None;
                        }
                        Poll::Pending => waits[p] = s.blocked_on.take().map(|(peer, _)| peer),
                    }
                }
                s.flush()?;
            }
            let mut stuck = running.iter().any(Option::is_some);
            let mut missing = 0;
            for (p, (desk, s)) in self.parties.iter().enumerate() {
                if let Some(from) = waits[p] {
                    missing = from;
                    if desk.holds(from) {
                        s.pump(from, bases[p])?;
                        stuck = false;
                    }
                }
            }
            if stuck {
                return Err(Error::Net(net::Error::Timeout { peer: missing }));
            }
        }
        let mut rehearsed = Vec::with_capacity(3);
        for (p, (_, s)) in self.parties.iter().enumerate() {
            s.end_pass(bases[p])?;
            s.clock.set(s.clock.get().max(s.peak.get()));
            let (now, before) = (s.cost(), before[p]);
            let cost = Cost {
                rounds: now.rounds,
                ..now.since(&before)
            };
            let result = results[p]
                .take()
                .ok_or(Error::Exhausted { what: "results" })?;
            let script = s.recorder.take().map(Recorder::finish).unwrap_or_default();
            rehearsed.push(Rehearsed {
                result,
                cost,
                script,
            });
        }
        let three = <[Rehearsed<T>; 3]>::try_from(rehearsed);
        three.map_err(|_| Error::Exhausted { what: "results" })
    }
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
