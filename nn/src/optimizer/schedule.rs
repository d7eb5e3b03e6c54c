//! Step sizes: public numbers that everybody computes alike.

use std::f64::consts::PI;

use crate::{Error, Result};

/// How the step size changes after the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Schedule {
    /// It stays.
    #[default]
    Constant,
    /// Times `factor` after every so many epochs.
    Step {
        /// Epochs between two changes.
        epochs: usize,
        /// In (0, 1].
        factor: f64,
    },
    /// Times `factor` after every epoch.
    Exponential {
        /// In (0, 1].
        factor: f64,
    },
    /// Half a cosine from the whole to nothing, step by step (Loshchilov, Hutter, ICLR 2017, without restarts).
    Cosine,
}

/// The step size of every step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LearningRate {
    /// The largest step size.
    pub base: f64,
    /// What it is multiplied by in the course of the training.
    pub schedule: Schedule,
    /// The first so many steps rise evenly to `base`.
    pub warmup_steps: usize,
}

/// Where a training is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Steps that are done.
    pub step: usize,
    /// Steps in an epoch.
    pub steps_per_epoch: usize,
    /// Epochs in all.
    pub epochs: usize,
}

impl LearningRate {
    /// The same step size throughout.
    #[must_use]
    pub fn constant(base: f64) -> Self {
        Self {
            base,
            schedule: Schedule::Constant,
            warmup_steps: 0,
        }
    }

    /// Whether every step has the same size.
    #[must_use]
    pub fn is_constant(&self) -> bool {
        self.schedule == Schedule::Constant && self.warmup_steps == 0
    }

    /// The part of `base`, in [0, 1], for the step after `clock.step` others.
    #[must_use]
    pub fn factor(&self, clock: Clock) -> f64 {
        let Clock { step, epochs, .. } = clock;
        if step < self.warmup_steps {
            return (step + 1) as f64 / self.warmup_steps as f64;
        }
        let epoch = step / clock.steps_per_epoch.max(1);
        match self.schedule {
            Schedule::Constant => 1.0,
            Schedule::Step { epochs, factor } => factor.powf((epoch / epochs.max(1)) as f64),
            Schedule::Exponential { factor } => factor.powf(epoch as f64),
            Schedule::Cosine => {
                let all = (epochs * clock.steps_per_epoch).saturating_sub(self.warmup_steps);
                let done = (step - self.warmup_steps) as f64 / all.max(1) as f64;
                0.5 * (1.0 + (PI * done.min(1.0)).cos())
            }
        }
    }

    /// Checks every field.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the first that is out of range.
    pub fn validate(&self) -> Result<()> {
        let bad = |what: &str| Err(Error::Invalid(what.into()));
        if !(self.base > 0.0 && self.base <= 1000.0) {
            return bad("learning_rate must lie in (0, 1000]");
        }
        match self.schedule {
            Schedule::Step { factor, .. } | Schedule::Exponential { factor }
                if !(factor > 0.0 && factor <= 1.0) =>
            {
                bad("the factor of the schedule must lie in (0, 1]")
            }
            Schedule::Step { epochs: 0, .. } => {
                bad("the schedule must have at least one epoch between two changes")
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn factors(schedule: Schedule, warmup_steps: usize) -> Vec<f64> {
        let rate = LearningRate {
            base: 0.5,
            schedule,
            warmup_steps,
        };
        rate.validate().unwrap();
        let clock = |step| Clock {
            step,
            steps_per_epoch: 2,
            epochs: 4,
        };
        (0..8).map(|step| rate.factor(clock(step))).collect()
    }

    #[test]
    fn schedules_are_those_of_their_definitions() {
        assert_eq!(factors(Schedule::Constant, 0), [1.0; 8]);
        let halves = Schedule::Step {
            epochs: 2,
            factor: 0.5,
        };
        assert_eq!(factors(halves, 0), [1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5]);
        let every = Schedule::Exponential { factor: 0.5 };
        assert_eq!(
            factors(every, 3),
            [1.0 / 3.0, 2.0 / 3.0, 1.0, 0.5, 0.25, 0.25, 0.125, 0.125]
        );
        let cosine = factors(Schedule::Cosine, 4);
        let want = [0.25, 0.5, 0.75, 1.0, 1.0, 0.853_553, 0.5, 0.146_447];
        for (got, want) in cosine.iter().zip(want) {
            assert!((got - want).abs() < 1e-6, "{cosine:?}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let refused = |base, schedule| {
            let rate = LearningRate {
                base,
                schedule,
                warmup_steps: 0,
            };
            rate.validate().unwrap_err().to_string()
        };
        assert!(refused(0.0, Schedule::Constant).starts_with("learning_rate"));
        assert!(refused(f64::NAN, Schedule::Cosine).starts_with("learning_rate"));
        assert!(refused(0.1, Schedule::Exponential { factor: 1.5 }).contains("factor"));
        let never = Schedule::Step {
            epochs: 0,
            factor: 0.5,
        };
        assert!(refused(0.1, never).contains("at least one epoch"));
    }
}
