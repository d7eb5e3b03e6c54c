//! Files that hold private keys: readable by their owner alone, never overwritten.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

/// Creates `path` with mode 0600 and writes `contents`; an existing file is an error, as a key that is lost cannot be
/// made again.
pub fn create(path: &Path, contents: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(contents)?;
    file.sync_all()
}

/// Whether anyone but the owner may read `path`.
pub fn is_exposed(path: &Path) -> io::Result<bool> {
    let metadata = path.metadata()?;
    #[cfg(unix)]
    return Ok(std::os::unix::fs::MetadataExt::mode(&metadata) & 0o077 != 0);
    #[cfg(not(unix))]
    return Ok(!metadata.is_file());
}

#[cfg(test)]
mod tests {
    use super::create;

    #[test]
    fn is_private_and_never_replaces_a_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("identity.key");
        create(&path, b"secret").unwrap();
        create(&path, b"other").unwrap_err();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "secret");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
    }
}
