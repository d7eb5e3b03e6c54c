//! Inference as a service over shares: three parties hold a model, clients share questions to them and alone get the answers.
//!
//! Each party takes the calls of clients on its own port; a client connects to all three and sends each its part of a
//! question ([`wire`]). Questions wait in a queue; the parties agree on a batch (`agree.rs`) and run the model on all its rows
//! at once, in one session with one set of keys, whose shares of the weights are made once. Each party's words of an answer are re-randomised (requirement
//! R15) and go to the client who asked, which adds them up.
//!
//! A party sees who asks, when, and how many rows; nothing of what is asked or answered. A client sees the answer, and what
//! any user of the model could learn from it. Shares that do not fit together are refused before they are computed on.

mod agree;
pub mod ask;
mod callers;
mod model;
mod queue;
#[cfg(test)]
mod tests;
pub mod wire;

use std::collections::HashMap;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tacit_mpc::keys::{self, Binding};
use tacit_mpc::net::Transport;
use tacit_mpc::{PartyId, Session, kernels};
use tacit_protocols::rep3::Rep3Engine;

use crate::net::{Connector, SessionId};
use agree::{Proposal, Ticket, agree};
use callers::Callers;
pub use model::{Held, ModelError, Served};
use queue::{Limits, Question, Queue};

/// A service failed here.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A link, a peer or the protocol failed.
    #[error(transparent)]
    Protocol(#[from] tacit_mpc::Error),
    /// The engine cannot run the model.
    #[error(transparent)]
    Engine(#[from] tacit_nn::Error),
    /// The model cannot be served.
    #[error(transparent)]
    Model(#[from] ModelError),
}

impl ServeError {
    /// The party to blame, where there is one.
    pub(crate) fn culprit(&self) -> Option<PartyId> {
        match self {
            Self::Protocol(error) => error.culprit(),
            Self::Engine(tacit_nn::Error::Protocol(error)) => error
                .downcast_ref::<tacit_mpc::Error>()
                .and_then(tacit_mpc::Error::culprit),
            Self::Engine(_) | Self::Model(_) => None,
        }
    }
}

/// What a service offers, to whom and how long: the same at all three parties.
#[derive(Debug, Clone, PartialEq)]
pub struct Terms {
    /// The members that may ask.
    pub clients: Vec<String>,
    /// Fractional bits of shared numbers.
    pub fraction_bits: u32,
    /// Rows of a batch at most, and of a question.
    pub max_rows: usize,
    /// How long a batch waits for more questions after its first.
    pub gather: Duration,
    /// How long the service runs.
    pub duration: Duration,
}

/// What the queue of a service takes besides.
const WAITING: usize = 1024;
const OF_ONE_CLIENT: usize = 64;
/// A question that has not been answered after this long is refused.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long parties wait for the parts of a question that has reached the leader.
const GRACE: Duration = Duration::from_secs(1);
/// How often an idle service shows that it is alive; below half of any link's deadline.
const ALIVE: Duration = Duration::from_secs(1);
/// How long a client may be silent.
const SILENCE: Duration = Duration::from_secs(3600);

/// What has been done so far, from time to time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Questions answered.
    pub questions: u64,
    /// Their rows.
    pub rows: u64,
    /// Batches run.
    pub batches: u64,
    /// Rounds of communication.
    pub rounds: u64,
}

impl Tally {
    /// What the recipient of a service gets: party 0's words are the numbers, the others' are zeros.
    pub(crate) fn words(&self, me: PartyId) -> Vec<u64> {
        let words = [self.questions, self.rows, self.batches];
        words.map(|w| if me == 0 { w } else { 0 }).to_vec()
    }
}

/// A party's part in a service, over links that are already there.
pub(crate) struct Service<'a> {
    pub(crate) connector: &'a Connector,
    /// What clients call for.
    pub(crate) session: SessionId,
    pub(crate) binding: &'a Binding,
    pub(crate) terms: &'a Terms,
}

impl Service<'_> {
    /// Serves until the time is over or a link is cut.
    pub(crate) fn run(
        &self,
        net: &Arc<dyn Transport>,
        mut served: Served,
        observer: &mut dyn FnMut(Tally),
    ) -> Result<Tally, ServeError> {
        let agreed = keys::agree(&**net, self.binding)?;
        let session = Session::new(net.clone(), agreed, Arc::from(kernels::cpu()));
        let mut engine = Rep3Engine::new(session, self.terms.fraction_bits)?;
        served.share_weights(&mut engine)?;
        let greeting = served.greeting(self.terms);
        let queue = Queue::new(Limits {
            questions: WAITING,
            of_one_client: OF_ONE_CLIENT,
            patience: PATIENCE,
        });
        let callers = Callers::new(
            net.me(),
            self.connector,
            self.session,
            &self.terms.clients,
            &greeting,
            &queue,
            SILENCE,
        );
        thread::scope(|scope| {
            scope.spawn(|| callers.take_calls(scope));
            let result = self.answer(&mut engine, &mut served, &queue, &callers, observer);
            callers.end();
            result
        })
    }

    /// Batch after batch.
    fn answer(
        &self,
        engine: &mut Rep3Engine,
        served: &mut Served,
        queue: &Queue,
        callers: &Callers<'_>,
        observer: &mut dyn FnMut(Tally),
    ) -> Result<Tally, ServeError> {
        let end = Instant::now() + self.terms.duration;
        let leads = engine.session().me() == 0;
        let most = served.most_rows(self.terms);
        let mut tally = Tally::default();
        loop {
            for ticket in queue.expire() {
                let reason = "the parties did not get to this question in time: ask again";
                callers.tell(ticket.client, ticket.number, Err(reason.into()));
            }
            let proposal = leads.then(|| {
                if Instant::now() >= end {
                    Proposal::End
                } else {
                    Proposal::Batch(queue.next(most, ALIVE, self.terms.gather))
                }
            });
            let mut reserved: HashMap<Ticket, Question> = HashMap::new();
            let chosen = agree(engine.session(), proposal.as_ref(), &mut |tickets| {
                reserved = queue.reserve(tickets, GRACE);
                let fingerprints =
                    |(ticket, question): (&Ticket, &Question)| (*ticket, question.fingerprints);
                reserved.iter().map(fingerprints).collect()
            })?;
            let Some(chosen) = chosen else {
                return Ok(tally);
            };
            let batch: Vec<(Ticket, Question)> = chosen
                .into_iter()
                .filter_map(|ticket| Some((ticket, reserved.remove(&ticket)?)))
                .collect();
            for ticket in reserved.into_keys() {
                let reason = "the parties did not get shares of this question that fit together";
                callers.tell(ticket.client, ticket.number, Err(reason.into()));
            }
            if batch.is_empty() {
                continue;
            }
            let answers = served.answer(engine, batch.iter().map(|(_, question)| question))?;
            for ((ticket, question), words) in batch.iter().zip(answers) {
                callers.tell(ticket.client, ticket.number, Ok(words));
                tally.questions += 1;
                tally.rows += question.rows as u64;
            }
            tally.batches += 1;
            tally.rounds = engine.session().cost().rounds;
            observer(tally);
        }
    }
}
