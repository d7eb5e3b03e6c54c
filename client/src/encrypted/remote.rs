//! Questions to a server that sees neither them nor its answers.

mod announcement;
mod progress;
mod server;

use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use announcement::checked;
use anyhow::{Context, Result, anyhow, bail, ensure};
pub use progress::Progress;
pub use server::Server;
use sha2::{Digest, Sha256};
use tacit_api::proto::encrypted_client::EncryptedClient;
use tacit_api::proto::{
    EncryptedModel, KeyHead, KeyPiece, ModelsRequest, QuestionHead, QuestionPiece, answer_piece,
    key_piece, question_piece,
};
use tacit_api::refusal::Remedy;
use tacit_api::tls::endpoint;
use tacit_fhe::program::Input;
use tacit_fhe::{Client, Interface, Params, Response};
use tonic::Status;
use tonic::transport::Channel;

use super::keys::Files;
use crate::connection::refused;
use crate::home::Home;
use crate::text::printable;

/// The longest silence of a service while it answers, longer than it takes for a question; and the longest that a question
/// waits for room in its queue.
const PATIENCE: Duration = Duration::from_secs(600);
/// Between two attempts where the service is full.
const PAUSE: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(60);
/// How often a key is sent again for one question.
const SENT_AGAIN: usize = 2;
/// How long the pieces of a key are, and those of a question.
const PIECE: usize = 256 << 10;

/// A model of a service, and a key that the service has if the model needs one.
pub struct Remote {
    client: EncryptedClient<Channel>,
    model: EncryptedModel,
    encryption: Client,
    evaluation: Option<Evaluation>,
    /// What the service said of the model.
    pub parameters: &'static Params,
    /// Whether the key was sent now: so many bytes.
    pub key_sent: Option<usize>,
}

/// An evaluation key as the service knows it.
struct Evaluation {
    id: Vec<u8>,
    bytes: Arc<[u8]>,
}

impl Remote {
    /// Connects as the member whose files are in `directory`, learns of the model, and sends the key unless the service has
    /// it or needs none. A key is made on the first question.
    ///
    /// # Errors
    /// In words: the service cannot be reached or refuses, has no such model, or one that no key of this version is for.
    pub async fn open(server: &Server, model: &str, directory: &Path) -> Result<Self> {
        let member = Home::new(directory).open()?;
        let party = member.roster.member(&server.party)?;
        let address = &server.address;
        let endpoint = endpoint(
            &member.identity,
            &member.roster,
            party.certificate(),
            address,
        )?;
        let channel = endpoint.connect().await;
        let channel =
            channel.with_context(|| format!("cannot reach {} at {address}", server.party))?;
        let mut client = EncryptedClient::new(channel);
        let models = client.models(ModelsRequest {}).await.map_err(refused)?;
        let models = models.into_inner().models;
        let names: Vec<_> = models.iter().map(|m| printable(&m.name)).collect();
        let model = models
            .into_iter()
            .find(|m| m.name == model)
            .with_context(|| {
                format!(
                    "{} serves no model {model}; there are: {}",
                    server.party,
                    names.join(", ")
                )
            })?;
        let parameters = checked(&model)?;
        let files = Files::of(directory, &server.party, parameters);
        let (secret, evaluation) = if model.keyless {
            (files.open_or_make_alone(parameters)?, None)
        } else {
            let (secret, evaluation) = files.open_or_make(parameters)?;
            let id = Sha256::digest(&evaluation).to_vec();
            let bytes = evaluation.into();
            (secret, Some(Evaluation { id, bytes }))
        };
        let interface = Interface {
            params: model.parameters.clone(),
            inputs: usize::try_from(model.inputs)?,
            max: u16::try_from(model.max)?,
            torus: model.torus,
        };
        let mut this = Self {
            client,
            encryption: Client::new(secret, interface)?,
            evaluation,
            parameters,
            key_sent: None,
            model,
        };
        this.send_key().await?;
        Ok(this)
    }

    /// How rows become integers.
    #[must_use]
    pub fn input(&self) -> Input {
        Input {
            offset: self.model.offset.clone(),
            gain: self.model.gain.clone(),
            len: self.model.inputs as usize,
            max: u16::try_from(self.model.max).unwrap_or(u16::MAX),
        }
    }

    /// What a unit of a result is worth.
    #[must_use]
    pub fn output_scale(&self) -> f32 {
        self.model.output_scale
    }

    /// Sends the key, unless there is none or the service has it: it says so at once then, and the pieces are not sent.
    async fn send_key(&mut self) -> Result<()> {
        let Some(Evaluation { id, bytes }) = &self.evaluation else {
            return Ok(());
        };
        let len = bytes.len();
        let head = KeyHead {
            id: id.clone(),
            parameters: self.model.parameters.clone(),
            bytes: len as u64,
        };
        let head = std::iter::once(key_piece::Kind::Head(head));
        let kinds = head.chain(pieces(bytes.clone()).map(key_piece::Kind::Piece));
        let pieces = tokio_stream::iter(kinds.map(|kind| KeyPiece { kind: Some(kind) }));
        let stored = self.client.store_key(pieces).await.map_err(refused)?;
        self.key_sent = (!stored.into_inner().known).then_some(len);
        Ok(())
    }

