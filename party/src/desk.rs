//! The jobs on a party's desk during one connection to the coordinator.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use tacit_api::proto::from_party::Kind;
use tacit_api::proto::{Failed, Offer, Start, Verdict};
use tokio::sync::mpsc::UnboundedSender;

use crate::offer::{Accepted, consider};
use crate::party::Party;
use crate::run_job::{self, Cancel};

/// Jobs that may be on the desk at a time: each holds its rows in memory.
const MOST_JOBS: usize = 16;

/// Takes offers, starts and cancellations; answers through a channel. Dropping it stops what runs: without a connection
/// the coordinator has given the jobs up.
pub(crate) struct Desk {
    shared: Arc<Shared>,
}

struct Shared {
    party: Arc<Party>,
    jobs: Mutex<HashMap<String, Stage>>,
    out: UnboundedSender<Kind>,
}

enum Stage {
    Considered,
    Accepted(Box<Accepted>),
    Running(Arc<Cancel>),
}

impl Desk {
    pub(crate) fn new(party: Arc<Party>, out: UnboundedSender<Kind>) -> Self {
        Self {
            shared: Arc::new(Shared {
                party,
                jobs: Mutex::default(),
                out,
            }),
        }
    }

    /// Considers an offer on a thread of its own, as that reads a file.
    pub(crate) fn offer(&self, offer: Offer) {
        let refuse = |reason: &str| {
            let (job_id, reason) = (offer.job_id.clone(), reason.to_owned());
            self.shared.say(Kind::Verdict(Verdict {
                job_id,
                accepted: false,
                reason,
            }));
        };
        let mut jobs = self.shared.jobs();
        if jobs.contains_key(&offer.job_id) {
            return refuse("this job is on my desk already");
        }
        if jobs.len() >= MOST_JOBS {
            return refuse("I have too many jobs on my desk");
        }
        jobs.insert(offer.job_id.clone(), Stage::Considered);
        drop(jobs);
        let shared = self.shared.clone();
        spawn("consider", move || shared.consider(&offer));
    }

    /// Starts a job that was accepted.
    pub(crate) fn start(&self, start: Start) {
        let Start { job_id, attempt } = start;
        let cancel = Arc::new(Cancel::default());
        let mut jobs = self.shared.jobs();
        let Some(stage @ Stage::Accepted(_)) = jobs.get_mut(&job_id) else {
            let reason = "I was told to start a job that I have not accepted".into();
            return self.shared.say(Kind::Failed(Failed {
                job_id,
                culprit: String::new(),
                reason,
                cheating: None,
            }));
        };
        if let Stage::Accepted(accepted) = std::mem::replace(stage, Stage::Running(cancel.clone()))
        {
            tracing::info!(job = job_id, name = accepted.job.name, "started");
            let shared = self.shared.clone();
            spawn("session", move || {
                run_job::run(&shared.party, *accepted, attempt, &cancel, &|kind| {
                    shared.say(kind)
                });
                shared.jobs().remove(&job_id);
            });
        }
    }

    /// Forgets a job, and stops it if it runs.
    pub(crate) fn cancel(&self, job_id: &str) {
        if let Some(Stage::Running(cancel)) = self.shared.jobs().remove(job_id) {
            cancel.cancel();
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        for (_, stage) in self.shared.jobs().drain() {
            if let Stage::Running(cancel) = stage {
                cancel.cancel();
            }
        }
    }
}

impl Shared {
    fn jobs(&self) -> MutexGuard<'_, HashMap<String, Stage>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nobody is there to hear it once the connection is lost, and then nobody needs to.
    fn say(&self, kind: Kind) {
        let _ = self.out.send(kind);
    }

    fn consider(&self, offer: &Offer) {
        let decision = consider(&self.party, offer);
        let job_id = offer.job_id.clone();
        let mut jobs = self.jobs();
        // Cancelled meanwhile?
        let Some(stage) = jobs.get_mut(&job_id) else {
            return;
        };
        let verdict = match decision {
            Ok(accepted) => {
                tracing::info!(job = job_id, name = accepted.job.name, "accepted");
                *stage = Stage::Accepted(Box::new(accepted));
                Verdict {
                    job_id,
                    accepted: true,
                    reason: String::new(),
                }
            }
            Err(declined) => {
                tracing::info!(job = job_id, "refused: {declined}");
                jobs.remove(&job_id);
                Verdict {
                    job_id,
                    accepted: false,
                    reason: declined.to_string(),
                }
            }
        };
        self.say(Kind::Verdict(verdict));
    }
}

/// Sessions block, so that they run on threads of their own and not on the asynchronous runtime.
fn spawn(name: &str, work: impl FnOnce() + Send + 'static) {
    if let Err(error) = thread::Builder::new().name(name.into()).spawn(work) {
        // The coordinator's deadline will name this party.
        tracing::error!("cannot start a thread: {error}");
    }
}

#[cfg(test)]
mod tests;
