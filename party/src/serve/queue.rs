//! Questions that have arrived and wait for their batch.

use std::collections::{HashMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tacit_protocols::rep3::Rep3;

use super::agree::{Fingerprints, Ticket};

/// What the queue takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Questions that may wait.
    pub(crate) questions: usize,
    /// Questions of one client that may wait.
    pub(crate) of_one_client: usize,
    /// How long a question waits before it is forgotten.
    pub(crate) patience: Duration,
}

/// A question at this party: its shares of every input, of `rows` rows.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) rows: usize,
    pub(crate) inputs: Vec<Rep3>,
    /// What the peers must hold too.
    pub(crate) fingerprints: Fingerprints,
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
    /// The number is in use.
    #[error("a question of this number waits already")]
    Twice,
    /// The service has ended.
    #[error("the service has ended")]
    Closed,
}

/// Waiting questions, in the order of their arrival.
pub(crate) struct Queue {
    limits: Limits,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    order: VecDeque<(Ticket, Instant)>,
    waiting: HashMap<Ticket, Question>,
    closed: bool,
}

impl Queue {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a question.
    pub(crate) fn put(&self, ticket: Ticket, question: Question) -> Result<(), Full> {
        let mut state = self.lock();
        if state.closed {
            return Err(Full::Closed);
        }
        if state.waiting.contains_key(&ticket) {
            return Err(Full::Twice);
        }
        if state.waiting.len() >= self.limits.questions {
            return Err(Full::Queue);
        }
        let same = |t: &&Ticket| t.client == ticket.client;
        if state.waiting.keys().filter(same).count() >= self.limits.of_one_client {
            return Err(Full::Client(self.limits.of_one_client));
        }
        state.order.push_back((ticket, Instant::now()));
        state.waiting.insert(ticket, question);
        self.changed.notify_all();
        Ok(())
    }

    /// The oldest questions with at most `rows` rows together (one at least, if there is any): waits up to `idle` for the
    /// first, then up to `gather` for more.
    pub(crate) fn next(&self, rows: usize, idle: Duration, gather: Duration) -> Vec<Ticket> {
        let state = self.lock();
        let (state, _) = self
            .changed
            .wait_timeout_while(state, idle, |s| s.order.is_empty() && !s.closed)
            .unwrap_or_else(PoisonError::into_inner);
        if state.order.is_empty() {
            return Vec::new();
        }
        let room = |s: &mut State| s.waiting.values().map(|q| q.rows).sum::<usize>() < rows;
        let (state, _) = self
            .changed
            .wait_timeout_while(state, gather, |s| room(s) && !s.closed)
            .unwrap_or_else(PoisonError::into_inner);
        let mut taken = 0;
        let fits = |ticket: &Ticket| {
            taken += state.waiting.get(ticket).map_or(0, |q| q.rows);
            taken <= rows
        };
        let tickets = state.order.iter().map(|&(ticket, _)| ticket);
        let first = tickets.clone().take(1);
        let batch: Vec<Ticket> = tickets.take(super::agree::MOST).take_while(fits).collect();
        if batch.is_empty() {
            first.collect()
        } else {
            batch
        }
    }

    /// Takes out what is here of these, waiting up to `grace` for the last of them.
    pub(crate) fn reserve(&self, tickets: &[Ticket], grace: Duration) -> HashMap<Ticket, Question> {
        let missing = |s: &mut State| !tickets.iter().all(|t| s.waiting.contains_key(t));
        let (mut state, _) = self
            .changed
            .wait_timeout_while(self.lock(), grace, |s| missing(s) && !s.closed)
            .unwrap_or_else(PoisonError::into_inner);
        let mut take = |t: &Ticket| Some((*t, state.waiting.remove(t)?));
        let here: HashMap<Ticket, Question> = tickets.iter().filter_map(&mut take).collect();
        state.order.retain(|(t, _)| !here.contains_key(t));
        here
    }

    /// Forgets what has waited for too long; what was forgotten.
    pub(crate) fn expire(&self) -> Vec<Ticket> {
        let mut state = self.lock();
        let old = |at: &Instant| at.elapsed() > self.limits.patience;
        let expired: Vec<Ticket> = state
            .order
            .iter()
            .filter(|(_, at)| old(at))
            .map(|&(ticket, _)| ticket)
            .collect();
        state.order.retain(|(_, at)| !old(at));
        expired.iter().for_each(|ticket| {
            state.waiting.remove(ticket);
        });
        expired
    }

    /// Forgets the questions of a client that has left.
    pub(crate) fn forget(&self, client: u16) {
        let mut state = self.lock();
        state.order.retain(|(ticket, _)| ticket.client != client);
        state.waiting.retain(|ticket, _| ticket.client != client);
    }

    /// Takes no more questions, and wakes whoever waits.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(patience: Duration) -> Queue {
        Queue::new(Limits {
            questions: 4,
            of_one_client: 2,
            patience,
        })
    }

    fn ticket(client: u16, number: u64) -> Ticket {
        Ticket { client, number }
    }

    fn question(rows: usize) -> Question {
        Question {
            rows,
            inputs: Vec::new(),
            fingerprints: [[0; 32]; 3],
        }
    }

    const NOW: Duration = Duration::ZERO;

    #[test]
    fn limits_hold_for_all_and_for_each() {
        let queue = queue(Duration::from_secs(60));
        let put = |client, number| queue.put(ticket(client, number), question(1));
        assert_eq!((put(1, 1), put(1, 2)), (Ok(()), Ok(())));
        assert_eq!(put(1, 2), Err(Full::Twice));
        assert_eq!(put(1, 3), Err(Full::Client(2)));
        assert_eq!((put(2, 1), put(3, 1)), (Ok(()), Ok(())));
        assert_eq!(put(4, 1), Err(Full::Queue));
        assert_eq!(queue.reserve(&[ticket(2, 1)], NOW).len(), 1);
        assert_eq!(queue.reserve(&[ticket(2, 1)], NOW).len(), 0);
        assert_eq!(put(4, 1), Ok(()));
        queue.forget(1);
        assert_eq!(queue.next(9, NOW, NOW), [ticket(3, 1), ticket(4, 1)]);
        queue.close();
        assert_eq!(put(5, 1), Err(Full::Closed));
    }

    #[test]
    fn a_batch_holds_the_oldest_that_fit_and_one_at_least() {
        let queue = queue(Duration::from_secs(60));
        assert!(queue.next(9, NOW, NOW).is_empty());
        for (client, rows) in [(1, 5), (2, 3), (3, 4)] {
            queue.put(ticket(client, 0), question(rows)).unwrap();
        }
        assert_eq!(queue.next(9, NOW, NOW), [ticket(1, 0), ticket(2, 0)]);
        assert_eq!(queue.next(4, NOW, NOW), [ticket(1, 0)]);
        let asked = [ticket(2, 0), ticket(9, 0)];
        assert!(queue.reserve(&asked, NOW).keys().eq([&ticket(2, 0)]));
    }

    #[test]
    fn whoever_waits_hears_of_an_arrival_and_old_questions_go() {
        let queue = queue(Duration::ZERO);
        std::thread::scope(|scope| {
            let asked = [ticket(1, 0)];
            let waiting = scope.spawn(|| queue.reserve(&[ticket(1, 0)], Duration::from_secs(30)));
            queue.put(asked[0], question(1)).unwrap();
            assert!(waiting.join().unwrap().contains_key(&asked[0]));
        });
        queue.put(ticket(1, 1), question(1)).unwrap();
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(queue.expire(), [ticket(1, 1)]);
        assert!(queue.next(9, NOW, NOW).is_empty());
    }
}
