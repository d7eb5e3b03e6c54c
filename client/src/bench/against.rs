//! `tacit bench --against FILE`: a run beside an earlier one.

use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::report::Entry;

/// What an earlier run found, as `--json` printed it.
#[derive(Debug, Deserialize)]
struct Earlier {
    results: Vec<Entry>,
}

/// Reads the results of an earlier run: the JSON that it printed, alone or as the last line of all that it printed.
///
/// # Errors
/// The file cannot be read, or holds no results.
pub(super) fn read(path: &Path) -> Result<Vec<Entry>> {
    let name = || path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(name)?;
    parse(&text).with_context(name)
}

fn parse(text: &str) -> Result<Vec<Entry>> {
    let last = text.trim_end().lines().last().unwrap_or_default();
    let earlier: Earlier = serde_json::from_str(text)
        .or_else(|_| serde_json::from_str(last))
        .context("no results of `tacit bench --json`")?;
    Ok(earlier.results)
}

/// A table of ratios, now by then, of what both runs measured; and how many results have no counterpart.
pub(super) fn table(now: &[Entry], then: &[Entry]) -> String {
    let mut text = format!(
        "{:20} {:>14} {:>9} {:>9} {:>9} {:>9} {:>9} {:>8}\n",
        "now by then", "protocol", "size", "net", "seconds", "cpu s", "bytes", "rounds"
    );
    let mut alone = 0;
    for entry in now {
        let Some(earlier) = then.iter().find(|earlier| earlier.same_work(entry)) else {
            alone += 1;
            continue;
        };
        let ratio = |of: fn(&Entry) -> f64| match of(earlier) {
            0.0 => "-".to_owned(),
            before => format!("{:.3}", of(entry) / before),
        };
        text += &format!(
            "{:20} {:>14} {:>9} {:>9} {:>9} {:>9} {:>9} {:>+8}\n",
            entry.op,
            entry.protocol,
            entry.size,
            entry.net,
            ratio(|e| e.seconds),
            ratio(|e| e.cpu_seconds),
            ratio(|e| e.bytes as f64),
            entry.rounds.cast_signed() - earlier.rounds.cast_signed(),
        );
    }
    if alone > 0 {
        text += &format!("{alone} results have no counterpart there\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(seconds: f64, rounds: u64) -> Vec<Entry> {
        let entry = |op: &str| Entry {
            protocol: "rep3".into(),
            op: op.into(),
            size: 10,
            net: "mem".into(),
            seconds,
            rounds,
            bytes: 100,
            ..Entry::default()
        };
        vec![entry("mul"), entry("relu")]
    }

    #[test]
    fn what_was_printed_is_read_again() {
        let entries = entries(0.5, 3);
        let json = serde_json::json!({ "results": entries }).to_string();
        for text in [json.clone(), format!("op size\nmul 10\n{json}\n")] {
            assert_eq!(parse(&text).unwrap(), entries);
        }
        for wrong in ["", "{}", "op size\nmul 10"] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn ratios_are_of_the_same_work() {
        let mut now = entries(0.25, 2);
        now[1].size = 11;
        let table = table(&now, &entries(0.5, 3));
        let row: Vec<&str> = table.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(
            row,
            ["mul", "rep3", "10", "mem", "0.500", "-", "1.000", "-1"]
        );
        assert!(
            table.ends_with("1 results have no counterpart there\n"),
            "{table}"
        );
    }
}
