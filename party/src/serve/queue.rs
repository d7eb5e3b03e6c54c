//! Questions that have arrived and wait for their batch, in a line for each client.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::agree::{MOST, Ticket};
use super::question::Question;

/// What the queue takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Questions that may wait.
    pub(crate) questions: usize,
    /// Their bytes.
    pub(crate) bytes: usize,
    /// Questions of one client that may wait, those among them that have not reached every party.
    pub(crate) of_one_client: usize,
    /// Their bytes.
    pub(crate) bytes_of_one_client: usize,
    /// How long a question may take to reach every party after its first part.
    pub(crate) parts: Duration,
    /// How long it waits after that before it is forgotten.
    pub(crate) patience: Duration,
}

/// Why a question is not taken. `Display` goes to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Full {
    /// The queue is full.
    #[error("too many questions wait here: ask again later")]
    Queue,
    /// This client has too many in it.
    #[error("{0} of your questions wait here, which is the limit: wait for their answers")]
    Client(usize),
    /// This client's questions take too much memory.
    #[error(
        "your questions that wait here have {0} bytes, which is the limit: wait for their answers"
    )]
    Bytes(usize),
    /// The number is in use.
    #[error("a question of this number waits already")]
    Twice,
    /// The service has ended.
    #[error("the service has ended")]
    Closed,
}

/// Why a question is forgotten. `Display` goes to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Late {
    /// Some party does not hold it.
    #[error("not all parties got this question in time: ask again")]
    Parts,
    /// All hold it, and it was not its turn.
    #[error("the parties did not get to this question in time: ask again")]
    Turn,
}

/// Waiting questions, each with who asked it.
pub(crate) struct Queue<A> {
    limits: Limits,
    state: Mutex<State<A>>,
    changed: Condvar,
}

struct Waiting<A> {
    question: Question,
    asker: A,
    /// When it came, and how many had come by then.
    came: Instant,
    arrival: u64,
    /// When it was first known that all parties hold it.
    whole: Option<Instant>,
    /// Whether all held it when the leader asked last.
    complete: bool,
}

struct State<A> {
    waiting: HashMap<Ticket, Waiting<A>>,
    /// The numbers of each client's questions, oldest first.
    lines: BTreeMap<u16, VecDeque<u64>>,
    bytes: usize,
    /// Questions that have come so far, and how many of them had when the leader listed them last.
    arrived: u64,
    listed: u64,
    /// The client whose turn it is to be first in a batch, or else the next after it.
    turn: u16,
    closed: bool,
}

impl<A> State<A> {
    fn remove(&mut self, ticket: Ticket) -> Option<(Question, A)> {
        let Waiting {
            question, asker, ..
        } = self.waiting.remove(&ticket)?;
        self.bytes -= question.bytes();
        if let Some(line) = self.lines.get_mut(&ticket.client) {
            line.retain(|&number| number != ticket.number);
            if line.is_empty() {
                self.lines.remove(&ticket.client);
            }
        }
        Some((question, asker))
    }

    fn tickets(&self) -> impl Iterator<Item = Ticket> {
        let of = |(&client, line): (&u16, &VecDeque<u64>)| {
            let numbers: Vec<u64> = line.iter().copied().collect();
            numbers
                .into_iter()
                .map(move |number| Ticket { client, number })
        };
        self.lines
            .iter()
            .flat_map(of)
            .collect::<Vec<_>>()
            .into_iter()
    }
}

impl<A> Queue<A> {
    pub(crate) fn new(limits: Limits) -> Self {
        let state = State {
            waiting: HashMap::new(),
            lines: BTreeMap::new(),
            bytes: 0,
            arrived: 0,
            listed: 0,
            turn: 0,
            closed: false,
        };
        Self {
            limits,
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<A>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'s>(
        &self,
        state: MutexGuard<'s, State<A>>,
        at_most: Duration,
        condition: impl Fn(&State<A>) -> bool,
    ) -> MutexGuard<'s, State<A>> {
        self.changed
            .wait_timeout_while(state, at_most, |s| !s.closed && condition(s))
            .unwrap_or_else(PoisonError::into_inner)
            .0
    }

