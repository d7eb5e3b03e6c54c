//! What the events of a job add up to.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};
use tacit_api::job::JobSpec;
use tacit_api::proto::{Cheating, Event, JobState, Progress, SealedShare};

use crate::home::Member;
use crate::{release, text};

/// Parties that compute in every job.
const COMPUTING: usize = 3;

/// The mean training loss of an epoch, as far as this member may know it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Loss {
    /// The job does not release it.
    Absent,
    /// It is there, but for somebody else's eyes.
    Sealed,
    /// Opened with our key.
    Known(f64),
}

impl std::fmt::Display for Loss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Absent => f.write_str("not released"),
            Self::Sealed => f.write_str("sealed"),
            Self::Known(loss) => write!(f, "{loss:.4}"),
        }
    }
}

/// An epoch that every computing party has finished.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Epoch {
    /// Counted from 1.
    pub epoch: u32,
    /// How many there will be.
    pub epochs: u32,
    /// The mean training loss.
    pub loss: Loss,
}

/// What a job has cost so far; once it is done, all of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Totals {
    /// Bytes that the computing parties have sent.
    pub bytes: u64,
    /// Rounds, of the party with the most.
    pub rounds: u64,
    /// From the start of the session to the last event.
    pub seconds: f64,
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// Done, failed or cancelled.
    pub state: JobState,
    /// The last event's sentence.
    pub text: String,
    /// Who made it fail, if anyone is known to.
    pub culprit: Option<String>,
    /// What parties found, where it was aborted because somebody cheated.
    pub cheating: Vec<Cheating>,
}

/// The state of one job, from its events.
pub struct View<'a> {
    member: &'a Member,
    job_id: String,
    /// Known where the job was submitted from here.
    job: Option<JobSpec>,
    parties: BTreeMap<String, Progress>,
    losses: BTreeMap<u32, Vec<SealedShare>>,
    complete: u32,
    started_ms: Option<i64>,
    last_ms: i64,
}

impl<'a> View<'a> {
    /// Before the first event.
    pub fn new(member: &'a Member, job_id: &str, job: Option<JobSpec>) -> Self {
        Self {
            member,
            job_id: job_id.to_owned(),
            job,
            parties: BTreeMap::new(),
            losses: BTreeMap::new(),
            complete: 0,
            started_ms: None,
            last_ms: 0,
        }
    }

    /// Takes one event in; the epoch that it completes, if it does.
    ///
    /// # Errors
    /// A share of the loss that is ours to open does not carry its party's signature, or the shares do not fit together.
    pub fn note(&mut self, event: &Event) -> Result<Option<Epoch>> {
        self.last_ms = event.unix_ms;
        if event.state() == JobState::Running {
            self.started_ms.get_or_insert(event.unix_ms);
        }
        let Some(progress) = &event.progress else {
            return Ok(None);
        };
        let mut progress = progress.clone();
        if let Some(share) = progress.loss.take() {
            let shares = self.losses.entry(progress.epoch).or_default();
            if shares.len() == COMPUTING {
                bail!("the coordinator sent more than three shares of one loss");
            }
            shares.push(share);
        }
        let epochs = progress.epochs;
        self.parties.insert(event.party.clone(), progress);
        let mut done: Vec<u32> = self.parties.values().map(|party| party.epoch).collect();
        done.sort_unstable_by(|a, b| b.cmp(a));
        match done.get(COMPUTING - 1) {
            Some(&epoch) if epoch > self.complete => {
                self.complete = epoch;
                let loss = self.loss(epoch)?;
                Ok(Some(Epoch {
                    epoch,
                    epochs,
                    loss,
                }))
            }
            _ => Ok(None),
        }
    }

    fn loss(&mut self, epoch: u32) -> Result<Loss> {
        let Some(shares) = self.losses.remove(&epoch) else {
            return Ok(Loss::Absent);
        };
        match &self.job {
            Some(job) if job.recipient == self.member.name => {
                release::loss(self.member, &self.job_id, job, epoch, &shares).map(Loss::Known)
            }
            _ => Ok(Loss::Sealed),
        }
    }

    /// What the job has cost so far.
    pub fn totals(&self) -> Totals {
        let started = self.started_ms.unwrap_or(self.last_ms);
        Totals {
            bytes: self.parties.values().map(|party| party.bytes_sent).sum(),
            rounds: self
                .parties
                .values()
                .map(|party| party.rounds)
                .max()
                .unwrap_or(0),
            seconds: (self.last_ms - started).max(0) as f64 / 1e3,
        }
    }
}

impl End {
    /// How the job ended, if `event` says that it did.
    pub fn of(event: &Event) -> Option<Self> {
        let over = matches!(
            event.state(),
            JobState::Done | JobState::Failed | JobState::Cancelled
        );
        over.then(|| Self {
            state: event.state(),
            text: text::printable(&event.text),
            culprit: Some(text::printable(&event.culprit)).filter(|name| !name.is_empty()),
            cheating: (event.cheating.iter())
                .map(|found| Cheating {
                    reporter: text::printable(&found.reporter),
                    what: text::printable(&found.what),
                    suspects: found.suspects.iter().map(|s| text::printable(s)).collect(),
                })
                .collect(),
        })
    }

