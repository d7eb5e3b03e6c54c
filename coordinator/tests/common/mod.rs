//! A consortium of four members, a coordinator on a free port, and scripted parties that speak the real protocol over
//! real mutual TLS.

// Each test file uses its own part of this.
#![allow(dead_code, unreachable_pub)]

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use tacit_api::consortium::Consortium;
use tacit_api::identity::Identity;
use tacit_api::proto::coordinator_client::CoordinatorClient;
use tacit_api::proto::*;
use tacit_api::roster::Roster;
use tacit_api::{MAX_MESSAGE_BYTES, PROTOCOL_VERSION};
use tacit_api::{seal, sign, tls};
use tacit_coordinator::{Config, ServeError, Server};
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

pub const PARTIES: [&str; 3] = ["north", "west", "south"];

pub const JOB: &str = r#"
name = "trial"
kind = "train"
recipient = "analyst"
compute = ["north", "west", "south"]
[data]
dataset = "d"
label = "y"
classes = 2
features = [{ name = "x", min = 0, max = 1 }]
[model]
hidden = []
[training]
epochs = 2
[release]
epoch_loss = true
"#;

/// The files of a consortium: parties north, west and south, clients analyst and auditor.
pub struct Home {
    pub dir: TempDir,
    pub roster: Roster,
    pub identities: HashMap<&'static str, Identity>,
    pub authority: Identity,
}

impl Home {
    pub fn found() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = Config::in_directory(dir.path(), "localhost:0");
        let (authority, coordinator) =
            (Identity::generate().unwrap(), Identity::generate().unwrap());
        let mut consortium =
            Consortium::found("trial", "localhost:7000", &authority, &coordinator).unwrap();
        let mut identities = HashMap::new();
        for (name, address) in [
            ("north", Some("localhost:7001")),
            ("west", Some("localhost:7002")),
            ("south", Some("localhost:7003")),
            ("analyst", None),
            ("auditor", None),
        ] {
            let identity = Identity::generate().unwrap();
            consortium
                .admit(&identity.request(name, address).unwrap())
                .unwrap();
            identities.insert(name, identity);
        }
        coordinator.save(&config.identity).unwrap();
        consortium.roster().save(&config.roster).unwrap();
        Self {
            dir,
            roster: consortium.roster().clone(),
            identities,
            authority,
        }
    }

    pub fn config(&self) -> Config {
        let mut config = Config::in_directory(self.dir.path(), "localhost:0");
        config.deadlines.blame = Duration::from_millis(300);
        config
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A member's connection to the coordinator at `address`.
    pub async fn connect(
        &self,
        name: &str,
        address: &str,
    ) -> Result<CoordinatorClient<Channel>, tonic::transport::Error> {
        connect(&self.identities[name], &self.roster, address).await
    }

    pub fn signed(&self, submitter: &str) -> SignedJob {
        sign::sign_job(&self.identities[submitter], &self.roster, JOB, None).unwrap()
    }

    /// `party`'s share of `words`, sealed to analyst.
    pub fn share(&self, party: &str, job_id: &str, label: &str, words: &[u64]) -> SealedShare {
        let identity = &self.identities[party];
        let analyst = self.roster.member("analyst").unwrap();
        seal::seal(identity, &self.roster, analyst, job_id, 1, label, words).unwrap()
    }
}

pub async fn connect(
    identity: &Identity,
    roster: &Roster,
    address: &str,
) -> Result<CoordinatorClient<Channel>, tonic::transport::Error> {
    let endpoint = tls::coordinator_endpoint(identity, roster, address).unwrap();
    let client = CoordinatorClient::new(endpoint.connect().await?);
    Ok(client
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES))
}

/// A coordinator that serves in this process.
pub struct World {
    pub home: Home,
    pub address: String,
    stop: oneshot::Sender<()>,
    server: JoinHandle<Result<(), ServeError>>,
}

