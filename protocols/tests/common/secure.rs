//! The engines on shares, alike for tests.

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
        }
    };
}

secure!(Rep3Engine);
secure!(MaliciousEngine);
