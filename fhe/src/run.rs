//! An inference under way: who may stop it, who is told how far it is, and how its work is spread over threads.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::Error;

/// How far an inference is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bootstraps done,
    pub done: usize,
    /// and in all.
    pub all: usize,
}

/// What an inference is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Sums by small integers, and the input's transform before them.
    Sums,
    /// From the large key to the small one, and to the modulus 2N.
    Keyswitch,
    /// Blind rotations.
    Rotation,
    /// Tables read off what was rotated.
    Tables,
    /// Results packed into common ciphertexts and rounded.
    Results,
}

/// How an inference is run.
pub struct Run<'a> {
    /// How many threads compute.
    pub threads: usize,
    /// Asked before each node, and between batches of bootstraps, whether to go on: for progress, deadlines and cancellation.
    pub go_on: &'a (dyn Fn(Progress) -> bool + Sync),
    /// Told by each thread what it begins, so that who has a clock can tell what took how long.
    pub entering: &'a (dyn Fn(Part) + Sync),
}

impl Default for Run<'_> {
    /// One thread, to the end.
    fn default() -> Self {
        Self {
            threads: 1,
            go_on: &|_| true,
            entering: &|_| (),
        }
    }
}

impl std::fmt::Debug for Run<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Run({} threads)", self.threads)
    }
}

/// An inference under way.
pub(crate) struct Work<'a> {
    run: &'a Run<'a>,
    /// Of those that `run` allows, as many as there is memory for.
    threads: usize,
    done: AtomicUsize,
    all: usize,
}

/// How many values share a pass over the keys: their ciphertexts and a row of the bootstrapping key stay in a core's
/// cache together.
const BATCH: usize = 8;

impl<'a> Work<'a> {
    /// One of so many bootstraps, none of them done, in so many of the threads that `run` allows.
    pub(crate) fn new(run: &'a Run<'a>, threads: usize, all: usize) -> Self {
        Self {
            run,
            threads,
            done: AtomicUsize::new(0),
            all,
        }
    }

    /// Goes through `items` in batches, spread over the threads; each thread has a state of its own. Which thread takes
    /// which batch is of no matter to sums modulo 2^64.
    ///
    /// # Errors
    /// If the run is to stop.
    pub(crate) fn batches<T: Sync, S: Send>(
        &self,
        items: &[T],
        state: impl Fn() -> S + Sync,
        work: impl Fn(&mut S, &[T]) + Sync,
    ) -> Result<Vec<S>, Error> {
        let threads = self.threads.clamp(1, items.len().max(1));
        // No thread should wait for another's last batch.
        let rounds = items.len().div_ceil(threads * BATCH).max(1);
        let batch = items.len().div_ceil(threads * rounds).max(1);
        let batches = Mutex::new(items.chunks(batch));
        let stopped = AtomicBool::new(false);
        let one = || {
            let mut state = state();
            loop {
                let next = batches
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner)
                    .next();
                let Some(items) = next else { break };
                if stopped.load(Ordering::Relaxed) || !(self.run.go_on)(self.progress()) {
                    stopped.store(true, Ordering::Relaxed);
                    break;
                }
                work(&mut state, items);
                self.done.fetch_add(items.len(), Ordering::Relaxed);
            }
            state
        };
        let states = std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(one)).collect();
            let mut states = vec![one()];
            for other in others {
                match other.join() {
                    Ok(state) => states.push(state),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            states
        });
        if stopped.into_inner() {
            let Progress { done, all } = self.progress();
            return Err(Error::Cancelled { done, all });
        }
        Ok(states)
    }

    /// # Errors
    /// If the run is to stop.
    pub(crate) fn go_on(&self) -> Result<(), Error> {
        let Progress { done, all } = self.progress();
        let on = (self.run.go_on)(self.progress());
        on.then_some(()).ok_or(Error::Cancelled { done, all })
    }

    /// This thread begins `part`.
    pub(crate) fn enter(&self, part: Part) {
        (self.run.entering)(part);
    }

    fn progress(&self) -> Progress {
        Progress {
            done: self.done.load(Ordering::Relaxed),
            all: self.all,
        }
    }
}
