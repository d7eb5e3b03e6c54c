//! How a job's progress looks: a bar on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tacit_api::proto::JobState;

use super::view::{End, Epoch, Totals};
use crate::text;

const TEMPLATE: &str = "{prefix:18} {bar:30.cyan/blue} {msg}";

/// Where the steps of one job are shown.
pub enum Display {
    /// Nowhere.
    Quiet,
    /// A line for each step, on standard error.
    Lines {
        /// What the lines begin with.
        name: String,
    },
    /// A bar that fills with the epochs.
    Bar(ProgressBar),
}

impl Display {
    /// A bar where standard error is a terminal, lines where it is not.
    pub fn new(name: &str) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self::Lines {
                name: text::printable(name),
            };
        }
        let bar = ProgressBar::new(1);
        // The template is a constant; if it did not parse, the plain style would do.
        let style = ProgressStyle::with_template(TEMPLATE);
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_prefix(text::printable(name));
        bar.enable_steady_tick(Duration::from_millis(100));
        Self::Bar(bar)
    }

    /// Shows an event that is no epoch.
    pub(super) fn say(&self, sentence: &str) {
        match self {
            Self::Quiet => {}
            Self::Lines { name } => eprintln!("{name}: {sentence}"),
            Self::Bar(bar) => bar.set_message(sentence.to_owned()),
        }
    }

    /// Shows that an epoch is complete.
    pub(super) fn epoch(&self, epoch: &Epoch, totals: &Totals) {
        if let Self::Bar(bar) = self {
            bar.set_length(epoch.epochs.into());
            bar.set_position(epoch.epoch.into());
        }
        self.say(&format!(
            "epoch {}/{}  loss {}  {}",
            epoch.epoch,
            epoch.epochs,
            epoch.loss,
            cost(totals)
        ));
    }

    /// Shows how the job ended.
    pub(super) fn end(&self, end: &End, totals: &Totals) {
        let sentence = match end.state {
            JobState::Done => format!("{}  {}", end.text, cost(totals)),
            _ => end.text.clone(),
        };
        match self {
            Self::Bar(bar) if end.state == JobState::Done => bar.finish_with_message(sentence),
            Self::Bar(bar) => bar.abandon_with_message(sentence),
            _ => self.say(&sentence),
        }
    }
}

fn cost(totals: &Totals) -> String {
    format!(
        "{}  {} rounds  {:.1} s",
        text::bytes(totals.bytes),
        totals.rounds,
        totals.seconds
    )
}
