//! Parties as their operators run them, with a real coordinator: from `init` to a result that the recipient opens.
#![allow(clippy::unwrap_used)] // a test may

use std::fs;
use std::path::Path;
use std::time::Duration;

use tacit_api::identity::Identity;
use tacit_api::job::JobSpec;
use tacit_api::proto::coordinator_client::CoordinatorClient;
use tacit_api::proto::{Event, FetchRequest, JobState, WatchRequest};
use tacit_api::roster::Roster;
use tacit_api::seal::{RESULT, reveal};
use tacit_api::sign::sign_job;
use tacit_api::tls::coordinator_endpoint;
use tacit_party::config::{CONFIG_FILE, Config};
use tacit_party::net::ReservedAddress;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const PARTIES: [&str; 3] = ["north", "west", "south"];

const JOB: &str = r#"
name = "trial"
kind = "train"
recipient = "analyst"
compute = ["north", "west", "south"]
[data]
dataset = "ward"
label = "ill"
classes = 2
features = [{ name = "age", min = 0, max = 100 }]
[model]
hidden = []
[training]
epochs = 2
[release]
metrics = ["accuracy"]
"#;

/// The directories of a consortium in which everybody has followed the instructions.
struct Home {
    dir: TempDir,
    roster: Roster,
    analyst: Identity,
    /// Where everybody listens; also while its server is down.
    _addresses: Vec<ReservedAddress>,
}

impl Home {
    fn found() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let coordinator = dir.path().join("coordinator");
        let mut addresses = Vec::new();
        let mut free_address = || {
            addresses.push(ReservedAddress::new().unwrap());
            addresses.last().unwrap().address().to_string()
        };
        let address = free_address();
        tacit_coordinator::setup::init(&coordinator, "trial", &address, &address).unwrap();
        for name in PARTIES {
            let address = free_address();
            let request =
                tacit_party::setup::init(&dir.path().join(name), name, &address, &address).unwrap();
            tacit_coordinator::setup::admit(&coordinator, &request).unwrap();
        }
        let analyst = Identity::generate().unwrap();
        let request = dir.path().join("analyst.toml");
        fs::write(
            &request,
            analyst.request("analyst", None).unwrap().to_toml().unwrap(),
        )
        .unwrap();
        let roster = tacit_coordinator::setup::admit(&coordinator, &request).unwrap();
        for (k, name) in PARTIES.iter().enumerate() {
            let home = dir.path().join(name);
            roster.save(&home.join("consortium.toml")).unwrap();
            write_rows(&home.join("ward.csv"), k);
            fs::write(home.join("ward.toml"), JOB).unwrap();
            allow(&home.join(CONFIG_FILE));
        }
        Self {
            dir,
            roster,
            analyst,
            _addresses: addresses,
        }
    }

    fn coordinator(&self) -> Running {
        let path = self
            .dir
            .path()
            .join("coordinator")
            .join(tacit_coordinator::config::CONFIG_FILE);
        let config = tacit_coordinator::Config::load(&path).unwrap();
        Running::new(|stopped| async { tacit_coordinator::serve(config, stopped).await.unwrap() })
    }

    fn config(&self, party: &str) -> Config {
        let mut config = Config::load(&self.dir.path().join(party).join(CONFIG_FILE)).unwrap();
        config.deadlines.reconnect = Duration::from_secs(1);
        config
    }

    fn party(&self, name: &str) -> Running {
        let config = self.config(name);
        Running::new(|stopped| async { tacit_party::serve(config, stopped).await.unwrap() })
    }

    /// Submits the job, waits for its end, and says what happened.
    async fn job(&self) -> (String, Vec<Event>) {
        let mut client = self.client().await;
        let signed = sign_job(&self.analyst, &self.roster, JOB, None).unwrap();
        let job_id = client.submit(signed).await.unwrap().into_inner().job_id;
        let watch = WatchRequest {
            job_id: job_id.clone(),
            after: 0,
        };
        let mut stream = client.watch(watch).await.unwrap().into_inner();
        let mut events = Vec::new();
        while let Some(event) = stream.message().await.unwrap() {
            events.push(event);
        }
        (job_id, events)
    }

    async fn client(&self) -> CoordinatorClient<tonic::transport::Channel> {
        let address = self.roster.coordinator_address();
        let endpoint = coordinator_endpoint(&self.analyst, &self.roster, address).unwrap();
        loop {
            match endpoint.connect().await {
                Ok(channel) => return CoordinatorClient::new(channel),
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await, // it is starting
            }
        }
    }

    /// Fetches the result and opens it.
    async fn result(&self, job_id: String) -> Vec<f64> {
        let fetch = FetchRequest {
            job_id: job_id.clone(),
        };
        let release = self.client().await.fetch(fetch).await.unwrap().into_inner();
        let job = JobSpec::parse(JOB).unwrap();
        let words = reveal(
            &self.analyst,
            &self.roster,
            &job_id,
            &job.compute,
            RESULT,
            &release.shares,
        )
        .unwrap();
        words
            .into_iter()
            .map(|word| word as i64 as f64 / f64::from(1 << 18))
            .collect()
    }
}

