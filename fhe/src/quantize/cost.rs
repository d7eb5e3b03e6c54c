//! What a program costs on ciphertexts.

use crate::noise::DEFAULT_LIMIT;
use crate::params::Params;
use crate::program::Program;

/// What a program costs on ciphertexts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// Bootstraps of one row.
    pub bootstraps: usize,
    /// The cheapest parameter set that is good enough.
    pub params: &'static Params,
    /// log2 of the probability that a result is wrong.
    pub log2_p_fail: f64,
}

impl Cost {
    /// Of a program; none where no parameter set is good enough.
    #[must_use]
    pub fn of(program: &Program) -> Option<Self> {
        let params = Params::choose(program, DEFAULT_LIMIT).ok()?;
        let noise = params.noise(program).ok()?;
        Some(Self {
            bootstraps: noise.bootstraps,
            params,
            log2_p_fail: noise.log2_p_fail,
        })
    }

    /// Seconds of one core that the bootstraps of a row take, about.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.bootstraps as f64 * self.params.bootstrap_seconds()
    }
}
