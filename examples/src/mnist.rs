//! The MNIST pictures: handwritten digits of 28 by 28 pixels, which are not part of the repository.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;

/// Pixels of a picture.
pub const PIXELS: usize = 28 * 28;

/// Pictures and what they show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pictures {
    /// From 0 (white) to 255, row by row, [`PIXELS`] a picture.
    pub pixels: Vec<u8>,
    /// The digit of each.
    pub digits: Vec<u8>,
}

/// The folder of the files: the one that TACIT_MNIST names, or `data/mnist` in what is shared beside the repository (or in
/// the folder that TACIT_SHARED names).
#[must_use]
pub fn folder() -> PathBuf {
    let shared = || {
        std::env::var_os("TACIT_SHARED").map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
            PathBuf::from,
        )
    };
    std::env::var_os("TACIT_MNIST").map_or_else(|| shared().join("data/mnist"), PathBuf::from)
}

/// Whether the pictures are there; where they are not, a line that says so and counts.
#[must_use]
pub fn is_here() -> bool {
    let folder = folder();
    let here = folder.join("train-images-idx3-ubyte.gz").exists();
    if !here {
        println!(
            "1 skipped: no MNIST in {} (set TACIT_MNIST)",
            folder.display()
        );
    }
    here
}

/// The first `count` pictures of a set, `train` (60,000) or `t10k` (10,000).
///
/// # Errors
/// Where a file is missing, no gzip, or too short, with its name.
pub fn read(set: &str, count: usize) -> io::Result<Pictures> {
    // IDX: a header, then a byte for each number.
    let bytes = |part: &str, header: usize, count: usize| {
        let file = folder().join(format!("{set}-{part}-ubyte.gz"));
        let mut bytes = vec![0; header + count];
        let read = File::open(&file).and_then(|open| GzDecoder::new(open).read_exact(&mut bytes));
        read.map_err(|e| {
            let file = file.display();
            io::Error::new(
                e.kind(),
                format!("{file}: {e}; name MNIST's folder in TACIT_MNIST"),
            )
        })?;
        Ok::<_, io::Error>(bytes.split_off(header))
    };
    Ok(Pictures {
        pixels: bytes("images-idx3", 16, count * PIXELS)?,
        digits: bytes("labels-idx1", 8, count)?,
    })
}
