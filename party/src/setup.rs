//! What an institution does before its party serves: make keys, and ask to be admitted.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tacit_api::identity::Identity;

use crate::config::{CONFIG_FILE, Config};

/// The file that goes to the coordinator's operator.
const REQUEST_FILE: &str = "request.toml";

/// Makes keys, a request and a commented configuration for the party `name` in `directory`. Others will reach it at
/// `address`; it listens on `listen`. Returns the request file.
///
/// # Errors
/// The name or address cannot be used, or there is a party in the directory already.
pub fn init(directory: &Path, name: &str, address: &str, listen: &str) -> Result<PathBuf> {
    let identity = Identity::generate()?;
    // Before anything is written, so that a wrong name leaves nothing behind.
    let request = identity.request(name, Some(address))?.to_toml()?;
    fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
    // Fails where there are keys already: keys that are lost cannot be made again.
    identity.save(&Config::in_directory(directory, listen).identity)?;
    let path = directory.join(REQUEST_FILE);
    for (path, text) in [
        (&path, request),
        (&directory.join(CONFIG_FILE), Config::template(listen)),
    ] {
        fs::write(path, text).with_context(|| path.display().to_string())?;
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use tacit_api::identity::Request;

    use super::*;

    #[test]
    fn a_directory_holds_one_party() {
        let dir = tempfile::tempdir().unwrap();
        let request = init(dir.path(), "north", "north.example:7001", "0.0.0.0:7001").unwrap();
        let request = Request::from_toml(&fs::read_to_string(request).unwrap()).unwrap();
        assert_eq!(
            (request.name.as_str(), request.address.as_deref()),
            ("north", Some("north.example:7001"))
        );
        let config = Config::load(&dir.path().join(CONFIG_FILE)).unwrap();
        let key = Identity::load(&config.identity).unwrap().public_key();
        assert!(init(dir.path(), "west", "west.example:7001", "0.0.0.0:7001").is_err());
        assert_eq!(Identity::load(&config.identity).unwrap().public_key(), key);
    }

    #[test]
    fn a_wrong_name_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let inside = dir.path().join("party");
        assert!(init(&inside, "no name", "north.example:7001", "0.0.0.0:7001").is_err());
        assert!(!inside.exists());
    }
}
