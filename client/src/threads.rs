//! The parties of a session as threads of this process, over memory or a simulated network.

use std::rc::Rc;
use std::sync::{Arc, Barrier};
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
    meeting(parties, profile, |session, clock, _| party(session, clock))
}

/// Brings the clocks of all parties, none of which is sending, to the same time.
pub(crate) type Meet = Box<dyn Fn()>;

/// The same, with a place where all parties can meet.
pub(crate) fn meeting<T: Send>(
    parties: usize,
    profile: Profile,
    party: impl Fn(Session, Clock, Meet) -> tacit_nn::Result<T> + Sync,
) -> Result<Vec<T>> {
    let nets = MemNet::mesh(parties).into_iter();
    let sims: Vec<_> = nets.map(|net| Arc::new(Sim::new(net, profile))).collect();
    let nets = sims.iter().map(|sim| Arc::clone(sim) as Arc<dyn Transport>);
    let door = Arc::new(Barrier::new(parties));
    every(simulate(nets.collect(), |session| {
        let sim = Arc::clone(&sims[session.me()]);
        let (all, door) = (sims.clone(), Arc::clone(&door));
        let clock: Clock = {
            let sim = Arc::clone(&sim);
            Rc::new(move || sim.seconds())
        };
        let meet = Box::new(move || {
            // Once when all have come, and once when all know the latest.
            door.wait();
            let latest = all.iter().map(|sim| sim.now_ns()).max();
            door.wait();
            sim.advance_to(latest.unwrap_or_default());
        });
        party(session, clock, meet)
    }))
}

/// All results, or the first error.
fn every<T>(found: Vec<tacit_mpc::Result<tacit_nn::Result<T>>>) -> Result<Vec<T>> {
    let parties = found.into_iter();
    parties
        .map(|party| party?.map_err(|error| anyhow!(error)))
        .collect()
}
