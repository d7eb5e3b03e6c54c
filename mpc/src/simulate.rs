//! All parties of a session in one process, each on its own thread.

use std::sync::Arc;

use crate::keys::{Binding, agree};
use crate::net::Transport;
use crate::{Kernels, Result, Session, kernels};

/// Runs `program` at every party over the given links, with keys agreed as over a network; one result a party.
///
/// # Panics
/// Where `program` panics.
pub fn simulate<T: Send>(
    nets: Vec<Arc<dyn Transport>>,
    program: impl Fn(Session) -> T + Sync,
) -> Vec<Result<T>> {
    let binding = Binding {
        session: [0; 32],
        program: [0; 32],
        identities: (0..nets.len()).map(|k| [k as u8; 32]).collect(),
    };
    let kernels: Arc<dyn Kernels> = Arc::from(kernels::cpu());
    std::thread::scope(|scope| {
        let run = |net: Arc<dyn Transport>| {
            let (program, binding, kernels) = (&program, &binding, Arc::clone(&kernels));
            scope.spawn(move || {
                Ok(program(Session::new(
                    Arc::clone(&net),
                    agree(&*net, binding)?,
                    kernels,
                )))
            })
        };
        let handles: Vec<_> = nets.into_iter().map(run).collect();
        handles
            .into_iter()
            .map(|h| h.join().expect("the program does not panic"))
            .collect()
    })
}

/// The same over memory with keys from a seed: for tests, reproducible.
///
/// # Panics
/// Where `program` panics.
#[cfg(any(test, feature = "test-util"))]
pub fn simulate_seeded<T: Send>(
    nets: Vec<Arc<dyn Transport>>,
    seed: u64,
    program: impl Fn(Session) -> T + Sync,
) -> Vec<T> {
    use crate::prss::Prss;
    let kernels: Arc<dyn Kernels> = Arc::from(kernels::cpu());
    let parties = nets.len();
    std::thread::scope(|scope| {
        let run = |net: Arc<dyn Transport>| {
            let (program, kernels) = (&program, Arc::clone(&kernels));
            scope.spawn(move || {
                program(Session::new(
                    Arc::clone(&net),
                    Prss::from_seed_among(parties, net.me(), seed),
                    kernels,
                ))
            })
        };
        let handles: Vec<_> = nets.into_iter().map(run).collect();
        handles
            .into_iter()
            .map(|h| h.join().expect("the program does not panic"))
            .collect()
    })
}

/// A mesh of three in memory, as trait objects.
#[cfg(any(test, feature = "test-util"))]
#[must_use]
pub fn mem() -> Vec<Arc<dyn Transport>> {
    mem_of(3)
}

/// A mesh of any number of parties in memory, as trait objects.
#[cfg(any(test, feature = "test-util"))]
#[must_use]
pub fn mem_of(parties: usize) -> Vec<Arc<dyn Transport>> {
    crate::net::MemNet::mesh(parties)
        .into_iter()
        .map(|n| Arc::new(n) as Arc<dyn Transport>)
        .collect()
}
