//! What is asked of the board, and what it answers with.

use tacit_api::job::JobSpec;
use tacit_api::proto::{Cheating, JobState, Progress, SealedShare, SignedJob, to_party};

/// The number of the only attempt of a job: a job that fails is submitted again, under a new identifier.
pub(crate) const ATTEMPT: u32 = 1;

/// A job whose signature was verified.
#[derive(Clone, Debug)]
pub(crate) struct Submission {
    pub(crate) id: String,
    pub(crate) spec: JobSpec,
    pub(crate) signed: SignedJob,
}

/// Something to be done, in order, on behalf of the board.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Action {
    /// Record an event, and with it the job's new state.
    Record(Box<Change>),
    /// Send a message to a party that attends.
    Tell(String, to_party::Kind),
}

/// What happened to a job.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Change {
    pub(crate) job_id: String,
    pub(crate) state: JobState,
    pub(crate) text: String,
    pub(crate) party: String,
    pub(crate) culprit: String,
    pub(crate) progress: Option<Progress>,
    pub(crate) result: Option<SealedShare>,
    pub(crate) cheating: Vec<Cheating>,
}

impl Change {
    /// A plain event.
    pub(crate) fn new(job_id: &str, state: JobState, text: String) -> Self {
        Self {
            job_id: job_id.to_owned(),
            state,
            text,
            party: String::new(),
            culprit: String::new(),
            progress: None,
            result: None,
            cheating: Vec::new(),
        }
    }
}

/// How a job is over.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) state: JobState,
    pub(crate) culprit: String,
    pub(crate) text: String,
    /// What parties found, where somebody cheated.
    pub(crate) cheating: Vec<Cheating>,
}

impl End {
    /// Failed because of `culprit`.
    pub(crate) fn failed(culprit: &str, text: String) -> Self {
        Self {
            state: JobState::Failed,
            culprit: culprit.to_owned(),
            text,
            cheating: Vec::new(),
        }
    }
}
