//! Questions that wait for a worker, and what becomes of them.
//!
//! A queue between the calls and the workers: who asks puts a question and watches it, a worker takes it, reports and
//! finishes it. [`Local`] is the queue of one process; another one may hand questions to other machines, since all that
//! passes through is bytes and names.

mod local;

use std::time::{Duration, Instant};

pub use local::{Bounds, Local};

use tokio::sync::watch;

use super::key_store::KeyId;

/// What a client asks.
#[derive(Clone, PartialEq, Eq)]
pub struct Question {
    /// Who asks, by the name in the roster.
    pub client: String,
    /// Which model, by its name here.
    pub model: String,
    /// The evaluation key to compute with, if the model needs one.
    pub key: Option<KeyId>,
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
    /// Its evaluation key is not here, or no longer: the client may send it and ask again.
    #[error("{0}")]
    Key(String),
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
    #[error("{most} of your questions are waiting already, which is the most; ask again later")]
    Client {
        /// How many may wait,
        most: usize,
        /// and when there may be room again.
        again: Duration,
    },
    /// Too many wait altogether.
    #[error("{most} questions are waiting, which is the most; ask again later")]
    All {
        /// How many may wait,
        most: usize,
        /// and when there may be room again.
        again: Duration,
    },
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
