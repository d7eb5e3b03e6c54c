//! What must survive a crash: jobs, their events and the sealed results.

use tacit_api::proto::{Event, Job, JobState, SealedShare, SignedJob};

use crate::change::{Change, Submission};

/// Why the store failed. The coordinator stops on such an error rather than go on with a job that nobody will remember.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be opened, read or written.
    #[error("the database of jobs: {0}; check disk space and permissions")]
    Database(#[from] sqlx::Error),
    /// The database has another layout.
    #[error("the database of jobs is of another version: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// A record does not decode.
    #[error("a record of job {job_id} in the database is damaged")]
    Damaged {
        /// The job it belongs to.
        job_id: String,
    },
}

/// A job as it is kept.
#[derive(Clone, Debug)]
pub(crate) struct StoredJob {
    /// What lists show.
    pub(crate) summary: Job,
    /// What the submitter sent.
    pub(crate) signed: SignedJob,
}

/// Whether nothing more can happen to a job in `state`.
pub(crate) fn is_over(state: JobState) -> bool {
    matches!(
        state,
        JobState::Done | JobState::Failed | JobState::Cancelled
    )
}

/// Durable storage. Each call is one transaction: after a crash it has happened entirely or not at all.
#[tonic::async_trait]
pub(crate) trait Store: Send + Sync + 'static {
    /// Adds a queued job and its first event; `None` if the job is there already.
    async fn submit(&self, job: &Submission) -> Result<Option<Event>, StoreError>;

    /// Records what happened to a job: the event, the job's state, and a result if there is one.
    async fn record(&self, change: Change) -> Result<Event, StoreError>;

    /// One job.
    async fn job(&self, id: &str) -> Result<Option<StoredJob>, StoreError>;

    /// At most `limit` jobs, newest first.
    async fn newest(&self, limit: u32) -> Result<Vec<Job>, StoreError>;

    /// The jobs that are not over, oldest first.
    async fn open(&self) -> Result<Vec<StoredJob>, StoreError>;

    /// The events of a job with a sequence number greater than `after`, in order.
    async fn events(&self, id: &str, after: u64) -> Result<Vec<Event>, StoreError>;

    /// The sealed shares of a job's result.
    async fn shares(&self, id: &str) -> Result<Vec<SealedShare>, StoreError>;
}
