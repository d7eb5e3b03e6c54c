//! `tacit circuit`: runs a Boolean circuit on shares, beside the same in the clear.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::ValueEnum;
use serde::Serialize;
use tacit_circuits::{Circuit, Clear, Plan, from_planes, to_planes};
use tacit_mpc::Session;
use tacit_mpc::net::Profile;
use tacit_nn::fixed::FRACTION_BITS;
use tacit_protocols::BooleanEngine;
use tacit_protocols::malicious::MaliciousEngine;
use tacit_protocols::rep3::Rep3Engine;

use crate::local::{Protocol, additive};
use crate::threads::{Clock, in_memory, simulated};
use crate::usage::{Scope, cpu_seconds};

/// What `tacit circuit` is asked for.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// The circuit: a Bristol Fashion file
    file: PathBuf,
    /// How the parties compute
    #[arg(long, default_value = "rep3")]
    protocol: Protocol,
    /// How many parties compute, by additive and additive-dealer: two unless this says otherwise
    #[arg(long)]
    parties: Option<usize>,
    /// What lies between the parties, threads of this process
    #[arg(long, default_value = "mem")]
    net: Net,
    /// An input as a hexadecimal number, most significant digit first; as often as the circuit has inputs. Without any, all
    /// instances get random inputs
    #[arg(long = "input")]
    inputs: Vec<String>,
    /// How many instances run at once
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    instances: u32,
    /// Runs; the figures are those of the median
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// Print one JSON object on the last line
    #[arg(long)]
    json: bool,
}

/// What lies between the parties.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Net {
    /// Nothing
    Mem,
    /// Simulated: 10 Gbit/s, 0.2 ms round trip; the seconds are those of the network alone
    Lan,
    /// Simulated: 100 Mbit/s, 50 ms round trip; the seconds are those of the network alone
    Wan,
}

/// Bits of wires: of each wire those of all instances.
type Planes = Vec<Vec<u64>>;

/// What is run.
struct Task<'a> {
    /// Parties that compute.
    parties: usize,
    plan: &'a Plan,
    inputs: &'a [Planes],
    instances: usize,
    runs: usize,
}

/// What one party found.
struct Found {
    outputs: Vec<Planes>,
    runs: Vec<Run>,
}

/// One run, from shared inputs to opened outputs, with whatever is proved.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Run {
    /// Of the slowest party.
    pub(crate) seconds: f64,
    /// Of all parties.
    pub(crate) cpu_seconds: f64,
    pub(crate) rounds: u64,
    /// Payload of all parties.
    pub(crate) bytes: u64,
    /// Rounds for correlations that depend on no input, if all are made at once.
    pub(crate) offline_rounds: u64,
    /// Payload of all parties for them.
    pub(crate) offline_bytes: u64,
}

/// Runs and prints.
///
/// # Errors
/// The file is no circuit, the inputs do not fit it, a party failed, or what came out is not what the circuit says.
pub fn run(args: &Args) -> Result<()> {
    args.protocol.available()?;
    ensure!(
        !matches!(args.protocol, Protocol::Plain | Protocol::Ring),
        "{} shares nothing: choose --protocol rep3, rep3-malicious, additive or additive-dealer",
        args.protocol
    );
    let computing = args.protocol.parties(args.parties)?;
    let name = args.file.display();
    let text = std::fs::read_to_string(&args.file).with_context(|| name.to_string())?;
    let circuit = Circuit::parse(&text).with_context(|| name.to_string())?;
    let plan = Plan::new(&circuit);
    let instances = args.instances as usize;
    let inputs = inputs(&circuit, &args.inputs, instances)?;
    let task = Task {
        parties: computing,
        plan: &plan,
        inputs: &inputs,
        instances,
        runs: args.runs.into(),
    };
    let (run, clear) = checked(args.protocol, args.net, &task)?;
    let (ands, depth) = (circuit.ands(), plan.depth());
    println!(
        "{name}: {ands} conjunctions in {depth} layers, {} gates in all",
        circuit.gates().len()
    );
    if !args.inputs.is_empty() {
        for (k, planes) in clear.iter().enumerate() {
            let value = from_planes(planes, instances).swap_remove(0);
            let digits: String = value.iter().rev().map(|b| format!("{b:02x}")).collect();
            println!("output {k}: {digits}");
        }
    }
    let per_second = |n: usize| (n * instances) as f64 / run.seconds;
    println!(
        "{instances} instances by {}, over {}: {:.4} s, {:.3} CPU s of all parties, {} rounds, {} bytes{}; {:.4e} instances and {:.4e} \
         conjunctions a second. As in the clear.",
        args.protocol,
        args.net,
        run.seconds,
        run.cpu_seconds,
        run.rounds,
        run.bytes,
        match run.offline_bytes {
            0 => String::new(),
            bytes => format!(" (and {bytes} for correlations)"),
        },
        per_second(1),
        per_second(ands),
    );
    if args.json {
        let told = serde_json::json!({
            "protocol": args.protocol.to_string(), "net": args.net.to_string(), "instances": instances,
            "conjunctions": ands, "depth": depth, "run": run,
            "instances_per_second": per_second(1), "conjunctions_per_second": per_second(ands),
        });
        println!("{told}");
    }
    Ok(())
}

