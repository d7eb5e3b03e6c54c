//! What of an inference takes how long.

use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use tacit_fhe::Part;

use crate::usage::{self, Scope};

/// Processor seconds of an inference on one thread, by part.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Parts {
    /// Sums by small integers: all linear layers, and the input's transform.
    pub sums: f64,
    /// Keyswitches and modulus switches.
    pub keyswitch: f64,
    /// Blind rotations.
    pub rotation: f64,
    /// Tables read off.
    pub tables: f64,
    /// Results packed and rounded.
    pub results: f64,
}

impl Parts {
    fn of(&mut self, part: Part) -> &mut f64 {
        match part {
            Part::Sums => &mut self.sums,
            Part::Keyswitch => &mut self.keyswitch,
            Part::Rotation => &mut self.rotation,
            Part::Tables => &mut self.tables,
            Part::Results => &mut self.results,
        }
    }

    /// The sum of all.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.sums + self.keyswitch + self.rotation + self.tables + self.results
    }
}

/// Counts [`Parts`] while an inference tells what it begins. For one thread: others' time would be taken for its own.
#[derive(Debug, Default)]
pub struct Meter {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    parts: Parts,
    now: Option<(Part, f64)>,
}

impl Meter {
    /// What was going on ends, and `part` begins.
    pub fn enter(&self, part: Part) {
        self.turn(Some(part));
    }

    /// What was going on ends.
    pub fn leave(&self) {
        self.turn(None);
    }

    fn turn(&self, next: Option<Part>) {
        let at = usage::cpu_seconds(Scope::Thread);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((part, since)) = state.now.take() {
            *state.parts.of(part) += at - since;
        }
        state.now = next.map(|part| (part, at));
    }

    /// What was counted.
    #[must_use]
    pub fn parts(&self) -> Parts {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.parts
    }
}
