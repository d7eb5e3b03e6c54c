//! `tacit watch`: follows one job to its end.

mod display;
mod view;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tacit_api::job::JobSpec;
use tacit_api::proto::{Event, JobState};

use crate::connection::Connection;
use crate::home::Member;
use crate::text;

pub use display::Display;
pub use view::{End, Epoch, Loss, Totals, View};

/// What a job that is done has cost, and how its loss fell.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Bytes, rounds, seconds.
    pub totals: Totals,
    /// The mean training loss of each epoch that was seen, where this member may know it.
    pub losses: Vec<f64>,
}

/// Follows `job_id` to its end and shows every step. `job` is its file, where this member has it.
///
/// # Errors
/// The job failed or was cancelled (the message says why and names the culprit), or the coordinator cannot be asked.
pub async fn follow(
    member: &Member,
    connection: &mut Connection,
    job_id: &str,
    job: Option<JobSpec>,
    display: &mut Display,
) -> Result<Summary> {
    let mut events = connection.watch(job_id).await?;
    let mut view = View::new(member, job_id, job);
    let mut losses = Vec::new();
    while let Some(event) = events.next().await? {
        let epoch = view.note(&event)?;
        let end = End::of(&event);
        match (&end, &epoch) {
            (Some(end), _) => display.end(end, &view.totals()),
            (None, Some(epoch)) => display.epoch(epoch, &view.totals()),
            (None, None) if says(&event) => display.say(&text::printable(&event.text)),
            (None, None) => {} // one party's progress: the last of the three completes the epoch
        }
        if let Some(Epoch {
            loss: Loss::Known(loss),
            ..
        }) = epoch
        {
            losses.push(loss);
        }
        match end {
            Some(end) if end.state == JobState::Done => {
                return Ok(Summary {
                    totals: view.totals(),
                    losses,
                });
            }
            Some(end) => return Err(Unfinished(end).into()),
            None => {}
        }
    }
    Err(anyhow::anyhow!(
        "the coordinator stopped telling what happens"
    ))
    .context("watch the job again later")
}

/// The job ended, and not with a result.
#[derive(Debug, thiserror::Error)]
#[error("{}", reason(.0))]
pub struct Unfinished(pub End);

/// Whether an event says something by itself: one party's part of an epoch does not.
fn says(event: &Event) -> bool {
    event.progress.as_ref().is_none_or(|p| p.questions > 0)
}

/// Why a job did not get done, in one sentence.
fn reason(end: &End) -> String {
    let state = text::state(end.state);
    match &end.culprit {
        Some(culprit) if !end.text.contains(culprit.as_str()) => {
            format!("the job {state} because of {culprit}: {}", end.text)
        }
        _ => format!("the job {state}: {}", end.text),
    }
}

impl Summary {
    /// For programs.
    pub fn to_json(&self, job_id: &str) -> Value {
        json!({
            "id": job_id,
            "state": "done",
            "bytes": self.totals.bytes,
            "rounds": self.totals.rounds,
            "seconds": self.totals.seconds,
            "losses": self.losses,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_names_the_culprit_once() {
        let end = |text: &str, culprit: Option<&str>| End {
            state: JobState::Failed,
            text: text.into(),
            culprit: culprit.map(Into::into),
            cheating: Vec::new(),
        };
        assert_eq!(
            reason(&end("a link closed", Some("west"))),
            "the job failed because of west: a link closed"
        );
        assert_eq!(
            reason(&end("west refused: too few rows", Some("west"))),
            "the job failed: west refused: too few rows"
        );
        assert_eq!(
            reason(&end("the deadline passed", None)),
            "the job failed: the deadline passed"
        );
    }
}
