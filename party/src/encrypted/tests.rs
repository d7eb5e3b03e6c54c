//! The service with a model that computes nothing secret, asked by real calls over TLS.

mod calls;
mod ends;
mod exchange;
mod limits;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use calls::{ask, begin, computed, end, head, head_for, key_pieces, question_pieces, store, until};
use tacit_api::proto::encrypted_client::EncryptedClient;
use tacit_api::proto::{
    AnswerPiece, EncryptedModel, KeyHead, KeyPiece, QuestionHead, QuestionPiece, answer_piece,
    key_piece, question_piece,
};
use tacit_api::roster::Roster;
use tacit_api::tls::endpoint;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

use super::config::EncryptedConfig;
use super::key_store::KeyId;
use super::model::{AnswerError, Model};
use super::server::{EncryptedError, Server};
use super::service::{Calls, Pace};
use crate::net::ReservedAddress;
use crate::net::tests::consortium::{Consortium, Member};

const KEY: &[u8] = b"evaluate";
/// A second key of the same client.
const OTHER: &[u8] = b"EVALUATE";
/// A key that takes for ever to make ready.
const SLOW: &[u8] = b"slow key";
const STEPS: usize = 3;

/// Answers a question of four bytes by the question and the key. `boom` panics, `wait` waits until nobody waits for it,
/// `hang` until the test lets it go, whoever waits.
#[derive(Default)]
struct Echo {
    keyless: bool,
    /// Zeros after the eight bytes of a key.
    padding: usize,
    expanded: AtomicUsize,
    answered: AtomicUsize,
    stopped: AtomicBool,
    let_go: AtomicBool,
}

impl Echo {
    /// A key as long as this model wants it.
    fn key(&self, key: &[u8]) -> Vec<u8> {
        [key, &vec![0; self.padding]].concat()
    }

    /// Until nobody waits for it.
    fn wait(&self, go_on: impl Fn() -> bool) -> AnswerError {
        while go_on() {
            std::thread::sleep(Duration::from_millis(2));
        }
        self.stopped.store(true, Ordering::SeqCst);
        AnswerError::Stopped
    }
}

impl Model for Echo {
    type Key = Vec<u8>;

    fn describe(&self) -> EncryptedModel {
        EncryptedModel {
            id: vec![1; 32],
            parameters: "toy".into(),
            key_bytes: (KEY.len() + self.padding) as u64,
            question_bytes: 4,
            answer_bytes: 12,
            keyless: self.keyless,
            ..EncryptedModel::default()
        }
    }

    fn parameters_of(_: &[u8]) -> Option<&'static str> {
        Some("toy")
    }

    fn expand(
        &self,
        key: &[u8],
        _: usize,
        go_on: &dyn Fn() -> bool,
    ) -> Result<Vec<u8>, AnswerError> {
        self.expanded.fetch_add(1, Ordering::SeqCst);
        match &key[..KEY.len()] {
            SLOW => Err(self.wait(go_on)),
            KEY | OTHER => Ok(key[..KEY.len()].to_owned()),
            _ => Err(AnswerError::Wrong("not an evaluation key".into())),
        }
    }

    fn answer(
        &self,
        key: Option<&Vec<u8>>,
        question: &[u8],
        _: usize,
        watch: &(dyn Fn(usize, usize) -> bool + Sync),
    ) -> Result<Vec<u8>, AnswerError> {
        assert_ne!(question, b"boom", "as the test asks");
        if question == b"wait" {
            return Err(self.wait(|| watch(1, STEPS)));
        }
        if question == b"hang" {
            // So that it is seen to have begun.
            watch(0, STEPS);
        }
        while question == b"hang" && !self.let_go.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(2));
        }
        for done in 1..=STEPS {
            if !watch(done, STEPS) {
                return Err(AnswerError::Stopped);
            }
            // So that the progress is seen, and not only the last of it.
            std::thread::sleep(Duration::from_millis(20));
        }
        self.answered.fetch_add(1, Ordering::SeqCst);
        Ok([question, key.map_or(b"", Vec::as_slice)].concat())
    }
}

/// A service, and who may call it.
struct Trial {
    north: Member,
    analyst: Member,
    second: Member,
    stranger: Member,
    roster: Arc<Roster>,
    /// Asked as `echo`, and the same without a key as `sums`.
    models: [Arc<Echo>; 2],
    address: ReservedAddress,
    folder: tempfile::TempDir,
    patience: Duration,
    pace: Pace,
    calls: Calls,
    stop: Option<oneshot::Sender<()>>,
    running: Option<JoinHandle<Result<(), EncryptedError>>>,
}

fn config(folder: &Path, address: &ReservedAddress) -> EncryptedConfig {
    let text = format!(
        "listen = \"{}\"\nclients = [\"analyst\", \"second\"]\nmodels = {{}}\nkeys = {:?}\nclient_key_mib = 1\n\
         client_waiting = 1",
        address.address(),
        folder.display()
    );
    toml::from_str(&text).unwrap()
}

impl Trial {
    async fn new() -> Self {
        Self::with(0, Duration::from_secs(20), Pace::default()).await
    }

    /// With so many bytes more in a key, so much time for a question, and clients as slow as that.
    async fn with(padding: usize, patience: Duration, pace: Pace) -> Self {
        let mut consortium = Consortium::new();
        let north = consortium.member("north");
        let [analyst, second, stranger] =
            ["analyst", "second", "stranger"].map(|name| consortium.client(name));
        let models = [false, true].map(|keyless| {
            Arc::new(Echo {
                keyless,
                padding,
                ..Echo::default()
            })
        });
        let mut this = Self {
            north,
            analyst,
            second,
            stranger,
            roster: Arc::new(consortium.roster),
            models,
            address: ReservedAddress::new().unwrap(),
            folder: tempfile::tempdir().unwrap(),
            patience,
            pace,
            calls: Calls::default(),
            stop: None,
            running: None,
        };
        this.start().await;
        this
    }

    fn echo(&self) -> &Echo {
        &self.models[0]
    }

    async fn start(&mut self) {
        let names = ["echo", "sums"].map(str::to_owned).into_iter();
        let models = BTreeMap::from_iter(names.zip(self.models.clone()));
        let mut config = config(self.folder.path(), &self.address);
        config.patience = self.patience;
        let server = Server::bind(&config, &self.north.identity, self.roster.clone(), models).await;
        let mut server = server.unwrap();
        server.farewell = Duration::from_secs(1);
        server.service.pace = self.pace;
        self.calls = server.service.calls.clone();
        let (stop, stopped) = oneshot::channel::<()>();
        self.running = Some(tokio::spawn(server.run(async {
            let _ = stopped.await;
        })));
        self.stop = Some(stop);
    }

    async fn call(&self, member: &Member) -> EncryptedClient<Channel> {
        self.reach(member).await.expect("it listens")
    }

    /// A connection of `member`'s, if one is made.
    async fn reach(&self, member: &Member) -> Option<EncryptedClient<Channel>> {
        let address = self.address.address().to_string();
        let endpoint = endpoint(
            &member.identity,
            &self.roster,
            &self.north.certificate,
            &address,
        );
        let channel = endpoint.unwrap().connect().await.ok()?;
        Some(EncryptedClient::new(channel))
    }

    /// Stops the service, and starts it again when it has ended.
    async fn restart(&mut self) {
        self.end().await;
        self.start().await;
    }

    async fn end(&mut self) {
        drop(self.stop.take());
        let running = self.running.take().unwrap();
        let ended = tokio::time::timeout(Duration::from_secs(30), running).await;
        ended.expect("it ends").unwrap().unwrap();
    }
}
