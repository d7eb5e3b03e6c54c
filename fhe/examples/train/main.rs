//! Trains the models under `examples/models`: `cargo run --release -p tacit-fhe --example train -- WHAT`.
//!
//! | WHAT | what it does |
//! |---|---|
//! | `digits` | writes the shipped models of digits |
//! | `digits-search` | accuracy of other recipes, by cross-validation on the training rows alone |
//! | `digits-curve` | accuracy on the held-out rows against bootstraps, over several seeds |

mod digits;

use std::{error::Error, fs::File, path::Path};

use tacit_fhe::program::Program;

fn main() -> Result<(), Box<dyn Error>> {
    match std::env::args().nth(1).as_deref() {
        Some("digits") => digits::ship(),
        Some("digits-search") => digits::search(),
        Some("digits-curve") => digits::curve(),
        _ => Err("say what to train: digits, digits-search or digits-curve".into()),
    }
}

/// Writes a model where the shipped ones lie.
fn write(program: &Program) -> Result<(), Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/models");
    let name = format!("{}.tfhe", program.parts().name);
    Ok(program.write(File::create(folder.join(name))?)?)
}
