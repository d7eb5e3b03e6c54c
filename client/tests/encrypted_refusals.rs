//! What a client of encrypted inference does when a service refuses, loses its key, or answers what is no answer. The
//! service is one that refuses as it is told; what it computes, it computes on real ciphertexts.

#![cfg(feature = "tfhe")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tacit_api::authority::{Authority, days};
use tacit_api::identity::Identity;
use tacit_api::proto::encrypted_server::{Encrypted, EncryptedServer};
use tacit_api::proto::{
    AnswerPiece, EncryptedModel, KeyPiece, KeyStored, Models, ModelsRequest, QuestionPiece, Range,
    answer_piece, question_piece,
};
use tacit_api::refusal::Remedy;
use tacit_api::roster::Roster;
use tacit_api::{listen, tls};
use tacit_client::encrypted::remote::{Progress, Remote};
use tacit_client::home::Home;
use tacit_fhe::noise::DEFAULT_LIMIT;
use tacit_fhe::program::Program;
use tacit_fhe::{Model, Params, Request as Question, Run};
use tokio::net::TcpListener;
use tokio_stream::StreamExt;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

/// What the service does with the next question.
#[derive(Clone, Copy, Debug)]
enum Next {
    Lost,
    Full,
    Refuse,
    /// Answers, with a bit flipped so far from the answer's end.
    Damage(usize),
    /// Answers what was asked under another key.
    Foreign,
}

/// What happened.
#[derive(Debug, Default)]
struct Log {
    next: VecDeque<Next>,
    asked: usize,
    keys: usize,
}

#[derive(Clone)]
struct Moody {
    model: Arc<Model>,
    keyless: bool,
    log: Arc<Mutex<Log>>,
}

impl Moody {
    fn answer(&self, next: Option<Next>, question: &[u8]) -> Vec<u8> {
        let mut question = question.to_vec();
        if let Some(Next::Foreign) = next {
            // The id of the key, after header and name; the checksum is made anew.
            let line = question.iter().position(|&b| b == b'\n').unwrap();
            let id = line + 2 + usize::from(question[line + 1]);
            question[id] ^= 1;
            let end = question.len() - 8;
            let sum = <sha2::Sha256 as sha2::Digest>::digest(&question[..end]);
            question[end..].copy_from_slice(&sum[..8]);
        }
        let question = Question::from_bytes(&question).unwrap();
        let answer = self.model.run(None, &question, &Run::default()).unwrap();
        let mut answer = answer.to_bytes();
        if let Some(Next::Damage(from_end)) = next {
            let at = answer.len() - from_end;
            answer[at] ^= 1;
        }
        answer
    }
}

#[tonic::async_trait]
impl Encrypted for Moody {
    type AskStream = tokio_stream::Iter<std::vec::IntoIter<Result<AnswerPiece, Status>>>;

    async fn models(&self, _: Request<ModelsRequest>) -> Result<Response<Models>, Status> {
        let (model, interface) = (&self.model, self.model.interface());
        let parts = model.program().parts();
        let ranges = model.program().result_ranges().iter();
        let model = EncryptedModel {
            name: "regression".into(),
            parameters: interface.params,
            answer_bytes: model.response_len() as u64,
            inputs: interface.inputs as u64,
            offset: parts.input.offset.clone(),
            gain: parts.input.gain.clone(),
            max: interface.max.into(),
            torus: interface.torus,
            results: ranges
                .map(|r| Range {
                    low: r.low,
                    high: r.high,
                })
                .collect(),
            output_scale: parts.output_scale,
            log2_p_fail: model.noise().log2_p_fail,
            keyless: self.keyless,
            ..EncryptedModel::default()
        };
        Ok(Response::new(Models {
            models: vec![model],
        }))
    }

    async fn store_key(
        &self,
        request: Request<Streaming<KeyPiece>>,
    ) -> Result<Response<KeyStored>, Status> {
        let mut pieces = request.into_inner();
        while pieces.next().await.transpose()?.is_some() {}
        self.log.lock().unwrap().keys += 1;
        Ok(Response::new(KeyStored { known: false }))
    }

    async fn ask(
        &self,
        request: Request<Streaming<QuestionPiece>>,
    ) -> Result<Response<Self::AskStream>, Status> {
        let (mut pieces, mut question) = (request.into_inner(), Vec::new());
        while let Some(piece) = pieces.next().await.transpose()? {
            match piece.kind.unwrap() {
                question_piece::Kind::Head(head) => {
                    assert_eq!(head.key_id.is_empty(), self.keyless)
                }
                question_piece::Kind::Piece(piece) => question.extend(piece),
            }
        }
        let next = {
            let mut log = self.log.lock().unwrap();
            log.asked += 1;
            log.next.pop_front()
        };
        match next {
            Some(Next::Lost) => {
                let lost = Status::failed_precondition("there is no key of yours here");
                return Err(Remedy::SendKey.to(lost));
            }
            Some(Next::Full) => {
                let full = Status::resource_exhausted("too many questions are waiting");
                return Err(Remedy::AskAgain(Duration::from_millis(1)).to(full));
            }
            Some(Next::Refuse) => return Err(Status::invalid_argument("not to you")),
            Some(Next::Damage(_) | Next::Foreign) | None => {}
        }
        let answer = self.answer(next, &question);
        let kinds = [
            answer_piece::Kind::Waiting(0),
            answer_piece::Kind::Bytes(answer.len() as u64),
            answer_piece::Kind::Piece(answer),
        ];
        let pieces = kinds.map(|kind| Ok(AnswerPiece { kind: Some(kind) }));
        Ok(Response::new(tokio_stream::iter(Vec::from(pieces))))
    }
}

