//! The parties of a session as threads of this process, over memory or a simulated network.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, anyhow};
use tacit_mpc::Session;
use tacit_mpc::net::{MemNet, Profile, Sim, Transport};
use tacit_mpc::simulate::simulate;

/// Tells seconds: those of the wall or of a simulated network.
pub(crate) type Clock = Rc<dyn Fn() -> f64>;

/// What each of so many parties finds over queues in memory, by seconds of the wall.
pub(crate) fn in_memory<T: Send>(
    parties: usize,
    party: impl Fn(Session, Clock) -> tacit_nn::Result<T> + Sync,
) -> Result<Vec<T>> {
    let nets = MemNet::mesh(parties);
    let nets = nets.into_iter().map(|net| Arc::new(net) as _);
    let start = Instant::now();
    every(simulate(nets.collect(), |session| {
        party(session, Rc::new(move || start.elapsed().as_secs_f64()))
    }))
}

/// The same over a simulated network, by its seconds: computing takes none of them.
pub(crate) fn simulated<T: Send>(
    parties: usize,
    profile: Profile,
    party: impl Fn(Session, Clock) -> tacit_nn::Result<T> + Sync,
) -> Result<Vec<T>> {
    let nets = MemNet::mesh(parties).into_iter();
    let sims: Vec<_> = nets.map(|net| Arc::new(Sim::new(net, profile))).collect();
    let nets = sims.iter().map(|sim| Arc::clone(sim) as Arc<dyn Transport>);
    every(simulate(nets.collect(), |session| {
        let sim = Arc::clone(&sims[session.me()]);
        party(session, Rc::new(move || sim.seconds()))
    }))
}

/// All results, or the first error.
fn every<T>(found: Vec<tacit_mpc::Result<tacit_nn::Result<T>>>) -> Result<Vec<T>> {
    let parties = found.into_iter();
    parties
        .map(|party| party?.map_err(|error| anyhow!(error)))
        .collect()
}
