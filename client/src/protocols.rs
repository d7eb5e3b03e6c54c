//! `tacit protocols`: who may do what by each protocol, and what it costs.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::bench::figures::{exact, replaced, run_exactly};
use crate::bench::{Op, operation};
use crate::local::Protocol;

/// What `tacit protocols` is asked for.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// Replace the table in a page, between its markers
    #[arg(long, value_name = "FILE")]
    update: Option<PathBuf>,
    /// Print a table in Markdown
    #[arg(long)]
    markdown: bool,
}

/// Who takes part in a protocol, and what its adversary may do.
struct Model {
    protocol: Protocol,
    parties: &'static str,
    corrupt: &'static str,
    adversary: &'static str,
}

const MODELS: [Model; 4] = [
    Model {
        protocol: Protocol::Rep3,
        parties: "3",
        corrupt: "1",
        adversary: "semi-honest",
    },
    Model {
        protocol: Protocol::Rep3Malicious,
        parties: "3",
        corrupt: "1",
        adversary: "malicious, with abort (new, not peer reviewed)",
    },
    Model {
        protocol: Protocol::Additive,
        parties: "2 and more",
        corrupt: "all but 1",
        adversary: "semi-honest; oblivious transfer between each two",
    },
    Model {
        protocol: Protocol::AdditiveDealer,
        parties: "2 and more, and a dealer",
        corrupt: "all but 1, and the dealer with nobody",
        adversary: "semi-honest",
    },
];

/// The operations whose costs are told, their sizes, and how a cost is put.
const OPERATIONS: [(&str, &str, usize); 3] = [
    ("a product", "mul", 1_000_000),
    ("a ReLU", "relu", 1_000_000),
    ("a matrix product 512³, rounded", "matmul", 512),
];

/// Prints the table, or updates a page.
///
/// # Errors
/// The page cannot be read or written, or has no place for the table.
pub fn run(args: &Args) -> Result<()> {
    let table = table()?;
    if let Some(path) = &args.update {
        let shown = || path.display().to_string();
        let page = std::fs::read_to_string(path).with_context(shown)?;
        let page = replaced(&page, "protocols", &table)?;
        return std::fs::write(path, page).with_context(shown);
    }
    if args.markdown {
        print!("{table}");
        return Ok(());
    }
    for line in table.lines().filter(|line| !line.starts_with("|---")) {
        println!("{}", line.trim_matches('|').trim());
    }
    Ok(())
}

/// Costs a value of many, in all bytes that all parties send, proofs among them; of additive shares those of two parties, and
/// what is sent for correlations apart.
fn table() -> Result<String> {
    let mut text = String::from("| protocol | parties | of them corrupt | adversary | ");
    for (what, _, _) in OPERATIONS {
        text += &format!("{what}: bytes, rounds | ");
    }
    text = text.trim_end().to_owned() + "\n|---|---|---|---|---|---|---|\n";
    for model in MODELS {
        let protocol = model.protocol;
        text += &format!(
            "| `{protocol}` | {} | {} | {} |",
            model.parties, model.corrupt, model.adversary
        );
        for (_, name, size) in OPERATIONS {
            let op: Op = operation(name)?;
            let (told, size) = if !protocol.is_additive() {
                (exact(protocol, op, size)?, size)
            } else if protocol == Protocol::Additive && name == "matmul" {
                // 35 GB of transfers are too many to make a table.
                text += " – |";
                continue;
            } else {
                // A value costs the same from a few thousand on.
                let size = size.min(3 * 64 * 20);
                (run_exactly(protocol, 2, op, size)?, size)
            };
            let put = |bytes: u64| match name {
                "matmul" => format!("{:.2} MB", bytes as f64 / 1e6),
                _ => format!("{:.2}", bytes as f64 / size as f64),
            };
            let offline = match told.offline_bytes {
                0 => String::new(),
                bytes => format!(" + {} before", put(bytes)),
            };
            text += &format!(" {}{offline}, {} |", put(told.bytes), told.rounds);
        }
        text += "\n";
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::figures::between;

    #[test]
    fn the_committed_table_is_that_of_this_code() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
        let page = std::fs::read_to_string(path).unwrap();
        let committed = between(&page, "protocols").unwrap();
        assert_eq!(
            committed,
            table().unwrap(),
            "run: tacit protocols --update README.md"
        );
        assert!(committed.contains("24.00, 1 |"), "{committed}");
    }
}
