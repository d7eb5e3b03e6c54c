//! The one task that changes anything: it feeds the board, records what the board decides, and only then acts on it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use tacit_api::job::JobSpec;
use tacit_api::proto::{Event, JobState, ToParty};
use tacit_api::sign;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::time;
use tonic::Status;

use crate::board::{Board, Input};
use crate::change::{Action, Change, Submission};
use crate::config::Config;
use crate::handle::{Admission, Command, Handle, Outbox};
use crate::store::{Store, StoreError};

/// Commands that may wait; senders are held back beyond that.
const BACKLOG: usize = 256;
/// Events that a slow watcher may fall behind before it must read them from the store.
const EVENTS: usize = 1024;

/// A party that attends.
struct Connection {
    number: u64,
    outbox: Outbox,
    /// Tells the stream by being dropped.
    _release: oneshot::Sender<()>,
}

/// The task's own state.
pub(crate) struct Scheduler {
    store: Arc<dyn Store>,
    board: Board,
    max_open_jobs: usize,
    connections: HashMap<String, Connection>,
    last_connection: u64,
    commands: mpsc::Receiver<Command>,
    events: broadcast::Sender<Event>,
}

impl Scheduler {
    /// Takes up where the last run of the coordinator ended: queued jobs stay queued, begun ones have failed.
    pub(crate) async fn resume(
        store: Arc<dyn Store>,
        config: &Config,
    ) -> Result<(Self, Handle), StoreError> {
        let (sender, commands) = mpsc::channel(BACKLOG);
        let (events, _) = broadcast::channel(EVENTS);
        let handle = Handle::new(sender, events.downgrade());
        let mut scheduler = Self {
            board: Board::new(config.deadlines),
            store,
            max_open_jobs: config.max_open_jobs,
            connections: HashMap::new(),
            last_connection: 0,
            commands,
            events,
        };
        for job in scheduler.store.open().await? {
            let spec = JobSpec::from_bytes(&job.signed.toml);
            match (job.summary.state(), spec) {
                (JobState::Queued, Ok(spec)) => {
                    let submission = Submission {
                        id: sign::job_id(&job.signed),
                        spec,
                        signed: job.signed,
                    };
                    scheduler
                        .step(Input::Submitted(Box::new(submission)))
                        .await?;
                }
                (state, spec) => {
                    let text = match spec {
                        Err(error) if state == JobState::Queued => error.to_string(),
                        _ => "the coordinator restarted while it was under way: submit it again"
                            .to_owned(),
                    };
                    let change = Change::new(&job.summary.id, JobState::Failed, text);
                    scheduler.record(change).await?;
                }
            }
        }
        Ok((scheduler, handle))
    }

    /// Serves commands until `stop` completes or the store fails. Then every party's stream ends.
    pub(crate) async fn run(mut self, stop: impl Future<Output = ()>) -> Result<(), StoreError> {
        let mut stop = std::pin::pin!(stop);
        loop {
            // Without a deadline the timer is set far ahead; an early tick would do no harm.
            let deadline = self.board.deadline();
            let far = Instant::now() + time::Duration::from_secs(3600);
            let timer = time::sleep_until(deadline.unwrap_or(far).into());
            tokio::select! {
                () = &mut stop => return Ok(()),
                () = timer => self.step(Input::Tick).await?,
                command = self.commands.recv() => match command {
                    Some(command) => self.obey(command).await?,
                    None => return Ok(()),
                },
            }
        }
    }

    async fn obey(&mut self, command: Command) -> Result<(), StoreError> {
        match command {
            Command::Submit(job, reply) => {
                let answer = self.submit(*job).await?;
                reply.send(answer).ok(); // a client that has gone finds its job in the list
            }
            Command::Attend(party, outbox, reply) => {
                let admission = self.attend(party, outbox).await?;
                reply.send(admission).ok(); // the stream's task waits for it, unless the runtime is stopping
            }
            Command::Said(party, connection, message) => {
                if self.is_current(&party, connection) {
                    self.step(Input::Said(party, message)).await?;
                }
            }
            Command::Left(party, connection, why) => {
                if self.is_current(&party, connection) {
                    self.connections.remove(&party);
                    self.step(Input::Left(party, why)).await?;
                }
            }
            Command::Cancel(id, by) => self.step(Input::Cancelled(id, by)).await?,
        }
        Ok(())
    }

    async fn submit(&mut self, job: Submission) -> Result<Result<(), Status>, StoreError> {
        if self.board.open() >= self.max_open_jobs {
            let full = format!(
                "{} jobs are open already: try again later",
                self.board.open()
            );
            return Ok(Err(Status::resource_exhausted(full)));
        }
        let Some(event) = self.store.submit(&job).await? else {
            let known = format!("job {} was submitted before", job.id);
            return Ok(Err(Status::already_exists(known)));
        };
        self.publish(event);
        self.step(Input::Submitted(Box::new(job))).await?;
        Ok(Ok(()))
    }

    async fn attend(
        &mut self,
        party: String,
        outbox: Outbox,
    ) -> Result<Option<Admission>, StoreError> {
        if self.connections.contains_key(&party) {
            return Ok(None);
        }
        self.last_connection += 1;
        let (release, released) = oneshot::channel();
        let connection = Connection {
            number: self.last_connection,
            outbox,
            _release: release,
        };
        let admission = Admission {
            connection: connection.number,
            released,
        };
        self.connections.insert(party.clone(), connection);
        self.step(Input::Arrived(party)).await?;
        Ok(Some(admission))
    }

    fn is_current(&self, party: &str, number: u64) -> bool {
        let current = self.connections.get(party);
        current.is_some_and(|connection| connection.number == number)
    }

    /// Lets the board decide and does what it says; parties that cannot be reached are a new input.
    async fn step(&mut self, input: Input) -> Result<(), StoreError> {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            for action in self.board.step(Instant::now(), input) {
                match action {
                    Action::Record(change) => self.record(*change).await?,
                    Action::Tell(party, message) => {
                        let Some(connection) = self.connections.get(&party) else {
                            continue;
                        };
                        let message = ToParty {
                            kind: Some(message),
                        };
                        if connection.outbox.try_send(Ok(message)).is_err() {
                            self.connections.remove(&party);
                            let why = "it does not read its messages".to_owned();
                            inputs.push(Input::Left(party, why));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    async fn record(&mut self, change: Change) -> Result<(), StoreError> {
        let event = self.store.record(change).await?;
        self.publish(event);
        Ok(())
    }

    fn publish(&self, event: Event) {
        tracing::info!(job = event.job_id, "{}", event.text);
        self.events.send(event).ok(); // without watchers nobody receives it, and the store has it
    }
}
