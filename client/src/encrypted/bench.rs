//! `tacit bench --protocol tfhe`: what the shipped models cost on ciphertexts.

use std::num::NonZero;
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use tacit_examples::{Measure, PROGRAMS, Shipped, mnist};
use tacit_fhe::program::Program;
use tacit_fhe::train::{Rows, accuracy};

use super::local::Pair;
use super::parts::Parts;
use crate::text;

/// What one model cost: of one row, where nothing else is said.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    protocol: &'static str,
    /// The model.
    op: &'static str,
    /// Right answers among rows that it was not trained with, where they are here.
    accuracy: Option<f64>,
    bootstraps: usize,
    parameters: &'static str,
    log2_p_fail: f64,
    /// The server's processor, on one core.
    cpu_seconds: f64,
    seconds_per_bootstrap: Option<f64>,
    /// What of that was spent on what.
    parts: Option<Parts>,
    /// Of the wall, one row on all cores.
    seconds: f64,
    cores: usize,
    /// How many times as many rows all cores answer as one does, each its own.
    throughput: f64,
    /// The client's processor, encrypting and decrypting.
    client_seconds: f64,
    /// Once.
    keygen_seconds: f64,
    /// Once.
    key_bytes: usize,
    request_bytes: usize,
    result_bytes: usize,
    /// Values that differ from those of the program in the clear, of all runs.
    wrong: usize,
}

/// Runs the shipped models of these names, or all where there is none, on random inputs, `runs` times on one core and on
/// all.
///
/// # Errors
/// If there is no such model, or no randomness.
pub fn run(names: &[String], runs: usize) -> Result<Vec<Entry>> {
    for name in names {
        let known = PROGRAMS.map(|shipped| shipped.name);
        ensure!(
            known.contains(&name.as_str()),
            "there is no shipped model {name}; there are {}",
            known.join(", ")
        );
    }
    let asked =
        |shipped: &&Shipped| names.is_empty() || names.iter().any(|name| name == shipped.name);
    println!("{}", HEADING.join(" | "));
    let measure = |shipped: &Shipped| {
        let entry = measured(shipped, runs).with_context(|| shipped.name.to_owned())?;
        println!("{}", entry.cells().join(" | "));
        Ok(entry)
    };
    PROGRAMS.iter().filter(asked).map(measure).collect()
}

fn measured(shipped: &Shipped, runs: usize) -> Result<Entry> {
    let program = Program::read(shipped.program)?;
    let rows = (0..runs)
        .map(|_| random(&program))
        .collect::<Result<Vec<_>>>()?;
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let pair = Pair::new(program.clone())?;
    let one = pair.run(&rows, 1)?;
    let all = pair.run(&rows, cores)?;
    let (alone, _) = side_by_side(&pair, &rows, 1)?;
    let (together, wrong) = side_by_side(&pair, &rows, cores)?;
    let each = |seconds: f64| seconds / runs as f64;
    Ok(Entry {
        protocol: "tfhe",
        op: shipped.name,
        accuracy: right(shipped, &program)?,
        bootstraps: one.bootstraps,
        parameters: one.parameters,
        log2_p_fail: one.log2_p_fail,
        cpu_seconds: each(one.cpu_seconds),
        seconds_per_bootstrap: (one.bootstraps > 0)
            .then(|| each(one.cpu_seconds) / one.bootstraps as f64),
        parts: one.parts,
        seconds: each(all.seconds),
        cores,
        throughput: cores as f64 * alone / together,
        client_seconds: each(one.client_seconds),
        keygen_seconds: one.keygen_seconds,
        key_bytes: one.key_bytes,
        request_bytes: one.request_bytes,
        result_bytes: one.result_bytes,
        wrong: one.wrong + all.wrong + wrong,
    })
}

