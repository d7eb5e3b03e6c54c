//! Questions that wait for a worker, and what becomes of them.
//!
//! A queue between the calls and the workers: who asks puts a question and watches it, a worker takes it, reports and
//! finishes it. [`Local`] is the queue of one process; another one may hand questions to other machines, since all that
//! passes through is bytes and names.

use std::collections::{HashMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::key_store::KeyId;

/// What a client asks.
#[derive(Clone, PartialEq, Eq)]
pub struct Question {
    /// Who asks, by the name in the roster.
    pub client: String,
    /// Which model, by its name here.
    pub model: String,
    /// The evaluation key to compute with.
    pub key: KeyId,
    /// The encrypted input.
    pub ciphertext: Vec<u8>,
    /// When nobody waits for the answer any longer.
    pub deadline: Instant,
}

impl std::fmt::Debug for Question {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Question")
            .field("client", &self.client)
            .field("model", &self.model)
            .field("key", &self.key)
            .field("bytes", &self.ciphertext.len())
            .finish_non_exhaustive()
    }
}

/// How far a question is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// So many questions come before it.
    Waiting(usize),
    /// A worker has done so many of all bootstraps.
    Working {
        /// Done so far,
        done: usize,
        /// of this many.
        all: usize,
    },
    /// It is over: the encrypted result, or why there is none.
    Over(Result<Vec<u8>, Refusal>),
}

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The question itself is wrong.
    #[error("{0}")]
    Wrong(String),
    /// Its time was up before a worker had the answer.
    #[error("no answer within the time that was given")]
    Late,
    /// The service stops.
    #[error("the service is stopping; ask again later")]
    Stopping,
    /// The worker failed.
    #[error("the service failed; its operator finds the reason in the log")]
    Failed,
}

/// Why a question is not even queued.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// Too many of this client wait.
    #[error("{0} of your questions are waiting already, which is the most")]
    Client(usize),
    /// Too many wait altogether.
    #[error("{0} questions are waiting, which is the most; ask again later")]
    All(usize),
    /// The service stops.
    #[error("{}", Refusal::Stopping)]
    Stopping,
}

/// A question in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Where questions wait. Everything returns at once but [`take`](Self::take).
pub trait Queue: Send + Sync {
    /// Puts a question. Whoever lets go of the receiver no longer wants the answer.
    ///
    /// # Errors
    /// Too many are waiting.
    fn put(&self, question: Question) -> Result<watch::Receiver<State>, Full>;

    /// For a worker: the next question, once there is one; none if there is none for so long, or if the queue is closed.
    fn take(&self, patience: Duration) -> Option<(Ticket, Question)>;

    /// For a worker: how far it is. False if nobody waits for the answer any longer, or its time is up: then it stops.
    fn report(&self, ticket: Ticket, done: usize, all: usize) -> bool;

    /// For a worker: it is over.
    fn finish(&self, ticket: Ticket, result: Result<Vec<u8>, Refusal>);

    /// Takes no more questions, and ends those that wait.
    fn close(&self);

    /// Closes it and ends also what runs: who asked is told that the service stops, and workers stop at their next report.
    fn abandon(&self);

