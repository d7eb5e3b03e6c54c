//! What a serving party is made of.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tacit_api::identity::{Identity, IdentityError};
use tacit_api::member::Role;
use tacit_api::policy::Policy;
use tacit_api::roster::{Roster, RosterError};
use tacit_api::tls::TlsError;
use tacit_gpu::Unusable;
use tacit_mpc::Kernels;
use tacit_protocols::malicious::Failures;
use tokio::sync::Semaphore;

use crate::config::Config;
use crate::dataset::{Dataset, DatasetError};
use crate::incidents::Incidents;
use crate::journal::{Journal, JournalError};
use crate::net::{Connector, Deadlines, Limits, Listener, Registry};
use crate::own_model::{OwnModel, OwnModelError};

/// Why a party does not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The keys cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The party has not been admitted yet.
    #[error(
        "there is no roster at {}: send the request file to the coordinator's operator and put the roster that comes \
         back there", .0.display()
    )]
    NoRoster(PathBuf),
    /// The roster cannot be used.
    #[error(transparent)]
    Roster(#[from] RosterError),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The journal of jobs cannot be kept.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A declared model cannot be used.
    #[error(transparent)]
    Model(#[from] OwnModelError),
    /// A declared data set cannot be used.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// Encrypted inference cannot be served.
    #[error(transparent)]
    Encrypted(#[from] crate::encrypted::EncryptedError),
    /// The device that was asked for cannot be used.
    #[error(transparent)]
    Device(#[from] Unusable),
    /// The roster has this member as a client.
    #[error("{0} is a client in the roster, not a party: make new keys with `party init`")]
    NotAParty(String),
    /// A party that is to lie would reach others than those of a demonstration.
    #[error(
        "a party that lies is for demonstrations on one machine, and {0} is not a loopback address of it"
    )]
    NotAlone(String),
    /// Nothing can listen at the address.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: String,
        /// What the system said.
        source: io::Error,
    },
}

/// A party's identity, rules and belongings.
pub(crate) struct Party {
    pub(crate) name: String,
    pub(crate) identity: Arc<Identity>,
    pub(crate) roster: Arc<Roster>,
    pub(crate) policy: Policy,
    pub(crate) datasets: BTreeMap<String, Dataset>,
    pub(crate) models: Vec<OwnModel>,
    pub(crate) journal: Journal,
    /// The directory for certificates of others' misbehaviour.
    pub(crate) evidence: PathBuf,
    pub(crate) incidents: Incidents,
    pub(crate) connector: Connector,
    /// What computes the products of all its sessions.
    pub(crate) kernels: Arc<dyn Kernels>,
    /// Sessions that ended in a failed proof since the party started.
    pub(crate) failures: Failures,
    /// A permit for each model that may be served at a time.
    pub(crate) services: Arc<Semaphore>,
    /// Whether it changes one bit of what it sends in each job, for a demonstration.
    pub(crate) lies: bool,
}

impl Party {
    /// Loads what `config` names, and makes the listener that goes with it.
    pub(crate) fn load(config: &Config) -> Result<(Self, Arc<Listener>), ServeError> {
        let identity = Arc::new(Identity::load(&config.identity)?);
        if !config.roster.exists() {
            return Err(ServeError::NoRoster(config.roster.clone()));
        }
        let roster = Arc::new(Roster::load(&config.roster)?);
        let name = identity.certificate(&roster)?.name().to_owned();
        if roster.member(&name)?.role() != Role::Party {
            return Err(ServeError::NotAParty(name));
        }
        let waits = config.deadlines;
        let limits = Limits {
            handshake: waits.handshake,
            unclaimed: waits.unclaimed,
            ..Limits::default()
        };
        let registry = Arc::new(Registry::default());
        let listener = Listener::new(&identity, roster.clone(), registry.clone(), limits)?;
        let connector = Connector {
            identity: identity.clone(),
            roster: roster.clone(),
            registry,
            deadlines: Deadlines {
                connect: waits.connect,
                exchange: waits.exchange,
            },
        };
        let settings = tacit_gpu::Settings {
            memory: usize::try_from(u64::from(config.device_mib) << 20).unwrap_or(usize::MAX),
            ..tacit_gpu::Settings::default()
        };
        let chosen = tacit_gpu::choose(config.device, settings)?;
        match chosen.instead {
            None => tracing::info!("device = \"{}\": {chosen}", config.device),
            // A device that is missing, and one that computes wrongly.
            Some(_) => tracing::warn!("device = \"{}\": {chosen}", config.device),
        }
        let journal = Journal::open(&config.journal)?;
        let policy = config.policy.clone();
        let services = policy.max_services.min(Semaphore::MAX_PERMITS);
        let datasets = config
            .datasets
            .iter()
            .map(|(name, files)| Dataset::load(name, files).map(|dataset| (name.clone(), dataset)));
        let datasets = datasets.collect::<Result<_, _>>()?;
        let models = config
            .models
            .iter()
            .map(|(name, declared)| OwnModel::load(name, declared, policy.unproven_ranges));
        let models = models.collect::<Result<_, _>>()?;
        Ok((
            Self {
                name,
                identity,
                roster,
                policy,
                datasets,
                models,
                journal,
                evidence: config.evidence.clone(),
                incidents: Incidents::at(&config.incidents),
                connector,
                kernels: chosen.kernels,
                failures: Failures::default(),
                services: Arc::new(Semaphore::new(services)),
                lies: false,
            },
            listener,
        ))
    }
}
