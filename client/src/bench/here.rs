//! Parties as threads of this process, over memory or a simulated network.

use anyhow::Result;
use tacit_mpc::net::Profile;

use super::measure::{Findings, Simulated, Task, measure};
use crate::local::Protocol;
use crate::threads;
use crate::usage::Scope;

/// How many have links: a dealer too.
fn links(task: Task) -> usize {
    task.parties + usize::from(task.protocol == Protocol::AdditiveDealer)
}

/// Measures over queues in memory, in seconds of the wall.
pub(super) fn mem(task: Task) -> Result<Vec<Findings>> {
    threads::in_memory(links(task), |session, clock| {
        measure(session, task, None, clock, Scope::Thread)
    })
}

/// Measures over a simulated network, in its seconds: computing takes none of them.
pub(super) fn simulated(task: Task, profile: Profile) -> Result<Vec<Findings>> {
    threads::meeting(links(task), profile, |session, clock, meet| {
        let simulated = Simulated {
            link: profile,
            meet,
        };
        measure(session, task, Some(simulated), clock, Scope::Thread)
    })
}