/// A client of a service that is in such a mood.
struct Trial {
    remote: Remote,
    log: Arc<Mutex<Log>>,
    model: Arc<Model>,
    folder: tempfile::TempDir,
}

impl Trial {
    async fn new(keyless: bool) -> Self {
        let [founder, coordinator, north, analyst] =
            [(); 4].map(|()| Identity::generate().unwrap());
        let authority = Authority::create("trial", &founder).unwrap();
        let coordinator = authority
            .certify_coordinator(&coordinator, days(1))
            .unwrap();
        let certificate = authority.certificate().clone();
        let mut roster = Roster::new(certificate, coordinator, "localhost:7000").unwrap();
        for (name, member, address) in [
            ("north", &north, Some("localhost:7001")),
            ("analyst", &analyst, None),
        ] {
            let request = member.request(name, address).unwrap();
            roster
                .add(authority.admit(&request, days(1)).unwrap())
                .unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path());
        analyst.save(&home.identity()).unwrap();
        roster.save(&home.roster()).unwrap();

        let regression = tacit_examples::PROGRAMS.iter();
        let mut regression = regression.map(|shipped| Program::read(shipped.program).unwrap());
        let program = regression.find(|program| program.lookups() == 0).unwrap();
        let params = Params::choose(&program, DEFAULT_LIMIT).unwrap();
        let model = Arc::new(Model::load(program, params).unwrap());
        let log = Arc::<Mutex<Log>>::default();
        let service = Moody {
            model: model.clone(),
            keyless,
            log: log.clone(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = format!("north@{}", listener.local_addr().unwrap());
        let tls = tls::server_tls(&north, &roster).unwrap();
        tokio::spawn(
            Server::builder()
                .add_service(EncryptedServer::new(service))
                .serve_with_incoming(listen::connections(listener, tls)),
        );
        let remote = Remote::open(&server.parse().unwrap(), "regression", folder.path()).await;
        Self {
            remote: remote.unwrap(),
            log,
            model,
            folder,
        }
    }

    /// Asks a service that is about to do this; whether the result is right, or what was complained of, and how often
    /// the service was asked and was sent a key for it.
    async fn ask(&mut self, next: &[Next]) -> (Result<bool, String>, usize, usize) {
        let before = {
            let mut log = self.log.lock().unwrap();
            log.next = next.iter().copied().collect();
            (log.asked, log.keys)
        };
        let input = vec![1; self.model.program().parts().input.len];
        let result = self.remote.ask(&input, &Progress::default()).await;
        let result = result.map(|result| result == self.model.program().run(&input));
        let log = self.log.lock().unwrap();
        (
            result.map_err(|error| format!("{error:#}")),
            log.asked - before.0,
            log.keys - before.1,
        )
    }

    fn files(&self, ending: &str) -> usize {
        let files = std::fs::read_dir(self.folder.path()).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        let names = names.filter(|name| name.starts_with("tfhe-"));
        names.filter(|name| name.ends_with(ending)).count()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_sends_a_lost_key_again_and_waits_for_room_but_not_for_ever() {
    let mut trial = Trial::new(false).await;
    assert_eq!(
        trial.log.lock().unwrap().keys,
        1,
        "sent with the first question"
    );
    let patient = [Next::Full, Next::Lost, Next::Full];
    assert_eq!(trial.ask(&patient).await, (Ok(true), 4, 1));
    let (lost, asked, keys) = trial.ask(&[Next::Lost; 9]).await;
    assert!(lost.unwrap_err().contains("no key of yours"));
    assert_eq!((asked, keys), (3, 2));
    let (refused, asked, keys) = trial.ask(&[Next::Refuse]).await;
    assert!(refused.unwrap_err().contains("not to you"));
    assert_eq!((asked, keys), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_a_program_of_sums_makes_no_evaluation_key_and_takes_no_damaged_answer() {
    let mut trial = Trial::new(true).await;
    assert_eq!(trial.ask(&[]).await, (Ok(true), 1, 0));
    assert_eq!(trial.log.lock().unwrap().keys, 0);
    assert_eq!(
        [".sums-key", ".key", "evaluation-key"].map(|e| trial.files(e)),
        [1, 0, 0]
    );
    let lost = trial.ask(&[Next::Lost; 9]).await;
    assert_eq!((lost.1, lost.2), (3, 0), "there is none to be sent");
    let len = trial.model.response_len();
    for from_end in [1, 9, len / 2, len - 40, len - 70] {
        let (damaged, asked, _) = trial.ask(&[Next::Damage(from_end)]).await;
        damaged.expect_err("what is damaged is taken");
        assert_eq!(asked, 1);
    }
    let (foreign, ..) = trial.ask(&[Next::Foreign]).await;
    assert!(foreign.unwrap_err().contains("belongs to key"));
}
