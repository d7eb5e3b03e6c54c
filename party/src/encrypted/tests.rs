//! The service with a model that computes nothing secret, asked by real calls over TLS.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use tacit_api::proto::encrypted_client::EncryptedClient;
use tacit_api::proto::{
    EncryptedModel, KeyHead, KeyPiece, ModelsRequest, QuestionHead, QuestionPiece, answer_piece,
    key_piece, question_piece,
};
use tacit_api::roster::Roster;
use tacit_api::tls::endpoint;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_stream::StreamExt;
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::config::EncryptedConfig;
use super::key_store::KeyId;
use super::model::{AnswerError, Model};
use super::server::{EncryptedError, Server};
use crate::net::ReservedAddress;
use crate::net::tests::consortium::{Consortium, Member};

const KEY: &[u8] = b"evaluate";
const STEPS: usize = 3;

/// Answers a question of four bytes by the question and the key. `panic` panics, `wait` waits until nobody waits for it.
#[derive(Default)]
struct Echo {
    expanded: AtomicUsize,
    stopped: AtomicBool,
}

impl Model for Echo {
    type Key = Vec<u8>;

    fn describe(&self) -> EncryptedModel {
        EncryptedModel {
            id: vec![1; 32],
            parameters: "toy".into(),
            key_bytes: KEY.len() as u64,
            question_bytes: 4,
            answer_bytes: 12,
            ..EncryptedModel::default()
        }
    }

    fn expand(&self, key: &[u8]) -> Result<Vec<u8>, String> {
        self.expanded.fetch_add(1, Ordering::SeqCst);
        if key == KEY {
            Ok(key.to_owned())
        } else {
            Err("not an evaluation key".into())
        }
    }

    fn answer(
        &self,
        key: &Vec<u8>,
        question: &[u8],
        _: usize,
        watch: &(dyn Fn(usize, usize) -> bool + Sync),
    ) -> Result<Vec<u8>, AnswerError> {
        assert_ne!(question, b"boom", "as the test asks");
        if question == b"wait" {
            while watch(1, STEPS) {
                std::thread::sleep(Duration::from_millis(2));
            }
            self.stopped.store(true, Ordering::SeqCst);
            return Err(AnswerError::Stopped);
        }
        for done in 1..=STEPS {
            assert!(watch(done, STEPS), "somebody waits");
            // So that the progress is seen, and not only the last of it.
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok([question, key].concat())
    }
}

/// A service, and who may call it.
struct Trial {
    north: Member,
    analyst: Member,
    stranger: Member,
    roster: Arc<Roster>,
    model: Arc<Echo>,
    address: ReservedAddress,
    folder: tempfile::TempDir,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<Result<(), EncryptedError>>,
}

fn config(folder: &Path, address: &ReservedAddress) -> EncryptedConfig {
    let text = format!(
        "listen = \"{}\"\nclients = [\"analyst\"]\nmodels = {{}}\nkeys = {:?}\nclient_key_mib = 1\n\
         client_waiting = 1\npatience = 20",
        address.address(),
        folder.display()
    );
    toml::from_str(&text).unwrap()
}

impl Trial {
    async fn new() -> Self {
        let mut consortium = Consortium::new();
        let north = consortium.member("north");
        let [analyst, stranger] = ["analyst", "stranger"].map(|name| consortium.client(name));
        let roster = Arc::new(consortium.roster);
        let (address, folder) = (
            ReservedAddress::new().unwrap(),
            tempfile::tempdir().unwrap(),
        );
        let model = Arc::new(Echo::default());
        let (stop, running) = start(&north, &roster, &model, folder.path(), &address).await;
        Self {
            north,
            analyst,
            stranger,
            roster,
            model,
            address,
            folder,
            stop: Some(stop),
            running,
        }
    }

    async fn call(&self, member: &Member) -> EncryptedClient<Channel> {
        let address = self.address.address().to_string();
        let endpoint = endpoint(
            &member.identity,
            &self.roster,
            &self.north.certificate,
            &address,
        );
        EncryptedClient::new(endpoint.unwrap().connect().await.unwrap())
    }

