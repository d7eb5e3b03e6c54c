//! The table `[encrypted]` of `party.toml`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::key_store::Quota;
use super::queue::Bounds;
use crate::config::seconds;

/// What a party serves on ciphertexts, to whom, and how much of it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncryptedConfig {
    /// The `host:port` at which clients ask.
    pub listen: String,
    /// The members that may ask.
    pub clients: Vec<String>,
    /// The models, by the names that clients use.
    pub models: BTreeMap<String, EncryptedModel>,
    /// The folder of evaluation keys.
    #[serde(default = "keys")]
    pub keys: PathBuf,
    /// MiB of evaluation keys that are kept of one client.
    #[serde(default = "key_mib")]
    pub client_key_mib: u64,
    /// MiB of evaluation keys that are kept altogether.
    #[serde(default = "all_key_mib")]
    pub key_mib: u64,
    /// Evaluation keys that are held in memory, ready to compute with.
    #[serde(default = "ready_keys")]
    pub ready_keys: usize,
    /// Questions of one client that may wait.
    #[serde(default = "client_waiting")]
    pub client_waiting: usize,
    /// Questions that may wait altogether.
    #[serde(default = "waiting")]
    pub waiting: usize,
    /// Questions that are computed at a time.
    #[serde(default = "one")]
    pub workers: usize,
    /// Cores for each of them; 0 divides all cores among the workers.
    #[serde(default)]
    pub threads: usize,
    /// Longest time from a question to its answer, in seconds.
    #[serde(default = "patience", deserialize_with = "seconds")]
    pub patience: Duration,
}

/// A model on ciphertexts.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncryptedModel {
    /// The file of an integer program.
    pub file: PathBuf,
    /// log2 of the probability of a wrong answer that is put up with, at most -64.
    #[serde(default = "log2_p_fail")]
    pub log2_p_fail: f64,
}

impl EncryptedConfig {
    /// The bytes of keys that are kept.
    pub(crate) fn quota(&self) -> Quota {
        Quota {
            client: self.client_key_mib.saturating_mul(1 << 20),
            all: self.key_mib.saturating_mul(1 << 20),
        }
    }

    /// How many questions may wait.
    pub(crate) fn bounds(&self) -> Bounds {
        Bounds {
            client: self.client_waiting,
            all: self.waiting,
        }
    }
}

fn keys() -> PathBuf {
    "keys".into()
}

fn key_mib() -> u64 {
    256
}

fn all_key_mib() -> u64 {
    4096
}

fn ready_keys() -> usize {
    4
}

fn client_waiting() -> usize {
    8
}

fn waiting() -> usize {
    64
}

fn one() -> usize {
    1
}

fn patience() -> Duration {
    Duration::from_secs(300)
}

fn log2_p_fail() -> f64 {
    -128.0
}
