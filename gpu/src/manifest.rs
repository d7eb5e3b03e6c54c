//! What the device code in `kernels/` was made from: so that sources and code cannot part unseen.

use std::fmt::Write as _;
use std::path::Path;
use std::{fs, io};

use sha2::{Digest, Sha256};

/// The files that become device code, in `kernels/`.
pub const SOURCES: [&str; 6] = [
    "words",
    "limbs",
    "residues",
    "ntt",
    "polynomials",
    "ceilings",
];

/// What they include, in the same folder.
const HEADERS: [&str; 3] = ["device.cuh", "view.cuh", "tiles.cuh"];

/// The compiler's version, and where its parts are: PyPI.
pub const COMPILER: [&str; 4] = [
    "nvidia-cuda-nvcc==13.0.88",
    "nvidia-nvvm==13.0.88",
    "nvidia-cuda-crt==13.0.88",
    "nvidia-cuda-runtime==13.0.96",
];

/// How it is called: code for Hopper, and PTX for what is Ampere or later.
pub const FLAGS: [&str; 7] = [
    "-std=c++17",
    "-gencode",
    "arch=compute_90,code=sm_90",
    "-gencode",
    "arch=compute_80,code=compute_80",
    "-fatbin",
    "-Xptxas=-v",
];

/// The file that says it.
pub const NAME: &str = "MANIFEST";

/// The text of the manifest for the sources and the code in a folder.
///
/// # Errors
/// If a file is missing.
pub fn of(folder: &Path) -> io::Result<String> {
    let mut text = String::from("# Made by `cargo xtask kernels`.\n");
    let mut line = |what: &str, is: &str| {
        let _ = writeln!(text, "{what} {is}");
    };
    line("compiler", &COMPILER.join(" "));
    line("flags", &FLAGS.join(" "));
    let files = HEADERS.iter().map(|name| (*name).to_owned()).chain(
        SOURCES
            .iter()
            .flat_map(|name| [format!("{name}.cu"), format!("{name}.fatbin")]),
    );
    for file in files {
        let bytes = fs::read(folder.join(&file))?;
        let digest = Sha256::digest(&bytes);
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        line(&file, &hex);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use crate::kernel::Kernel;

    /// What is not named in the manifest could change unseen.
    #[test]
    fn every_file_is_named() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels");
        let manifest = super::of(&folder).unwrap();
        for file in fs::read_dir(folder).unwrap() {
            let name = file.unwrap().file_name().into_string().unwrap();
            let line = format!("\n{name} ");
            assert!(name == super::NAME || manifest.contains(&line), "{name}");
        }
    }

    /// A device would be the first to tell of a kernel that is nowhere: the code's sections have the kernels' names.
    #[test]
    fn every_kernel_has_code() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels");
        let code = super::SOURCES.map(|name| fs::read(folder.join(format!("{name}.fatbin"))));
        let code = code.map(Result::unwrap);
        for kernel in Kernel::ALL {
            let section = format!(".text.{}\0", kernel.name());
            let has = |code: &&Vec<u8>| {
                code.windows(section.len())
                    .any(|at| at == section.as_bytes())
            };
            assert_eq!(code.iter().filter(has).count(), 1, "{}", kernel.name());
        }
    }

    #[test]
    fn device_code_was_made_from_these_sources() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels");
        let written = fs::read_to_string(folder.join(super::NAME)).unwrap_or_default();
        let found = super::of(&folder).unwrap_or_else(|error| error.to_string());
        assert_eq!(
            found, written,
            "kernels changed: run `cargo xtask kernels`, and commit what it makes"
        );
    }
}
