//! Which job runs when: the scheduler's rules, without clock, network or store.
//!
//! A party takes part in one job at a time, and jobs that share a party run in the order of their submission. Jobs of
//! disjoint parties run side by side.

use std::collections::{BTreeSet, HashSet};
use std::time::Instant;

use tacit_api::proto::{Cancel, JobState, from_party, to_party};

use crate::change::{Action, End, Submission};
use crate::config::Deadlines;
use crate::open_job::OpenJob;

/// Something that happened.
#[derive(Debug)]
pub(crate) enum Input {
    /// A verified job came in, or is still waiting after a restart.
    Submitted(Box<Submission>),
    /// A party attends.
    Arrived(String),
    /// A party's connection ended, and why.
    Left(String, String),
    /// A party said something after its Hello.
    Said(String, from_party::Kind),
    /// The submitter wants the job stopped.
    Cancelled(String, String),
    /// Time has passed.
    Tick,
}

/// All jobs that are not over, in the order of their submission, and the parties that attend.
#[derive(Debug)]
pub(crate) struct Board {
    limits: Deadlines,
    attending: BTreeSet<String>,
    jobs: Vec<OpenJob>,
}

impl Board {
    pub(crate) fn new(limits: Deadlines) -> Self {
        Self {
            limits,
            attending: BTreeSet::new(),
            jobs: Vec::new(),
        }
    }

    /// Takes note of `input` and says what is to be done, in order.
    pub(crate) fn step(&mut self, now: Instant, input: Input) -> Vec<Action> {
        let mut out = Vec::new();
        match input {
            Input::Submitted(submission) => self.jobs.push(OpenJob::new(*submission)),
            Input::Arrived(party) => {
                self.attending.insert(party);
            }
            Input::Left(party, why) => {
                self.attending.remove(&party);
                self.end_where(&mut out, |job| {
                    let takes_part = job.parties().contains(&party.as_str());
                    takes_part.then(|| job.left(&party, &why)).flatten()
                });
            }
            Input::Said(party, message) => self.said(now, &party, message, &mut out),
            Input::Cancelled(id, by) => self.end_where(&mut out, |job| {
                (job.id() == id).then(|| End {
                    state: JobState::Cancelled,
                    culprit: String::new(),
                    text: format!("{by} cancelled it"),
                    cheating: Vec::new(),
                })
            }),
            Input::Tick => {}
        }
        let limits = self.limits;
        self.end_where(&mut out, |job| job.tick(now, &limits));
        self.advance(now, &mut out);
        out
    }

    /// The next moment at which [`Input::Tick`] would change something.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let deadlines = self
            .jobs
            .iter()
            .filter_map(|job| job.deadline(&self.limits));
        deadlines.min()
    }

    /// How many jobs are not over.
    pub(crate) fn open(&self) -> usize {
        self.jobs.len()
    }

    fn said(
        &mut self,
        now: Instant,
        party: &str,
        message: from_party::Kind,
        out: &mut Vec<Action>,
    ) {
        let id = match &message {
            from_party::Kind::Hello(_) => return,
            from_party::Kind::Verdict(verdict) => &verdict.job_id,
            from_party::Kind::Progress(progress) => &progress.job_id,
            from_party::Kind::Finished(finished) => &finished.job_id,
            from_party::Kind::Failed(failed) => &failed.job_id,
        };
        // A job that is over, or in which the party has no part, is none of its business: late words are normal.
        let concerned = |job: &OpenJob| job.id() == id && job.parties().contains(&party);
        let Some(at) = self.jobs.iter().position(concerned) else {
            return;
        };
        let job = &mut self.jobs[at];
        let end = match message {
            from_party::Kind::Hello(_) => None,
            from_party::Kind::Verdict(verdict) => {
                let refusal = (!verdict.accepted).then_some(verdict.reason.as_str());
                job.verdict(party, refusal, now, &self.limits, out)
            }
            from_party::Kind::Progress(progress) => {
                job.progress(party, progress, out);
                None
            }
            from_party::Kind::Finished(finished) => job.finished(party, finished, out),
            from_party::Kind::Failed(failed) => job.failed(party, failed, now),
        };
        if let Some(end) = end {
            self.end(at, end, out);
        }
    }

    /// Gives every queued job whose parties are free its turn.
    fn advance(&mut self, now: Instant, out: &mut Vec<Action>) {
        let mut claimed: HashSet<String> = HashSet::new();
        let running = self.jobs.iter().filter(|job| !job.is_queued());
        claimed.extend(running.flat_map(OpenJob::parties).map(str::to_owned));
        let mut at = 0;
        while at < self.jobs.len() {
            let job = &mut self.jobs[at];
            let parties: Vec<String> = job.parties().into_iter().map(str::to_owned).collect();
            let mut end = None;
            if job.is_queued() && !parties.iter().any(|party| claimed.contains(party)) {
                let absent = parties
                    .iter()
                    .filter(|party| !self.attending.contains(*party));
                let absent: Vec<&str> = absent.map(String::as_str).collect();
                end = job.turn(&absent, now, &self.limits, out);
            }
            match end {
                Some(end) => self.end(at, end, out),
                None => {
                    claimed.extend(parties);
                    at += 1;
                }
            }
        }
    }

    fn end_where(&mut self, out: &mut Vec<Action>, rule: impl Fn(&OpenJob) -> Option<End>) {
        let mut at = 0;
        while at < self.jobs.len() {
            match rule(&self.jobs[at]) {
                Some(end) => self.end(at, end, out),
                None => at += 1,
            }
        }
    }

    /// Removes a job and calls off whoever was asked to take part.
    fn end(&mut self, at: usize, end: End, out: &mut Vec<Action>) {
        let job = self.jobs.remove(at);
        let reason = end.text.clone();
        let call_off = end.state != JobState::Done && !job.is_queued();
        out.push(Action::Record(Box::new(job.ending(end))));
        if !call_off {
            return;
        }
        for party in job.parties() {
            if self.attending.contains(party) {
                let cancel = Cancel {
                    job_id: job.id().to_owned(),
                    reason: reason.clone(),
                };
                out.push(Action::Tell(
                    party.to_owned(),
                    to_party::Kind::Cancel(cancel),
                ));
            }
        }
    }
}

#[cfg(test)]
#[path = "board_tests.rs"]
mod tests;
