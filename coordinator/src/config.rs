//! The coordinator's configuration: `coordinator.toml`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Deserializer};

/// The file that `coordinator init` writes beside the keys.
pub const CONFIG_FILE: &str = "coordinator.toml";

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    File {
        /// The configuration file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not TOML, or a field is missing, unknown or wrong.
    #[error("{path}: {source}")]
    Syntax {
        /// The configuration file.
        path: PathBuf,
        /// Where and what.
        source: toml::de::Error,
    },
}

/// Everything that a coordinator needs to serve.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The `host:port` to listen on; port 0 takes a free one.
    pub listen: String,
    /// The roster file.
    pub roster: PathBuf,
    /// The coordinator's key file.
    pub identity: PathBuf,
    /// The SQLite database with jobs, events and sealed results.
    pub database: PathBuf,
    /// The most jobs that may be queued or running at once.
    #[serde(default = "default_max_open_jobs")]
    pub max_open_jobs: usize,
    /// How long to wait for whom.
    #[serde(default)]
    pub deadlines: Deadlines,
}

/// How long to wait for whom; in the file, seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Deadlines {
    /// A job whose turn has come waits this long for absent parties.
    #[serde(deserialize_with = "seconds")]
    pub attend: Duration,
    /// Parties decide on an offer within this time.
    #[serde(deserialize_with = "seconds")]
    pub verdict: Duration,
    /// A job runs at most this long.
    #[serde(deserialize_with = "seconds")]
    pub run: Duration,
    /// After a party reports a failure, the others have this long to say what they saw, so that the right one is named.
    #[serde(deserialize_with = "seconds")]
    pub blame: Duration,
    /// How often an idle connection is probed, and how long the answer may take.
    #[serde(deserialize_with = "seconds")]
    pub keepalive: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            attend: Duration::from_secs(60),
            verdict: Duration::from_secs(60),
            run: Duration::from_secs(6 * 3600),
            blame: Duration::from_secs(2),
            keepalive: Duration::from_secs(10),
        }
    }
}

fn default_max_open_jobs() -> usize {
    100
}

fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let seconds = u32::deserialize(deserializer)?;
    if seconds == 0 {
        return Err(serde::de::Error::custom(
            "a deadline must be at least 1 second",
        ));
    }
    Ok(Duration::from_secs(seconds.into()))
}

impl Config {
    /// The configuration with default deadlines of a directory that `coordinator init` filled.
    pub fn in_directory(directory: &Path, listen: &str) -> Self {
        Self {
            listen: listen.to_owned(),
            roster: directory.join("consortium.toml"),
            identity: directory.join("coordinator.key"),
            database: directory.join("coordinator.db"),
            max_open_jobs: default_max_open_jobs(),
            deadlines: Deadlines::default(),
        }
    }

    /// Reads a configuration file. Relative paths in it start at the file's own directory.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::File {
            path: path.to_owned(),
            source,
        })?;
        let mut config: Self = toml::from_str(&text).map_err(|source| ConfigError::Syntax {
            path: path.to_owned(),
            source,
        })?;
        let directory = path.parent().unwrap_or_else(|| Path::new("."));
        for file in [
            &mut config.roster,
            &mut config.identity,
            &mut config.database,
        ] {
            *file = directory.join(&*file);
        }
        Ok(config)
    }

    /// The commented file that `coordinator init` writes.
    pub fn template(listen: &str) -> String {
        format!(
            r#"# The coordinator's configuration. Relative paths start at this file's directory.

# Where parties and clients connect.
listen = {listen:?}

# The roster that every member holds, and this coordinator's private key.
roster = "consortium.toml"
identity = "coordinator.key"

# Jobs, events and sealed results; SQLite.
database = "coordinator.db"

# The most jobs that may be queued or running at once.
max_open_jobs = 100

# In seconds.
[deadlines]
# A job whose turn has come waits this long for absent parties.
attend = 60
# Parties decide on an offer within this time.
verdict = 60
# A job runs at most this long.
run = 21600
# After a party reports a failure, the others have this long to say what they saw.
blame = 2
# How often an idle connection is probed, and how long the answer may take.
keepalive = 10
"#
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Config, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(CONFIG_FILE);
        std::fs::write(&path, text).unwrap();
        let mut config = Config::load(&path)?;
        for file in [
            &mut config.roster,
            &mut config.identity,
            &mut config.database,
        ] {
            *file = file.strip_prefix(dir.path()).unwrap().to_owned();
        }
        Ok(config)
    }

    #[test]
    fn the_template_says_the_defaults() {
        let config = load(&Config::template("0.0.0.0:7000")).unwrap();
        assert_eq!(config, Config::in_directory(Path::new(""), "0.0.0.0:7000"));
    }

    #[test]
    fn mistakes_name_file_and_line() {
        let template = Config::template("0.0.0.0:7000");
        for (from, to, expected) in [
            ("attend = 60", "attend = 0", "at least 1 second"),
            ("attend = 60", "atend = 60", "atend"),
            ("listen = ", "# listen = ", "listen"),
        ] {
            let error = load(&template.replace(from, to)).unwrap_err().to_string();
            assert!(
                error.contains(CONFIG_FILE) && error.contains(expected),
                "{error}"
            );
        }
    }
}
