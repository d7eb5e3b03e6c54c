//! How a job's progress looks: a bar on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tacit_api::proto::JobState;

use super::view::{End, Epoch, Totals};
use crate::text;

const TEMPLATE: &str = "{prefix:17} {wide_bar:.cyan/blue} {msg}";

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
        let Epoch {
            epoch,
            epochs,
            loss,
        } = epoch;
        let step = format!("{epoch}/{epochs}  loss {loss}  {}", cost(totals));
        match self {
            Self::Bar(bar) => {
                bar.set_length((*epochs).into());
                bar.set_position((*epoch).into());
                bar.set_message(step);
            }
            _ => self.say(&format!("epoch {step}")),
        }
    }

    /// Shows how the job ended.
    pub(super) fn end(&self, end: &End, totals: &Totals) {
        match self {
            Self::Bar(bar) if end.state == JobState::Done => {
                bar.finish_with_message(format!("done  {}", cost(totals)));
            }
            Self::Bar(bar) => bar.abandon_with_message(end.text.clone()),
            _ if end.state == JobState::Done => {
                self.say(&format!("{}  {}", end.text, cost(totals)));
            }
            _ => self.say(&end.text),
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