impl World {
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let home = Home::found();
        let mut config = home.config();
        change(&mut config);
        let server = Server::bind(config).await.unwrap();
        let address = server.local_addr().to_string();
        let (stop, stopped) = oneshot::channel();
        let server = tokio::spawn(server.run(async {
            stopped.await.ok();
        }));
        Self {
            home,
            address,
            stop,
            server,
        }
    }

    /// Stops the coordinator and returns the files it leaves.
    pub async fn stop(self) -> Home {
        self.stop.send(()).unwrap();
        self.server.await.unwrap().unwrap();
        self.home
    }

    pub async fn client(&self, name: &str) -> CoordinatorClient<Channel> {
        self.home.connect(name, &self.address).await.unwrap()
    }

    pub async fn attend(&self, name: &'static str) -> Result<Party, Status> {
        Party::attend(name, &mut self.client(name).await, hello(&self.home.roster)).await
    }

    pub async fn attend_all(&self) -> [Party; 3] {
        let mut parties = Vec::new();
        for name in PARTIES {
            parties.push(self.attend(name).await.unwrap());
        }
        parties.try_into().ok().unwrap()
    }

    /// Analyst submits the job; returns its identifier.
    pub async fn submit(&self) -> String {
        let job = self.home.signed("analyst");
        let reply = self.client("analyst").await.submit(job).await;
        reply.unwrap().into_inner().job_id
    }

    /// The events of a job until its end.
    pub async fn watch(&self, job_id: &str) -> Vec<Event> {
        let request = WatchRequest {
            job_id: job_id.into(),
            after: 0,
        };
        let events = self.client("auditor").await.watch(request).await;
        drain(events.unwrap().into_inner()).await
    }
}

pub fn hello(roster: &Roster) -> Hello {
    Hello {
        version: PROTOCOL_VERSION,
        roster: roster.fingerprint().as_bytes().to_vec(),
    }
}

pub async fn drain(mut events: Streaming<Event>) -> Vec<Event> {
    let mut all = Vec::new();
    while let Some(event) = soon(events.message()).await.unwrap() {
        all.push(event);
    }
    all
}

/// The result of `future`, which must not take long.
pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    let patience = Duration::from_secs(20);
    tokio::time::timeout(patience, future)
        .await
        .expect("in time")
}

/// A party that does what the test says.
pub struct Party {
    pub name: &'static str,
    to: mpsc::Sender<FromParty>,
    from: Streaming<ToParty>,
}

impl Party {
    pub async fn attend(
        name: &'static str,
        client: &mut CoordinatorClient<Channel>,
        hello: Hello,
    ) -> Result<Self, Status> {
        let (to, outbound) = mpsc::channel(16);
        let hello = FromParty {
            kind: Some(from_party::Kind::Hello(hello)),
        };
        to.send(hello).await.unwrap();
        let reply = soon(client.attend(ReceiverStream::new(outbound))).await?;
        Ok(Self {
            name,
            to,
            from: reply.into_inner(),
        })
    }

    pub async fn say(&self, kind: from_party::Kind) {
        self.to.send(FromParty { kind: Some(kind) }).await.unwrap();
    }

    /// The next message, or how the stream ended.
    pub async fn hear(&mut self) -> Result<Option<to_party::Kind>, Status> {
        let message = soon(self.from.message()).await?;
        Ok(message.map(|message| message.kind.unwrap()))
    }

    pub async fn offered(&mut self) -> Offer {
        match self.hear().await.unwrap() {
            Some(to_party::Kind::Offer(offer)) => offer,
            other => panic!("{} expected an offer, not {other:?}", self.name),
        }
    }

    pub async fn started(&mut self) -> Start {
        match self.hear().await.unwrap() {
            Some(to_party::Kind::Start(start)) => start,
            other => panic!("{} expected the start, not {other:?}", self.name),
        }
    }

    pub async fn cancelled(&mut self) -> Cancel {
        match self.hear().await.unwrap() {
            Some(to_party::Kind::Cancel(cancel)) => cancel,
            other => panic!("{} expected a cancel, not {other:?}", self.name),
        }
    }

    pub async fn accept(&self, job_id: &str) {
        self.say(from_party::Kind::Verdict(Verdict {
            job_id: job_id.into(),
            accepted: true,
            reason: String::new(),
        }))
        .await;
    }

    pub async fn finish(&self, job_id: &str, result: SealedShare) {
        self.say(from_party::Kind::Finished(Finished {
            job_id: job_id.into(),
            result: Some(result),
            ..Finished::default()
        }))
        .await;
    }
}

/// Takes a job to its start with all three parties.
pub async fn start_job(world: &World, parties: &mut [Party; 3]) -> String {
    let id = world.submit().await;
    for party in parties.iter_mut() {
        assert_eq!(party.offered().await.job_id, id);
        party.accept(&id).await;
    }
    for party in parties.iter_mut() {
        assert_eq!(
            party.started().await,
            Start {
                job_id: id.clone(),
                attempt: 1
            }
        );
    }
    id
}
