//! The calls of clients.

mod answer;
mod calls;
mod status;
mod upload;

use std::sync::Arc;
use std::time::{Duration, Instant};

use answer::tell;
pub(crate) use calls::Calls;
use status::{full, not_kept};
use upload::{Upload, not_empty};

use tacit_api::member::Member;
use tacit_api::proto::encrypted_server::Encrypted;
use tacit_api::proto::{
    AnswerPiece, KeyPiece, KeyStored, Models, ModelsRequest, QuestionPiece, key_piece,
    question_piece,
};
use tacit_api::refusal::Remedy;
use tacit_api::roster::Roster;
use tacit_api::tls;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::key_store::{KeyId, KeyStoreError};
use super::model::Model;
use super::queue::Question;
use super::worker::Workshop;

/// How slow a client may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// The longest silence in the middle of an upload.
    pub(crate) silence: Duration,
    /// The longest upload of a key.
    pub(crate) key: Duration,
    /// The longest upload of a question, which is much shorter.
    pub(crate) question: Duration,
    /// How long a piece of an answer may be left unread.
    pub(crate) unread: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            silence: Duration::from_secs(30),
            key: Duration::from_secs(900),
            question: Duration::from_secs(60),
            unread: Duration::from_secs(30),
        }
    }
}

/// What every call needs.
pub(crate) struct Service<M: Model> {
    pub(crate) roster: Arc<Roster>,
    /// Who may ask.
    pub(crate) clients: Vec<String>,
    pub(crate) workshop: Arc<Workshop<M>>,
    /// From a question to its answer.
    pub(crate) patience: Duration,
    pub(crate) pace: Pace,
    pub(crate) calls: Calls,
}

impl<M: Model> Service<M> {
    /// The client that calls, by the certificate of its connection.
    fn caller<T>(&self, request: &Request<T>) -> Result<String, Status> {
        let fingerprint = tls::peer(request)
            .ok_or_else(|| Status::unauthenticated("show a certificate of the consortium"))?;
        let member = self.roster.by_fingerprint(&fingerprint);
        let name = member.map(Member::name).filter(|name| {
            let allowed = |client: &String| client == name;
            self.clients.iter().any(allowed)
        });
        name.map(str::to_owned).ok_or_else(|| {
            Status::permission_denied(
                "this service does not answer you: ask its operator to list you as a client",
            )
        })
    }

    fn model(&self, name: &str) -> Result<&Arc<M>, Status> {
        self.workshop.models.get(name).ok_or_else(|| {
            let names: Vec<_> = self.workshop.models.keys().map(String::as_str).collect();
            Status::not_found(format!(
                "no such model is served; there are: {}",
                names.join(", ")
            ))
        })
    }
}

#[tonic::async_trait]
impl<M: Model> Encrypted for Service<M> {
    type AskStream = ReceiverStream<Result<AnswerPiece, Status>>;

    async fn models(&self, request: Request<ModelsRequest>) -> Result<Response<Models>, Status> {
        let _call = self.calls.begin(&self.caller(&request)?)?;
        let named = self.workshop.models.iter().map(|(name, model)| {
            let mut model = model.describe();
            model.name.clone_from(name);
            model
        });
        Ok(Response::new(Models {
            models: named.collect(),
        }))
    }

