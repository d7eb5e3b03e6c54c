//! The calls of clients.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tacit_api::member::Member;
use tacit_api::proto::encrypted_server::Encrypted;
use tacit_api::proto::{
    AnswerPiece, Bootstraps, KeyPiece, KeyStored, Models, ModelsRequest, QuestionPiece,
    answer_piece, key_piece, question_piece,
};
use tacit_api::roster::Roster;
use tacit_api::tls;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout_at;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::key_store::{KeyId, KeyStoreError};
use super::model::Model;
use super::queue::{Full, Question, Refusal, State};
use super::worker::Workshop;

/// The longest silence in the middle of an upload.
const SILENCE: Duration = Duration::from_secs(30);
/// The longest upload of a key.
const UPLOAD: Duration = Duration::from_secs(900);
/// The longest upload of a question, which is much shorter.
const QUESTION: Duration = Duration::from_secs(60);
/// How long a client may leave a piece of its answer unread.
const UNREAD: Duration = Duration::from_secs(30);
/// How long the pieces of an answer are.
const PIECE: usize = 64 << 10;

/// What every call needs.
pub(crate) struct Service<M: Model> {
    pub(crate) roster: Arc<Roster>,
    /// Who may ask.
    pub(crate) clients: Vec<String>,
    pub(crate) workshop: Arc<Workshop<M>>,
    /// From a question to its answer.
    pub(crate) patience: Duration,
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
                "no model {name:?} is served; there are: {}",
                names.join(", ")
            ))
        })
    }
}

#[tonic::async_trait]
impl<M: Model> Encrypted for Service<M> {
    type AskStream = ReceiverStream<Result<AnswerPiece, Status>>;

    async fn models(&self, request: Request<ModelsRequest>) -> Result<Response<Models>, Status> {
        self.caller(&request)?;
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
        let until = Instant::now() + UPLOAD;
        let mut pieces = request.into_inner();
        let first = next(&mut pieces, until).await?;
        let Some(key_piece::Kind::Head(head)) = first.and_then(|p| p.kind) else {
            return Err(Status::invalid_argument(
                "the first piece must announce the key",
            ));
        };
        let id = key_id(&head.id)?;
        let mut models = self.workshop.models.values().map(|model| model.describe());
        let model = models.find(|model| model.parameters == head.parameters);
        let model = model.ok_or_else(|| {
            Status::invalid_argument(format!(
                "no model here has the parameters {:?} of this key",
                head.parameters
            ))
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
        while let Some(piece) = next(&mut pieces, until).await? {
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
        let until = Instant::now() + QUESTION;
        let mut pieces = request.into_inner();
        let first = next(&mut pieces, until).await?;
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
        let key = key_id(&head.key_id)?;
        if !self.workshop.keys.has(&client, key) {
            return Err(Status::failed_precondition(
                KeyStoreError::Unknown(key).to_string(),
            ));
        }
        let length = usize::try_from(head.bytes).unwrap_or(usize::MAX);
        let mut ciphertext = Vec::new();
        while let Some(piece) = next(&mut pieces, until).await? {
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
        let question = Question {
            client,
            model: head.model,
            key,
            ciphertext,
            deadline: Instant::now() + self.patience,
        };
        let watched = self.workshop.queue.put(question).map_err(full)?;
        let (out, answer) = mpsc::channel(4);
        tokio::spawn(async move {
            // Only an error if nobody is there to be told.
            let _ = tell(watched, &out).await;
        });
        Ok(Response::new(ReceiverStream::new(answer)))
    }
}

/// The client has hung up, or does not read.
struct Gone;

/// Says one thing to the client, which must not leave it unread for ever.
async fn say(
    out: &mpsc::Sender<Result<AnswerPiece, Status>>,
    piece: Result<AnswerPiece, Status>,
) -> Result<(), Gone> {
    let sent = out.send_timeout(piece, UNREAD).await;
    sent.map_err(|_| Gone)
}

/// Tells the client what becomes of its question. Ends when the client hangs up or does not read: the watch is let go of,
/// and the queue sees it.
async fn tell(
    mut watched: watch::Receiver<State>,
    out: &mpsc::Sender<Result<AnswerPiece, Status>>,
) -> Result<(), Gone> {
    let piece = |kind| Ok(AnswerPiece { kind: Some(kind) });
    loop {
        let state = watched.borrow_and_update().clone();
        match state {
            State::Waiting(before) => {
                say(out, piece(answer_piece::Kind::Waiting(before as u64))).await?;
            }
            State::Working { done, all } => {
                let (done, all) = (done as u64, all as u64);
                let progress = answer_piece::Kind::Progress(Bootstraps { done, all });
                say(out, piece(progress)).await?;
            }
            State::Over(Ok(bytes)) => {
                drop(watched); // it holds the answer a second time
                say(out, piece(answer_piece::Kind::Bytes(bytes.len() as u64))).await?;
                for part in bytes.chunks(PIECE) {
                    say(out, piece(answer_piece::Kind::Piece(part.to_vec()))).await?;
                }
                return Ok(());
            }
            State::Over(Err(refusal)) => return say(out, Err(refused(&refusal))).await,
        }
        tokio::select! {
            changed = watched.changed() => if changed.is_err() {
                return say(out, Err(refused(&Refusal::Failed))).await;
            },
            () = out.closed() => return Ok(()),
        }
    }
}

/// The next piece of an upload, which must neither stand still nor go on beyond `until`.
async fn next<T>(pieces: &mut Streaming<T>, until: Instant) -> Result<Option<T>, Status> {
    let now = Instant::now();
    let (end, why) = if until < now + SILENCE {
        (until, "the upload took too long")
    } else {
        (now + SILENCE, "the upload stood still for too long")
    };
    // A time-out alone never strikes where the next piece is always there already.
    if end <= now {
        return Err(Status::deadline_exceeded(why));
    }
    match timeout_at(end.into(), pieces.next()).await {
        Ok(piece) => piece.transpose(),
        Err(_) => Err(Status::deadline_exceeded(why)),
    }
}

/// Refuses pieces that bring nothing: an upload of them would come no nearer to its end.
fn not_empty(piece: &[u8]) -> Result<(), Status> {
    if piece.is_empty() {
        return Err(Status::invalid_argument("a piece is never empty"));
    }
    Ok(())
}

fn key_id(bytes: &[u8]) -> Result<KeyId, Status> {
    let id = bytes.try_into().map(KeyId);
    id.map_err(|_| Status::invalid_argument("the identifier of a key has 32 bytes"))
}

fn not_kept(error: KeyStoreError) -> Status {
    match error {
        KeyStoreError::TooLong { .. } | KeyStoreError::Full => {
            Status::resource_exhausted(error.to_string())
        }
        // Their words name files, which are nothing to clients.
        KeyStoreError::Io { .. } | KeyStoreError::Damaged(_) => {
            tracing::error!("{error}");
            Status::internal(Refusal::Failed.to_string())
        }
        _ => Status::invalid_argument(error.to_string()),
    }
}

fn full(error: Full) -> Status {
    match error {
        Full::Stopping => Status::unavailable(error.to_string()),
        _ => Status::resource_exhausted(error.to_string()),
    }
}

fn refused(refusal: &Refusal) -> Status {
    let words = refusal.to_string();
    match refusal {
        Refusal::Wrong(_) => Status::invalid_argument(words),
        Refusal::Late => Status::deadline_exceeded(words),
        Refusal::Stopping => Status::unavailable(words),
        Refusal::Failed => Status::internal(words),
    }
}