    /// Takes the question that `make` makes, of `bytes`; it is made only where there is room for it, and nobody waits for it
    /// meanwhile.
    pub(crate) fn admit(
        &self,
        ticket: Ticket,
        bytes: usize,
        make: impl FnOnce() -> Question,
        asker: A,
    ) -> Result<(), Full> {
        self.room(&self.lock(), ticket, bytes)?;
        self.put(ticket, make(), asker)
    }

    /// Whether a question would be taken.
    fn room(&self, state: &State<A>, ticket: Ticket, bytes: usize) -> Result<(), Full> {
        let limits = &self.limits;
        if state.closed {
            return Err(Full::Closed);
        }
        if state.waiting.contains_key(&ticket) {
            return Err(Full::Twice);
        }
        let own = state.lines.get(&ticket.client);
        if own.map_or(0, VecDeque::len) >= limits.of_one_client {
            return Err(Full::Client(limits.of_one_client));
        }
        let held = |number: &u64| {
            let ticket = Ticket {
                number: *number,
                ..ticket
            };
            state.waiting.get(&ticket).map_or(0, |w| w.question.bytes())
        };
        let own: usize = own.map_or(0, |line| line.iter().map(held).sum());
        if own + bytes > limits.bytes_of_one_client {
            return Err(Full::Bytes(limits.bytes_of_one_client));
        }
        if state.waiting.len() >= limits.questions || state.bytes + bytes > limits.bytes {
            return Err(Full::Queue);
        }
        Ok(())
    }

    /// Takes a question.
    pub(crate) fn put(&self, ticket: Ticket, question: Question, asker: A) -> Result<(), Full> {
        let bytes = question.bytes();
        let mut state = self.lock();
        self.room(&state, ticket, bytes)?;
        state.bytes += bytes;
        state.arrived += 1;
        let line = state.lines.entry(ticket.client).or_default();
        line.push_back(ticket.number);
        let waiting = Waiting {
            question,
            asker,
            came: Instant::now(),
            arrival: state.arrived,
            whole: None,
            complete: false,
        };
        state.waiting.insert(ticket, waiting);
        self.changed.notify_all();
        Ok(())
    }

    /// What waits here, for the leader to ask who else holds it: waits up to `idle` for anything, up to `pause` for something
    /// new where nothing of it can be run, then up to `gather` until what may be run has `rows` rows: what all parties held
    /// when the leader asked last, and what is new.
    pub(crate) fn list(
        &self,
        rows: usize,
        idle: Duration,
        pause: Duration,
        gather: Duration,
    ) -> Vec<Ticket> {
        let state = self.wait(self.lock(), idle, |s| s.waiting.is_empty());
        let nothing_new =
            |s: &State<A>| s.arrived == s.listed && !s.waiting.values().any(|w| w.complete);
        let state = if nothing_new(&state) {
            self.wait(state, pause, nothing_new)
        } else {
            state
        };
        let mut state = if state.waiting.is_empty() {
            state
        } else {
            let hopeful = |s: &State<A>, w: &Waiting<A>| w.complete || w.arrival > s.listed;
            let room = |s: &State<A>| {
                let of = s.waiting.values().filter(|w| hopeful(s, w));
                of.map(|w| w.question.rows).sum::<usize>() < rows
            };
            self.wait(state, gather, room)
        };
        state.listed = state.arrived;
        state.tickets().take(MOST).collect()
    }

    /// Which of these are here. Where none of them is, waits up to `pause` for one.
    pub(crate) fn held(&self, tickets: &[Ticket], pause: Duration) -> Vec<bool> {
        let none = |s: &State<A>| !tickets.iter().any(|t| s.waiting.contains_key(t));
        let pause = if tickets.is_empty() {
            Duration::ZERO
        } else {
            pause
        };
        let state = self.wait(self.lock(), pause, none);
        let here = tickets.iter().map(|t| state.waiting.contains_key(t));
        here.collect()
    }

