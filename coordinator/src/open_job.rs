//! One job that is not over: what it waits for and what ends it. No clock, no network, no store.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use tacit_api::proto::{Cheating, Failed, Finished, JobState, Offer, Progress, Start, to_party};

use crate::blame::{Report, Reports};
use crate::change::{ATTEMPT, Action, Change, End, Submission};
use crate::config::Deadlines;

#[derive(Debug)]
enum Stage {
    /// In the queue; `since` is when its turn came and a party was absent.
    Queued { since: Option<Instant> },
    /// Parties are deciding.
    Offered {
        accepted: HashSet<String>,
        until: Instant,
    },
    /// Parties are computing.
    Running(Run),
}

#[derive(Debug)]
struct Run {
    until: Instant,
    /// How far each party has come: in epochs, or in questions answered.
    done: HashMap<String, u64>,
    finished: HashSet<String>,
    reports: Reports,
}

/// A job that is not over.
#[derive(Debug)]
pub(crate) struct OpenJob {
    pub(crate) submission: Submission,
    stage: Stage,
}

impl OpenJob {
    pub(crate) fn new(submission: Submission) -> Self {
        Self {
            submission,
            stage: Stage::Queued { since: None },
        }
    }

    pub(crate) fn id(&self) -> &str {
        &self.submission.id
    }

    /// Everyone who takes part.
    pub(crate) fn parties(&self) -> Vec<&str> {
        self.submission.spec.parties()
    }

    pub(crate) fn is_queued(&self) -> bool {
        matches!(self.stage, Stage::Queued { .. })
    }

    fn state(&self) -> JobState {
        match self.stage {
            Stage::Queued { .. } => JobState::Queued,
            Stage::Offered { .. } => JobState::Offered,
            Stage::Running(_) => JobState::Running,
        }
    }

    /// An event that leaves the job where it is now.
    fn event(&self, party: &str, text: String) -> Change {
        Change {
            party: party.to_owned(),
            ..Change::new(self.id(), self.state(), text)
        }
    }

    /// The event that ends the job.
    pub(crate) fn ending(&self, end: End) -> Change {
        Change {
            state: end.state,
            culprit: end.culprit,
            cheating: end.cheating,
            ..self.event("", end.text)
        }
    }

    /// It is the job's turn: offers it if nobody is `absent`.
    pub(crate) fn turn(
        &mut self,
        absent: &[&str],
        now: Instant,
        limits: &Deadlines,
        out: &mut Vec<Action>,
    ) -> Option<End> {
        let Stage::Queued { since } = &mut self.stage else {
            return None;
        };
        if let Some(first) = absent.first() {
            let names = absent.join(" and ");
            if since.is_none() {
                *since = Some(now);
                self.note(out, "", format!("waiting for {names} to attend"));
            } else if since.is_some_and(|since| now >= since + limits.attend) {
                let waited = seconds(limits.attend);
                return Some(End::failed(
                    first,
                    format!("{names} did not attend within {waited}"),
                ));
            }
            return None;
        }
        self.stage = Stage::Offered {
            accepted: HashSet::new(),
            until: now + limits.verdict,
        };
        let parties = self.parties().join(", ");
        self.note(out, "", format!("offered to {parties}"));
        self.tell_all(out, || {
            to_party::Kind::Offer(Offer {
                job_id: self.submission.id.clone(),
                job: Some(self.submission.signed.clone()),
            })
        });
        None
    }

    /// `party` accepts or refuses an offer.
    pub(crate) fn verdict(
        &mut self,
        party: &str,
        refusal: Option<&str>,
        now: Instant,
        limits: &Deadlines,
        out: &mut Vec<Action>,
    ) -> Option<End> {
        let everyone = self.parties().len();
        let Stage::Offered { accepted, .. } = &mut self.stage else {
            return None;
        };
        if let Some(reason) = refusal {
            return Some(End::failed(party, format!("{party} refused: {reason}")));
        }
        if !accepted.insert(party.to_owned()) {
            return None;
        }
        let all = accepted.len() == everyone;
        self.note(out, party, format!("{party} accepted"));
        if all {
            self.stage = Stage::Running(Run {
                until: now + limits.run + self.served(),
                done: HashMap::new(),
                finished: HashSet::new(),
                reports: Reports::default(),
            });
            self.note(out, "", "all parties accepted: it runs".into());
            self.tell_all(out, || {
                to_party::Kind::Start(Start {
                    job_id: self.submission.id.clone(),
                    attempt: ATTEMPT,
                })
            });
        }
        None
    }

    /// How long the job serves; nothing for one that trains.
    fn served(&self) -> Duration {
        let service = self.submission.spec.service.as_ref();
        service.map_or(Duration::ZERO, |s| Duration::from_secs(60 * s.minutes))
    }

    /// `party` has ended an epoch or answered questions. Only what goes on is recorded, and no epochs that the job has not.
    pub(crate) fn progress(&mut self, party: &str, progress: Progress, out: &mut Vec<Action>) {
        let spec = &self.submission.spec;
        let epochs = spec.training.epochs as u64;
        let (done, most, text) = match &spec.service {
            Some(_) => {
                let (questions, batches) = (progress.questions, progress.batches);
                let text =
                    format!("{party} has answered {questions} questions in {batches} batches");
                (questions, u64::MAX, text)
            }
            None => {
                let epoch = progress.epoch;
                let text = format!("{party} finished epoch {epoch} of {epochs}");
                (epoch.into(), epochs, text)
            }
        };
        let Stage::Running(run) = &mut self.stage else {
            return;
        };
        let last = run.done.entry(party.to_owned()).or_default();
        if done <= *last || done > most {
            return;
        }
        *last = done;
        out.push(Action::Record(Box::new(Change {
            progress: Some(progress),
            ..self.event(party, text)
        })));
    }

