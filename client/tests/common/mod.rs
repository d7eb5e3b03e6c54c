//! A consortium of real processes, set up command by command as its members type it. Nothing here waits for ever.

// Each test file uses its own part of this.
#![allow(dead_code, unreachable_pub)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use serde_json::Value;
use tacit_party::net::ReservedAddress;

/// The parties that compute.
pub const PARTIES: [&str; 3] = ["north", "west", "south"];

/// The longest that anything may take.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A command of `tacit`.
fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tacit"));
    command.args(args).stdin(Stdio::null());
    command
}

/// Runs a command of `tacit` to its end.
pub fn tacit(args: &[&str]) -> Output {
    let piped = || Stdio::piped();
    let mut child = command(args)
        .stdout(piped())
        .stderr(piped())
        .spawn()
        .unwrap();
    // Read on threads of their own, so that a child that says much does not wait for us.
    let read = |mut source: Box<dyn std::io::Read + Send>| {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            source.read_to_end(&mut bytes).map(|_| bytes)
        })
    };
    let stdout = read(Box::new(child.stdout.take().unwrap()));
    let stderr = read(Box::new(child.stderr.take().unwrap()));
    let status = ended(&mut child, PATIENCE);
    Output {
        status: status.unwrap_or_else(|| panic!("{args:?} came to no end")),
        stdout: stdout.join().unwrap().unwrap(),
        stderr: stderr.join().unwrap().unwrap(),
    }
}

/// How a child ends within `limit`; a later one is killed.
fn ended(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let until = Instant::now() + limit;
    while Instant::now() < until {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        sleep(Duration::from_millis(10));
    }
    child.kill().ok();
    child.wait().ok();
    None
}

