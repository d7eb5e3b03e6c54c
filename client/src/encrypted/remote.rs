//! Questions to a server that sees neither them nor its answers.

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use sha2::{Digest, Sha256};
use tacit_api::proto::encrypted_client::EncryptedClient;
use tacit_api::proto::{
    EncryptedModel, KeyHead, KeyPiece, ModelsRequest, QuestionHead, QuestionPiece, answer_piece,
    key_piece, question_piece,
};
use tacit_api::tls::endpoint;
use tacit_fhe::noise::DEFAULT_LIMIT;
use tacit_fhe::program::Input;
use tacit_fhe::{Client, Interface, Params, Response};
use tonic::transport::Channel;

use super::keys::Files;
use crate::connection::refused;
use crate::home::Home;
use crate::text::printable;

/// The longest silence of a service while it answers: longer than it takes for a question.
const PATIENCE: Duration = Duration::from_secs(600);
/// How long the pieces of a key are.
const PIECE: usize = 256 << 10;
/// Results and values of an input at most: a server is not trusted with the memory of its clients.
const MOST: u64 = 1 << 24;

/// Where a service is: the party's name in the roster, and its address for encrypted inference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    party: String,
    address: String,
}

impl FromStr for Server {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('@') {
            Some((party, address)) if !party.is_empty() && address.contains(':') => Ok(Self {
                party: party.to_owned(),
                address: address.to_owned(),
            }),
            _ => Err("write PARTY@HOST:PORT".to_owned()),
        }
    }
}

/// A model of a service, and a key that the service has.
pub struct Remote {
    client: EncryptedClient<Channel>,
    model: EncryptedModel,
    encryption: Client,
    key_id: Vec<u8>,
    /// What the service said of the model.
    pub parameters: &'static Params,
    /// Whether the key was sent now: so many bytes.
    pub key_sent: Option<usize>,
}

impl Remote {
    /// Connects as the member whose files are in `directory`, learns of the model, and sends the key unless the service has it.
    /// A key is made on the first question.
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
        let (secret, evaluation) = files.open_or_make(parameters)?;
        let key_id = Sha256::digest(&evaluation).to_vec();
        let interface = Interface {
            params: model.parameters.clone(),
            inputs: usize::try_from(model.inputs)?,
            max: u16::try_from(model.max)?,
            torus: model.torus,
        };
        let mut this = Self {
            client,
            encryption: Client::new(secret, interface)?,
            key_id,
            parameters,
            key_sent: None,
            model,
        };
        this.send_key(&evaluation).await?;
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

    /// Sends the key, unless the service has it: it says so at once then, and the pieces are not sent.
    async fn send_key(&mut self, evaluation: &[u8]) -> Result<()> {
        let head = KeyHead {
            id: self.key_id.clone(),
            parameters: self.model.parameters.clone(),
            bytes: evaluation.len() as u64,
        };
        let head = std::iter::once(key_piece::Kind::Head(head));
        let pieces: Vec<_> = evaluation.chunks(PIECE).map(<[u8]>::to_vec).collect();
        let kinds = head.chain(pieces.into_iter().map(key_piece::Kind::Piece));
        let pieces = tokio_stream::iter(kinds.map(|kind| KeyPiece { kind: Some(kind) }));
        let stored = self.client.store_key(pieces).await.map_err(refused)?;
        self.key_sent = (!stored.into_inner().known).then_some(evaluation.len());
        Ok(())
    }