    /// `party` has done its part. What a computing party's whole part has cost becomes its last progress.
    pub(crate) fn finished(
        &mut self,
        party: &str,
        finished: Finished,
        out: &mut Vec<Action>,
    ) -> Option<End> {
        let compute = self.submission.spec.compute.clone();
        let Stage::Running(run) = &mut self.stage else {
            return None;
        };
        let computes = compute.iter().any(|name| name == party);
        if computes && finished.result.is_none() {
            let text = format!("{party} finished without its share of the result");
            return Some(End::failed(party, text));
        }
        if !run.finished.insert(party.to_owned()) {
            return None;
        }
        let complete = compute.iter().all(|name| run.finished.contains(name));
        let spec = &self.submission.spec;
        let trains = spec.service.is_none();
        let epochs = if trains {
            spec.training.epochs as u32
        } else {
            0
        };
        let progress = Progress {
            job_id: finished.job_id,
            epoch: epochs,
            epochs,
            bytes_sent: finished.bytes_sent,
            rounds: finished.rounds,
            seconds: finished.seconds,
            ..Progress::default()
        };
        out.push(Action::Record(Box::new(Change {
            progress: computes.then_some(progress),
            result: finished.result.filter(|_| computes),
            ..self.event(party, format!("{party} finished"))
        })));
        complete.then(|| End {
            state: JobState::Done,
            culprit: String::new(),
            text: format!(
                "done: {} can fetch the result",
                self.submission.spec.recipient
            ),
            cheating: Vec::new(),
        })
    }

    /// `party` had to stop and blames `culprit`; anyone who does not take part stands for the party itself.
    pub(crate) fn failed(&mut self, party: &str, failed: Failed, now: Instant) -> Option<End> {
        let Failed {
            culprit,
            reason,
            cheating,
            ..
        } = failed;
        let parties = self.submission.spec.parties();
        let culprit = if parties.contains(&&*culprit) {
            &culprit
        } else {
            party
        };
        match &mut self.stage {
            Stage::Queued { .. } => None,
            Stage::Offered { .. } => {
                Some(End::failed(culprit, format!("{party} failed: {reason}")))
            }
            Stage::Running(run) => {
                let report = Report {
                    reporter: party.to_owned(),
                    culprit: culprit.to_owned(),
                    reason,
                    cheating: cheating.map(|found| Cheating {
                        reporter: party.to_owned(),
                        ..found
                    }),
                };
                run.reports.add(report, now);
                let all = run.reports.len() == parties.len();
                all.then(|| self.settle()).flatten()
            }
        }
    }

    /// The connection of `party` ended.
    pub(crate) fn left(&self, party: &str, why: &str) -> Option<End> {
        let needed = match &self.stage {
            Stage::Queued { .. } => false,
            Stage::Offered { .. } => true,
            Stage::Running(run) => !run.finished.contains(party),
        };
        needed.then(|| End::failed(party, format!("lost {party}: {why}")))
    }

    /// The next moment at which time alone changes something.
    pub(crate) fn deadline(&self, limits: &Deadlines) -> Option<Instant> {
        match &self.stage {
            Stage::Queued { since } => since.map(|since| since + limits.attend),
            Stage::Offered { until, .. } => Some(*until),
            Stage::Running(run) => {
                let settle = run.reports.since.map(|since| since + limits.blame);
                Some(settle.map_or(run.until, |settle| settle.min(run.until)))
            }
        }
    }

    /// Ends the job if its time is over.
    pub(crate) fn tick(&self, now: Instant, limits: &Deadlines) -> Option<End> {
        if self.is_queued() || self.deadline(limits).is_none_or(|deadline| now < deadline) {
            return None;
        }
        let silent = |heard: &HashSet<String>| -> Vec<&str> {
            let parties = self.parties().into_iter();
            parties.filter(|party| !heard.contains(*party)).collect()
        };
        let (late, what) = match &self.stage {
            Stage::Queued { .. } => return None,
            Stage::Offered { accepted, .. } => {
                let what = format!("gave no verdict within {}", seconds(limits.verdict));
                (silent(accepted), what)
            }
            Stage::Running(run) if run.reports.len() > 0 => return self.settle(),
            Stage::Running(run) => {
                let what = format!("did not finish within {}", seconds(limits.run));
                (silent(&run.finished), what)
            }
        };
        let culprit = if let [only] = late[..] { only } else { "" };
        Some(End::failed(
            culprit,
            format!("{} {what}", late.join(" and ")),
        ))
    }

    fn settle(&self) -> Option<End> {
        let Stage::Running(run) = &self.stage else {
            return None;
        };
        let (culprit, text) = run.reports.verdict()?;
        Some(End {
            cheating: run.reports.cheating(),
            ..End::failed(&culprit, text)
        })
    }

    fn note(&self, out: &mut Vec<Action>, party: &str, text: String) {
        out.push(Action::Record(Box::new(self.event(party, text))));
    }

    fn tell_all(&self, out: &mut Vec<Action>, message: impl Fn() -> to_party::Kind) {
        let parties = self.parties().into_iter();
        out.extend(parties.map(|party| Action::Tell(party.to_owned(), message())));
    }
}

fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}
