//! `.npz`: a ZIP archive of `.npy` files.

use std::io::{Cursor, Read, Write};

use tacit_nn::onnx::Constant;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::{Dtype, Error, Result, decode, encode, refuse};

/// More than this in one array is refused: a small archive can unfold to anything.
const MOST_BYTES: u64 = 1 << 34;

/// Whether these are the first bytes of an archive.
#[must_use]
pub fn is_archive(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06")
}

fn broken(error: impl std::fmt::Display) -> Error {
    Error(format!("it is a damaged .npz archive: {error}"))
}

/// The arrays of an archive with their names, in its order.
///
/// # Errors
/// Says what is wrong with the archive or with which array.
pub fn unpack(bytes: &[u8]) -> Result<Vec<(String, Constant)>> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(broken)?;
    let mut arrays = Vec::new();
    for k in 0..archive.len() {
        let file = archive.by_index(k).map_err(broken)?;
        let name = file.name().map_err(broken)?.into_owned();
        let Some(name) = name.strip_suffix(".npy").map(str::to_owned) else {
            return refuse(format!("it holds {name:?}, which is no .npy file"));
        };
        let mut content = Vec::new();
        file.take(MOST_BYTES + 1)
            .read_to_end(&mut content)
            .map_err(broken)?;
        if content.len() as u64 > MOST_BYTES {
            return refuse(format!("its array {name:?} has more than 2^34 bytes"));
        }
        let array = decode(&content).map_err(|Error(e)| Error(format!("array {name:?}: {e}")))?;
        arrays.push((name, array));
    }
    Ok(arrays)
}

/// An archive of arrays under names, without compression, as `numpy.savez` writes it.
///
/// # Errors
/// As for [`encode`], and two arrays of one name.
pub fn pack(arrays: &[(&str, &Constant, Dtype)]) -> Result<Vec<u8>> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, array, dtype) in arrays {
        let bytes = encode(array, *dtype)?;
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .large_file(bytes.len() as u64 > u64::from(u32::MAX));
        let failed = |e: &dyn std::fmt::Display| Error(format!("array {name:?}: {e}"));
        archive
            .start_file(format!("{name}.npy"), options)
            .map_err(|e| failed(&e))?;
        archive.write_all(&bytes).map_err(|e| failed(&e))?;
    }
    Ok(archive.finish().map_err(broken)?.into_inner())
}