    /// Asks one question.
    ///
    /// # Errors
    /// In words: the service refuses, is stopped, or answers what cannot be an answer.
    pub async fn ask(&mut self, input: &[u16], progress: &Progress) -> Result<Vec<i64>> {
        let request = self.encryption.encrypt(input)?.to_bytes();
        let head = QuestionHead {
            model: self.model.name.clone(),
            model_id: self.model.id.clone(),
            key_id: self.key_id.clone(),
            bytes: request.len() as u64,
        };
        let kinds = [
            question_piece::Kind::Head(head),
            question_piece::Kind::Piece(request),
        ];
        let pieces = tokio_stream::iter(kinds.map(|kind| QuestionPiece { kind: Some(kind) }));
        let mut stream = self.client.ask(pieces).await.map_err(refused)?.into_inner();
        let (mut response, mut announced) = (Vec::new(), None);
        let next = |silent| anyhow!("the service has been silent for {PATIENCE:?}: {silent}");
        while let Some(piece) = tokio::time::timeout(PATIENCE, stream.message())
            .await
            .map_err(next)?
            .map_err(refused)?
        {
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
}

/// The parameter set of a model that a service announces, if the announcement is one: nothing in it is taken on trust.
fn checked(model: &EncryptedModel) -> Result<&'static Params> {
    let named = |set: &&Params| set.name() == model.parameters;
    let parameters = Params::catalogue().iter().find(named).with_context(|| {
        let name = printable(&model.parameters);
        format!("the model needs a key for the parameters {name}, which this version does not have")
    })?;
    let (inputs, max) = (usize::try_from(model.inputs)?, model.max);
    let fits =
        |all: &[f32]| (all.len() == 1 || all.len() == inputs) && all.iter().all(|x| x.is_finite());
    let results = &model.results;
    let ranges = results.iter().all(|r| {
        let widest = 1_i64 << 48;
        -widest <= r.low && r.low <= r.high && r.high <= widest
    });
    ensure!(
        (1..=MOST).contains(&model.inputs)
            && (1..=u32::from(u16::MAX)).contains(&max)
            && fits(&model.offset)
            && fits(&model.gain)
            && model.output_scale.is_finite()
            && (1..=MOST).contains(&(results.len() as u64))
            && ranges
            && model.answer_bytes <= 64 * MOST,
        "the service announces a model that cannot be one"
    );
    // Written so that what is not a number is refused.
    ensure!(
        model.log2_p_fail <= DEFAULT_LIMIT,
        "an answer of this model is wrong with probability 2^{:.0}, and wrong answers that become known tell of your key: \
         2^{DEFAULT_LIMIT:.0} is the most that is taken",
        model.log2_p_fail
    );
    Ok(parameters)
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Remote")
            .field("model", &self.model.name)
            .finish_non_exhaustive()
    }
}

/// How far a question is, on the terminal.
#[derive(Debug)]
pub struct Progress(ProgressBar);

impl Default for Progress {
    fn default() -> Self {
        let bar = ProgressBar::new(0);
        if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} bootstraps {msg}") {
            bar.set_style(style);
        }
        Self(bar)
    }
}

impl Progress {
    fn waiting(&self, before: u64) {
        self.0
            .set_message(format!("{before} questions before this one"));
    }

    fn working(&self, done: u64, all: u64) {
        self.0.set_message("");
        self.0.set_length(all);
        self.0.set_position(done);
    }

    fn over(&self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use tacit_api::proto::Range;

    use super::*;

    #[test]
    fn what_cannot_be_a_model_is_refused() {
        let sound = EncryptedModel {
            parameters: "tacit-2048-1".into(),
            inputs: 3,
            offset: vec![0.0],
            gain: vec![1.0; 3],
            max: 3,
            results: vec![Range { low: -5, high: 5 }],
            output_scale: 0.5,
            log2_p_fail: -130.0,
            ..EncryptedModel::default()
        };
        checked(&sound).unwrap();
        let changes: [fn(&mut EncryptedModel); 9] = [
            |m| m.parameters = "toy-insecure".into(),
            |m| m.inputs = 0,
            |m| m.offset.clear(),
            |m| m.gain = vec![1.0; 2],
            |m| m.gain[1] = f32::NAN,
            |m| m.max = 1 << 16,
            |m| m.results[0].high = -6,
            |m| m.results[0].high = i64::MAX,
            |m| m.log2_p_fail = f64::NAN,
        ];
        for (k, change) in changes.iter().enumerate() {
            let mut model = sound.clone();
            change(&mut model);
            assert!(checked(&model).is_err(), "change {k}");
        }
    }

    #[test]
    fn a_server_is_a_party_at_an_address() {
        let server: Server = "north@127.0.0.1:7443".parse().unwrap();
        assert_eq!(
            (&*server.party, &*server.address),
            ("north", "127.0.0.1:7443")
        );
        for wrong in ["127.0.0.1:7443", "@127.0.0.1:7443", "north@localhost"] {
            assert!(
                wrong
                    .parse::<Server>()
                    .unwrap_err()
                    .contains("PARTY@HOST:PORT")
            );
        }
    }
}
