//! Encrypted inference as a service: one server answers questions on ciphertexts and learns neither question nor answer.
//!
//! | module | what it is for |
//! |---|---|
//! | [`config`] | the table `[encrypted]` of the party's configuration |
//! | [`queue`] | questions that wait for a worker: a trait, and the queue inside this process |
//! | [`key_store`] | evaluation keys on disk, by identifier, within quotas |
//! | [`model`] | a model as the service sees it: bytes in, bytes out |

pub mod config;
pub mod key_store;
pub mod model;
pub mod queue;

mod connections;
mod ready_keys;
mod server;
mod service;
#[cfg(feature = "tfhe")]
mod tfhe;
mod worker;

#[cfg(test)]
mod tests;

pub use server::{EncryptedError, Server};

use std::sync::Arc;

use tacit_api::identity::Identity;
use tacit_api::roster::Roster;
use tacit_mpc::Kernels;

use config::EncryptedConfig;

/// Serves the models of `config`, whose polynomials `kernels` multiply, until `shutdown` is ready.
///
/// # Errors
/// A model cannot be used, or the address cannot be listened on.
#[cfg(feature = "tfhe")]
pub(crate) async fn serve(
    config: &EncryptedConfig,
    identity: &Identity,
    roster: Arc<Roster>,
    kernels: &Arc<dyn Kernels>,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), EncryptedError> {
    let models = tfhe::load(&config.models, kernels)?;
    let server = Server::bind(config, identity, roster, models).await?;
    tracing::info!("encrypted inference, listening on {}", config.listen);
    server.run(shutdown).await
}

/// Refuses: this program was built without what computes on ciphertexts.
///
/// # Errors
/// Always.
#[cfg(not(feature = "tfhe"))]
pub(crate) async fn serve(
    _: &EncryptedConfig,
    _: &Identity,
    _: Arc<Roster>,
    _: &Arc<dyn Kernels>,
    _: impl Future<Output = ()> + Send,
) -> Result<(), EncryptedError> {
    Err(EncryptedError::NotBuilt)
}
