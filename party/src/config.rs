//! The party's configuration: `party.toml`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use tacit_api::job::{default_bits, default_rows};
use tacit_api::policy::Policy;
use tacit_gpu::Choice;

use crate::encrypted::config::EncryptedConfig;

/// The file that `party init` writes beside the keys.
pub const CONFIG_FILE: &str = "party.toml";

/// MiB of a device's memory that a party must have: in less, products are computed in many small parts.
const LEAST_DEVICE_MIB: u32 = 64;

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

/// Everything that a party needs to serve.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The `host:port` on which other parties are awaited.
    pub listen: String,
    /// The `host:port` of the coordinator, where it is not the roster's.
    pub coordinator: Option<String>,
    /// The roster file.
    pub roster: PathBuf,
    /// The party's key file.
    pub identity: PathBuf,
    /// The list of jobs that have run here.
    pub journal: PathBuf,
    /// The directory for certificates of others' misbehaviour.
    #[serde(default = "evidence")]
    pub evidence: PathBuf,
    /// The directory for sessions in which somebody cheated: while one lies there, its three do not compute together.
    #[serde(default = "incidents")]
    pub incidents: PathBuf,
    /// What computes the products of shares.
    #[serde(default, deserialize_with = "device")]
    pub device: Choice,
    /// MiB of a device's memory that this party may take.
    #[serde(default = "device_mib", deserialize_with = "enough_mib")]
    pub device_mib: u32,
    /// The data sets that this party declares, by the name that jobs use.
    #[serde(default)]
    pub datasets: BTreeMap<String, DatasetFiles>,
    /// The models whose weights this party owns and serves, by any name.
    #[serde(default)]
    pub models: BTreeMap<String, OwnedModel>,
    /// What this party serves on ciphertexts, by itself.
    #[serde(default)]
    pub encrypted: Option<EncryptedConfig>,
    /// What the party takes part in.
    #[serde(default)]
    pub policy: Policy,
    /// How long to wait for whom.
    #[serde(default)]
    pub deadlines: Deadlines,
}

/// A data set that this party declares.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetFiles {
    /// The rows: CSV, whose first line names the columns.
    pub file: PathBuf,
    /// What the rows are: TOML with the `[data]` table of a job file. Rows and jobs are held against it.
    pub description: PathBuf,
}

/// A model whose weights this party owns, and within what it serves it: jobs beyond are declined. Whoever submits jobs learns
/// these numbers, and has no other part in what is decided about the weights.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnedModel {
    /// The ONNX file.
    pub file: PathBuf,
    /// The least and the greatest number of each input, in the order of the model's; none for ±65536 each.
    #[serde(default)]
    pub bounds: Vec<[f64; 2]>,
    /// Rows of a question and of a batch at most.
    #[serde(default = "default_rows")]
    pub max_rows: usize,
    /// Fractional bits of the fixed-point numbers.
    #[serde(default = "default_bits")]
    pub fraction_bits: u32,
}

/// How long to wait for whom; in the file, seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Deadlines {
    /// Until all links of a session are up.
    #[serde(deserialize_with = "seconds")]
    pub connect: Duration,
    /// Longest silence of a peer during a session.
    #[serde(deserialize_with = "seconds")]
    pub exchange: Duration,
    /// Until a caller has shown its certificate and said what it wants.
    #[serde(deserialize_with = "seconds")]
    pub handshake: Duration,
    /// How long a caller waits for its session to begin here.
    #[serde(deserialize_with = "seconds")]
    pub unclaimed: Duration,
    /// Longest pause between two attempts to reach the coordinator.
    #[serde(deserialize_with = "seconds")]
    pub reconnect: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(30),
            exchange: Duration::from_secs(60),
            handshake: Duration::from_secs(10),
            unclaimed: Duration::from_secs(30),
            reconnect: Duration::from_secs(30),
        }
    }
}

pub(crate) fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let seconds = u32::deserialize(deserializer)?;
    if seconds == 0 {
        return Err(serde::de::Error::custom(
            "a deadline must be at least 1 second",
        ));
    }
    Ok(Duration::from_secs(seconds.into()))
}

fn device<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Choice, D::Error> {
    let said = String::deserialize(deserializer)?;
    said.parse().map_err(serde::de::Error::custom)
}

fn device_mib() -> u32 {
    4096
}

fn enough_mib<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let mib = u32::deserialize(deserializer)?;
    if mib < LEAST_DEVICE_MIB {
        return Err(serde::de::Error::custom(format!(
            "a device computes with at least {LEAST_DEVICE_MIB} MiB"
        )));
    }
    Ok(mib)
}

fn evidence() -> PathBuf {
    "evidence".into()
}

fn incidents() -> PathBuf {
    "incidents".into()
}

