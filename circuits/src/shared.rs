//! The circuits that lie beside the repository, for tests.

use std::path::PathBuf;

use crate::circuit::Circuit;

/// A circuit of what is shared beside the repository (or in the folder that TACIT_SHARED names); `None`, with a line that says
/// so and counts, where that is absent.
///
/// # Panics
/// The file is no circuit.
#[must_use]
pub fn shared(name: &str) -> Option<Circuit> {
    let shared = std::env::var_os("TACIT_SHARED").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
        PathBuf::from,
    );
    let path = shared.join("data/bristol").join(name);
    let Ok(text) = std::fs::read_to_string(&path) else {
        println!("1 skipped: {} is absent (set TACIT_SHARED)", path.display());
        return None;
    };
    Some(Circuit::parse(&text).expect("a circuit of the collection"))
}
