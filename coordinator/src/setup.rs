//! The operator's work before the coordinator serves: founding the consortium and admitting members.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tacit_api::consortium::{Consortium, ConsortiumError};
use tacit_api::identity::{Identity, IdentityError, Request};
use tacit_api::roster::{Roster, RosterError};

use crate::config::{CONFIG_FILE, Config, ConfigError};

/// The authority's key file, beside those of the coordinator.
const AUTHORITY_KEY: &str = "authority.key";

/// Why a consortium was not founded or a member not admitted.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A file or directory cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The configuration is unusable.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A key cannot be made, kept or read.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The roster cannot be read or written.
    #[error(transparent)]
    Roster(#[from] RosterError),
    /// The consortium cannot be founded or opened.
    #[error(transparent)]
    Consortium(#[from] ConsortiumError),
    /// The request file does not parse.
    #[error("{path} is no request file: {source}")]
    Syntax {
        /// The request file.
        path: PathBuf,
        /// Where and what.
        source: toml::de::Error,
    },
    /// The request is not granted.
    #[error("{path}: {source}")]
    Refused {
        /// The request file.
        path: PathBuf,
        /// Why.
        source: ConsortiumError,
    },
}

/// Founds the consortium `name` in `directory`: keys, an empty roster and a commented configuration. Members will reach
/// the coordinator at `address`; it listens on `listen`.
pub fn init(
    directory: &Path,
    name: &str,
    address: &str,
    listen: &str,
) -> Result<Roster, SetupError> {
    let config = Config::in_directory(directory, listen);
    let (authority, coordinator) = (Identity::generate()?, Identity::generate()?);
    // Before anything is written, so that a wrong name or address leaves nothing behind.
    let consortium = Consortium::found(name, address, &authority, &coordinator)?;
    fs::create_dir_all(directory).map_err(at(directory))?;
    authority.save(&directory.join(AUTHORITY_KEY))?;
    coordinator.save(&config.identity)?;
    consortium.roster().save(&config.roster)?;
    let path = directory.join(CONFIG_FILE);
    fs::write(&path, Config::template(listen)).map_err(at(&path))?;
    Ok(consortium.roster().clone())
}

/// Admits whoever wrote the request file `request` to the consortium in `directory`.
pub fn admit(directory: &Path, request: &Path) -> Result<Roster, SetupError> {
    let config = Config::load(&directory.join(CONFIG_FILE))?;
    let authority = Identity::load(&directory.join(AUTHORITY_KEY))?;
    let mut consortium = Consortium::open(Roster::load(&config.roster)?, &authority)?;
    let text = fs::read_to_string(request).map_err(at(request))?;
    let path = || request.to_owned();
    let parsed = Request::from_toml(&text).map_err(|source| SetupError::Syntax {
        path: path(),
        source,
    })?;
    consortium
        .admit(&parsed)
        .map_err(|source| SetupError::Refused {
            path: path(),
            source,
        })?;
    consortium.roster().save(&config.roster)?;
    Ok(consortium.roster().clone())
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> SetupError {
    let path = path.to_owned();
    move |source| SetupError::File { path, source }
}
