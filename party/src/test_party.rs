//! A consortium of running parties and a client, for tests.

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;

use tacit_api::consortium::Consortium;
use tacit_api::identity::Identity;
use tacit_api::policy::Policy;
use tacit_api::proto::{Offer, SignedJob};
use tacit_api::roster::Roster;
use tacit_api::sign::{job_id, sign_job};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::config::{Config, DatasetFiles};
use crate::party::Party;
use crate::test_job::{csv, job_toml};

/// Rows of each party's file.
pub(crate) const ROWS: usize = 50;

/// The parties, in the order of their admission.
pub(crate) const NAMES: [&str; 4] = ["north", "west", "south", "east"];

/// Parties whose listeners run, and the client analyst.
pub(crate) struct Trial {
    pub(crate) parties: Vec<Arc<Party>>,
    pub(crate) roster: Roster,
    pub(crate) analyst: Identity,
    pub(crate) configs: Vec<Config>,
    runtime: Runtime,
    _dir: TempDir,
}

/// A policy under which the small job of the tests runs.
pub(crate) fn policy() -> Policy {
    let text = r#"
kinds = ["train"]
submitters = ["analyst"]
recipients = ["analyst"]
compute = ["north", "west", "south", "east"]
contributors = ["north", "west", "south", "east"]
datasets = ["ward"]
metrics = ["accuracy", "auc"]
epoch_loss = true
min_test_rows = 10
"#;
    toml::from_str(text).unwrap()
}

impl Trial {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let [authority, coordinator, analyst] = [(); 3].map(|()| Identity::generate().unwrap());
        let mut consortium =
            Consortium::found("trial", "localhost:7000", &authority, &coordinator).unwrap();
        consortium
            .admit(&analyst.request("analyst", None).unwrap())
            .unwrap();
        let sockets = NAMES.map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
        let mut configs = Vec::new();
        for (k, (name, socket)) in NAMES.iter().zip(&sockets).enumerate() {
            let address = socket.local_addr().unwrap().to_string();
            let home: PathBuf = dir.path().join(name);
            std::fs::create_dir(&home).unwrap();
            let mut config = Config::in_directory(&home, &address);
            let identity = Identity::generate().unwrap();
            identity.save(&config.identity).unwrap();
            consortium
                .admit(&identity.request(name, Some(&address)).unwrap())
                .unwrap();
            let files = DatasetFiles {
                file: home.join("ward.csv"),
                description: home.join("ward.toml"),
            };
            std::fs::write(&files.file, csv(ROWS, k)).unwrap();
            std::fs::write(&files.description, job_toml("")).unwrap();
            config.datasets.insert("ward".into(), files);
            config.policy = policy();
            configs.push(config);
        }
        let roster = consortium.roster().clone();
        let runtime = Runtime::new().unwrap();
        let start = |(config, socket): (&Config, TcpListener)| {
            roster.save(&config.roster).unwrap();
            let (party, listener) = Party::load(config).unwrap();
            socket.set_nonblocking(true).unwrap();
            let _guard = runtime.enter();
            runtime.spawn(listener.serve(tokio::net::TcpListener::from_std(socket).unwrap()));
            Arc::new(party)
        };
        let parties = configs.iter().zip(sockets).map(start).collect();
        Self {
            parties,
            roster,
            analyst,
            configs,
            runtime,
            _dir: dir,
        }
    }

    /// The analyst's signature under a job file, and the offer of it.
    pub(crate) fn offer(&self, toml: &str) -> Offer {
        offer(sign_job(&self.analyst, &self.roster, toml, None).unwrap())
    }

    /// North anew, as after a restart of its process, with a changed configuration.
    pub(crate) fn restarted(&self, change: impl FnOnce(&mut Config)) -> Arc<Party> {
        let mut config = self.configs[0].clone();
        change(&mut config);
        Arc::new(Party::load(&config).unwrap().0)
    }

    pub(crate) fn runtime(&self) -> &Runtime {
        &self.runtime
    }
}

/// An offer of `job` under its own identifier.
pub(crate) fn offer(job: SignedJob) -> Offer {
    Offer {
        job_id: job_id(&job),
        job: Some(job),
    }
}
