//! The engines on shares, alike for tests.

use std::collections::BTreeSet;

use ndarray::ArrayD;
use tacit_mpc::Session;
use tacit_nn::{Engine, Result};
use tacit_protocols::malicious::MaliciousEngine;
use tacit_protocols::rep3::Rep3Engine;

/// An engine between inputs and openings.
pub trait Secure: Engine + Sized {
    fn start(session: Session, f: u32) -> Result<Self>;
    fn session(&self) -> &Session;
    /// The tensor is the owner's; the others know its shape.
    fn share(&mut self, owner: usize, x: &ArrayD<f64>) -> Result<Self::Value>;
    fn open(&mut self, x: &Self::Value) -> Result<ArrayD<f64>>;
    /// Exact roundings in these nodes.
    fn exactly(&mut self, nodes: BTreeSet<usize>);
    /// This party's words for a recipient.
    fn give_out(&mut self, x: &Self::Value) -> Result<Vec<u64>>;
}

macro_rules! secure {
    ($engine:ty) => {
        impl Secure for $engine {
            fn start(session: Session, f: u32) -> Result<Self> {
                Self::new(session, f)
            }

            fn session(&self) -> &Session {
                Self::session(self)
            }

            fn share(&mut self, owner: usize, x: &ArrayD<f64>) -> Result<Self::Value> {
                let mine = self.session().me() == owner;
                self.input(owner, x.shape(), mine.then_some(x))
            }

            fn open(&mut self, x: &Self::Value) -> Result<ArrayD<f64>> {
                self.reveal(x)
            }

            fn exactly(&mut self, nodes: BTreeSet<usize>) {
                self.round_exactly(nodes);
            }

            fn give_out(&mut self, x: &Self::Value) -> Result<Vec<u64>> {
                Ok(self.release(&[x])?.own.clone())
            }
        }
    };
}

secure!(Rep3Engine);
secure!(MaliciousEngine);
