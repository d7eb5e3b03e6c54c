//! The engine on additive shares as the suite starts it.

use std::sync::Arc;

use tacit_mpc::Session;
use tacit_mpc::net::Transport;
use tacit_mpc::simulate::simulate;
use tacit_nn::{Error, Result};

use super::{F, World};
use crate::additive::{Additive, AdditiveEngine};

/// Parties with an engine on additive shares.
#[derive(Clone, Copy, Debug)]
pub struct AdditiveParties {
    /// How many compute.
    pub computing: usize,
    /// Whether one more deals correlations; otherwise they come from oblivious transfers.
    pub dealer: bool,
}

impl World for AdditiveParties {
    type Engine = AdditiveEngine;

    fn links(&self) -> usize {
        self.computing + usize::from(self.dealer)
    }

    /// A share that is opened goes to all others.
    fn broadcasts(&self) -> bool {
        true
    }

    /// Without a dealer most of the time goes into oblivious transfers, of which each pair of parties has its own. What is
    /// computed with what they give is the same as with a dealer, where all points are tried.
    fn points(&self, of: usize) -> usize {
        let pairs = self.computing * (self.computing - 1) / 2;
        if self.dealer { of } else { of / (8 * pairs) }
    }

    fn run<T: Send>(
        &self,
        nets: Vec<Arc<dyn Transport>>,
        program: impl Fn(&mut AdditiveEngine) -> Result<T> + Sync,
    ) -> Vec<Result<T>> {
        let engine = |session: Session| {
            let protocol = if self.dealer {
                Additive::dealt(&session, self.computing)
            } else {
                Additive::oblivious(&session)
            };
            let protocol = protocol.map_err(|e| Error::Protocol(Box::new(e)))?;
            AdditiveEngine::new(protocol, session, F)
        };
        // The dealer runs the same program, on nothing.
        let results = simulate(nets, |session| program(&mut engine(session)?));
        let flat = |r: tacit_mpc::Result<Result<T>>| r.map_err(|e| Error::Protocol(Box::new(e)))?;
        let results = results.into_iter().map(flat);
        results.take(self.computing).collect()
    }
}
