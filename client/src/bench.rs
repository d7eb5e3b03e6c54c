//! `tacit bench`: what gates and a whole training cost, measured.

mod additive;
mod against;
mod bounds;
mod circuits;
mod curve;
pub(crate) mod figures;
mod gate;
mod here;
mod html;
mod loopback;
mod measure;
mod network;
mod op;
mod report;
mod training;

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use tacit_gpu::Choice as Device;
use tacit_mpc::net::Profile;

pub use loopback::ChildArgs;
pub use op::Op;

use crate::local::{Comparison, Protocol};
use crate::usage;
use measure::Task;
use report::Entry;

/// What `tacit bench` is asked for.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// How the parties compute; several may be named
    #[arg(long, default_value = "rep3")]
    protocol: Vec<Protocol>,
    /// How many parties compute, by additive and additive-dealer: two unless this says otherwise
    #[arg(long)]
    parties: Option<usize>,
    /// The operation, or several; all of them where none is named
    #[arg(long)]
    op: Vec<Op>,
    /// Measure the Boolean circuits in this folder too: aes_128.txt, sha256.txt, adder64.txt and others, Bristol Fashion; in
    /// memory and over simulated networks
    #[arg(long, value_name = "DIR")]
    circuits: Option<PathBuf>,
    /// The shipped model of --protocol tfhe, or several; all of them where none is named
    #[arg(long, value_name = "NAME")]
    model: Vec<String>,
    /// Number of values, side of square matrices or images, or batch of a network; several may be named
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    size: Vec<u32>,
    /// What lies between the parties; several may be named
    #[arg(long, default_value = "loopback")]
    net: Vec<Net>,
    /// Fewer bytes or fewer rounds for each comparison; by the links on simulated networks
    #[arg(long, value_enum, default_value_t = Comparison::Auto)]
    comparison: Comparison,
    /// What computes products: cpu, auto, cuda, or cuda:1 for the second device; others than the processor with --net loopback
    /// alone, whose parties share it
    #[arg(long, default_value_t)]
    device: Device,
    /// Runs; the figures are medians over them. What the forecast needs to know of this machine is measured as often, seven times
    /// at most
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// Print one JSON object on the last line
    #[arg(long)]
    json: bool,
    /// Print ratios to an earlier run, of which this file holds the JSON
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// Put tables of the results, and of what is the same on every machine, between the markers of this page
    #[arg(long, value_name = "FILE")]
    update: Option<PathBuf>,
    /// Write a page with charts
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// What lies between the parties.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Net {
    /// Nothing: threads of one process
    Mem,
    /// Three processes on this machine, TLS 1.3 over TCP
    Loopback,
    /// Simulated: 10 Gbit/s, 0.2 ms round trip; the seconds are those of the network alone
    Lan,
    /// Simulated: 100 Mbit/s, 50 ms round trip; the seconds are those of the network alone
    Wan,
}

impl std::fmt::Display for Net {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let value = self.to_possible_value();
        f.write_str(value.as_ref().map_or("", |v| v.get_name()))
    }
}

/// Measures and prints.
pub fn run(args: &Args) -> Result<()> {
    if args.protocol == [Protocol::Tfhe] {
        return on_ciphertexts(args);
    }
    ensure!(
        args.model.is_empty(),
        "--model is for --protocol tfhe alone: name an operation by --op"
    );
    ensure!(
        args.device == Device::Cpu || args.net == [Net::Loopback],
        "--device {} is for --net loopback alone: its parties are processes, which share a device as real ones do",
        args.device
    );
    for protocol in &args.protocol {
        protocol.available()?;
        ensure!(
            !matches!(protocol, Protocol::Plain | Protocol::Ring),
            "{protocol} sends nothing that could be measured: choose --protocol rep3, rep3-malicious, additive or additive-dealer"
        );
        protocol.parties(args.parties)?;
        ensure!(
            !(protocol.is_additive() && args.net.contains(&Net::Loopback)),
            "--net loopback, which is meant where --net is left out, starts three processes: --protocol {protocol} runs as threads of \
             one, choose --net mem, lan or wan"
        );
        ensure!(
            !(protocol.is_additive() && args.op.contains(&Op::LogisticRegression)),
            "--op logistic-regression is a training, which --protocol {protocol} does not do: choose --protocol rep3 or \
             rep3-malicious for it"
        );
    }
    // A file that cannot be read is told before anything is measured.
    let earlier = args.against.as_deref().map(against::read).transpose()?;
    let read = |path| anyhow::Ok((path, std::fs::read_to_string(path)?));
    let page = args.update.as_ref().map(read).transpose();
    let page = page.context("the page that is to be updated cannot be read")?;
    println!("{}", Entry::heading());
    let mut results = Vec::new();
    for (task, net) in tasks(args) {
        let entry = measured(task, net)?;
        println!("{}", entry.row());
        if let Some(offline) = entry.offline_row() {
            println!("{offline}");
        }
        if let Some(proof) = entry.proof_row() {
            println!("{proof}");
        }
        results.push(entry);
    }
    let curves = curves(args)?;
    if !curves.is_empty() {
        print!("{}", curve::table(&curves));
    }
    if let Some(folder) = &args.circuits {
        circuits::run(args, folder, &mut results)?;
    }
    if let Some(earlier) = earlier {
        print!("{}", against::table(&results, &earlier));
    }
    if let Some(path) = &args.html {
        std::fs::write(path, html::page(&results, &curves))
            .with_context(|| path.display().to_string())?;
    }
    if let Some((path, page)) = page {
        let page = figures::updated(&page, &results)?;
        std::fs::write(path, page).with_context(|| path.display().to_string())?;
    }
    if args.json {
        let mut told = serde_json::json!({ "results": results });
        if !curves.is_empty() {
            told["curves"] = serde_json::json!(curves);
        }
        println!("{told}");
    }
    Ok(())
}

