//! How far a question is, on the terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// How far a question is, on the terminal.
#[derive(Debug)]
pub struct Progress(ProgressBar);

impl Default for Progress {
    fn default() -> Self {
        let bar = ProgressBar::new(0);
        if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} bootstraps {msg}") {
            bar.set_style(style);
        }
        Self(bar)
    }
}

impl Progress {
    pub(super) fn waiting(&self, before: u64) {
        self.0
            .set_message(format!("{before} questions before this one"));
    }

    pub(super) fn working(&self, done: u64, all: u64) {
        self.0.set_message("");
        self.0.set_length(all);
        self.0.set_position(done);
    }

    pub(super) fn busy(&self, again: Duration) {
        let seconds = again.as_secs_f64();
        self.0
            .set_message(format!("the service is full; asks again in {seconds:.0} s"));
    }

    pub(super) fn over(&self) {
        self.0.finish_and_clear();
    }
}