    /// Whether it was closed.
    fn is_closed(&self) -> bool;
}

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
            return Err(Full::Client(self.bounds.client));
        }
        if inner.waiting.len() >= self.bounds.all {
            return Err(Full::All(self.bounds.all));
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
        let Some(running) = self.lock().running.remove(&ticket) else {
            return;
        };
        let late = running.deadline <= Instant::now();
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

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(1);
    const BOUNDS: Bounds = Bounds { client: 2, all: 3 };

    fn question(client: &str, seconds: u64) -> Question {
        Question {
            client: client.into(),
            model: "digits".into(),
            key: KeyId([7; 32]),
            ciphertext: client.into(),
            deadline: Instant::now() + Duration::from_secs(seconds),
        }
    }

    /// Who is served next.
    fn next(queue: &Local) -> Option<String> {
        let (ticket, question) = queue.take(SOON)?;
        queue.finish(ticket, Ok(question.ciphertext));
        Some(question.client)
    }

    #[test]
    fn clients_take_turns_and_each_in_its_order() {
        let queue = Local::new(Bounds { client: 9, all: 9 });
        let order = ["a", "a", "a", "b", "c", "b"];
        let watched = order.map(|client| queue.put(question(client, 60)).unwrap());
        assert_eq!(*watched[3].borrow(), State::Waiting(3));
        let served: Vec<_> = std::iter::from_fn(|| next(&queue)).collect();
        assert_eq!(served, ["a", "b", "c", "a", "b", "a"]);
        for (client, watched) in order.iter().zip(&watched) {
            assert_eq!(*watched.borrow(), State::Over(Ok((*client).into())));
        }
    }

    #[test]
    fn no_more_wait_than_the_bounds_say() {
        let queue = Local::new(BOUNDS);
        let _a = queue.put(question("a", 60)).unwrap();
        let second = queue.put(question("a", 60)).unwrap();
        assert_eq!(queue.put(question("a", 60)).unwrap_err(), Full::Client(2));
        let _b = queue.put(question("b", 60)).unwrap();
        assert_eq!(queue.put(question("c", 60)).unwrap_err(), Full::All(3));
        // Who hangs up makes room.
        drop(second);
        let _c = queue.put(question("c", 60)).unwrap();
    }

    #[test]
    fn who_hangs_up_is_not_computed_for() {
        let queue = Local::new(BOUNDS);
        drop(queue.put(question("a", 60)).unwrap());
        let watched = queue.put(question("b", 60)).unwrap();
        let (ticket, taken) = queue.take(SOON).unwrap();
        assert_eq!(taken.client, "b");
        assert!(queue.report(ticket, 1, 4));
        assert_eq!(*watched.borrow(), State::Working { done: 1, all: 4 });
        drop(watched);
        assert!(!queue.report(ticket, 2, 4));
        queue.finish(ticket, Ok(Vec::new()));
        assert!(!queue.report(ticket, 3, 4), "it is over");
    }

    #[test]
    fn late_questions_are_told_so_waiting_or_running() {
        let queue = Local::new(BOUNDS);
        let late = queue.put(question("a", 0)).unwrap();
        assert!(queue.take(SOON).is_none());
        assert_eq!(*late.borrow(), State::Over(Err(Refusal::Late)));
        let mut soon = question("a", 60);
        soon.deadline = Instant::now() + Duration::from_millis(30);
        let running = queue.put(soon).unwrap();
        let (ticket, _) = queue.take(SOON).unwrap();
        std::thread::sleep(Duration::from_millis(40));
        assert!(!queue.report(ticket, 1, 2));
        queue.finish(ticket, Ok(vec![1]));
        assert_eq!(*running.borrow(), State::Over(Err(Refusal::Late)));
    }

    #[test]
    fn a_closed_queue_ends_what_waits_and_wakes_workers() {
        let queue = Local::new(BOUNDS);
        let waiting = queue.put(question("a", 60)).unwrap();
        std::thread::scope(|scope| {
            let (ticket, _) = queue.take(SOON).unwrap();
            let idle = scope.spawn(|| queue.take(Duration::from_secs(60)));
            queue.close();
            assert!(idle.join().unwrap().is_none());
            // What runs may end.
            queue.finish(ticket, Ok(vec![1]));
        });
        assert_eq!(*waiting.borrow(), State::Over(Ok(vec![1])));
        assert_eq!(queue.put(question("a", 60)).unwrap_err(), Full::Stopping);
        assert!(queue.is_closed());
    }

    #[test]
    fn an_abandoned_queue_ends_what_runs() {
        let queue = Local::new(BOUNDS);
        let running = queue.put(question("a", 60)).unwrap();
        let (ticket, _) = queue.take(SOON).unwrap();
        let waiting = queue.put(question("b", 60)).unwrap();
        queue.close();
        assert!(queue.report(ticket, 1, 4), "closed, but not abandoned");
        queue.abandon();
        assert!(!queue.report(ticket, 2, 4));
        queue.finish(ticket, Ok(vec![1]));
        for watched in [running, waiting] {
            assert_eq!(*watched.borrow(), State::Over(Err(Refusal::Stopping)));
        }
        assert!(queue.is_closed() && queue.take(SOON).is_none());
    }
}
