//! The queue of one process.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::ops::RangeInclusive;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::{Full, Question, Queue, Refusal, State, Ticket};

/// After what time one may ask again where too many wait.
const AGAIN: RangeInclusive<Duration> = Duration::from_millis(500)..=Duration::from_secs(30);

/// How many may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Of one client.
    pub client: usize,
    /// Altogether.
    pub all: usize,
}

/// The queue inside one process. Clients take turns: the next question is the oldest of the client that was served
/// longest ago.
#[derive(Debug)]
pub struct Local {
    bounds: Bounds,
    inner: Mutex<Inner>,
    arrived: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    waiting: VecDeque<Entry>,
    running: HashMap<Ticket, Running>,
    /// When each client was served last, counted in questions.
    served: HashMap<String, u64>,
    turns: u64,
    tickets: u64,
    /// How long questions took that were answered of late.
    usual: Duration,
    closed: bool,
}

#[derive(Debug)]
struct Entry {
    ticket: Ticket,
    question: Question,
    state: watch::Sender<State>,
}

#[derive(Debug)]
struct Running {
    state: watch::Sender<State>,
    since: Instant,
    deadline: Instant,
}

impl Local {
    /// An empty queue.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            inner: Mutex::default(),
            arrived: Condvar::new(),
        }
    }

    /// The state, also after a worker has panicked: nothing here is left half done.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Lets go of questions that nobody waits for or whose time is up.
    fn tidy(&mut self, now: Instant) {
        self.waiting.retain(|entry| {
            let late = entry.question.deadline <= now;
            if late {
                entry.state.send_replace(State::Over(Err(Refusal::Late)));
            }
            !late && !entry.state.is_closed()
        });
    }

    /// Tells everybody how many are before him, were they served in the order of arrival.
    fn tell(&self) {
        for (before, entry) in self.waiting.iter().enumerate() {
            entry.state.send_if_modified(|state| {
                let next = State::Waiting(before);
                let changed = *state != next;
                *state = next;
                changed
            });
        }
    }

    /// After what time there may be room: that of a question, about.
    fn again(&self) -> Duration {
        self.usual.clamp(*AGAIN.start(), *AGAIN.end())
    }

    /// The place in the queue of the question that is next.
    fn next(&self) -> Option<usize> {
        let turn = |(_, entry): &(usize, &Entry)| {
            let served = self.served.get(&entry.question.client).copied();
            (served.unwrap_or(0), entry.ticket)
        };
        self.waiting
            .iter()
            .enumerate()
            .min_by_key(turn)
            .map(|(at, _)| at)
    }
}

impl Queue for Local {
    fn put(&self, question: Question) -> Result<watch::Receiver<State>, Full> {
        let mut inner = self.lock();
        if inner.closed {
            return Err(Full::Stopping);
        }
        inner.tidy(Instant::now());
        let same = |entry: &&Entry| entry.question.client == question.client;
        if inner.waiting.iter().filter(same).count() >= self.bounds.client {
            let (most, again) = (self.bounds.client, inner.again());
            return Err(Full::Client { most, again });
        }
        if inner.waiting.len() >= self.bounds.all {
            let (most, again) = (self.bounds.all, inner.again());
            return Err(Full::All { most, again });
        }
        let (state, watched) = watch::channel(State::Waiting(inner.waiting.len()));
        inner.tickets += 1;
        let ticket = Ticket(inner.tickets);
        inner.waiting.push_back(Entry {
            ticket,
            question,
            state,
        });
        self.arrived.notify_one();
        Ok(watched)
    }

    fn take(&self, patience: Duration) -> Option<(Ticket, Question)> {
        let until = Instant::now() + patience;
        let mut inner = self.lock();
        loop {
            let now = Instant::now();
            inner.tidy(now);
            let entry = inner.next().and_then(|at| inner.waiting.remove(at));
            if let Some(entry) = entry {
                inner.turns += 1;
                let turn = inner.turns;
                inner.served.insert(entry.question.client.clone(), turn);
                let running = Running {
                    state: entry.state,
                    since: now,
                    deadline: entry.question.deadline,
                };
                inner.running.insert(entry.ticket, running);
                inner.tell();
                return Some((entry.ticket, entry.question));
            }
            if inner.closed || until <= now {
                return None;
            }
            let waited = self.arrived.wait_timeout(inner, until - now);
            inner = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn report(&self, ticket: Ticket, done: usize, all: usize) -> bool {
        let inner = self.lock();
        let Some(running) = inner.running.get(&ticket) else {
            return false;
        };
        running.state.send_replace(State::Working { done, all });
        !running.state.is_closed() && Instant::now() < running.deadline
    }

    fn finish(&self, ticket: Ticket, result: Result<Vec<u8>, Refusal>) {
        let now = Instant::now();
        let mut inner = self.lock();
        let Some(running) = inner.running.remove(&ticket) else {
            return;
        };
        if result.is_ok() {
            inner.usual = (3 * inner.usual + (now - running.since)) / 4;
        }
        drop(inner);
        let late = running.deadline <= now;
        let result = if late { Err(Refusal::Late) } else { result };
        running.state.send_replace(State::Over(result));
    }

    fn close(&self) {
        let mut inner = self.lock();
        inner.closed = true;
        for entry in inner.waiting.drain(..) {
            entry
                .state
                .send_replace(State::Over(Err(Refusal::Stopping)));
        }
        self.arrived.notify_all();
    }

    fn abandon(&self) {
        self.close();
        // A closed queue hands out no more, and what is not among the running is over for its worker.
        for (_, running) in self.lock().running.drain() {
            running
                .state
                .send_replace(State::Over(Err(Refusal::Stopping)));
        }
    }

    fn is_closed(&self) -> bool {
        self.lock().closed
    }
}