/// What a command that must succeed prints.
pub fn said(args: &[&str]) -> String {
    let output = tacit(args);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// The complaint of a command that must fail with status 1.
pub fn complaint(args: &[&str]) -> String {
    let output = tacit(args);
    assert_eq!(output.status.code(), Some(1), "{args:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// A command at work whose standard error is read line by line.
pub struct Talking {
    pub child: Child,
    lines: Receiver<String>,
    heard: String,
}

impl Talking {
    pub fn start(args: &[&str]) -> Self {
        let mut child = command(args)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .env("NO_COLOR", "1")
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            let lines = stderr.lines().map_while(Result::ok);
            lines
                .take_while(|line| sender.send(line.clone()).is_ok())
                .count()
        });
        Self {
            child,
            lines,
            heard: String::new(),
        }
    }

    /// Reads up to a line with these words.
    pub fn until(&mut self, words: &str) {
        let until = Instant::now() + PATIENCE;
        loop {
            let line = self.next(until);
            let line = line.unwrap_or_else(|| panic!("no {words:?} in\n{}", self.heard));
            if line.contains(words) {
                return;
            }
        }
    }

    /// All that was said, and the exit status.
    pub fn end(mut self) -> (Option<i32>, String) {
        let until = Instant::now() + PATIENCE;
        while self.next(until).is_some() {}
        let status = ended(&mut self.child, PATIENCE);
        let status = status.unwrap_or_else(|| panic!("no end after\n{}", self.heard));
        (status.code(), std::mem::take(&mut self.heard))
    }

    fn next(&mut self, until: Instant) -> Option<String> {
        let left = until.saturating_duration_since(Instant::now());
        match self.lines.recv_timeout(left) {
            Ok(line) => {
                self.heard += &line;
                self.heard.push('\n');
                Some(line)
            }
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("silence after\n{}", self.heard),
        }
    }
}

impl Drop for Talking {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A server that is killed at the end.
pub struct Server(pub Child);

impl Server {
    pub fn lives(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    /// How it ends by itself.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        ended(&mut self.0, PATIENCE)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// What a consortium is like, beyond what `init` writes.
pub struct Plan {
    /// Parties that contribute and do not compute.
    pub further: Vec<String>,
    /// Lines of `party.toml` to replace.
    pub party: Vec<(&'static str, String)>,
    /// Lines of `coordinator.toml` to replace.
    pub coordinator: Vec<(&'static str, String)>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            further: Vec::new(),
            // So that nobody waits long for a coordinator that starts late.
            party: vec![("reconnect = 30", "reconnect = 1".into())],
            coordinator: Vec::new(),
        }
    }
}

/// The folders of all members and their servers.
pub struct World {
    directory: tempfile::TempDir,
    /// Where the coordinator is reached.
    at: String,
    /// Where everybody listens; also while its server is down.
    _addresses: Vec<ReservedAddress>,
    parties: Vec<String>,
    pub coordinator: Option<Server>,
    /// In the order of [`PARTIES`], the further ones after them.
    pub servers: Vec<Server>,
}

impl World {
    pub fn new() -> Self {
        Self::with(Plan::default())
    }

    /// Everything up to the point where jobs can be submitted.
    pub fn with(plan: Plan) -> Self {
        let further = plan.further.iter().map(String::as_str);
        let parties: Vec<String> = PARTIES.into_iter().chain(further).map(Into::into).collect();
        let kept: Vec<_> = (0..=parties.len())
            .map(|_| ReservedAddress::new().unwrap())
            .collect();
        let mut addresses: Vec<_> = kept.iter().map(|k| k.address().to_string()).collect();
        let at = addresses.pop().unwrap();
        let mut this = Self {
            directory: tempfile::tempdir().unwrap(),
            at,
            _addresses: kept,
            parties,
            coordinator: None,
            servers: Vec::new(),
        };
        let operator = this.path("coordinator");
        said(&[
            "coordinator",
            "--dir",
            &operator,
            "init",
            "--name",
            "trial",
            "--address",
            &this.at,
            "--listen",
            &this.at,
        ]);
        this.edit("coordinator/coordinator.toml", &plan.coordinator);
        for (k, (name, address)) in this.parties.iter().zip(&addresses).enumerate() {
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
            this.fill_in(k);
            this.edit(&format!("{name}/party.toml"), &plan.party);
        }
        said(&["init", "--dir", &this.path("analyst"), "--name", "analyst"]);
        let members: Vec<&str> = this.members().collect();
        let requests = members.iter().map(|name| format!("{name}/request.toml"));
        let requests: Vec<String> = requests.map(|file| this.path(&file)).collect();
        let mut admit = vec!["coordinator", "--dir", &operator, "admit"];
        admit.extend(requests.iter().map(String::as_str));
        said(&admit);
        for member in members {
            fs::copy(
                this.path("coordinator/consortium.toml"),
                this.path(&format!("{member}/consortium.toml")),
            )
            .unwrap();
        }
        this.start_coordinator();
        this.servers = this.parties.iter().map(|name| this.party(name)).collect();
        this
    }

    fn members(&self) -> impl Iterator<Item = &str> {
        self.parties.iter().map(String::as_str).chain(["analyst"])
    }

    pub fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    /// Starts the coordinator and waits until it answers.
    pub fn start_coordinator(&mut self) {
        self.coordinator = Some(self.serve("coordinator", "coordinator"));
        let until = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(&self.at).is_err() {
            assert!(Instant::now() < until, "the coordinator does not answer");
            sleep(Duration::from_millis(20));
        }
    }

    /// Starts a party.
    pub fn party(&self, name: &str) -> Server {
        self.serve("party", name)
    }

    /// Starts a party that logs all that it and its libraries have to say, into a file of the world.
    pub fn talkative_party(&self, name: &str, log: &str) -> Server {
        let log = fs::File::create(self.path(log)).unwrap();
        let server = command(&["party", "--dir", &self.path(name), "serve"])
            .env("RUST_LOG", "trace")
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        Server(server.unwrap())
    }

    fn serve(&self, program: &str, member: &str) -> Server {
        let server = command(&[program, "--dir", &self.path(member), "serve"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Server(server.unwrap())
    }

    /// A party's own rows, dealt out in turn, and a policy that west keeps stricter than the others.
    fn fill_in(&self, k: usize) {
        let (name, count) = (&self.parties[k], self.parties.len());
        let data = tacit_examples::BREAST_CANCER;
        let rows: Vec<&str> = data.rows().skip(k).step_by(count).collect();
        fs::write(
            self.path(&format!("{name}/rows.csv")),
            format!("{}\n{}\n", data.header(), rows.join("\n")),
        )
        .unwrap();
        // A job file that the institution has reviewed.
        fs::write(
            self.path(&format!("{name}/breast-cancer.toml")),
            data.jobs[0],
        )
        .unwrap();
        let most = if name == "west" { 20 } else { 1000 };
        let own = |from, to: &str| (from, to.to_owned());
        self.edit(
            &format!("{name}/party.toml"),
            &[
                own("# [datasets.breast-cancer]", "[datasets.breast-cancer]"),
                own("# file = \"data/breast-cancer.csv\"", "file = \"rows.csv\""),
                own(
                    "# description = \"data/breast-cancer.toml\"",
                    "description = \"breast-cancer.toml\"",
                ),
                own("kinds = []", "kinds = [\"train\"]"),
                own("onnx = false", "onnx = true"),
                own("submitters = []", "submitters = [\"analyst\"]"),
                own("recipients = []", "recipients = [\"analyst\"]"),
                ("compute = []", format!("compute = {PARTIES:?}")),
                (
                    "contributors = []",
                    format!("contributors = {:?}", self.parties),
                ),
                own("datasets = []", "datasets = [\"breast-cancer\"]"),
                own("metrics = []", "metrics = [\"accuracy\", \"auc\"]"),
                own("epoch_loss = false", "epoch_loss = true"),
                ("max_epochs = 1000", format!("max_epochs = {most}")),
            ],
        );
    }

    /// Replaces lines of a file that are there.
    pub fn edit(&self, file: &str, lines: &[(&str, String)]) {
        let file = PathBuf::from(self.path(file));
        let mut text = fs::read_to_string(&file).unwrap();
        for (from, to) in lines {
            assert!(text.contains(from), "no {from:?} in\n{text}");
            text = text.replace(from, to);
        }
        fs::write(file, text).unwrap();
    }

    /// A job file of the analyst's.
    pub fn job(&self, toml: &str) -> String {
        let file = self.path("analyst/job.toml");
        fs::write(&file, toml).unwrap();
        file
    }

    /// Submits a job; its identifier.
    pub fn submit(&self, toml: &str) -> String {
        let id = said(&["submit", "--dir", &self.path("analyst"), &self.job(toml)]);
        id.trim().to_owned()
    }

    /// Submits a job that must be done in the end.
    pub fn train(&self, toml: &str) {
        let (home, job) = (self.path("analyst"), self.job(toml));
        said(&["submit", "--dir", &home, &job, "--watch"]);
    }

    /// Watches a job.
    pub fn watch(&self, id: &str) -> Talking {
        Talking::start(&["watch", "--dir", &self.path("analyst"), id])
    }

    /// All jobs, newest first.
    pub fn jobs(&self) -> Vec<Value> {
        let jobs = said(&["jobs", "--dir", &self.path("analyst"), "--json"]);
        let jobs: Value = serde_json::from_str(jobs.lines().last().unwrap()).unwrap();
        jobs["jobs"].as_array().unwrap().clone()
    }
}

/// The demo's second job, long enough to be disturbed in the middle.
pub fn long_job() -> String {
    tacit_examples::BREAST_CANCER.jobs[1].replace("epochs = 10", "epochs = 20")
}

/// Rows of so many numbers as a file of NumPy's.
pub fn npy(values: &[f32], width: usize) -> Vec<u8> {
    let rows = values.len() / width;
    let header =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {width}), }}");
    let header = format!("{header:<117}\n");
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((header.len() as u16).to_le_bytes());
    file.extend(header.as_bytes());
    file.extend(values.iter().flat_map(|v| v.to_le_bytes()));
    file
}

/// The numbers of such a file.
pub fn floats(file: &[u8]) -> Vec<f32> {
    let len = usize::from(u16::from_le_bytes([file[8], file[9]]));
    let words = file[10 + len..].as_chunks::<4>().0.iter();
    words.map(|b| f32::from_le_bytes(*b)).collect()
}
