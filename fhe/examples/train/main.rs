//! Trains the models under `examples/models`: `cargo run --release -p tacit-fhe --example train -- WHAT`.
//!
//! | WHAT | what it does |
//! |---|---|
//! | `digits` | writes the shipped models of digits |
//! | `digits-search` | accuracy of other recipes, by cross-validation on the training rows alone |
//! | `digits-curve` | accuracy on the held-out rows against bootstraps, over several seeds |
//! | `breast-cancer` | writes the shipped regression |
//! | `breast-cancer-search` | accuracy of other recipes, by cross-validation on the training rows alone |
//! | `mnist`, `mnist-cnn` | writes the shipped models of MNIST, whose files lie in the folder that TACIT_MNIST names |

mod breast_cancer;
mod digits;
mod mnist;
mod warp;

use std::{error::Error, fs::File, path::Path};

use tacit_fhe::program::Program;

fn main() -> Result<(), Box<dyn Error>> {
    match std::env::args().nth(1).as_deref() {
        Some("digits") => digits::ship(),
        Some("digits-search") => digits::search(),
        Some("digits-curve") => digits::curve(),
        Some("breast-cancer") => breast_cancer::ship(),
        Some("breast-cancer-search") => breast_cancer::search(),
        Some("mnist") => mnist::dense(),
        Some("mnist-cnn") => mnist::convolutional(),
        _ => Err("say what to train: digits, breast-cancer, mnist or mnist-cnn".into()),
    }
}

/// Writes a model where the shipped ones lie.
fn write(program: &Program) -> Result<(), Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/models");
    let name = format!("{}.tfhe", program.parts().name);
    Ok(program.write(File::create(folder.join(name))?)?)
}
