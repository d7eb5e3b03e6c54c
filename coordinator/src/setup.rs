//! The operator's work before the coordinator serves: founding the consortium and admitting members.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use tacit_api::consortium::Consortium;
use tacit_api::identity::{Identity, Request};
use tacit_api::roster::Roster;

use crate::config::{CONFIG_FILE, Config};

/// The authority's key file, beside those of the coordinator.
const AUTHORITY_KEY: &str = "authority.key";

/// Founds the consortium `name` in `directory`: keys, an empty roster and a commented configuration. Members will reach
/// the coordinator at `address`; it listens on `listen`.
pub fn init(directory: &Path, name: &str, address: &str, listen: &str) -> Result<Roster> {
    fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
    let config = Config::in_directory(directory, listen);
    let (authority, coordinator) = (Identity::generate()?, Identity::generate()?);
    // Before anything is written, so that a wrong name or address leaves nothing behind.
    let consortium = Consortium::found(name, address, &authority, &coordinator)?;
    authority.save(&directory.join(AUTHORITY_KEY))?;
    coordinator.save(&config.identity)?;
    consortium.roster().save(&config.roster)?;
    let path = directory.join(CONFIG_FILE);
    fs::write(&path, Config::template(listen)).with_context(|| path.display().to_string())?;
    Ok(consortium.roster().clone())
}

/// Admits whoever wrote the request file `request` to the consortium in `directory`.
pub fn admit(directory: &Path, request: &Path) -> Result<Roster> {
    let config = Config::load(&directory.join(CONFIG_FILE))?;
    let authority = Identity::load(&directory.join(AUTHORITY_KEY))?;
    let mut consortium = Consortium::open(Roster::load(&config.roster)?, &authority)?;
    let file = || request.display().to_string();
    let text = fs::read_to_string(request).with_context(file)?;
    let request = Request::from_toml(&text).with_context(file)?;
    consortium.admit(&request).with_context(file)?;
    consortium.roster().save(&config.roster)?;
    Ok(consortium.roster().clone())
}
