//! The names of the store's files, and reading folders.

use std::fs::{self, DirEntry, File};
use std::io::{self, Read};
use std::path::Path;

use super::{KeyId, KeyStoreError};

/// How the name of a file on its way begins: only files that are named so are ever cleaned up.
pub(super) const ON_ITS_WAY: &str = "upload-";
/// How it ends.
pub(super) const PART: &str = ".part";
/// How much of a file is read to tell what key it is.
const START: u64 = 128;

/// What lies in this folder.
pub(super) fn entries(folder: &Path) -> Result<Vec<DirEntry>, KeyStoreError> {
    let entries = fs::read_dir(folder).map_err(at(folder))?;
    entries.collect::<io::Result<_>>().map_err(at(folder))
}

/// How a file begins.
pub(super) fn start_of(path: &Path) -> Result<Vec<u8>, KeyStoreError> {
    let mut start = Vec::new();
    let file = File::open(path).map_err(at(path))?;
    file.take(START).read_to_end(&mut start).map_err(at(path))?;
    Ok(start)
}

/// Whether a file is named like a key on its way.
pub(super) fn was_on_its_way(file: &Path) -> bool {
    let name = file.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name.starts_with(ON_ITS_WAY) && name.ends_with(PART))
}

/// The identifier that a file's name says, if it is the name of a key.
pub(super) fn id_of(file: &Path) -> Option<KeyId> {
    let id = file.file_name()?.to_str()?.strip_suffix(".key")?;
    let mut bytes = [0; 32];
    hex::decode_to_slice(id, &mut bytes).ok()?;
    // Capital digits say the same number, but name another file than the one that is read later.
    (KeyId(bytes).to_string() == id).then_some(KeyId(bytes))
}

/// An error at this path.
pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> KeyStoreError {
    let path = path.to_owned();
    move |source| KeyStoreError::Io { path, source }
}