    async fn restart(&mut self) {
        drop(self.stop.take());
        (&mut self.running).await.unwrap().unwrap();
        let (stop, running) = start(
            &self.north,
            &self.roster,
            &self.model,
            self.folder.path(),
            &self.address,
        )
        .await;
        (self.stop, self.running) = (Some(stop), running);
    }
}

async fn start(
    north: &Member,
    roster: &Arc<Roster>,
    model: &Arc<Echo>,
    folder: &Path,
    address: &ReservedAddress,
) -> (oneshot::Sender<()>, JoinHandle<Result<(), EncryptedError>>) {
    let models = BTreeMap::from([("echo".to_owned(), model.clone())]);
    let config = config(folder, address);
    let server = Server::bind(&config, &north.identity, roster.clone(), models).await;
    let mut server = server.unwrap();
    server.farewell = Duration::from_secs(1);
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(server.run(async {
        let _ = stopped.await;
    }));
    (stop, running)
}

fn key_pieces(announced: u64, pieces: &[&[u8]]) -> Vec<KeyPiece> {
    let head = key_piece::Kind::Head(KeyHead {
        id: KeyId::of(KEY).0.to_vec(),
        parameters: "toy".into(),
        bytes: announced,
    });
    let pieces = pieces.iter().map(|p| key_piece::Kind::Piece(p.to_vec()));
    let kinds = std::iter::once(head).chain(pieces);
    kinds.map(|kind| KeyPiece { kind: Some(kind) }).collect()
}

async fn store(
    client: &mut EncryptedClient<Channel>,
    announced: u64,
    pieces: &[&[u8]],
) -> Result<bool, Status> {
    let pieces = tokio_stream::iter(key_pieces(announced, pieces));
    Ok(client.store_key(pieces).await?.into_inner().known)
}

fn head(bytes: u64) -> QuestionHead {
    QuestionHead {
        model: "echo".into(),
        model_id: vec![1; 32],
        key_id: KeyId::of(KEY).0.to_vec(),
        bytes,
    }
}

fn question_pieces(head: QuestionHead, question: &[u8]) -> Vec<QuestionPiece> {
    let pieces = question
        .chunks(3)
        .map(|p| question_piece::Kind::Piece(p.to_vec()));
    let kinds = std::iter::once(question_piece::Kind::Head(head)).chain(pieces);
    kinds
        .map(|kind| QuestionPiece { kind: Some(kind) })
        .collect()
}

/// The answer, and how far the question was seen to be.
async fn ask(
    client: &mut EncryptedClient<Channel>,
    head: QuestionHead,
    question: &[u8],
) -> Result<(Vec<u8>, Vec<u64>), Status> {
    let pieces = tokio_stream::iter(question_pieces(head, question));
    let mut stream = client.ask(pieces).await?.into_inner();
    let (mut answer, mut seen, mut announced) = (Vec::new(), Vec::new(), 0);
    while let Some(piece) = stream.message().await? {
        match piece.kind.unwrap() {
            answer_piece::Kind::Waiting(_) => {}
            answer_piece::Kind::Progress(steps) => seen.push(steps.done),
            answer_piece::Kind::Bytes(bytes) => announced = bytes,
            answer_piece::Kind::Piece(piece) => answer.extend(piece),
        }
    }
    assert_eq!(answer.len() as u64, announced);
    Ok((answer, seen))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_sent_once_and_questions_are_answered_also_after_a_restart() {
    let mut trial = Trial::new().await;
    let mut client = trial.call(&trial.analyst).await;
    let models = client.models(ModelsRequest {}).await.unwrap().into_inner();
    assert_eq!(models.models.len(), 1);
    assert_eq!(models.models[0].name, "echo");
    let pieces: [&[u8]; 2] = [&KEY[..3], &KEY[3..]];
    assert!(!store(&mut client, 8, &pieces).await.unwrap());
    assert!(store(&mut client, 8, &[]).await.unwrap(), "it is known");
    let (answer, seen) = ask(&mut client, head(4), b"what").await.unwrap();
    assert_eq!(answer, b"whatevaluate");
    assert!(seen.len() >= 2 && seen.is_sorted(), "{seen:?}");
    ask(&mut client, head(4), b"then").await.unwrap();
    assert_eq!(
        trial.model.expanded.load(Ordering::SeqCst),
        1,
        "the key was ready"
    );
    trial.restart().await;
    let mut client = trial.call(&trial.analyst).await;
    assert_eq!(
        ask(&mut client, head(4), b"what").await.unwrap().0,
        b"whatevaluate"
    );
    assert_eq!(trial.model.expanded.load(Ordering::SeqCst), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_listed_is_refused() {
    let trial = Trial::new().await;
    for member in [&trial.stranger, &trial.north] {
        let mut client = trial.call(member).await;
        let refused = client.models(ModelsRequest {}).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
        let refused = store(&mut client, 8, &[KEY]).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
        let refused = ask(&mut client, head(4), b"what").await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_refused_in_words() {
    let trial = Trial::new().await;
    let mut client = trial.call(&trial.analyst).await;
    for (announced, pieces, words) in [
        (9, vec![KEY], "has 8 bytes, not 9"),
        (8, vec![&KEY[..7]], "cut off"),
        (8, vec![KEY, b"s"], "longer"),
        (8, vec![&b"evaluatE"[..]], "hash"),
        (8, vec![KEY, b""], "never empty"),
    ] {
        let refused = store(&mut client, announced, &pieces).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().contains(words), "{refused}");
    }
    let unknown = ask(&mut client, head(4), b"what").await.unwrap_err();
    assert!(unknown.message().contains("send it first"), "{unknown}");
    store(&mut client, 8, &[KEY]).await.unwrap();
    let another = QuestionHead {
        model: "digits".into(),
        ..head(4)
    };
    let replaced = QuestionHead {
        model_id: vec![2; 32],
        ..head(4)
    };
    for (head, question, words) in [
        (head(5), &b"what?"[..], "has 4 bytes, not 5"),
        (head(4), b"wha", "cut off"),
        (head(4), b"what?", "longer"),
        (another, b"what", "there are: echo"),
        (replaced, b"what", "replaced"),
    ] {
        let refused = ask(&mut client, head, question).await.unwrap_err();
        assert!(refused.message().contains(words), "{refused}");
    }
    let mut empty = question_pieces(head(4), b"what");
    let kind = Some(question_piece::Kind::Piece(Vec::new()));
    empty.push(QuestionPiece { kind });
    let refused = client.ask(tokio_stream::iter(empty)).await.unwrap_err();
    assert!(refused.message().contains("never empty"), "{refused}");
    let bare = tokio_stream::iter(Vec::<QuestionPiece>::new());
    assert!(
        client
            .ask(bare)
            .await
            .unwrap_err()
            .message()
            .contains("announce")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_lost_a_key_to_damage_is_told_so_but_not_where() {
    let trial = Trial::new().await;
    let mut client = trial.call(&trial.analyst).await;
    store(&mut client, 8, &[KEY]).await.unwrap();
    let file = format!("analyst/{}.key", KeyId::of(KEY));
    std::fs::write(trial.folder.path().join(file), b"evaluatE").unwrap();
    let damaged = ask(&mut client, head(4), b"what").await.unwrap_err();
    assert_eq!(
        damaged.message(),
        "the key was damaged here and removed: send it again"
    );
    assert!(!store(&mut client, 8, &[KEY]).await.unwrap());
    ask(&mut client, head(4), b"what").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_panics_harms_no_other() {
    let trial = Trial::new().await;
    let mut client = trial.call(&trial.analyst).await;
    store(&mut client, 8, &[KEY]).await.unwrap();
    let failed = ask(&mut client, head(4), b"boom").await.unwrap_err();
    assert_eq!(failed.code(), Code::Internal);
    assert!(
        !failed.message().contains("as the test asks"),
        "nothing of the inside is told"
    );
    ask(&mut client, head(4), b"what").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_hangs_up_frees_the_worker_and_who_stays_is_told_of_the_end() {
    let mut trial = Trial::new().await;
    let mut client = trial.call(&trial.analyst).await;
    store(&mut client, 8, &[KEY]).await.unwrap();
    // Somebody begins to ask and never ends: that keeps nobody else from anything, nor the service from its end.
    let endless = tokio_stream::iter(question_pieces(head(4), b"wai"));
    let endless = endless.chain(tokio_stream::pending());
    let mut patient = trial.call(&trial.analyst).await;
    tokio::spawn(async move { patient.ask(endless).await.map(drop) });
    let wait = || tokio_stream::iter(question_pieces(head(4), b"wait"));
    let mut first = client.ask(wait()).await.unwrap().into_inner();
    let working = |kind| matches!(kind, Some(answer_piece::Kind::Progress(_)));
    while !working(first.message().await.unwrap().unwrap().kind) {}
    // The worker is busy: one more may wait, a third may not.
    let mut second = client.ask(wait()).await.unwrap().into_inner();
    let full = client.ask(wait()).await.unwrap_err();
    assert_eq!(full.code(), Code::ResourceExhausted);
    drop(first);
    while !working(second.message().await.unwrap().unwrap().kind) {}
    assert!(trial.model.stopped.load(Ordering::SeqCst));
    // The end of the service waits for who is served, but not for long, and not for who waits.
    let mut third = client.ask(wait()).await.unwrap().into_inner();
    trial.model.stopped.store(false, Ordering::SeqCst);
    drop(trial.stop.take());
    for stream in [&mut third, &mut second] {
        assert!(!trial.model.stopped.load(Ordering::SeqCst));
        let refused = loop {
            match stream.message().await {
                Ok(piece) => assert!(piece.is_some(), "it ends by a refusal"),
                Err(refused) => break refused,
            }
        };
        assert_eq!(refused.code(), Code::Unavailable);
    }
    let (done, ended) = mpsc::channel();
    let running = trial.running;
    tokio::spawn(async move { done.send(running.await.unwrap().is_ok()) });
    let ended = tokio::task::spawn_blocking(move || ended.recv_timeout(Duration::from_secs(30)));
    assert_eq!(ended.await.unwrap(), Ok(true));
    assert!(trial.model.stopped.load(Ordering::SeqCst));
    drop((second, third, client));
}
