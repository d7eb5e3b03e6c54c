//! `tacit circuit`: runs a Boolean circuit on shares, beside the same in the clear.

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::ValueEnum;
use serde::Serialize;
use tacit_circuits::{Circuit, Clear, Plan, from_planes, to_planes};
use tacit_mpc::Session;
use tacit_mpc::net::{MemNet, Profile, Sim, Transport};
use tacit_mpc::simulate::simulate;
use tacit_nn::fixed::FRACTION_BITS;
use tacit_protocols::malicious::MaliciousEngine;
use tacit_protocols::rep3::Rep3Engine;
use tacit_protocols::{BooleanEngine, Replicated};

use crate::local::Protocol;
use crate::usage::{Scope, cpu_seconds};

/// What `tacit circuit` is asked for.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// The circuit: a Bristol Fashion file
    file: PathBuf,
    /// How the parties compute
    #[arg(long, default_value = "rep3")]
    protocol: Protocol,
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
enum Net {
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
struct Run {
    /// Of the slowest party.
    seconds: f64,
    /// Of all parties.
    cpu_seconds: f64,
    rounds: u64,
    /// Payload of all parties.
    bytes: u64,
}

/// Tells seconds: those of the wall or of a simulated network.
type Clock = Rc<dyn Fn() -> f64>;

/// Runs and prints.
///
/// # Errors
/// The file is no circuit, the inputs do not fit it, a party failed, or what came out is not what the circuit says.
pub fn run(args: &Args) -> Result<()> {
    args.protocol.available()?;
    ensure!(
        matches!(args.protocol, Protocol::Rep3 | Protocol::Rep3Malicious),
        "{} shares nothing: choose --protocol rep3 or rep3-malicious",
        args.protocol
    );
    let name = args.file.display();
    let text = std::fs::read_to_string(&args.file).with_context(|| name.to_string())?;
    let circuit = Circuit::parse(&text).with_context(|| name.to_string())?;
    let plan = Plan::new(&circuit);
    let instances = args.instances as usize;
    let inputs = inputs(&circuit, &args.inputs, instances)?;
    let task = Task {
        plan: &plan,
        inputs: &inputs,
        instances,
        runs: args.runs.into(),
    };
    let parties = match args.net {
        Net::Mem => in_memory(args.protocol, &task)?,
        Net::Lan => simulated(args.protocol, &task, Profile::LAN)?,
        Net::Wan => simulated(args.protocol, &task, Profile::WAN)?,
    };
    let clear = Clear { instances }.run(&plan, inputs.clone());
    for (party, found) in parties.iter().enumerate() {
        let right = |k: usize| {
            let values = |planes: &[Vec<u64>]| from_planes(planes, instances);
            values(&found.outputs[k]) == values(&clear[k])
        };
        ensure!(
            (0..clear.len()).all(right),
            "party {party} opened something else than the circuit gives in the clear"
        );
    }
    let run = middle(&parties);
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
        "{instances} instances by {}, over {}: {:.4} s, {:.3} CPU s of all parties, {} rounds, {} bytes; {:.4e} instances and {:.4e} \
         conjunctions a second. As in the clear.",
        args.protocol,
        args.net,
        run.seconds,
        run.cpu_seconds,
        run.rounds,
        run.bytes,
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

fn in_memory(protocol: Protocol, task: &Task<'_>) -> Result<Vec<Found>> {
    let nets = MemNet::mesh(3).into_iter().map(|net| Arc::new(net) as _);
    let start = Instant::now();
    let found = simulate(nets.collect(), |session| {
        party(
            protocol,
            session,
            task,
            Rc::new(move || start.elapsed().as_secs_f64()),
        )
    });
    every(found)
}

fn simulated(protocol: Protocol, task: &Task<'_>, profile: Profile) -> Result<Vec<Found>> {
    let sims = MemNet::mesh(3)
        .into_iter()
        .map(|net| Arc::new(Sim::new(net, profile)));
    let sims: Vec<_> = sims.collect();
    let nets = sims.iter().map(|sim| Arc::clone(sim) as Arc<dyn Transport>);
    let found = simulate(nets.collect(), |session| {
        let sim = Arc::clone(&sims[session.me()]);
        party(protocol, session, task, Rc::new(move || sim.seconds()))
    });
    every(found)
}

fn every(found: Vec<tacit_mpc::Result<tacit_nn::Result<Found>>>) -> Result<Vec<Found>> {
    let parties = found.into_iter();
    parties
        .map(|party| party?.map_err(|error| anyhow!(error)))
        .collect()
}

fn party(
    protocol: Protocol,
    session: Session,
    task: &Task<'_>,
    clock: Clock,
) -> tacit_nn::Result<Found> {
    match protocol {
        Protocol::Rep3Malicious => {
            measure(MaliciousEngine::new(session, FRACTION_BITS)?, task, &clock)
        }
        _ => measure(Rep3Engine::new(session, FRACTION_BITS)?, task, &clock),
    }
}

/// One party's side: input k is that of party k mod 3.
fn measure<E: BooleanEngine + Replicated>(
    mut e: E,
    task: &Task<'_>,
    clock: &Clock,
) -> tacit_nn::Result<Found> {
    let me = e.session().me();
    let mut found = Found {
        outputs: Vec::new(),
        runs: Vec::new(),
    };
    for _ in 0..task.runs {
        let shared = (task.inputs.iter().enumerate()).map(|(k, planes)| {
            let mine = (me == k % 3).then_some(&planes[..]);
            e.share_bits(k % 3, task.instances, planes.len(), mine)
        });
        let shared = shared.collect::<tacit_nn::Result<Vec<_>>>()?;
        let (cost, cpu, start) = (e.session().cost(), cpu_seconds(Scope::Thread), clock());
        let outputs = e.run_circuit(task.plan, &shared.iter().collect::<Vec<_>>())?;
        let opened = outputs.iter().map(|bits| e.open_bits(bits));
        found.outputs = opened.collect::<tacit_nn::Result<_>>()?;
        let after = e.session().cost();
        found.runs.push(Run {
            seconds: clock() - start,
            cpu_seconds: cpu_seconds(Scope::Thread) - cpu,
            rounds: after.rounds - cost.rounds,
            bytes: after.bytes - cost.bytes,
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
            })
        })
        .collect();
    runs.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    runs.get(count / 2).copied().unwrap_or_default()
}
