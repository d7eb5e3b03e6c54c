//! The program itself: its commands, and what survives when it is killed.

// Clippy's own exception does not reach the functions that tests share.
#![allow(clippy::unwrap_used)]

mod common;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use common::{Home, PARTIES, Party, connect, drain, hello};
use tacit_api::identity::Identity;
use tacit_api::proto::*;
use tacit_api::roster::Roster;
use tacit_api::seal;
use tacit_coordinator::Config;

fn coordinator(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coordinator"));
    command.arg("--dir").arg(dir).args(args);
    command
}

fn output(dir: &Path, args: &[&str]) -> (i32, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = coordinator(dir, args).output().unwrap();
    let text = [stdout, stderr].concat();
    (status.code().unwrap(), String::from_utf8(text).unwrap())
}

/// A serving process, killed without warning when dropped.
struct Serving {
    child: Child,
    address: String,
}

impl Serving {
    fn start(dir: &Path) -> Self {
        let mut child = coordinator(dir, &["serve"])
            .env("RUST_LOG", "info")
            .env("NO_COLOR", "1")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = lines
            .by_ref()
            .map(Result::unwrap)
            .find_map(|line| {
                let (_, rest) = line.split_once("listening on ")?;
                rest.split_whitespace().next().map(str::to_owned)
            })
            .unwrap();
        std::thread::spawn(move || lines.for_each(drop)); // so that the pipe never fills
        Self { child, address }
    }

    /// SIGKILL: no chance to clean up.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[tokio::test]
async fn jobs_survive_kill_9() {
    let home = Home::found();
    let config = home.path().join("coordinator.toml");
    std::fs::write(config, Config::template("localhost:0")).unwrap();
    let serving = Serving::start(home.path());
    let mut analyst = home.connect("analyst", &serving.address).await.unwrap();
    let mut ids = Vec::new();
    for _ in 0..2 {
        let reply = analyst.submit(home.signed("analyst")).await;
        ids.push(reply.unwrap().into_inner().job_id);
    }
    let mut parties = Vec::new();
    for name in PARTIES {
        let mut client = home.connect(name, &serving.address).await.unwrap();
        parties.push(
            Party::attend(name, &mut client, hello(&home.roster))
                .await
                .unwrap(),
        );
    }
    for party in &mut parties {
        party.offered().await;
        party.accept(&ids[0]).await;
    }
    for party in &mut parties {
        party.started().await;
    }
    serving.kill();
    drop(parties);

    let serving = Serving::start(home.path());
    let mut analyst = home.connect("analyst", &serving.address).await.unwrap();
    let jobs = analyst
        .jobs(JobsRequest {})
        .await
        .unwrap()
        .into_inner()
        .jobs;
    let summary: Vec<_> = jobs
        .iter()
        .map(|job| (job.id.as_str(), job.state()))
        .collect();
    assert_eq!(
        summary,
        [
            (ids[1].as_str(), JobState::Queued),
            (ids[0].as_str(), JobState::Failed)
        ]
    );
    assert!(
        jobs[1].reason.starts_with("the coordinator restarted"),
        "{}",
        jobs[1].reason
    );
    // The job that had begun keeps its history, and the one that waited runs now.
    let watch = |id: &str| WatchRequest {
        job_id: id.into(),
        after: 0,
    };
    let events = drain(analyst.watch(watch(&ids[0])).await.unwrap().into_inner()).await;
    assert!(
        events
            .iter()
            .any(|event| event.text == "all parties accepted: it runs")
    );
    let mut parties = Vec::new();
    for name in PARTIES {
        let mut client = home.connect(name, &serving.address).await.unwrap();
        parties.push(
            Party::attend(name, &mut client, hello(&home.roster))
                .await
                .unwrap(),
        );
    }
    for party in &mut parties {
        assert_eq!(party.offered().await.job_id, ids[1]);
        party.accept(&ids[1]).await;
    }
    for party in &mut parties {
        party.started().await;
        let result = home.share(party.name, &ids[1], seal::RESULT, &[1]);
        party.finish(&ids[1], result).await;
    }
    let events = drain(analyst.watch(watch(&ids[1])).await.unwrap().into_inner()).await;
    assert_eq!(events.last().unwrap().state(), JobState::Done);
    serving.kill();

    let serving = Serving::start(home.path());
    let mut analyst = home.connect("analyst", &serving.address).await.unwrap();
    let request = FetchRequest {
        job_id: ids[1].clone(),
    };
    let release = analyst.fetch(request).await.unwrap().into_inner();
    assert_eq!(release.shares.len(), 3);
}

#[tokio::test]
async fn an_operator_founds_admits_and_serves() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let init = [
        "init",
        "--name",
        "trial",
        "--address",
        "localhost:7000",
        "--listen",
        "localhost:0",
    ];
    let (status, text) = output(dir, &init);
    assert_eq!(status, 0, "{text}");
    let key = std::fs::read(dir.join("authority.key")).unwrap();
    let (status, text) = output(dir, &init);
    assert_eq!(status, 1);
    assert!(text.contains("authority.key"), "{text}");
    assert_eq!(
        std::fs::read(dir.join("authority.key")).unwrap(),
        key,
        "keys are never replaced"
    );

    let analyst = Identity::generate().unwrap();
    let request = analyst.request("analyst", None).unwrap();
    let file = dir.join("analyst.request.toml");
    std::fs::write(&file, request.to_toml().unwrap()).unwrap();
    let (status, text) = output(dir, &["admit", file.to_str().unwrap()]);
    assert_eq!(status, 0, "{text}");
    let roster = Roster::load(&dir.join("consortium.toml")).unwrap();
    assert!(text.contains("Admitted analyst"), "{text}");
    assert!(text.contains(&roster.fingerprint().to_string()), "{text}");
    let (status, text) = output(dir, &["admit", file.to_str().unwrap()]);
    assert_eq!(status, 1);
    assert!(text.contains("have the same name"), "{text}");

    let mut serving = Serving::start(dir);
    let mut client = connect(&analyst, &roster, &serving.address).await.unwrap();
    assert!(
        client
            .jobs(JobsRequest {})
            .await
            .unwrap()
            .into_inner()
            .jobs
            .is_empty()
    );

    let pid = serving.child.id().to_string();
    assert!(Command::new("kill").arg(pid).status().unwrap().success());
    assert!(
        serving.child.wait().unwrap().success(),
        "SIGTERM ends it in order"
    );
}

#[test]
fn mistakes_are_explained() {
    let dir = tempfile::tempdir().unwrap();
    let (status, text) = output(dir.path(), &["serve"]);
    assert_eq!(status, 1);
    assert!(text.contains("coordinator.toml"), "{text}");
    let cause = "No such file";
    assert_eq!(text.matches(cause).count(), 1, "every cause once: {text}");
    let bad = ["init", "--name", "No Name", "--address", "localhost:7000"];
    let (status, text) = output(dir.path(), &bad);
    assert_eq!(status, 1);
    assert!(text.contains("lower-case"), "{text}");
    assert_eq!(
        std::fs::read_dir(dir.path()).unwrap().count(),
        0,
        "nothing is left behind"
    );
    assert_eq!(output(dir.path(), &["dance"]).0, 2);
    assert_eq!(output(dir.path(), &["--help"]).0, 0);
}