    /// Which of the questions that the leader listed all parties hold now. One that they held before may be gone somewhere.
    pub(crate) fn mark(&self, tickets: impl IntoIterator<Item = (Ticket, bool)>) {
        let mut state = self.lock();
        for (ticket, complete) in tickets {
            if let Some(waiting) = state.waiting.get_mut(&ticket) {
                waiting.complete = complete;
                if complete {
                    // Only once: it must not wait longer for going and coming at one party.
                    waiting.whole.get_or_insert_with(Instant::now);
                }
            }
        }
    }

    /// The next batch of these questions, of at most `rows` rows, or one question: the clients take turns, each with its
    /// oldest, and every client comes to be the first.
    pub(crate) fn choose(&self, tickets: &[Ticket], rows: usize) -> Vec<Ticket> {
        let tickets: HashSet<&Ticket> = tickets.iter().collect();
        let mut state = self.lock();
        let turn = state.turn;
        let all = state.tickets().filter(|t| tickets.contains(t));
        let mut lines: BTreeMap<(bool, u16), VecDeque<Ticket>> = BTreeMap::new();
        for ticket in all {
            // Those before the turn come last.
            let place = (ticket.client < turn, ticket.client);
            lines.entry(place).or_default().push_back(ticket);
        }
        let (mut batch, mut taken) = (Vec::new(), 0);
        while !lines.is_empty() && batch.len() < MOST {
            for line in lines.values_mut() {
                let Some(ticket) = line.pop_front() else {
                    continue;
                };
                let more = state.waiting.get(&ticket).map_or(0, |w| w.question.rows);
                if batch.is_empty() || taken + more <= rows {
                    taken += more;
                    batch.push(ticket);
                } else {
                    line.clear(); // a client's questions keep their order
                }
            }
            lines.retain(|_, line| !line.is_empty());
        }
        batch.truncate(MOST);
        if let Some(first) = batch.first() {
            state.turn = first.client.wrapping_add(1);
        }
        batch
    }

    /// Takes out what is here of these.
    pub(crate) fn reserve(&self, tickets: &[Ticket]) -> HashMap<Ticket, (Question, A)> {
        let mut state = self.lock();
        let take = |&ticket: &Ticket| Some((ticket, state.remove(ticket)?));
        tickets.iter().filter_map(take).collect()
    }

    /// Forgets what has waited for too long, and says why.
    pub(crate) fn expire(&self) -> Vec<(Ticket, A, Late)> {
        let mut state = self.lock();
        let late = |waiting: &Waiting<A>| {
            let (since, limit) = match waiting.whole {
                Some(at) => (at, self.limits.patience),
                None => (waiting.came, self.limits.parts),
            };
            let late = if waiting.complete {
                Late::Turn
            } else {
                Late::Parts
            };
            (since.elapsed() > limit).then_some(late)
        };
        let expired: Vec<(Ticket, Late)> = state
            .waiting
            .iter()
            .filter_map(|(&ticket, waiting)| Some((ticket, late(waiting)?)))
            .collect();
        let forget = |(ticket, late)| Some((ticket, state.remove(ticket)?.1, late));
        expired.into_iter().filter_map(forget).collect()
    }

    /// Forgets the questions of those that have left.
    pub(crate) fn forget(&self, left: impl Fn(&A) -> bool) {
        let mut state = self.lock();
        let gone: Vec<Ticket> = state
            .waiting
            .iter()
            .filter(|(_, waiting)| left(&waiting.asker))
            .map(|(&ticket, _)| ticket)
            .collect();
        for ticket in gone {
            state.remove(ticket);
        }
    }

    /// Takes no more questions, and wakes whoever waits.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests;
