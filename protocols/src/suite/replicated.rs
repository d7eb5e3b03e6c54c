//! The engines on replicated shares as the suite starts them.

use std::collections::BTreeSet;
use std::sync::Arc;

use ndarray::ArrayD;
use tacit_mpc::net::Transport;
use tacit_mpc::simulate::simulate;
use tacit_mpc::{Cost, PartyId, Session};
use tacit_nn::{Error, Result};

use super::{F, Shares, World};
use crate::Replicated;
use crate::malicious::MaliciousEngine;
use crate::rep3::Rep3Engine;

/// Three parties with an engine on replicated shares.
#[derive(Clone, Copy, Debug)]
pub struct ThreeParties<E>(fn(Session) -> Result<E>);

/// By [`crate::rep3`].
pub const REP3: ThreeParties<Rep3Engine> = ThreeParties(|session| Rep3Engine::new(session, F));

/// By [`crate::malicious`].
pub const MALICIOUS: ThreeParties<MaliciousEngine> =
    ThreeParties(|session| MaliciousEngine::new(session, F));

impl<E: Replicated> Shares for E {
    fn me(&self) -> PartyId {
        self.session().me()
    }

    fn parties(&self) -> usize {
        3
    }

    fn input(
        &mut self,
        owner: PartyId,
        shape: &[usize],
        x: Option<&ArrayD<f64>>,
    ) -> Result<E::Value> {
        Replicated::input(self, owner, shape, x)
    }

    fn reveal(&mut self, x: &E::Value) -> Result<ArrayD<f64>> {
        let mut opened = self.open(&[x])?;
        opened
            .pop()
            .ok_or_else(|| Error::Invalid("an opening gave nothing".into()))
    }

    fn round_exactly(&mut self, nodes: BTreeSet<usize>) {
        Replicated::round_exactly(self, nodes);
    }

    fn cost(&self) -> Cost {
        self.session().cost()
    }
}

impl<E: Replicated> World for ThreeParties<E> {
    type Engine = E;

    fn links(&self) -> usize {
        3
    }

    fn run<T: Send>(
        &self,
        nets: Vec<Arc<dyn Transport>>,
        program: impl Fn(&mut E) -> Result<T> + Sync,
    ) -> Vec<Result<T>> {
        let results = simulate(nets, |session| program(&mut self.0(session)?));
        let flat = |r: tacit_mpc::Result<Result<T>>| r.map_err(|e| Error::Protocol(Box::new(e)))?;
        results.into_iter().map(flat).collect()
    }
}
