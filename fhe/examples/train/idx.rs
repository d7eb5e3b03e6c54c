//! The MNIST pictures, where they lie beside the repository.

use std::{
    error::Error,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use flate2::read::GzDecoder;

/// The folder of the files, or the one that TACIT_MNIST names.
pub(crate) fn folder() -> PathBuf {
    std::env::var_os("TACIT_MNIST").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/mnist"),
        PathBuf::from,
    )
}

/// Pixels from 0 to 255 and classes of the first `count` pictures of a set, `train` or `t10k`.
pub(crate) fn read(set: &str, count: usize) -> Result<(Vec<f32>, Vec<usize>), Box<dyn Error>> {
    let bytes = |part: &str, header: usize, count: usize| -> Result<Vec<u8>, Box<dyn Error>> {
        let file = folder().join(format!("{set}-{part}-ubyte.gz"));
        let open = File::open(&file).map_err(|e| {
            format!(
                "{}: {e}; name MNIST's folder in TACIT_MNIST",
                file.display()
            )
        })?;
        let mut bytes = vec![0; header + count];
        GzDecoder::new(open).read_exact(&mut bytes)?;
        Ok(bytes.split_off(header))
    };
    let pixels = bytes("images-idx3", 16, count * 784)?;
    let classes = bytes("labels-idx1", 8, count)?;
    Ok((
        pixels.into_iter().map(f32::from).collect(),
        classes.into_iter().map(usize::from).collect(),
    ))
}
