//! Inference as a service over shares: three parties hold a model, clients share questions to them and alone get the answers.
//!
//! Each party takes the calls of clients on its own port; a client connects to all three and sends each its part of a
//! question ([`wire`]). Questions wait in a queue as they came; the parties agree on a batch of those that all of them hold
//! (`agree.rs`), put its inputs into their public bounds, and run the model on all its rows at once, in one session whose
//! shares of the weights are made once. Nothing that a client does or leaves makes the session wait. Each party's words of an answer are re-randomised (requirement
//! R15) and go to the client who asked, which adds them up.
//!
//! A party sees who asks, when, and how many rows; nothing of what is asked or answered. A client sees the answer, and what
//! any user of the model could learn from it. Shares that do not fit together are refused before they are computed on.

mod agree;
pub mod ask;
mod callers;
pub mod inputs;
mod model;
mod model_error;
mod question;
mod queue;
mod rehearse;
mod structure;
#[cfg(test)]
mod tests;
pub mod wire;

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tacit_api::job::{Protocol, ProtocolSpec};
use tacit_mpc::kernels::Resident;
use tacit_mpc::keys::{self, Binding};
use tacit_mpc::net::Transport;
use tacit_mpc::{Kernels, PartyId, Session, prss};
use tacit_protocols::malicious::{Failures, MaliciousEngine};
use tacit_protocols::release::Copies;
use tacit_protocols::rep3::Rep3Engine;
use tacit_protocols::{Release, Replicated};

use crate::link_speed;
use crate::net::{Caller, Connector, SessionId};
use agree::{Mark, Opened, Opening, Ticket};
use callers::{Callers, Leave, Patience};
pub(crate) use inputs::bounds_of;
pub use model::{Held, Served};
pub use model_error::ModelError;
use question::{Question, message_len};
use queue::{Limits, Queue};

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
    /// Another party has other graphs, or other terms.
    #[error(
        "party {peer} and this one would serve different things: the owner's file and the skeleton in the job do not go \
         together for some number of rows, or our programs are of different versions"
    )]
    Structure {
        /// Which.
        peer: PartyId,
    },
    /// There is no thread to take calls of clients.
    #[error("no thread takes calls of clients: {0}")]
    Thread(std::io::Error),
}

impl ServeError {
    /// The party to blame, where there is one.
    pub(crate) fn culprit(&self) -> Option<PartyId> {
        self.protocol().and_then(tacit_mpc::Error::culprit)
    }

    /// What was checked and who is suspected, where somebody cheated.
    pub(crate) fn cheating(&self) -> Option<(&str, &[PartyId])> {
        match self.protocol()? {
            tacit_mpc::Error::CheckFailed { what, suspects, .. } => Some((what, suspects)),
            _ => None,
        }
    }

    /// The error of the protocol, where it is one.
    pub(crate) fn protocol(&self) -> Option<&tacit_mpc::Error> {
        match self {
            Self::Protocol(error) => Some(error),
            Self::Engine(tacit_nn::Error::Protocol(error)) => error.downcast_ref(),
            Self::Engine(_) | Self::Model(_) | Self::Structure { .. } | Self::Thread(_) => None,
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
    /// How the parties compute.
    pub protocol: ProtocolSpec,
    /// Rows of a batch at most, and of a question.
    pub max_rows: usize,
    /// How long a batch waits for more questions after its first.
    pub gather: Duration,
    /// How long the service runs.
    pub duration: Duration,
    /// The least and the greatest number of each input, in its order; none for ±65536 each. What a client shares beyond
    /// counts as the bound.
    pub bounds: Vec<(f64, f64)>,
}

/// What the queue of a service takes besides: questions, and bytes of them.
const WAITING: usize = agree::MOST;
const BYTES: usize = 1 << 30;
/// What it takes of one client at most: less where that would let some fill it for all, and bytes of at least two of the longest
/// questions.
const OF_ONE_CLIENT: usize = 16;
/// A question that has not reached all parties after this long is refused.
const PARTS: Duration = Duration::from_secs(60);
/// And one that all hold and that has not been answered after this long.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the leader and the others pause at most while no question is held by all of them.
const PAUSE: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(20));
/// How often an idle service shows that it is alive; with the pauses below half of any link's deadline
/// ([`longest_silence`]).
const ALIVE: Duration = Duration::from_secs(1);

/// How long a party may be silent in a service that waits `gather` for more questions.
pub(crate) fn longest_silence(gather: Duration) -> Duration {
    ALIVE + PAUSE.0 + PAUSE.1 + gather
}
/// How long a client may be silent.
const SILENCE: Duration = Duration::from_secs(3600);
/// How long a client's machine may read nothing of its answers; on the whole it reads [`crate::net::RATE`] bytes a second.
const WRITE: Duration = Duration::from_secs(20);

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
    /// Renewals of the keys.
    pub renewals: u32,
}