/// Seconds of the wall until each of `threads` threads has answered all rows, and how many values were wrong.
fn side_by_side(pair: &Pair, rows: &[Vec<u16>], threads: usize) -> Result<(f64, usize)> {
    let start = Instant::now();
    let wrong = thread::scope(|scope| {
        let run = || pair.run(rows, 1).map(|measured| measured.wrong);
        let started: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        let ended = started.into_iter().map(|thread| {
            let ended = thread.join();
            ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        ended.sum::<Result<usize>>()
    })?;
    Ok((start.elapsed().as_secs_f64(), wrong))
}

/// Any input: what it costs does not depend on it, and exactness is to hold for all.
fn random(program: &Program) -> Result<Vec<u16>> {
    let input = &program.parts().input;
    let mut bytes = vec![0; 2 * input.len];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    let values = bytes.as_chunks::<2>().0.iter();
    let fits =
        |b: &[u8; 2]| (u32::from(u16::from_le_bytes(*b)) % (u32::from(input.max) + 1)) as u16;
    Ok(values.map(fits).collect())
}

/// The share of rows that the program gets right, in the clear: on ciphertexts it says the same. None for MNIST where
/// TACIT_MNIST does not name its folder.
fn right(shipped: &Shipped, program: &Program) -> Result<Option<f64>> {
    let (numbers, classes): (Vec<f32>, Vec<usize>) = match shipped.measure {
        Measure::HeldOut(data) => {
            let (all, (_, held)) = (data.numbers(), data.split());
            let numbers = held.iter().flat_map(|&k| all[k].0.clone());
            (numbers.collect(), held.iter().map(|&k| all[k].1).collect())
        }
        Measure::Mnist if std::env::var_os("TACIT_MNIST").is_none() => return Ok(None),
        Measure::Mnist => {
            let pictures = mnist::read("t10k", 10_000)?;
            let pixels = pictures.pixels.into_iter().map(f32::from);
            (
                pixels.collect(),
                pictures.digits.into_iter().map(usize::from).collect(),
            )
        }
    };
    let rows = Rows::new(&program.parts().input, &numbers, &classes)?;
    Ok(Some(accuracy(program, &rows)))
}

const HEADING: [&str; 13] = [
    "model",
    "accuracy",
    "bootstraps",
    "log2 of a wrong answer",
    "CPU s",
    "% of it: sums, keyswitches, rotations, tables, results",
    "ms a bootstrap",
    "s on all cores",
    "all cores' rows to one's",
    "client ms",
    "key, s to make it",
    "request",
    "result",
];

impl Entry {
    fn cells(&self) -> [String; 13] {
        let none = || "–".to_owned();
        [
            self.op.to_owned(),
            self.accuracy
                .map_or_else(none, |a| format!("{:.2} %", 100.0 * a)),
            self.bootstraps.to_string(),
            format!("{:.0}", self.log2_p_fail),
            format!("{:.4}", self.cpu_seconds),
            self.parts.map_or_else(none, percentages),
            self.seconds_per_bootstrap
                .map_or_else(none, |s| format!("{:.2}", 1e3 * s)),
            format!("{:.4}", self.seconds),
            format!("{:.2} of {}", self.throughput, self.cores),
            format!("{:.2}", 1e3 * self.client_seconds),
            format!(
                "{}, {:.2}",
                text::bytes(self.key_bytes as u64),
                self.keygen_seconds
            ),
            text::bytes(self.request_bytes as u64),
            text::bytes(self.result_bytes as u64),
        ]
    }
}

fn percentages(parts: Parts) -> String {
    let of = [
        parts.sums,
        parts.keyswitch,
        parts.rotation,
        parts.tables,
        parts.results,
    ];
    let percent = |part: f64| format!("{:.1}", 100.0 * part / parts.total());
    of.map(percent).join(", ")
}

/// The entries as a table in Markdown.
#[must_use]
pub fn table(entries: &[Entry]) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let heading = HEADING.map(str::to_owned);
    let rows = entries.iter().map(|entry| line(&entry.cells()));
    let rule = "|---".repeat(HEADING.len()) + "|\n";
    line(&heading) + &rule + &rows.collect::<String>()
}