/// Runs a task and compares what every party opened with the same in the clear, which comes with the median run.
fn checked(protocol: Protocol, net: Net, task: &Task<'_>) -> Result<(Run, Vec<Planes>)> {
    let party = |session, clock| party(protocol, session, task, &clock);
    let links = task.parties + usize::from(protocol == Protocol::AdditiveDealer);
    let parties = match net {
        Net::Mem => in_memory(links, party)?,
        Net::Lan => simulated(links, Profile::LAN, party)?,
        Net::Wan => simulated(links, Profile::WAN, party)?,
    };
    let instances = task.instances;
    let clear = Clear { instances }.run(task.plan, task.inputs.to_vec());
    // A dealer opens nothing.
    for (party, found) in parties.iter().enumerate().take(task.parties) {
        let right = |k: usize| {
            let values = |planes: &[Vec<u64>]| from_planes(planes, instances);
            values(&found.outputs[k]) == values(&clear[k])
        };
        ensure!(
            (0..clear.len()).all(right),
            "party {party} opened something else than the circuit gives in the clear"
        );
    }
    Ok((middle(&parties), clear))
}

/// The median of so many runs of a circuit's file on so many random inputs, by so many parties that compute.
///
/// # Errors
/// As for [`run`].
pub(crate) fn measured(
    file: &Path,
    (protocol, parties): (Protocol, usize),
    net: Net,
    instances: usize,
    runs: usize,
) -> Result<Run> {
    let name = || file.display().to_string();
    let text = std::fs::read_to_string(file).with_context(name)?;
    let circuit = Circuit::parse(&text).with_context(name)?;
    let task = Task {
        parties,
        plan: &Plan::new(&circuit),
        inputs: &inputs(&circuit, &[], instances)?,
        instances,
        runs,
    };
    Ok(checked(protocol, net, &task).with_context(name)?.0)
}

impl std::fmt::Display for Net {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let value = self.to_possible_value();
        f.write_str(value.as_ref().map_or("", |v| v.get_name()))
    }
}