    async fn store_key(
        &self,
        request: Request<Streaming<KeyPiece>>,
    ) -> Result<Response<KeyStored>, Status> {
        let client = self.caller(&request)?;
        let _call = self.calls.begin(&client)?;
        let mut pieces = Upload::new(request.into_inner(), self.pace.silence, self.pace.key);
        let first = pieces.next().await?;
        let Some(key_piece::Kind::Head(head)) = first.and_then(|p| p.kind) else {
            return Err(Status::invalid_argument(
                "the first piece must announce the key",
            ));
        };
        let id = key_id(&head.id)?;
        let mut models = self.workshop.models.values().map(|model| model.describe());
        let model = models.find(|model| !model.keyless && model.parameters == head.parameters);
        let model = model.ok_or_else(|| {
            Status::invalid_argument("no model here needs a key for these parameters")
        })?;
        if head.bytes != model.key_bytes {
            return Err(Status::invalid_argument(format!(
                "a key for {} has {} bytes, not {}",
                model.parameters, model.key_bytes, head.bytes
            )));
        }
        let keys = &self.workshop.keys;
        if keys.has(&client, id) {
            return Ok(Response::new(KeyStored { known: true }));
        }
        let mut upload = keys.begin(&client, id, head.bytes).map_err(not_kept)?;
        while let Some(piece) = pieces.next().await? {
            let Some(key_piece::Kind::Piece(bytes)) = piece.kind else {
                return Err(Status::invalid_argument("a key is announced once"));
            };
            not_empty(&bytes)?;
            // Writing to disk is short beside receiving; the runtime moves other calls to other threads.
            tokio::task::block_in_place(|| upload.write(&bytes)).map_err(not_kept)?;
        }
        tokio::task::block_in_place(|| upload.finish()).map_err(not_kept)?;
        tracing::info!(client, key = %id, "stored an evaluation key");
        Ok(Response::new(KeyStored { known: false }))
    }

    async fn ask(
        &self,
        request: Request<Streaming<QuestionPiece>>,
    ) -> Result<Response<Self::AskStream>, Status> {
        let client = self.caller(&request)?;
        let call = self.calls.begin(&client)?;
        let pace = self.pace;
        let mut pieces = Upload::new(request.into_inner(), pace.silence, pace.question);
        let first = pieces.next().await?;
        let Some(question_piece::Kind::Head(head)) = first.and_then(|p| p.kind) else {
            return Err(Status::invalid_argument(
                "the first piece must announce the question",
            ));
        };
        let model = self.model(&head.model)?.describe();
        if head.model_id != model.id {
            return Err(Status::failed_precondition(format!(
                "the model {:?} was replaced by another since you learned of it: ask for the models again",
                head.model
            )));
        }
        if head.bytes != model.question_bytes {
            return Err(Status::invalid_argument(format!(
                "a question to {} has {} bytes, not {}",
                head.model, model.question_bytes, head.bytes
            )));
        }
        let key = match model.keyless {
            true => None,
            false => Some(key_id(&head.key_id)?),
        };
        if let Some(key) = key.filter(|key| !self.workshop.keys.has(&client, *key)) {
            let unknown = KeyStoreError::Unknown(key).to_string();
            return Err(Remedy::SendKey.to(Status::failed_precondition(unknown)));
        }
        let length = usize::try_from(head.bytes).unwrap_or(usize::MAX);
        let mut ciphertext = Vec::new();
        while let Some(piece) = pieces.next().await? {
            let Some(question_piece::Kind::Piece(bytes)) = piece.kind else {
                return Err(Status::invalid_argument("a question is announced once"));
            };
            not_empty(&bytes)?;
            if ciphertext.len() + bytes.len() > length {
                return Err(Status::invalid_argument(
                    "the question is longer than announced",
                ));
            }
            ciphertext.extend_from_slice(&bytes);
        }
        if ciphertext.len() < length {
            return Err(Status::invalid_argument("the question was cut off"));
        }
        let deadline = Instant::now() + self.patience;
        let question = Question {
            client,
            model: head.model,
            key,
            ciphertext,
            deadline,
        };
        let watched = self.workshop.queue.put(question).map_err(full)?;
        let (out, answer) = mpsc::channel(4);
        tokio::spawn(async move {
            // Only an error if nobody is there to be told.
            let _ = tell(watched, &out, pace.unread, deadline).await;
            drop(call);
        });
        Ok(Response::new(ReceiverStream::new(answer)))
    }
}

fn key_id(bytes: &[u8]) -> Result<KeyId, Status> {
    let id = bytes.try_into().map(KeyId);
    id.map_err(|_| Status::invalid_argument("the identifier of a key has 32 bytes"))
}