impl Config {
    /// A configuration with defaults for a directory that `party init` filled: no data sets, and a policy that refuses
    /// everything.
    #[must_use]
    pub fn in_directory(directory: &Path, listen: &str) -> Self {
        Self {
            listen: listen.to_owned(),
            coordinator: None,
            roster: directory.join("consortium.toml"),
            identity: directory.join("party.key"),
            journal: directory.join("jobs.journal"),
            evidence: directory.join(evidence()),
            incidents: directory.join(incidents()),
            device: Choice::default(),
            device_mib: device_mib(),
            datasets: BTreeMap::new(),
            models: BTreeMap::new(),
            encrypted: None,
            policy: Policy::default(),
            deadlines: Deadlines::default(),
        }
    }

    /// Reads a configuration file. Relative paths in it start at the file's own directory.
    ///
    /// # Errors
    /// The file cannot be read, or says something that is not understood.
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
        let files = [
            &mut config.roster,
            &mut config.identity,
            &mut config.journal,
            &mut config.evidence,
            &mut config.incidents,
        ];
        let declared = config.datasets.values_mut();
        let declared = declared.flat_map(|files| [&mut files.file, &mut files.description]);
        let models = config.models.values_mut().map(|model| &mut model.file);
        let encrypted = config.encrypted.iter_mut().flat_map(|encrypted| {
            let programs = encrypted.models.values_mut().map(|model| &mut model.file);
            programs.chain([&mut encrypted.keys])
        });
        for file in files
            .into_iter()
            .chain(declared)
            .chain(models)
            .chain(encrypted)
        {
            *file = directory.join(&*file);
        }
        Ok(config)
    }

    /// The commented file that `party init` writes.
    #[must_use]
    pub fn template(listen: &str) -> String {
        format!(
            r#"# The party's configuration. Relative paths start at this file's directory.

# Where other parties are awaited; the address that they dial is in the roster.
listen = {listen:?}

# The coordinator is reached at the roster's address, unless this says otherwise.
# coordinator = "coordinator.example:7000"

# The roster that every member holds (it comes from the coordinator's operator), and this party's private keys.
roster = "consortium.toml"
identity = "party.key"

# The jobs that have run here, so that none runs twice.
journal = "jobs.journal"

# Where certificates are kept that convict another party of misbehaviour; `tacit evidence FILE` checks one.
evidence = "evidence"

# Sessions in which a proof failed, a file each. While one lies here, jobs computed by the same three are declined: put it away
# when you know what happened.
incidents = "incidents"

# What computes the products of shares: "cpu"; "cuda", an NVIDIA device ("cuda:1" is the second one), without which the party
# does not start; or "auto", the first device if it works, else the processor: the log says which, and why. Only programs that
# were built with `--features cuda` know devices.
device = "cpu"
# MiB of the device's memory that this party may take. Several parties may share a device.
device_mib = 4096

# The data sets of this party, by the name that jobs use. `file` is CSV whose first line names the columns.
# `description` is TOML with the [data] table of a job file; a job file that you have reviewed will do. The rows are
# held against the description when the party starts, and a job that describes the data in another way is refused.
# [datasets.breast-cancer]
# file = "data/breast-cancer.csv"
# description = "data/breast-cancer.toml"

# The models whose weights only this party knows and which it lets clients use. A job that serves one brings the same file
# without its weights (`tacit skeleton`), and keeps within what stands here. When the party starts it follows what the numbers
# inside can be for all inputs within `bounds`; where one may leave the range of the arithmetic, the log says so and every job
# on the model is declined.
# [models.triage]
# file = "models/triage.onnx"
# bounds = [[0, 255]]       # least and greatest number of each input; ±65536 without this line
# max_rows = 128            # rows of a question and of a batch at most

# Encrypted inference: this party answers questions that it cannot read, by itself and whether or not it computes with others.
# Models are integer programs, as those in examples/models; examples/README.md says how they are made.
# [encrypted]
# listen = "0.0.0.0:7443"
# clients = []              # members that may ask
# models.digits.file = "models/digits.tfhe"
# keys = "keys"             # the folder of clients' evaluation keys, of which so much is kept:
# client_key_mib = 256
# key_mib = 4096
# ready_keys = 4            # how many are held in memory; clients have equal parts of them
# client_waiting = 8        # questions of one client that may wait
# waiting = 64              # and of all
# workers = 1               # questions that are computed at a time
# threads = 0               # cores for each; 0 divides all of them
# patience = 300            # seconds from a question to its answer at most

# What this party takes part in. What a list does not name is refused.
[policy]
kinds = []                # "train", "serve"
submitters = []           # members that may submit jobs
recipients = []           # members that may receive results
compute = []              # parties that may compute: trust any two of them not to pool what they see
contributors = []         # parties whose rows may be joined with yours: who adds rows of its own choice tells yours apart
datasets = []             # data sets that may be used
protocols = ["rep3", "rep3-malicious"] # the second alone demands that no single party can change a result unnoticed
metrics = []              # "accuracy", "auc", "loss", "rmse": what may be released about quality
epoch_loss = false        # whether the training loss of every epoch may be released
onnx = false              # whether jobs may bring networks of their own: one can be built to remember single rows
max_parameters = 1000000  # the most numbers in a model
min_contributors = 3      # the fewest contributors of rows
min_rows = 100            # the fewest rows of all contributors together
min_rows_of_others = 50   # the fewest rows of all contributors but this party
min_train_rows = 50       # the fewest rows that a model is trained on
min_test_rows = 20        # the fewest held-out rows that a metric is computed on
max_epochs = 1000         # the most epochs
max_jobs = 20             # the most jobs that may ever run on your rows
clients = []              # members that may ask questions to models that are served
max_minutes = 1440        # the longest that a model is served
max_services = 4          # the most models that are served at a time
unproven_ranges = false   # serve own weights also where numbers may overflow: clients are trusted with them

# In seconds.
[deadlines]
# Until all links of a session are up.
connect = 30
# Longest silence of a peer during a session.
exchange = 60
# Until a caller has shown its certificate and said what it wants.
handshake = 10
# How long a caller waits for its session to begin here.
unclaimed = 30
# Longest pause between two attempts to reach the coordinator.
reconnect = 30
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
        let files = [
            &mut config.roster,
            &mut config.identity,
            &mut config.journal,
            &mut config.evidence,
            &mut config.incidents,
        ];
        let declared = config.datasets.values_mut();
        let declared = declared.flat_map(|files| [&mut files.file, &mut files.description]);
        for file in files.into_iter().chain(declared) {
            *file = file.strip_prefix(dir.path()).unwrap().to_owned();
        }
        Ok(config)
    }

    #[test]
    fn the_template_says_the_defaults() {
        let config = load(&Config::template("0.0.0.0:7001")).unwrap();
        assert_eq!(config, Config::in_directory(Path::new(""), "0.0.0.0:7001"));
    }

    #[test]
    fn data_sets_are_found_beside_the_file() {
        let mut text = Config::template("0.0.0.0:7001");
        for line in ["[datasets.breast", "file = ", "description = "] {
            text = text.replacen(&format!("# {line}"), line, 1);
        }
        let config = load(&text).unwrap();
        let expected = DatasetFiles {
            file: "data/breast-cancer.csv".into(),
            description: "data/breast-cancer.toml".into(),
        };
        assert_eq!(config.datasets["breast-cancer"], expected);
    }

    #[test]
    fn models_say_within_what_they_are_served() {
        let models = "[models.triage]\nfile = \"triage.onnx\"\nbounds = [[0, 255]]\n";
        let text =
            Config::template("0.0.0.0:7001").replace("[policy]", &format!("{models}[policy]"));
        let config = load(&text).unwrap();
        let model = &config.models["triage"];
        assert!(model.file.is_absolute() && model.file.ends_with("triage.onnx"));
        assert_eq!(model.bounds, [[0.0, 255.0]]);
        assert_eq!((model.max_rows, model.fraction_bits), (128, 18));
        // A path alone says nothing of bounds: models were declared like this before.
        let old = text.replace(models, "[models]\ntriage = \"triage.onnx\"\n");
        let error = load(&old).unwrap_err().to_string();
        assert!(
            error.contains("triage = ") && error.contains("struct OwnedModel"),
            "{error}"
        );
    }

    #[test]
    fn mistakes_name_file_and_field() {
        let template = Config::template("0.0.0.0:7001");
        for (from, to, expected) in [
            ("connect = 30", "connect = 0", "at least 1 second"),
            ("min_rows =", "min_row =", "min_row"),
            (
                "device = \"cpu\"",
                "device = \"cuda:first\"",
                "\"cuda:first\" is no device",
            ),
            ("device_mib = 4096", "device_mib = 63", "at least 64 MiB"),
            (
                "# [datasets.breast-cancer]",
                "[datasets.breast-cancer]\nfile = \"rows.csv\"",
                "description",
            ),
            ("listen = ", "# listen = ", "listen"),
            ("# [models.triage]", "[models.triage]\nbounds = []", "file"),
        ] {
            let error = load(&template.replace(from, to)).unwrap_err().to_string();
            assert!(
                error.contains(CONFIG_FILE) && error.contains(expected),
                "{error}"
            );
        }
    }

    #[test]
    fn a_device_is_chosen_by_a_word() {
        let template = Config::template("0.0.0.0:7001");
        for (word, choice) in [
            ("auto", Choice::Auto),
            ("cuda", Choice::Cuda { ordinal: 0 }),
            ("cuda:1", Choice::Cuda { ordinal: 1 }),
        ] {
            let said = format!("device = \"{word}\"");
            let config = load(&template.replace("device = \"cpu\"", &said)).unwrap();
            assert_eq!(config.device, choice);
        }
        // Older files do not have the line.
        let old = template.replace("device = \"cpu\"", "");
        assert_eq!(load(&old).unwrap().device, Choice::Cpu);
        let wrong = template.replace("device = \"cpu\"", "device = \"gpu\"");
        let line = 1 + wrong.lines().position(|l| l == "device = \"gpu\"").unwrap();
        let error = load(&wrong).unwrap_err().to_string();
        assert!(error.contains(&format!("line {line}")), "{error}");
    }
}
