//! Three parties as threads of this process, over memory or a simulated network.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, anyhow};
use tacit_mpc::net::{MemNet, Profile, Sim, Transport};
use tacit_mpc::simulate::simulate;

use super::measure::{Findings, Task, measure};
use crate::usage::Scope;

/// Measures over queues in memory, in seconds of the wall.
pub(super) fn mem(task: Task) -> Result<Vec<Findings>> {
    let nets = MemNet::mesh(3).into_iter().map(|net| Arc::new(net) as _);
    let start = Instant::now();
    let found = simulate(nets.collect(), |session| {
        let clock = Rc::new(move || start.elapsed().as_secs_f64());
        measure(session, task, None, clock, Scope::Thread)
    });
    every(found)
}

/// Measures over a simulated network, in its seconds: computing takes none of them.
pub(super) fn simulated(task: Task, profile: Profile) -> Result<Vec<Findings>> {
    let sims = MemNet::mesh(3)
        .into_iter()
        .map(|net| Arc::new(Sim::new(net, profile)));
    let sims: Vec<_> = sims.collect();
    let nets = sims.iter().map(|sim| Arc::clone(sim) as Arc<dyn Transport>);
    let found = simulate(nets.collect(), |session| {
        let sim = Arc::clone(&sims[session.me()]);
        let clock = Rc::new(move || sim.seconds());
        measure(session, task, Some(profile), clock, Scope::Thread)
    });
    every(found)
}

fn every(found: Vec<tacit_mpc::Result<tacit_nn::Result<Findings>>>) -> Result<Vec<Findings>> {
    found
        .into_iter()
        .map(|party| party?.map_err(|error| anyhow!(error)))
        .collect()
}
