//! Boolean circuits among the operations: files that are not part of this repository, by the folder in which they lie.

use std::path::Path;

use anyhow::Result;

use super::report::Entry;
use super::{Args, Net};
use crate::circuit::{self, measured};
use crate::usage;

/// Names of operations and of their files (Bristol Fashion, as they are published).
const CIRCUITS: [(&str, &str); 6] = [
    ("aes-128", "aes_128.txt"),
    ("sha-256", "sha256.txt"),
    ("add-64", "adder64.txt"),
    ("sub-64", "sub64.txt"),
    ("multiply-64", "mult64.txt"),
    ("divide-64", "udivide64.txt"),
];
/// Instances that run at once, unless a size is asked for.
const INSTANCES: u32 = 1024;

/// Measures all circuits of a folder by each protocol on each network; says how many are not there.
///
/// # Errors
/// A file that is there is no circuit, or gave something else than in the clear.
pub(super) fn run(args: &Args, folder: &Path, results: &mut Vec<Entry>) -> Result<()> {
    let mut skipped = 0;
    let sizes = match &args.size[..] {
        [] => &[INSTANCES][..],
        asked => asked,
    };
    for (name, file) in CIRCUITS {
        let file = folder.join(file);
        if !file.is_file() {
            println!("{name:20} skipped: {} is not there", file.display());
            skipped += 1;
            continue;
        }
        for (&size, &net) in sizes
            .iter()
            .flat_map(|size| args.net.iter().map(move |net| (size, net)))
        {
            let over = match net {
                Net::Mem => circuit::Net::Mem,
                Net::Lan => circuit::Net::Lan,
                Net::Wan => circuit::Net::Wan,
                Net::Loopback => {
                    println!(
                        "{name:20} skipped: circuits run in memory and over simulated networks"
                    );
                    skipped += 1;
                    continue;
                }
            };
            for &protocol in &args.protocol {
                usage::forget_peak_memory();
                let parties = protocol.parties(args.parties)?;
                let (size, runs) = (size as usize, args.runs.into());
                let run = measured(&file, (protocol, parties), over, size, runs)?;
                let entry = Entry {
                    protocol: protocol.to_string(),
                    op: name.into(),
                    size,
                    values: Some(size),
                    net: net.to_string(),
                    runs: args.runs.into(),
                    seconds: run.seconds,
                    cpu_seconds: run.cpu_seconds,
                    rounds: run.rounds,
                    bytes: run.bytes,
                    offline_rounds: run.offline_rounds,
                    offline_bytes: run.offline_bytes,
                    peak_memory_bytes: usage::peak_memory_bytes(),
                    ..Entry::default()
                };
                println!("{}", entry.row());
                results.push(entry);
            }
        }
    }
    if skipped > 0 {
        println!("{skipped} circuits skipped");
    }
    Ok(())
}