impl Tally {
    /// What the recipient of a service gets: a sharing of what all parties know.
    pub(crate) fn words(&self, me: PartyId, protocol: Protocol) -> Vec<u64> {
        let copies = (protocol == Protocol::Rep3Malicious).then(Copies::default);
        let mut release = Release {
            own: Vec::new(),
            copies,
        };
        release.push_public(me, &[self.questions, self.rows, self.batches]);
        release.words(me)
    }
}

/// A party's part in a service, over links that are already there.
pub(crate) struct Service<'a> {
    pub(crate) connector: &'a Connector,
    /// What clients call for.
    pub(crate) session: SessionId,
    pub(crate) binding: &'a Binding,
    pub(crate) terms: &'a Terms,
    /// What keys give before they must have been renewed.
    pub(crate) keys: KeyLimits,
    /// What computes local products.
    pub(crate) kernels: &'a Arc<dyn Kernels>,
    /// Sessions of this party that ended in a failed proof.
    pub(crate) failures: &'a Failures,
}

/// What keys give before they must have been renewed. Half of it must be more than a batch takes ([`ModelError::Keys`]): they are
/// renewed when half is used, before the next batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeyLimits {
    /// Blocks of each.
    pub(crate) blocks: u64,
    /// Runs under them.
    pub(crate) runs: u32,
}

/// What they give unless somebody wants less.
pub(crate) const KEY_LIMITS: KeyLimits = KeyLimits {
    blocks: prss::MAX_BLOCKS,
    runs: u32::MAX,
};