/// Measures the shipped models for encrypted inference.
#[cfg(feature = "tfhe")]
fn on_ciphertexts(args: &Args) -> Result<()> {
    use crate::encrypted::bench;

    ensure!(
        args.op.is_empty()
            && args.circuits.is_none()
            && args.html.is_none()
            && args.against.is_none()
            && args.device == Device::Cpu,
        "--protocol tfhe measures the shipped models, on the processor: leave --op, --circuits, --html, --against and --device out"
    );
    ensure!(
        args.model.is_empty() || args.update.is_none(),
        "--update writes the table of all models: leave --model out"
    );
    let entries = bench::run(&args.model, args.runs.into())?;
    if let Some(path) = &args.update {
        let shown = || path.display().to_string();
        let page = std::fs::read_to_string(path).with_context(shown)?;
        let page = figures::replaced(&page, "bench: tfhe", &bench::table(&entries))?;
        std::fs::write(path, page).with_context(shown)?;
    }
    if args.json {
        println!("{}", serde_json::json!({ "results": entries }));
    }
    Ok(())
}

#[cfg(not(feature = "tfhe"))]
fn on_ciphertexts(_: &Args) -> Result<()> {
    Protocol::Tfhe.available()
}

/// What the variants of a comparison take on the simulated networks asked for, where comparisons are asked for.
fn curves(args: &Args) -> Result<Vec<curve::Point>> {
    let gates = [gate::Gate::Less, gate::Gate::Relu];
    let asked = |gate: &gate::Gate| args.op.is_empty() || args.op.contains(&Op::Gate(*gate));
    let gates: Vec<_> = gates.into_iter().filter(asked).collect();
    let mut curves = Vec::new();
    if args.protocol.contains(&Protocol::Rep3) {
        for &net in &args.net {
            curves.extend(curve::curve(net, &gates)?);
        }
    }
    Ok(curves)
}

/// The operation of a name.
pub(crate) fn operation(name: &str) -> Result<Op> {
    Op::from_str(name, false).map_err(anyhow::Error::msg)
}

fn measured(task: Task, net: Net) -> Result<Entry> {
    usage::forget_peak_memory();
    let parties = match net {
        Net::Mem => here::mem(task)?,
        Net::Loopback => loopback::run(task)?,
        Net::Lan => here::simulated(task, Profile::LAN)?,
        Net::Wan => here::simulated(task, Profile::WAN)?,
    };
    Ok(Entry::new(task, net, &parties))
}

/// All that is asked for: operation by operation, size by size, on every network by every protocol.
fn tasks(args: &Args) -> Vec<(Task, Net)> {
    let ops = match &args.op[..] {
        // Circuits alone.
        [] if args.circuits.is_some() => &[],
        [] => Op::value_variants(),
        named => named,
    };
    let mut tasks = Vec::new();
    for &op in ops {
        for size in sizes(op, &args.size) {
            for &net in &args.net {
                for &protocol in &args.protocol {
                    if protocol.is_additive() && op == Op::LogisticRegression {
                        continue;
                    }
                    let task = Task {
                        protocol,
                        // Refused above where the protocol is not for so many.
                        parties: protocol.parties(args.parties).unwrap_or(3),
                        op,
                        size,
                        runs: args.runs.into(),
                        comparison: args.comparison,
                        device: args.device,
                    };
                    tasks.push((task, net));
                }
            }
        }
    }
    tasks
}

/// The sizes asked for, where the operation has one to choose.
fn sizes(op: Op, asked: &[u32]) -> Vec<usize> {
    match op {
        Op::Gate(_) | Op::Network(_) if !asked.is_empty() => {
            asked.iter().map(|&size| size as usize).collect()
        }
        _ => vec![op.default_size()],
    }
}

/// One party of a measurement over loopback.
pub fn run_child(args: &ChildArgs) -> Result<()> {
    loopback::child(args)
}
