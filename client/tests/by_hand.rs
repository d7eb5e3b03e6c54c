//! The walk-through of docs/consortium.md, command by command, as real members type it.

#![allow(clippy::unwrap_used)] // a test may panic

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

const PARTIES: [&str; 3] = ["north", "west", "south"];

/// Runs a command of `tacit` to its end.
fn tacit(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tacit"))
        .args(args)
        .output()
        .unwrap()
}

/// What a command that must succeed prints.
fn said(args: &[&str]) -> String {
    let output = tacit(args);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// The complaint of a command that must fail with status 1.
fn complaint(args: &[&str]) -> String {
    let output = tacit(args);
    assert_eq!(output.status.code(), Some(1), "{args:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// A server that is killed at the end.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// The folders of all members and their servers.
struct World {
    directory: tempfile::TempDir,
    servers: Vec<Server>,
}

impl World {
    /// Everything up to the point where jobs can be submitted.
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut this = Self {
            directory,
            servers: Vec::new(),
        };
        let held: Vec<_> = (0..4)
            .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
            .collect();
        let addresses: Vec<_> = held
            .iter()
            .map(|s| s.local_addr().unwrap().to_string())
            .collect();
        drop(held);
        let operator = this.path("coordinator");
        let [at, parties @ ..] = &addresses[..] else {
            panic!("four addresses")
        };
        said(&[
            "coordinator",
            "--dir",
            &operator,
            "init",
            "--name",
            "trial",
            "--address",
            at,
            "--listen",
            at,
        ]);
        for (name, address) in PARTIES.iter().zip(parties) {
            let folder = this.path(name);
            said(&[
                "party",
                "--dir",
                &folder,
                "init",
                "--name",
                name,
                "--address",
                address,
                "--listen",
                address,
            ]);
            this.fill_in(name);
        }
        said(&["init", "--dir", &this.path("analyst"), "--name", "analyst"]);
        for member in PARTIES.iter().chain([&"analyst"]) {
            let request = this.path(&format!("{member}/request.toml"));
            said(&["coordinator", "--dir", &operator, "admit", &request]);
        }
        for member in PARTIES.iter().chain([&"analyst"]) {
            fs::copy(
                this.path("coordinator/consortium.toml"),
                this.path(&format!("{member}/consortium.toml")),
            )
            .unwrap();
        }
        this.serve("coordinator", "coordinator");
        let until = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(at).is_err() {
            assert!(Instant::now() < until, "the coordinator does not answer");
            sleep(Duration::from_millis(20));
        }
        for name in PARTIES {
            this.serve("party", name);
        }
        this
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    fn serve(&mut self, program: &str, member: &str) {
        let server = Command::new(env!("CARGO_BIN_EXE_tacit"))
            .args([program, "--dir", &self.path(member), "serve"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.servers.push(Server(server.unwrap()));
    }

    /// A party's own rows, every third of the table, and a policy that west keeps stricter than the others.
    fn fill_in(&self, name: &str) {
        let first = PARTIES.iter().position(|other| *other == name).unwrap();
        let data = tacit_examples::BREAST_CANCER;
        let rows: Vec<&str> = data.rows().skip(first).step_by(3).collect();
        fs::write(
            self.path(&format!("{name}/rows.csv")),
            format!("{}\n{}\n", data.header(), rows.join("\n")),
        )
        .unwrap();
        let config = PathBuf::from(self.path(&format!("{name}/party.toml")));
        let text = fs::read_to_string(&config).unwrap();
        let most = if name == "west" { 20 } else { 1000 };
        let text = text
            .replace("[datasets]", "[datasets]\nbreast-cancer = \"rows.csv\"")
            .replace("kinds = []", "kinds = [\"train\"]")
            .replace("submitters = []", "submitters = [\"analyst\"]")
            .replace("recipients = []", "recipients = [\"analyst\"]")
            .replace("datasets = []", "datasets = [\"breast-cancer\"]")
            .replace("metrics = []", "metrics = [\"accuracy\", \"auc\"]")
            .replace("epoch_loss = false", "epoch_loss = true")
            .replace("max_epochs = 1000", &format!("max_epochs = {most}"));
        fs::write(config, text).unwrap();
    }

    /// A job file of the analyst's.
    fn job(&self, toml: &str) -> String {
        let file = self.path("analyst/job.toml");
        fs::write(&file, toml).unwrap();
        file
    }
}

#[test]
fn a_consortium_by_hand_from_keys_to_model() {
    let world = World::new();
    let home = world.path("analyst");
    let toml = tacit_examples::BREAST_CANCER.jobs[0];

    let id = said(&["submit", "--dir", &home, &world.job(toml)])
        .trim()
        .to_owned();
    assert!(
        id.len() == 32 && id.chars().all(|c| c.is_ascii_hexdigit()),
        "{id}"
    );
    let watched = said(&["watch", "--dir", &home, &id, "--json"]);
    let watched: Value = serde_json::from_str(watched.lines().last().unwrap()).unwrap();
    let losses = watched["losses"].as_array().unwrap();
    assert_eq!(losses.len(), 10);
    assert!(losses[9].as_f64() < losses[0].as_f64(), "{losses:?}");

    let [model, onnx] = ["model.safetensors", "model.onnx"].map(|name| world.path(name));
    let fetched = said(&[
        "fetch", "--dir", &home, &id, "-o", &model, "--onnx", &onnx, "--json",
    ]);
    let fetched: Value = serde_json::from_str(fetched.lines().last().unwrap()).unwrap();
    assert!(
        fetched["metrics"]["accuracy"].as_f64().unwrap() > 0.9,
        "{fetched}"
    );
    assert!(Path::new(&model).exists() && Path::new(&onnx).exists());
    assert!(said(&["jobs", "--dir", &home]).contains("done"));

    // One institution's policy is enough to stop a job, and the submitter learns whose it was and why.
    let long = toml.replace("epochs = 10", "epochs = 30");
    let refused = complaint(&["submit", "--dir", &home, &world.job(&long), "--watch"]);
    assert!(
        refused.contains("west") && refused.contains("at most 20 epochs"),
        "{refused}"
    );
    let jobs = said(&["jobs", "--dir", &home, "--json"]);
    let jobs: Value = serde_json::from_str(jobs.lines().last().unwrap()).unwrap();
    let newest = &jobs["jobs"][0];
    assert_eq!(
        (&newest["state"], &newest["culprit"]),
        (&"failed".into(), &"west".into())
    );
    let refused = complaint(&[
        "fetch",
        "--dir",
        &home,
        newest["id"].as_str().unwrap(),
        "-o",
        &model,
    ]);
    assert!(refused.contains("failed"), "{refused}");

    // Mistakes of the submitter's own are found before anybody else sees the job.
    let wrong = complaint(&["submit", "--dir", &home, &world.job("name = 1")]);
    assert!(
        wrong.contains("job.toml") && wrong.contains("line 1"),
        "{wrong}"
    );
    let unknown = complaint(&["watch", "--dir", &home, "00112233445566778899aabbccddeeff"]);
    assert!(unknown.contains("no job"), "{unknown}");
}

#[test]
fn a_party_that_is_killed_is_named() {
    let mut world = World::new();
    let home = world.path("analyst");
    let toml = tacit_examples::BREAST_CANCER.jobs[1].replace("epochs = 10", "epochs = 20");
    let id = said(&["submit", "--dir", &home, &world.job(&toml)])
        .trim()
        .to_owned();
    let mut watch = Command::new(env!("CARGO_BIN_EXE_tacit"))
        .args(["watch", "--dir", &home, &id])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut words = String::new();
    let mut lines = std::io::BufReader::new(watch.stderr.take().unwrap());
    while !words.contains("epoch 1/") {
        let read = std::io::BufRead::read_line(&mut lines, &mut words).unwrap();
        assert!(read > 0, "the job ended too early:\n{words}");
    }
    drop(world.servers.pop()); // south, with kill -9
    std::io::Read::read_to_string(&mut lines, &mut words).unwrap();
    assert_eq!(watch.wait().unwrap().code(), Some(1));
    let last = words.lines().last().unwrap();
    assert!(
        last.contains("the job failed") && last.contains("south"),
        "{words}"
    );
    // Back again, the same job runs to its end.
    world.serve("party", "south");
    said(&["submit", "--dir", &home, &world.job(&toml), "--watch"]);
}

#[test]
fn without_an_identity_the_message_says_what_to_do() {
    let empty = tempfile::tempdir().unwrap();
    let words = complaint(&["jobs", "--dir", &empty.path().display().to_string()]);
    assert!(words.contains("tacit init"), "{words}");
}