/// The planes of each input: the numbers given, in all instances, or random ones.
fn inputs(circuit: &Circuit, given: &[String], instances: usize) -> Result<Vec<Planes>> {
    let widths = circuit.inputs();
    if given.is_empty() {
        let random = |&width: &usize| {
            let plane = || {
                let mut bytes = vec![0u8; 8 * instances.div_ceil(64)];
                getrandom::fill(&mut bytes).map_err(|e| anyhow!("no randomness: {e}"))?;
                let words = bytes.as_chunks().0.iter().map(|b| u64::from_le_bytes(*b));
                Ok(words.collect())
            };
            (0..width).map(|_| plane()).collect()
        };
        return widths.iter().map(random).collect();
    }
    if given.len() != widths.len() {
        bail!(
            "{} inputs for a circuit that takes {}, of {widths:?} bits",
            given.len(),
            widths.len()
        );
    }
    let number = |(k, (text, &width)): (usize, (&String, &usize))| {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        let padded = format!("{}{digits}", "0".repeat(digits.len() % 2));
        let mut bytes = hex::decode(&padded)
            .with_context(|| format!("input {k}: {text:?} is no hexadecimal number"))?;
        bytes.reverse();
        let zeros = bytes.iter().rev().take_while(|&&byte| byte == 0).count();
        let top = bytes.iter().rev().nth(zeros);
        let bits = 8 * (bytes.len() - zeros) - top.map_or(0, |byte| byte.leading_zeros() as usize);
        ensure!(
            bits <= width,
            "input {k} has {bits} bits, and the circuit takes {width}"
        );
        Ok(to_planes(&vec![bytes; instances], width))
    };
    given.iter().zip(widths).enumerate().map(number).collect()
}

fn party(
    protocol: Protocol,
    session: Session,
    task: &Task<'_>,
    clock: &Clock,
) -> tacit_nn::Result<Found> {
    match protocol {
        Protocol::Rep3Malicious => {
            let e = MaliciousEngine::new(session, FRACTION_BITS)?;
            measure(e, |e| e.session(), task, clock)
        }
        Protocol::Additive | Protocol::AdditiveDealer => {
            let dealer = protocol == Protocol::AdditiveDealer;
            let e = additive::engine(session, dealer, FRACTION_BITS)?;
            measure(e, |e| e.session(), task, clock)
        }
        _ => {
            let e = Rep3Engine::new(session, FRACTION_BITS)?;
            measure(e, |e| e.session(), task, clock)
        }
    }
}

/// One party's side: input k is that of party k modulo how many there are.
fn measure<E: BooleanEngine>(
    mut e: E,
    session: impl Fn(&E) -> &Session,
    task: &Task<'_>,
    clock: &Clock,
) -> tacit_nn::Result<Found> {
    let me = session(&e).me();
    let mut found = Found {
        outputs: Vec::new(),
        runs: Vec::new(),
    };
    for _ in 0..task.runs {
        let shared = (task.inputs.iter().enumerate()).map(|(k, planes)| {
            let owner = k % task.parties;
            let mine = (me == owner).then_some(&planes[..]);
            e.share_bits(owner, task.instances, planes.len(), mine)
        });
        let shared = shared.collect::<tacit_nn::Result<Vec<_>>>()?;
        let (cost, cpu, start) = (session(&e).cost(), cpu_seconds(Scope::Thread), clock());
        let outputs = e.run_circuit(task.plan, &shared.iter().collect::<Vec<_>>())?;
        let opened = outputs.iter().map(|bits| e.open_bits(bits));
        found.outputs = opened.collect::<tacit_nn::Result<_>>()?;
        let run = session(&e).cost().since(&cost);
        found.runs.push(Run {
            seconds: clock() - start,
            cpu_seconds: cpu_seconds(Scope::Thread) - cpu,
            rounds: run.rounds,
            bytes: run.bytes,
            offline_rounds: run.offline.rounds,
            offline_bytes: run.offline.bytes,
        });
    }
    Ok(found)
}

/// The median run, of all parties.
fn middle(parties: &[Found]) -> Run {
    let count = parties.iter().map(|p| p.runs.len()).min().unwrap_or(0);
    let mut runs: Vec<Run> = (0..count)
        .map(|k| {
            let of = parties.iter().map(|p| p.runs[k]);
            of.fold(Run::default(), |all, run| Run {
                seconds: all.seconds.max(run.seconds),
                cpu_seconds: all.cpu_seconds + run.cpu_seconds,
                rounds: all.rounds.max(run.rounds),
                bytes: all.bytes + run.bytes,
                offline_rounds: all.offline_rounds.max(run.offline_rounds),
                offline_bytes: all.offline_bytes + run.offline_bytes,
            })
        })
        .collect();
    runs.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    runs.get(count / 2).copied().unwrap_or_default()
}