    /// Whom all others that found cheating suspect, in the order of their names: what a party says of others does not clear it, as
    /// the cheater may report as well. With one cheater it is among them.
    pub fn suspects(&self) -> Vec<&str> {
        let accused = self.cheating.iter().flat_map(|found| &found.suspects);
        let accused: BTreeSet<&String> = accused.collect();
        let by_others = |name: &&String| {
            let mut others = self.cheating.iter().filter(|f| f.reporter != **name);
            others.all(|found| found.suspects.contains(name))
        };
        accused
            .into_iter()
            .filter(by_others)
            .map(String::as_str)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use tacit_api::seal;

    use super::*;
    use crate::fixture::{Consortium, consortium};

    const JOB: &str = "00112233445566778899aabbccddeeff";

    fn event(c: &Consortium, party: usize, epoch: u32, sealed: bool) -> Event {
        let name = ["north", "west", "south"][party];
        let word = [1 << 18, 5, u64::MAX - 4][party];
        let analyst = c.roster.member("analyst").unwrap();
        let label = seal::loss_label(epoch);
        let seal = || {
            seal::seal(
                &c.parties[party],
                &c.roster,
                analyst,
                JOB,
                1,
                &label,
                &[word],
            )
            .unwrap()
        };
        let mut event = Event {
            unix_ms: 1000 * i64::from(epoch),
            party: name.into(),
            progress: Some(Progress {
                epoch,
                epochs: 9,
                bytes_sent: 100 * u64::from(epoch),
                rounds: 7 + party as u64,
                loss: sealed.then(seal),
                ..Progress::default()
            }),
            ..Event::default()
        };
        event.set_state(JobState::Running);
        event
    }

    fn job() -> JobSpec {
        JobSpec::parse(tacit_examples::BREAST_CANCER.jobs[0]).unwrap()
    }

    #[test]
    fn an_epoch_is_complete_when_all_three_have_finished_it() {
        let c = consortium();
        let mut view = View::new(&c.analyst, JOB, Some(job()));
        assert_eq!(view.note(&event(&c, 0, 1, true)).unwrap(), None);
        assert_eq!(view.note(&event(&c, 2, 1, true)).unwrap(), None);
        let third = view.note(&event(&c, 1, 1, true)).unwrap();
        assert_eq!(
            third,
            Some(Epoch {
                epoch: 1,
                epochs: 9,
                loss: Loss::Known(1.0)
            })
        );
        assert_eq!(view.note(&event(&c, 1, 2, true)).unwrap(), None);
        assert_eq!(
            view.totals(),
            Totals {
                bytes: 400,
                rounds: 9,
                seconds: 1.0
            }
        );
    }

    #[test]
    fn a_partys_last_word_counts_in_the_totals_and_completes_no_epoch_again() {
        let c = consortium();
        let mut view = View::new(&c.analyst, JOB, Some(job()));
        for party in 0..3 {
            view.note(&event(&c, party, 9, true)).unwrap();
        }
        for party in 0..3 {
            let mut last = event(&c, party, 9, false);
            let progress = last.progress.as_mut().unwrap();
            progress.bytes_sent = 1000;
            progress.rounds = 50;
            assert_eq!(view.note(&last).unwrap(), None);
        }
        let totals = view.totals();
        assert_eq!((totals.bytes, totals.rounds), (3000, 50));
    }

    #[test]
    fn losses_for_others_stay_sealed_and_jobs_may_have_none() {
        let c = consortium();
        let last = |job: Option<JobSpec>, sealed| {
            let mut view = View::new(&c.analyst, JOB, job);
            let epochs: Vec<_> = (0..3)
                .map(|k| view.note(&event(&c, k, 1, sealed)).unwrap())
                .collect();
            epochs[2].map(|epoch| epoch.loss)
        };
        assert_eq!(last(None, true), Some(Loss::Sealed));
        assert_eq!(
            last(
                Some(JobSpec {
                    recipient: "north".into(),
                    ..job()
                }),
                true
            ),
            Some(Loss::Sealed)
        );
        assert_eq!(last(Some(job()), false), Some(Loss::Absent));
    }

    #[test]
    fn a_forged_share_is_an_error_that_names_the_party() {
        let c = consortium();
        let mut view = View::new(&c.analyst, JOB, Some(job()));
        view.note(&event(&c, 0, 1, true)).unwrap();
        view.note(&event(&c, 1, 1, true)).unwrap();
        let mut forged = event(&c, 2, 1, true);
        let share = forged.progress.as_mut().unwrap().loss.as_mut().unwrap();
        share.ciphertext[40] ^= 1;
        let error = view.note(&forged).unwrap_err().to_string();
        assert!(error.contains("south"), "{error}");
    }

    #[test]
    fn the_last_event_says_who_and_why() {
        let c = consortium();
        let mut event = event(&c, 0, 1, false);
        assert_eq!(End::of(&event), None);
        event.set_state(JobState::Failed);
        event.text = "west closed the link".into();
        event.culprit = "west".into();
        let end = End::of(&event).unwrap();
        assert_eq!(
            (end.text.as_str(), end.culprit.as_deref()),
            ("west closed the link", Some("west"))
        );
        assert!(end.suspects().is_empty());
        let found = |reporter: &str, suspects: [&str; 2]| Cheating {
            reporter: reporter.into(),
            what: "the proof of west about its products".into(),
            suspects: suspects.map(Into::into).into(),
        };
        event.cheating = vec![
            found("north", ["west", "south"]),
            found("south", ["north", "west"]),
        ];
        let end = End::of(&event).unwrap();
        assert_eq!(end.cheating, event.cheating);
        // Each suspects both others: any of the three may be the one who lies.
        assert_eq!(end.suspects(), ["north", "south", "west"]);
        // North had a malformed message of west: south is none of the two who know what came.
        event.cheating[0].suspects = vec!["west".into()];
        event.cheating.push(found("west", ["north", "south"]));
        assert_eq!(End::of(&event).unwrap().suspects(), ["north", "west"]);
    }
}
