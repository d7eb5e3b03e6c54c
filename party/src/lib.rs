//! An institution's party: its identity, its data, its policy, and the sessions it takes part in.
//!
//! | module | what it is for |
//! |---|---|
//! | [`config`] | the party's configuration file |
//! | [`cli`], [`setup`] | the command line, and what `party init` does |
//! | [`serve()`] | attending at the coordinator until told to stop |
//! | [`data`] | the institution's rows, held against the description of them |
//! | [`memory`] | the allocator of the binaries |
//! | [`net`] | the data plane: TLS links between parties |
//! | [`mod@serve`] | inference as a service, on shares |
//! | [`encrypted`] | inference as a service, on ciphertexts |
//! | [`train_job`] | what a job makes the engines do, and what its recipient gets |

pub mod cli;
pub mod config;
pub mod data;
pub mod encrypted;
pub mod memory;
pub mod net;
pub mod serve;
pub mod setup;
pub mod train_job;

mod broadcast;
mod coin;
mod control;
mod dataset;
mod desk;
mod incidents;
mod journal;
mod lie;
mod link_speed;
mod log_limit;
mod offer;
mod own_model;
mod party;
mod row_count;
mod run_job;
mod seats;
mod training;

#[cfg(test)]
mod test_job;
#[cfg(test)]
mod test_party;

use std::sync::Arc;

use tacit_api::tls::coordinator_endpoint;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

pub use dataset::DatasetError;
pub use journal::JournalError;
pub use party::ServeError;

use config::Config;
use party::Party;

/// Serves as the party that `config` describes until `shutdown` is ready: awaits other parties, attends at the
/// coordinator, and takes part in the jobs that the party's own policy allows.
///
/// # Errors
/// Keys, roster, journal, a declared data set or the address cannot be used. A coordinator that is away is no error:
/// it is dialed again.
pub async fn serve(config: Config, shutdown: impl Future<Output = ()>) -> Result<(), ServeError> {
    serve_with(config, shutdown, false).await
}

/// The same, but the party changes one bit of what it sends in each job: to demonstrate that others notice. Refused unless
/// everybody is on this machine.
///
/// # Errors
/// As for [`serve()`]; [`ServeError::NotAlone`] where an address of the consortium is not a loopback address.
pub async fn serve_and_lie_once(
    config: Config,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    serve_with(config, shutdown, true).await
}

async fn serve_with(
    config: Config,
    shutdown: impl Future<Output = ()>,
    lies: bool,
) -> Result<(), ServeError> {
    let (mut party, listener) = Party::load(&config)?;
    if lies {
        let coordinator = party.roster.coordinator_address();
        let others = [&config.listen, coordinator].into_iter();
        let others = others.chain(config.coordinator.as_deref());
        if let Some(address) = lie::elsewhere(&party.roster, others) {
            return Err(ServeError::NotAlone(address.to_owned()));
        }
        tracing::warn!("started to lie once in each job: for demonstrations on one machine");
    }
    party.lies = lies;
    let listen_error = |source| ServeError::Listen {
        address: config.listen.clone(),
        source,
    };
    let socket = TcpListener::bind(&config.listen)
        .await
        .map_err(listen_error)?;
    let address = config
        .coordinator
        .as_deref()
        .unwrap_or_else(|| party.roster.coordinator_address());
    let endpoint = coordinator_endpoint(&party.identity, &party.roster, address)?;
    tracing::info!(
        "{} of {}, listening on {}",
        party.name,
        party.roster.name(),
        config.listen
    );
    tracing::info!("the roster's fingerprint is {}", party.roster.fingerprint());
    let (identity, roster) = (party.identity.clone(), party.roster.clone());
    let kernels = Arc::clone(&party.kernels);
    let (stop, stopped) = oneshot::channel::<()>();
    let encrypted = async {
        match &config.encrypted {
            Some(encrypted) => {
                let told = async {
                    stopped.await.ok(); // told to stop, or the sender is gone: the same
                };
                encrypted::serve(encrypted, &identity, roster, &kernels, told).await
            }
            None => std::future::pending().await,
        }
    };
    let mut encrypted = std::pin::pin!(encrypted);
    tokio::select! {
        () = listener.serve(socket) => {}
        () = control::attend(Arc::new(party), endpoint, config.deadlines.reconnect) => {}
        ended = &mut encrypted => return Ok(ended?),
        () = shutdown => {}
    }
    if config.encrypted.is_some() {
        stop.send(()).ok();
        encrypted.await?; // what is being computed is answered first
    }
    Ok(())
}