    /// Asks one question; again where the service is full, after the time that it says, and where it lost the key, which
    /// is then sent once more: both so often and no oftener.
    ///
    /// # Errors
    /// In words: the service refuses, is stopped, or answers what cannot be an answer.
    pub async fn ask(&mut self, input: &[u16], progress: &Progress) -> Result<Vec<i64>> {
        let request: Arc<[u8]> = self.encryption.encrypt(input)?.to_bytes().into();
        let (mut sent, mut waited) = (0, Duration::ZERO);
        let response = loop {
            let refusal = match self.attempt(request.clone(), progress).await? {
                Ok(response) => break response,
                Err(refusal) => refusal,
            };
            match Remedy::of(&refusal) {
                Some(Remedy::SendKey) if sent < SENT_AGAIN => {
                    sent += 1;
                    self.send_key().await?;
                }
                Some(Remedy::AskAgain(after)) if waited < PATIENCE => {
                    // A service that says now would have us ask for ever, one that says never would have us wait so long.
                    let after = after.clamp(*PAUSE.start(), *PAUSE.end());
                    waited += after;
                    progress.busy(after);
                    tokio::time::sleep(after).await;
                }
                _ => return Err(refused(refusal)),
            }
        };
        progress.over();
        let response = Response::from_bytes(&response)?;
        let ranges = &self.model.results;
        ensure!(
            response.values() == ranges.len(),
            "the service answered {} numbers, and announced {}",
            response.values(),
            ranges.len()
        );
        let result = self.encryption.decrypt(&response)?;
        // Quietly, whatever a service that deviates has put there: how a client behaves must not tell what it decrypted.
        let held = result
            .iter()
            .zip(ranges)
            .map(|(x, range)| *x.clamp(&range.low, &range.high));
        Ok(held.collect())
    }

    /// Asks, and gives what the service answered, or what it refused by.
    async fn attempt(
        &mut self,
        request: Arc<[u8]>,
        progress: &Progress,
    ) -> Result<Result<Vec<u8>, Status>> {
        let key_id = self.evaluation.as_ref().map(|key| key.id.clone());
        let head = QuestionHead {
            model: self.model.name.clone(),
            model_id: self.model.id.clone(),
            key_id: key_id.unwrap_or_default(),
            bytes: request.len() as u64,
        };
        let head = std::iter::once(question_piece::Kind::Head(head));
        let kinds = head.chain(pieces(request).map(question_piece::Kind::Piece));
        let pieces = tokio_stream::iter(kinds.map(|kind| QuestionPiece { kind: Some(kind) }));
        let mut stream = match self.client.ask(pieces).await {
            Ok(stream) => stream.into_inner(),
            Err(refusal) => return Ok(Err(refusal)),
        };
        let (mut response, mut announced) = (Vec::new(), None);
        loop {
            let piece = tokio::time::timeout(PATIENCE, stream.message()).await;
            let piece =
                match piece.map_err(|_| anyhow!("the service has been silent for {PATIENCE:?}"))? {
                    Ok(Some(piece)) => piece,
                    Ok(None) => return Ok(Ok(response)),
                    Err(refusal) => return Ok(Err(refusal)),
                };
            match piece.kind {
                Some(answer_piece::Kind::Waiting(before)) => progress.waiting(before),
                Some(answer_piece::Kind::Progress(steps)) => {
                    progress.working(steps.done, steps.all)
                }
                Some(answer_piece::Kind::Bytes(bytes)) => {
                    ensure!(
                        bytes == self.model.answer_bytes,
                        "the service announced an answer of {bytes} bytes, and then {}",
                        self.model.answer_bytes
                    );
                    announced = Some(bytes);
                }
                Some(answer_piece::Kind::Piece(piece)) => {
                    let Some(announced) = announced else {
                        bail!("the service did not announce its answer");
                    };
                    ensure!(
                        response.len() as u64 + piece.len() as u64 <= announced,
                        "the answer is longer than announced"
                    );
                    response.extend(piece);
                }
                None => {} // a newer service says something that this one need not know
            }
        }
    }
}

/// What is long, in the pieces by which it travels.
fn pieces(bytes: Arc<[u8]>) -> impl Iterator<Item = Vec<u8>> + Send {
    let starts = (0..bytes.len()).step_by(PIECE);
    starts.map(move |from| bytes[from..bytes.len().min(from + PIECE)].to_vec())
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Remote")
            .field("model", &self.model.name)
            .finish_non_exhaustive()
    }
}