/// Who is older than 50 is ill.
fn write_rows(path: &Path, seed: usize) {
    let mut text = String::from("age,ill\n");
    for row in 0..60 {
        let age = (row * 37 + seed * 11) % 101;
        text += &format!("{age},{}\n", u8::from(age > 50));
    }
    fs::write(path, text).unwrap();
}

/// Fills in what the template of the configuration leaves to the operator.
fn allow(path: &Path) {
    let mut text = fs::read_to_string(path).unwrap();
    for (from, to) in [
        ("# [datasets.breast-cancer]", "[datasets.ward]"),
        ("# file = \"data/breast-cancer.csv\"", "file = \"ward.csv\""),
        (
            "# description = \"data/breast-cancer.toml\"",
            "description = \"ward.toml\"",
        ),
        ("kinds = []", "kinds = [\"train\"]"),
        ("submitters = []", "submitters = [\"analyst\"]"),
        ("recipients = []", "recipients = [\"analyst\"]"),
        ("compute = []", "compute = [\"north\", \"west\", \"south\"]"),
        (
            "contributors = []",
            "contributors = [\"north\", \"west\", \"south\"]",
        ),
        ("datasets = []", "datasets = [\"ward\"]"),
        ("metrics = []", "metrics = [\"accuracy\"]"),
    ] {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    fs::write(path, text).unwrap();
}

/// A program that serves until it is stopped.
struct Running {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    fn new<F>(serve: impl FnOnce(Stopped) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (stop, stopped) = oneshot::channel();
        let stopped: Stopped = Box::pin(async { stopped.await.unwrap_or_default() });
        Self {
            stop,
            task: tokio::spawn(serve(stopped)),
        }
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.task.await.unwrap();
    }
}

type Stopped = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

fn state(events: &[Event]) -> JobState {
    events.last().unwrap().state()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consortium_trains_and_its_recipient_opens_the_result() {
    let home = Home::found();
    let coordinator = home.coordinator();
    let parties = PARTIES.map(|name| home.party(name));
    let (job_id, events) = home.job().await;
    assert_eq!(state(&events), JobState::Done, "{events:?}");
    assert_eq!(
        events
            .iter()
            .filter(|event| event.progress.is_some())
            .count(),
        3 * (2 + 1),
        "of each party two epochs, and its whole part"
    );
    // Behind them come the four words of the coin.
    let [weight, _bias, accuracy, _, _, _, _] = home.result(job_id).await[..] else {
        panic!()
    };
    // A coin says which rows are held out, so one row more or less on the wrong side is no fault.
    assert!(weight > 0.0 && accuracy > 0.75, "{weight} {accuracy}");

    // The coordinator restarts, and the parties come back by themselves.
    coordinator.stop().await;
    let coordinator = home.coordinator();
    let (job_id, events) = home.job().await;
    assert_eq!(state(&events), JobState::Done, "{events:?}");
    assert_eq!(home.result(job_id).await.len(), 7);

    for running in parties.into_iter().chain([coordinator]) {
        running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_reaches_the_submitter_in_one_sentence() {
    let home = Home::found();
    let coordinator = home.coordinator();
    let mut strict = home.config("west");
    strict.policy.min_contributors = 4;
    let strict =
        Running::new(|stopped| async { tacit_party::serve(strict, stopped).await.unwrap() });
    let parties = [home.party("north"), strict, home.party("south")];
    let (_, events) = home.job().await;
    assert_eq!(state(&events), JobState::Failed);
    let end = events.last().unwrap();
    assert_eq!(end.culprit, "west");
    assert!(
        end.text
            .contains("my policy demands at least 4 contributors, and this job has 3"),
        "{}",
        end.text
    );
    for running in parties.into_iter().chain([coordinator]) {
        running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_identity_attends_once() {
    let home = Home::found();
    let coordinator = home.coordinator();
    let parties = PARTIES.map(|name| home.party(name));
    assert_eq!(state(&home.job().await.1), JobState::Done);
    // A second process with north's keys is turned away, again and again, and disturbs nobody.
    let mut config = home.config("north");
    let kept = ReservedAddress::new().unwrap();
    config.listen = kept.address().to_string();
    config.journal = home.dir.path().join("another.journal");
    let second =
        Running::new(|stopped| async { tacit_party::serve(config, stopped).await.unwrap() });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (_, events) = home.job().await;
    assert_eq!(state(&events), JobState::Done, "{events:?}");
    assert_eq!(
        fs::read_to_string(home.dir.path().join("another.journal")).unwrap(),
        ""
    );
    for running in parties.into_iter().chain([second, coordinator]) {
        running.stop().await;
    }
}

#[tokio::test]
async fn a_party_does_not_serve_without_sound_files() {
    let home = Home::found();
    let config = home.config("north");
    let refused = |config: Config| async {
        tacit_party::serve(config, async {})
            .await
            .unwrap_err()
            .to_string()
    };
    let mut client = config.clone();
    client.identity = home.dir.path().join("analyst.key");
    home.analyst.save(&client.identity).unwrap();
    assert!(refused(client).await.contains("analyst is a client"));
    let mut stranger = config.clone();
    stranger.identity = home.dir.path().join("stranger.key");
    Identity::generate()
        .unwrap()
        .save(&stranger.identity)
        .unwrap();
    assert!(refused(stranger).await.contains("no member with this key"));
    let mut damaged = config.clone();
    let rows = damaged.datasets.get_mut("ward").unwrap();
    rows.file = home.dir.path().join("damaged.csv");
    fs::write(&rows.file, "age,ill\n40,0\n400,1\n").unwrap();
    assert!(
        refused(damaged)
            .await
            .contains("damaged.csv: line 3, column \"age\"")
    );
    let mut early = config.clone();
    early.roster = home.dir.path().join("none.toml");
    assert!(refused(early).await.contains("send the request file"));
    let mut first_device = config.clone();
    first_device.device = "cuda".parse().unwrap();
    match tacit_party::serve(first_device, async {}).await {
        Ok(()) if cfg!(feature = "cuda") => println!("SKIPPED: there is a device"),
        Ok(()) => panic!("a program without CUDA has no device"),
        Err(error) => {
            let (error, missing) = (error.to_string(), ["NVIDIA driver", "--features cuda"]);
            let missing = missing[usize::from(!cfg!(feature = "cuda"))];
            assert!(
                error.starts_with("device = \"cuda\" cannot be used: ") && error.contains(missing),
                "{error}"
            );
        }
    }
    let mut any_device = config.clone();
    any_device.device = "auto".parse().unwrap();
    tacit_party::serve(any_device, async {}).await.unwrap();
    let text = fs::read_to_string(&config.roster)
        .unwrap()
        .replace("role = \"client\"", "role = \"party\"");
    fs::write(&config.roster, text).unwrap();
    assert!(refused(config).await.contains("analyst"));
}
