//! Workers: they take questions from the queue and compute.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::key_store::{KeyId, KeyStore, KeyStoreError};
use super::model::{AnswerError, Model};
use super::queue::{Question, Queue, Refusal, Ticket};
use super::ready_keys::ReadyKeys;

/// How often an idle worker looks whether the queue was closed.
const LOOK: Duration = Duration::from_secs(1);

/// What all workers share.
pub(crate) struct Workshop<M: Model> {
    pub(crate) models: BTreeMap<String, Arc<M>>,
    pub(crate) keys: Arc<KeyStore>,
    pub(crate) ready: ReadyKeys<M::Key>,
    pub(crate) queue: Arc<dyn Queue>,
    /// Cores for one question.
    pub(crate) threads: usize,
}

impl<M: Model> Workshop<M> {
    /// Works until the queue is closed. A question that makes the computation panic is refused, and the next one taken.
    pub(crate) fn work(&self) {
        while !self.queue.is_closed() {
            let Some((ticket, question)) = self.queue.take(LOOK) else {
                continue;
            };
            let answer = catch_unwind(AssertUnwindSafe(|| self.answer(ticket, &question)));
            let answer = answer.unwrap_or_else(|_| {
                tracing::error!(
                    client = question.client,
                    model = question.model,
                    "a worker panicked"
                );
                Err(Refusal::Failed)
            });
            self.queue.finish(ticket, answer);
        }
    }

    fn answer(&self, ticket: Ticket, question: &Question) -> Result<Vec<u8>, Refusal> {
        let wrong = Refusal::Wrong;
        let model = self.models.get(&question.model);
        let model =
            model.ok_or_else(|| wrong(format!("no model {:?} is served", question.model)))?;
        let watch = |done, all| self.queue.report(ticket, done, all);
        let key = match question.key {
            Some(id) => Some(self.key(model, question, id, &watch)?),
            None => None,
        };
        let key = key.as_deref();
        let answer = model.answer(key, &question.ciphertext, self.threads, &watch);
        answer.map_err(refused)
    }

    /// The key of a question, ready to compute with.
    fn key(
        &self,
        model: &M,
        question: &Question,
        id: KeyId,
        watch: &dyn Fn(usize, usize) -> bool,
    ) -> Result<Arc<M::Key>, Refusal> {
        let client = &question.client;
        // Also where the key is ready in memory and its file is not read.
        self.keys.touch(client, id);
        self.ready.get(&(client.clone(), id), || {
            let bytes = self.keys.read(client, id).map_err(|error| match error {
                KeyStoreError::Io { .. } => {
                    tracing::error!("{error}");
                    Refusal::Failed
                }
                // In other words than the operator's: where files lie here is nothing to clients.
                KeyStoreError::Damaged(_) => {
                    tracing::error!("{error}");
                    Refusal::Key("the key was damaged here and removed: send it again".into())
                }
                KeyStoreError::Unknown(_) => Refusal::Key(error.to_string()),
                other => Refusal::Wrong(other.to_string()),
            })?;
            let bootstraps = usize::try_from(model.describe().bootstraps).unwrap_or(usize::MAX);
            let go_on = || watch(0, bootstraps);
            model.expand(&bytes, self.threads, &go_on).map_err(refused)
        })
    }
}

fn refused(error: AnswerError) -> Refusal {
    match error {
        AnswerError::Wrong(why) => Refusal::Wrong(why),
        AnswerError::Stopped => Refusal::Late,
        AnswerError::Failed(why) => {
            tracing::error!("{why}");
            Refusal::Failed
        }
    }
}