impl Service<'_> {
    /// Serves until the time is over or a link is cut.
    pub(crate) fn run(
        &self,
        net: &Arc<dyn Transport>,
        served: Served,
        observer: &mut dyn FnMut(Tally),
    ) -> Result<Tally, ServeError> {
        let mut agreed = keys::agree(&**net, self.binding)?;
        agreed.limit(self.keys.blocks);
        let mut session = Session::new(net.clone(), agreed, Arc::clone(self.kernels));
        session.limit_runs(self.keys.runs);
        let (protocol, f) = (self.terms.protocol, self.terms.fraction_bits);
        match protocol.name {
            Protocol::Rep3 => {
                let comparison = link_speed::comparison(&**net, protocol.comparison)?;
                let engine = Rep3Engine::with_depth(session, f, comparison)?;
                self.run_by(engine, served, observer)
            }
            Protocol::Rep3Malicious => {
                let mut engine = MaliciousEngine::new(session, f)?;
                engine.count_failures(self.failures);
                if let Some(mib) = protocol.verify_every_mib {
                    engine.verify_every(usize::from(mib) << 20);
                }
                self.run_by(engine, served, observer)
            }
        }
    }

    fn run_by<E: Replicated>(
        &self,
        mut engine: E,
        mut served: Served,
        observer: &mut dyn FnMut(Tally),
    ) -> Result<Tally, ServeError> {
        let me = engine.session().me();
        let weights = served.share_weights(&mut engine, self.terms)?;
        let _at_hand = self.hold(&engine, &weights)?;
        let greeting = served.greeting(self.terms);
        let longest = message_len(me, greeting.max_rows, &greeting.inputs) + 1024;
        let queue = Queue::new(Limits {
            questions: WAITING,
            bytes: BYTES,
            of_one_client: OF_ONE_CLIENT
                .min(WAITING / self.terms.clients.len().max(1))
                .max(1),
            bytes_of_one_client: (BYTES / self.terms.clients.len().max(1)).max(2 * longest),
            parts: PARTS,
            patience: PATIENCE,
        });
        let callers = Callers::new(
            me,
            self.connector,
            self.session,
            &self.terms.clients,
            &greeting,
            &queue,
            Patience {
                silence: SILENCE,
                write: WRITE,
            },
        );
        thread::scope(|scope| {
            let _leave = Leave(&callers);
            let calls = thread::Builder::new().name("calls of clients".into());
            let take_calls = || callers.take_calls(scope);
            calls
                .spawn_scoped(scope, take_calls)
                .map_err(ServeError::Thread)?;
            let mut model = (&mut served, &weights[..]);
            self.answer(&mut engine, &mut model, &queue, &callers, observer)
        })
    }

    /// The weights stay the same as long as the service runs, and stay where products are computed.
    fn hold<'k, E: Replicated>(
        &'k self,
        engine: &E,
        weights: &'k [E::Value],
    ) -> Result<Vec<Resident<'k>>, ServeError> {
        let mut shares = Vec::new();
        for weight in weights {
            shares.extend(engine.hold(&**self.kernels, weight)?);
        }
        let held = shares.iter().filter(|share| share.is_held()).count();
        if held > 0 {
            let all = shares.len();
            tracing::info!("of {all} shares of weights and biases, {held} stay on the device");
        }
        Ok(shares)
    }

    /// Batch after batch.
    fn answer<E: Replicated>(
        &self,
        engine: &mut E,
        (served, weights): &mut (&mut Served, &[E::Value]),
        queue: &Queue<Arc<Caller>>,
        callers: &Callers<'_>,
        observer: &mut dyn FnMut(Tally),
    ) -> Result<Tally, ServeError> {
        let end = Instant::now() + self.terms.duration;
        let leads = engine.session().me() == 0;
        let most = served.most_rows();
        let mut tally = Tally::default();
        let mut renew = false;
        loop {
            for (ticket, caller, late) in queue.expire() {
                callers.tell(&caller, ticket.number, Err(late.to_string()));
            }
            let opening = leads.then(|| {
                if Instant::now() >= end {
                    Opening::End
                } else if renew {
                    Opening::Renew
                } else {
                    Opening::Batch(queue.list(most, ALIVE, PAUSE.0, self.terms.gather))
                }
            });
            let mut held = |tickets: &[Ticket]| queue.held(tickets, PAUSE.1);
            let wanted = engine.session().wants_new_keys();
            let Opened {
                opening,
                common,
                renew: anybody,
            } = agree::open(engine.session(), opening, &mut held, wanted)?;
            let next = match opening {
                Opening::Batch(tickets) => {
                    renew = anybody;
                    // No batch is begun on keys of which half is used: the rest may not be enough for it.
                    let most = if renew { 0 } else { most };
                    let common = leads.then_some(&common);
                    Opening::Batch(self.choose(engine.session(), queue, &tickets, common, most)?)
                }
                other => {
                    engine.session().begin_run()?; // as if there had been a list
                    other
                }
            };
            if self.terms.protocol.name == Protocol::Rep3Malicious {
                agree::same(engine.session(), &next)?;
            }
            let tickets = match next {
                Opening::Batch(tickets) => tickets,
                Opening::End => return Ok(tally),
                Opening::Renew => {
                    engine.renew_keys(self.binding)?;
                    tally.renewals += 1;
                    renew = false;
                    continue;
                }
            };
            let batch = self.reserve(engine.session(), queue, callers, &tickets)?;
            if batch.is_empty() {
                continue;
            }
            let questions: Vec<&Question> = batch.iter().map(|(_, q, _)| q).collect();
            let answers = served.answer(engine, weights, &questions);
            if let Err(error) = &answers {
                let reason = format!("the service ends without an answer: {error}");
                for (ticket, _, caller) in &batch {
                    callers.tell(caller, ticket.number, Err(reason.clone()));
                }
            }
            let answers = answers?;
            for ((ticket, question, caller), answer) in batch.iter().zip(answers) {
                if answer.is_ok() {
                    tally.questions += 1;
                    tally.rows += question.rows as u64;
                }
                callers.tell(caller, ticket.number, answer);
            }
            tally.batches += 1;
            tally.rounds = engine.session().cost().rounds;
            observer(tally);
        }
    }

    /// The batch that the leader chooses of the questions that it listed: it knows which all parties hold. None where `most`
    /// is 0.
    fn choose(
        &self,
        session: &Session,
        queue: &Queue<Arc<Caller>>,
        tickets: &[Ticket],
        common: Option<&Vec<bool>>,
        most: usize,
    ) -> Result<Vec<Ticket>, ServeError> {
        if tickets.is_empty() {
            session.begin_run()?; // as if there had been marks: who was told another list is at the same place in the program
            return Ok(Vec::new());
        }
        let marks = common.map(|common| {
            let complete = tickets.iter().zip(common).filter(|&(_, &all)| all);
            let complete: Vec<Ticket> = complete.map(|(&ticket, _)| ticket).collect();
            let chosen = match most {
                0 => Vec::new(),
                _ => queue.choose(&complete, most),
            };
            let mark = |(ticket, &all): (&Ticket, &bool)| match all {
                true if chosen.contains(ticket) => Mark::Chosen,
                true => Mark::Complete,
                false => Mark::Partial,
            };
            tickets.iter().zip(common).map(mark).collect::<Vec<_>>()
        });
        let marks = agree::mark(session, marks.as_deref(), tickets.len())?;
        let marked = tickets.iter().zip(&marks);
        let complete = |(&ticket, &mark): (&Ticket, &Mark)| (ticket, mark != Mark::Partial);
        queue.mark(marked.clone().map(complete));
        let chosen = marked.filter(|&(_, &m)| m == Mark::Chosen);
        Ok(chosen.map(|(&ticket, _)| ticket).collect())
    }

    /// Takes the chosen questions out of the queue, and keeps those whose shares fit together at all parties.
    fn reserve(
        &self,
        session: &Session,
        queue: &Queue<Arc<Caller>>,
        callers: &Callers<'_>,
        tickets: &[Ticket],
    ) -> Result<Vec<(Ticket, Question, Arc<Caller>)>, ServeError> {
        if tickets.is_empty() {
            return Ok(Vec::new());
        }
        let mut reserved = queue.reserve(tickets);
        let fingerprints = reserved.iter().map(|(t, (q, _))| (*t, q.fingerprints));
        let confirmed = agree::confirm(session, tickets, &fingerprints.collect())?;
        if self.terms.protocol.name == Protocol::Rep3Malicious {
            agree::same(session, &Opening::Batch(confirmed.fit.clone()))?;
        }
        let batch = confirmed.fit.into_iter().filter_map(|ticket| {
            let (question, caller) = reserved.remove(&ticket)?;
            Some((ticket, question, caller))
        });
        let batch: Vec<_> = batch.collect();
        for (ticket, (_, caller)) in reserved {
            let apart = confirmed.apart.get(&ticket);
            let who = apart.map_or_else(String::new, |[p, q]| {
                format!(": party {p} and party {q} hold different copies of a share")
            });
            let reason =
                format!("the parties did not get shares of this question that fit together{who}");
            callers.tell(&caller, ticket.number, Err(reason));
        }
        Ok(batch)
    }
}
