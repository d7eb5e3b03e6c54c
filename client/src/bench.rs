//! `tacit bench`: what gates and a whole training cost, measured.

mod gate;
mod here;
mod loopback;
mod measure;
mod network;
mod op;
mod report;
mod training;

use anyhow::{Result, ensure};
use clap::ValueEnum;
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
    /// How the parties compute
    #[arg(long, default_value = "rep3")]
    protocol: Protocol,
    /// The operation; all of them where none is named
    #[arg(long)]
    op: Option<Op>,
    /// Number of values, side of square matrices or images, or batch of a network
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    size: Option<u32>,
    /// What lies between the parties
    #[arg(long, default_value = "loopback")]
    net: Net,
    /// Fewer bytes or fewer rounds for each comparison
    #[arg(long, value_enum, default_value_t)]
    comparison: Comparison,
    /// Runs; the figures are medians over them
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// Print one JSON object on the last line
    #[arg(long)]
    json: bool,
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
    args.protocol.available()?;
    let on_shares = [Protocol::Rep3, Protocol::Rep3Malicious];
    ensure!(
        on_shares.contains(&args.protocol),
        "{} sends nothing that could be measured: choose --protocol rep3 or rep3-malicious",
        args.protocol
    );
    let all = Op::value_variants();
    let ops = args.op.as_ref().map_or(all, std::slice::from_ref);
    let mut results = Vec::new();
    println!("{}", Entry::heading());
    for &op in ops {
        let task = Task {
            protocol: args.protocol,
            op,
            size: asked_size(op, args.size),
            runs: args.runs.into(),
            comparison: args.comparison,
        };
        usage::forget_peak_memory();
        let parties = match args.net {
            Net::Mem => here::mem(task)?,
            Net::Loopback => loopback::run(task)?,
            Net::Lan => here::simulated(task, Profile::LAN)?,
            Net::Wan => here::simulated(task, Profile::WAN)?,
        };
        let entry = Entry::new(task, args.net, &parties);
        println!("{}", entry.row());
        if let Some(proof) = entry.proof_row() {
            println!("{proof}");
        }
        results.push(entry);
    }
    if args.json {
        println!("{}", serde_json::json!({ "results": results }));
    }
    Ok(())
}

/// The size asked for, where the operation has one to choose.
fn asked_size(op: Op, size: Option<u32>) -> usize {
    match (op, size) {
        (Op::Gate(_) | Op::Network(_), Some(size)) => size as usize,
        _ => op.default_size(),
    }
}

/// One party of a measurement over loopback.
pub fn run_child(args: &ChildArgs) -> Result<()> {
    loopback::child(args)
}
