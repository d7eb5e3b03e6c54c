//! Three parties as processes on this machine: real sockets, TLS 1.3, real keys.
//!
//! The parent founds a consortium in a temporary directory and starts the children. Each tells its port on its standard
//! output, gets all ports on its standard input, and tells what it found.

use std::io::{BufRead, BufReader, Write};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Stdio};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tacit_api::consortium::Consortium;
use tacit_api::identity::Identity;
use tacit_api::roster::Roster;
use tacit_mpc::Session;
use tacit_mpc::keys::{Binding, agree};
use tacit_party::net::{Connector, Deadlines, Limits, Listener, Peer, Registry, SessionId};
use tokio::net::TcpListener;

use super::measure::{Findings, Task, measure};
use crate::local::{Comparison, Protocol};
use crate::process::{Leashed, end_with_stdin};
use crate::usage::Scope;

const ROSTER: &str = "consortium.toml";
const NAMES: [&str; 3] = ["north", "west", "south"];

/// What a child is told by its command line.
#[derive(clap::Args, Clone, Debug)]
pub struct ChildArgs {
    /// The directory with roster and keys
    #[arg(long)]
    dir: PathBuf,
    /// This party's index
    #[arg(long)]
    me: usize,
    /// How the parties compute
    #[arg(long)]
    protocol: Protocol,
    /// The operation
    #[arg(long)]
    op: super::Op,
    /// Its size
    #[arg(long)]
    size: usize,
    /// Runs that count
    #[arg(long)]
    runs: usize,
    /// The variant of comparisons
    #[arg(long)]
    comparison: Comparison,
    /// What computes products
    #[arg(long)]
    device: tacit_gpu::Choice,
}

/// Measures with three children.
pub(super) fn run(task: Task) -> Result<Vec<Findings>> {
    let directory = tempfile::tempdir().context("cannot make a temporary directory")?;
    found(directory.path())?;
    let mut children = Vec::new();
    for me in 0..3 {
        let args = [
            "bench-party",
            &format!("--dir={}", directory.path().display()),
            &format!("--me={me}"),
            &format!("--protocol={}", task.protocol),
            &format!("--op={}", task.op),
            &format!("--size={}", task.size),
            &format!("--runs={}", task.runs),
            &format!("--comparison={}", task.comparison),
            &format!("--device={}", task.device),
        ];
        let mut child = Leashed::start(&args, Stdio::piped(), Stdio::inherit())?;
        let words = child
            .stdout()
            .map(BufReader::new)
            .context("a child has no output")?;
        children.push((child, words));
    }
    let ports = children.iter_mut().map(|(_, words)| line(words));
    let ports = ports.collect::<Result<Vec<_>>>()?.join(" ");
    for (child, _) in &mut children {
        child.tell(&ports)?;
    }
    let found = children.iter_mut().map(|(_, words)| {
        serde_json::from_str(&line(words)?).context("a child's findings do not parse")
    });
    found.collect()
}

/// The next line of a child.
fn line(words: &mut BufReader<ChildStdout>) -> Result<String> {
    let mut line = String::new();
    words
        .read_line(&mut line)
        .context("cannot read from a child")?;
    ensure!(
        line.ends_with('\n'),
        "a child ended before its time: see its message above"
    );
    Ok(line.trim().to_owned())
}

/// A consortium of the three in `directory`.
fn found(directory: &Path) -> Result<()> {
    let (authority, coordinator) = (Identity::generate()?, Identity::generate()?);
    // Nobody calls this coordinator; the children say where they listen when they do.
    let mut consortium = Consortium::found("bench", "localhost:1", &authority, &coordinator)?;
    for name in NAMES {
        let identity = Identity::generate()?;
        identity.save(&directory.join(name))?;
        consortium.admit(&identity.request(name, Some("localhost:1"))?)?;
    }
    Ok(consortium.roster().save(&directory.join(ROSTER))?)
}

/// The child's whole life.
pub(super) fn child(args: &ChildArgs) -> Result<()> {
    let name = NAMES.get(args.me).context("a party's index is 0, 1 or 2")?;
    let roster = Arc::new(Roster::load(&args.dir.join(ROSTER))?);
    let identity = Arc::new(Identity::load(&args.dir.join(name))?);
    let registry = Arc::new(Registry::default());
    let listener = Listener::new(
        &identity,
        roster.clone(),
        registry.clone(),
        Limits::default(),
    )?;
    // The handshakes are all that this runtime serves; the links have threads of their own.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let socket = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
    say(&socket.local_addr()?.port().to_string())?;
    runtime.spawn(listener.serve(socket));
    let patience = Duration::from_secs(120);
    let connector = Connector {
        identity,
        roster: roster.clone(),
        registry,
        deadlines: Deadlines {
            connect: patience,
            exchange: patience,
        },
    };
    let session = SessionId::new("bench", 1);
    let peers = peers(&roster, args.me, &heard()?)?;
    end_with_stdin();
    let net = Arc::new(connector.connect(session, args.me, &peers)?);
    let mut identities = vec![[0; 32]; 3];
    for (name, identity) in NAMES.iter().zip(&mut identities) {
        *identity = *roster.member(name)?.fingerprint().as_bytes();
    }
    let binding = Binding {
        session: session.0,
        program: [0; 32],
        identities,
    };
    let prss = agree(&*net, &binding)?;
    let chosen = tacit_gpu::choose(args.device, tacit_gpu::Settings::default())?;
    if args.me == 0 && args.device != tacit_gpu::Choice::Cpu {
        eprintln!("{chosen}");
    }
    let task = Task {
        protocol: args.protocol,
        parties: 3,
        op: args.op,
        size: args.size,
        runs: args.runs,
        comparison: args.comparison,
        device: args.device,
    };
    let start = Instant::now();
    let clock = Rc::new(move || start.elapsed().as_secs_f64());
    let found: Findings = measure(
        Session::new(net, prss, chosen.kernels),
        task,
        None,
        clock,
        Scope::Process,
    )?;
    say(&serde_json::to_string(&found)?)
}

/// The other parties, at the ports that the parent told.
fn peers(roster: &Roster, me: usize, ports: &str) -> Result<Vec<Peer>> {
    let ports: Vec<&str> = ports.split_whitespace().collect();
    let others = NAMES
        .iter()
        .zip(&ports)
        .enumerate()
        .filter(|(index, _)| *index != me);
    let peer = |(index, (name, port)): (usize, (&&str, &&str))| {
        let address = format!("{}:{port}", Ipv4Addr::LOCALHOST);
        Ok(Peer {
            address,
            ..Peer::new(index, roster.member(name)?)
        })
    };
    others.map(peer).collect()
}

fn say(line: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .context("cannot write to the parent")
}

fn heard() -> Result<String> {
    let mut line = String::new();
    if std::io::stdin().read_line(&mut line)? == 0 {
        bail!("the parent is gone");
    }
    Ok(line)
}
