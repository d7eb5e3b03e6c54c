//! How the rest of the coordinator reaches the scheduler.

use tacit_api::proto::{Event, ToParty, from_party};
use tokio::sync::{broadcast, mpsc, oneshot};
use tonic::Status;

use crate::change::Submission;

/// Messages that may wait for one party. They are few and small; a party that leaves more unread is lost.
pub(crate) const OUTBOX: usize = 64;

/// Where a party's messages go.
pub(crate) type Outbox = mpsc::Sender<Result<ToParty, Status>>;

/// What a party's stream gets when it is admitted.
pub(crate) struct Admission {
    /// The number of the connection.
    pub(crate) connection: u64,
    /// Completes when the scheduler lets go of the party.
    pub(crate) released: oneshot::Receiver<()>,
}

/// What the scheduler is asked to do.
pub(crate) enum Command {
    Submit(Box<Submission>, oneshot::Sender<Result<(), Status>>),
    Attend(String, Outbox, oneshot::Sender<Option<Admission>>),
    Said(String, u64, from_party::Kind),
    Left(String, u64, String),
    Cancel(String, String),
}

/// A way to reach the scheduler from anywhere.
#[derive(Clone)]
pub(crate) struct Handle {
    commands: mpsc::Sender<Command>,
    // Weak, so that watchers learn when the scheduler is gone.
    events: broadcast::WeakSender<Event>,
}

impl Handle {
    pub(crate) fn new(
        commands: mpsc::Sender<Command>,
        events: broadcast::WeakSender<Event>,
    ) -> Self {
        Self { commands, events }
    }

    /// Queues a verified job.
    pub(crate) async fn submit(&self, job: Submission) -> Result<(), Status> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Submit(Box::new(job), reply)).await?;
        answer.await.map_err(|_| stopping())?
    }

    /// Announces a party. `None` while an earlier connection of it lives.
    pub(crate) async fn attend(
        &self,
        party: &str,
        outbox: Outbox,
    ) -> Result<Option<Admission>, Status> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Attend(party.to_owned(), outbox, reply))
            .await?;
        answer.await.map_err(|_| stopping())
    }

    /// Passes on what a party said on its connection.
    pub(crate) async fn said(
        &self,
        party: &str,
        connection: u64,
        message: from_party::Kind,
    ) -> Result<(), Status> {
        self.send(Command::Said(party.to_owned(), connection, message))
            .await
    }

    /// Announces that a connection has ended. A scheduler that is gone itself has no use for it.
    pub(crate) async fn left(&self, party: &str, connection: u64, why: String) {
        let left = Command::Left(party.to_owned(), connection, why);
        self.send(left).await.ok();
    }

    /// Stops a job on behalf of `by`.
    pub(crate) async fn cancel(&self, job_id: &str, by: &str) -> Result<(), Status> {
        self.send(Command::Cancel(job_id.to_owned(), by.to_owned()))
            .await
    }

    /// All events from now on.
    pub(crate) fn events(&self) -> Result<broadcast::Receiver<Event>, Status> {
        let events = self.events.upgrade().ok_or_else(stopping)?;
        Ok(events.subscribe())
    }

    async fn send(&self, command: Command) -> Result<(), Status> {
        self.commands.send(command).await.map_err(|_| stopping())
    }
}

fn stopping() -> Status {
    Status::unavailable("the coordinator is stopping: try again later")
}
