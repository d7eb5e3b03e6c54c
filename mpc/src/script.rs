//! What a party does in one chunk of a gate, step by step: enough to follow a run in time without computing it.

use crate::PartyId;

/// Tells the processor seconds of the calling thread.
pub type Clock = fn() -> f64;

/// A clock and what it takes to look at it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watch {
    clock: Clock,
    /// Seconds from one look to the next.
    looking: f64,
}

impl Watch {
    /// Looks at the clock often enough to know.
    pub(crate) fn of(clock: Clock) -> Self {
        const LOOKS: usize = 64;
        let looks = (0..LOOKS).map(|_| -clock() + clock());
        let looking = looks.fold(f64::INFINITY, f64::min).max(0.0);
        Self { clock, looking }
    }

    /// Seconds by the clock.
    pub(crate) fn now(self) -> f64 {
        (self.clock)()
    }

    /// Seconds between two looks at the clock, without looking.
    pub(crate) fn between(self, then: f64, now: f64) -> f64 {
        (now - then - self.looking).max(0.0)
    }
}

/// Something that others notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// A message leaves.
    Send {
        /// Its receiver.
        to: PartyId,
        /// The gate within the pass.
        gate: u16,
        /// Its length without the header.
        bytes: usize,
    },
    /// A message is needed.
    Recv {
        /// Its sender.
        from: PartyId,
        /// The gate within the pass.
        gate: u16,
    },
}

/// An act, after so much computing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Processor seconds since the step before.
    pub seconds: f64,
    /// What is done then.
    pub act: Act,
}

/// All steps of a strand.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Script {
    /// In their order.
    pub steps: Vec<Step>,
    /// Processor seconds after the last one.
    pub tail: f64,
}

impl Script {
    /// Processor seconds of all steps.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.steps.iter().map(|step| step.seconds).sum::<f64>() + self.tail
    }

    /// Bytes of the messages that leave.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let sent = self.steps.iter().map(|step| match step.act {
            Act::Send { bytes, .. } => bytes as u64,
            Act::Recv { .. } => 0,
        });
        sent.sum()
    }

    /// The middle of several runs of the same strand, step by step; that of the first alone where they differ in what they do.
    #[must_use]
    pub fn middle(runs: &[Self]) -> Self {
        Self::of_all(runs, |each| {
            each.sort_by(f64::total_cmp);
            each[each.len() / 2]
        })
    }

    /// What strands that do the same take on the average, step by step; that of the first alone where they differ.
    #[must_use]
    pub fn mean(strands: &[Self]) -> Self {
        Self::of_all(strands, |each| each.iter().sum::<f64>() / each.len() as f64)
    }

    fn of_all(runs: &[Self], of: impl Fn(&mut [f64]) -> f64) -> Self {
        let Some(first) = runs.first() else {
            return Self::default();
        };
        let same = |run: &&Self| {
            let acts = run.steps.iter().map(|s| s.act);
            acts.eq(first.steps.iter().map(|s| s.act))
        };
        let runs: Vec<&Self> = runs.iter().filter(same).collect();
        let all = |seconds: &dyn Fn(&Self) -> f64| {
            let mut each: Vec<f64> = runs.iter().map(|run| seconds(run)).collect();
            of(&mut each)
        };
        let steps = first.steps.iter().enumerate().map(|(k, step)| Step {
            seconds: all(&|run| run.steps[k].seconds),
            ..*step
        });
        Self {
            steps: steps.collect(),
            tail: all(&|run| run.tail),
        }
    }
}

/// Writes a script while a strand runs.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    watch: Option<Watch>,
    /// When the strand went on last.
    since: f64,
    /// What it has computed since its last step.
    computed: f64,
    steps: Vec<Step>,
}

impl Recorder {
    /// Of a strand that is about to begin.
    pub(crate) fn new(watch: Option<Watch>) -> Self {
        Self {
            watch,
            since: 0.0,
            computed: 0.0,
            steps: Vec::new(),
        }
    }

    /// The strand goes on.
    pub(crate) fn resume(&mut self) {
        self.since = self.watch.map_or(0.0, Watch::now);
    }

    /// The strand waits, or has ended.
    pub(crate) fn pause(&mut self) {
        if let Some(watch) = self.watch {
            let now = watch.now();
            self.computed += watch.between(self.since, now);
            self.since = now;
        }
    }

    /// The strand did something.
    pub(crate) fn act(&mut self, act: Act) {
        self.pause();
        let seconds = std::mem::take(&mut self.computed);
        self.steps.push(Step { seconds, act });
    }

    /// What it did.
    pub(crate) fn finish(self) -> Script {
        Script {
            steps: self.steps,
            tail: self.computed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_several_runs_counts_step_by_step() {
        let act = Act::Recv { from: 1, gate: 2 };
        let run = |seconds: [f64; 2], tail| Script {
            steps: seconds.map(|seconds| Step { seconds, act }).to_vec(),
            tail,
        };
        let runs = [
            run([1.0, 9.0], 3.0),
            run([2.0, 8.0], 1.0),
            run([3.0, 1.0], 2.0),
        ];
        assert_eq!(Script::middle(&runs), run([2.0, 8.0], 2.0));
        let mut other = run([0.0; 2], 0.0);
        other.steps.pop();
        assert_eq!(Script::middle(&[runs[0].clone(), other]), runs[0]);
        assert_eq!(Script::middle(&[]).seconds(), 0.0);
    }
}
