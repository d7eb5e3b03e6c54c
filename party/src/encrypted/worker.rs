//! Workers: they take questions from the queue and compute.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::key_store::{KeyStore, KeyStoreError};
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
        let owned = (question.client.clone(), question.key);
        // Also where the key is ready in memory and its file is not read.
        self.keys.touch(&question.client, question.key);
        let key = self.ready.get(&owned, || {
            let bytes = self.keys.read(&question.client, question.key);
            let bytes = bytes.map_err(|error| match error {
                KeyStoreError::Io { .. } => {
                    tracing::error!("{error}");
                    Refusal::Failed
                }
                // In other words than the operator's: where files lie here is nothing to clients.
                KeyStoreError::Damaged(_) => {
                    tracing::error!("{error}");
                    wrong("the key was damaged here and removed: send it again".into())
                }
                other => wrong(other.to_string()),
            })?;
            model.expand(&bytes).map_err(wrong)
        })?;
        let watch = |done, all| self.queue.report(ticket, done, all);
        let answer = model.answer(&key, &question.ciphertext, self.threads, &watch);
        answer.map_err(|error| match error {
            AnswerError::Wrong(why) => wrong(why),
            AnswerError::Stopped => Refusal::Late,
        })
    }
}
