//! `tacit check`: where a private run departs from plaintext, and where it comes close to overflow.

mod compare;
mod gauge;

use std::path::PathBuf;

use anyhow::{Result, bail};
use serde_json::json;

pub use compare::{Finding, MARGIN_BITS, Overflow, Report, Tolerance, compare};
pub use gauge::{Peak, peaks};

use crate::local::{Prepared, Work};

/// What `tacit check` is asked for.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    #[command(flatten)]
    work: Work,
    /// Rows like those that are asked about, npy: for --protocol tfhe
    #[arg(long)]
    data: Option<PathBuf>,
    /// What every node may be off by: REL,ABS, that is ABS + REL times the plaintext value
    #[arg(long, default_value = "1e-3,0.001953125")]
    tolerance: Tolerance,
    /// Print one JSON object on the last line
    #[arg(long)]
    json: bool,
}

/// Compares and prints.
///
/// # Errors
/// What [`crate::infer::infer`] refuses, a node out of tolerance, and an overflow.
pub fn check(args: &Args) -> Result<()> {
    #[cfg(feature = "tfhe")]
    if args.work.protocol == crate::local::Protocol::Tfhe {
        let sample = args.data.as_deref();
        return crate::encrypted::quantize::check(args.work.model(), sample, args.json);
    }
    let prepared = args.work.prepare()?;
    for note in &prepared.notes {
        eprintln!("tacit: note: {note}");
    }
    let Prepared { graph, given, .. } = &prepared;
    let (protocol, settings) = (args.work.protocol, args.work.settings());
    let report = compare(protocol, graph, given, settings, args.tolerance)?;
    print(&report);
    if args.json {
        println!("{}", to_json(args, &report));
    }
    if let Some(overflow) = &report.overflow {
        bail!("{}", overflow.message);
    }
    if let Some(finding) = report.first_outside() {
        bail!(
            "{} is off by {:.3e}, more than --tolerance {},{} allows",
            finding.node,
            finding.max_abs_error,
            args.tolerance.relative,
            args.tolerance.absolute
        );
    }
    Ok(())
}

/// One line a node of the model, then what deserves attention.
fn print(report: &Report) {
    let width = report.findings.iter().map(|f| f.node.chars().count()).max();
    let width = width.unwrap_or(0).clamp(4, 48);
    println!(
        "{:width$}  {:>10}  {:>10}  {:>11}  {:>9}",
        "node", "abs error", "rel error", "largest", "bits left"
    );
    for finding in &report.findings {
        let node: String = finding.node.chars().take(width).collect();
        let error = |error: f64| match finding.compared {
            true => format!("{error:.2e}"),
            false => "-".into(),
        };
        let mark = if finding.within {
            ""
        } else {
            "  out of tolerance"
        };
        println!(
            "{node:width$}  {:>10}  {:>10}  {:>11.4e}  {:>9.1}{mark}",
            error(finding.max_abs_error),
            error(finding.max_rel_error),
            finding.max_value,
            finding.bits_left
        );
    }
    for finding in report.near_overflow() {
        println!(
            "{}: {:.1} bits before overflow; its largest value is {:.4e}",
            finding.node, finding.bits_left, finding.max_value
        );
    }
    match report.first_outside() {
        Some(finding) => println!("first out of tolerance: {}", finding.node),
        None => println!("every node that was compared is within the tolerance"),
    }
}

fn to_json(args: &Args, report: &Report) -> serde_json::Value {
    let near: Vec<&Finding> = report.near_overflow().collect();
    let errors = report.findings.iter().map(|f| f.max_abs_error);
    json!({
        "protocol": args.work.protocol.to_string(),
        "tolerance": { "relative": args.tolerance.relative, "absolute": args.tolerance.absolute },
        "ok": report.passed(),
        "max_abs_error": errors.fold(0.0, f64::max),
        "first_out_of_tolerance": report.first_outside().map(|f| &f.node),
        "overflow": report.overflow,
        "near_overflow": near,
        "nodes": report.findings,
        "seconds": report.run.seconds,
        "cpu_seconds": report.run.cpu_seconds,
        "rounds": report.run.rounds,
        "bytes": report.run.bytes,
        "offline_rounds": report.run.offline_rounds,
        "offline_bytes": report.run.offline_bytes,
    })
}
