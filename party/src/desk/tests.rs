use std::time::Duration;

use tacit_api::job::JobSpec;
use tacit_api::proto::SealedShare;
use tacit_api::seal::{RESULT, loss_label, reveal};
use tacit_nn::fixed;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::*;
use crate::test_job::job_toml;
use crate::test_party::Trial;

/// A party's desk and what it says.
struct Seat {
    desk: Desk,
    said: UnboundedReceiver<Kind>,
}

impl Seat {
    fn of(party: &Arc<Party>) -> Self {
        let (out, said) = unbounded_channel();
        Self {
            desk: Desk::new(party.clone(), out),
            said,
        }
    }

    /// The next message, within a minute.
    fn hear(&mut self, trial: &Trial) -> Kind {
        let next = async { tokio::time::timeout(Duration::from_secs(60), self.said.recv()).await };
        trial.runtime().block_on(next).unwrap().unwrap()
    }
}

/// Offers a job to the first `n` parties, who accept.
fn accepted(trial: &Trial, toml: &str, n: usize) -> (Vec<Seat>, String) {
    let offer = trial.offer(toml);
    let mut seats: Vec<Seat> = trial.parties[..n].iter().map(Seat::of).collect();
    for seat in &mut seats {
        seat.desk.offer(offer.clone());
        match seat.hear(trial) {
            Kind::Verdict(verdict) => assert!(
                verdict.accepted && verdict.job_id == offer.job_id,
                "{verdict:?}"
            ),
            other => panic!("{other:?}"),
        }
    }
    (seats, offer.job_id)
}

fn start(seats: &[Seat], job_id: &str) {
    seats.iter().for_each(|seat| {
        seat.desk.start(Start {
            job_id: job_id.into(),
            attempt: 1,
        })
    });
}

/// A job that would take hours.
fn endless() -> String {
    job_toml("")
        .replace("epochs = 4", "epochs = 1000")
        .replace("batch = 16", "batch = 1")
}

#[test]
fn a_job_runs_from_offer_to_sealed_result() {
    let trial = Trial::new();
    let toml = job_toml("").replace(
        "data.dataset",
        "contributors = [\"west\", \"south\", \"east\"]\ndata.dataset",
    );
    let job = JobSpec::parse(&toml).unwrap();
    let (mut seats, id) = accepted(&trial, &toml, 4);
    start(&seats, &id);
    let mut losses: Vec<SealedShare> = Vec::new();
    let mut results: Vec<SealedShare> = Vec::new();
    for (k, seat) in seats.iter_mut().enumerate() {
        for epoch in 1..=if k < 3 { 4 } else { 0 } {
            match seat.hear(&trial) {
                Kind::Progress(progress) => {
                    assert_eq!((progress.epoch, progress.epochs), (epoch, 4));
                    assert!(progress.rounds > 0 && progress.bytes_sent > 0);
                    losses.extend(progress.loss);
                }
                other => panic!("{other:?}"),
            }
        }
        match seat.hear(&trial) {
            Kind::Finished(finished) => {
                assert_eq!(
                    (finished.job_id == id, finished.result.is_some()),
                    (true, k < 3)
                );
                assert!(finished.bytes_sent > 0);
                results.extend(finished.result);
            }
            other => panic!("{other:?}"),
        }
    }
    let open = |label: &str, shares: &[SealedShare]| -> Vec<f64> {
        let words = reveal(
            &trial.analyst,
            &trial.roster,
            &id,
            &job.compute,
            label,
            shares,
        )
        .unwrap();
        words
            .into_iter()
            .map(|word| fixed::decode(std::num::Wrapping(word), 18))
            .collect()
    };
    let result = open(RESULT, &results);
    let plan = crate::train_job::Plan::of(&job).unwrap();
    assert_eq!(result.len(), plan.released().unwrap().words());
    let [accuracy, auc, _, _, _, _] = result[result.len() - 6..] else {
        panic!()
    };
    assert!(accuracy > 0.85 && auc > 0.95, "{accuracy} {auc}");
    let [first, last] = [1, 4].map(|epoch| open(&loss_label(epoch), &losses)[0]);
    assert!(0.0 < last && last < first && first < 1.0, "{first} {last}");
    // None of them will run it again.
    for (seat, party) in seats.iter_mut().zip(&trial.parties) {
        assert!(party.journal.has(&id));
        seat.desk.start(Start {
            job_id: id.clone(),
            attempt: 2,
        });
        assert!(matches!(seat.hear(&trial), Kind::Failed(_)));
    }
}

#[test]
fn a_job_that_was_not_accepted_is_not_started() {
    let trial = Trial::new();
    let mut seat = Seat::of(&trial.parties[0]);
    start(std::slice::from_ref(&seat), "unheard of");
    match seat.hear(&trial) {
        Kind::Failed(failed) => {
            assert!(failed.culprit.is_empty() && failed.reason.contains("not accepted"))
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_cancelled_job_is_forgotten() {
    let trial = Trial::new();
    let (mut seats, id) = accepted(&trial, &job_toml(""), 1);
    seats[0].desk.cancel(&id);
    start(&seats, &id);
    assert!(matches!(seats[0].hear(&trial), Kind::Failed(_)));
}

#[test]
fn a_running_job_stops_in_silence_when_it_is_cancelled() {
    let trial = Trial::new();
    let (mut seats, id) = accepted(&trial, &endless(), 3);
    start(&seats, &id);
    assert!(matches!(seats[0].hear(&trial), Kind::Progress(_)));
    // The others see north go before they are told, and may well say so; north itself says nothing more.
    seats.iter().for_each(|seat| seat.desk.cancel(&id));
    thread::sleep(Duration::from_millis(300));
    while let Ok(kind) = seats[0].said.try_recv() {
        assert!(matches!(kind, Kind::Progress(_)), "{kind:?}");
    }
    assert!(seats.iter().all(|seat| seat.desk.shared.jobs().is_empty()));
}

#[test]
fn the_others_name_a_party_that_goes_away() {
    let trial = Trial::new();
    let (mut seats, id) = accepted(&trial, &endless(), 3);
    start(&seats, &id);
    assert!(matches!(seats[0].hear(&trial), Kind::Progress(_)));
    drop(seats.pop()); // south loses its coordinator, and with it the job
    let reports: Vec<Failed> = seats
        .iter_mut()
        .map(|seat| {
            loop {
                match seat.hear(&trial) {
                    Kind::Progress(_) => {}
                    Kind::Failed(failed) => break failed,
                    other => panic!("{other:?}"),
                }
            }
        })
        .collect();
    // Whoever noticed first left in turn: the chain of blame ends at south.
    assert!(
        reports
            .iter()
            .any(|failed| failed.culprit == "south" && failed.reason == "south closed the link")
    );
    assert!(
        reports
            .iter()
            .all(|failed| failed.job_id == id && !failed.culprit.is_empty())
    );
}

#[test]
fn a_party_that_never_starts_is_named() {
    let trial = Trial::new();
    let parties: Vec<_> = (0..2)
        .map(|k| {
            let mut config = trial.configs[k].clone();
            config.deadlines.connect = Duration::from_secs(1);
            config
        })
        .collect();
    let north = Arc::new(Party::load(&parties[0]).unwrap().0);
    let offer = trial.offer(&job_toml(""));
    let mut seat = Seat::of(&north);
    seat.desk.offer(offer.clone());
    assert!(matches!(seat.hear(&trial), Kind::Verdict(_)));
    start(std::slice::from_ref(&seat), &offer.job_id);
    match seat.hear(&trial) {
        Kind::Failed(failed) => {
            assert_eq!(failed.culprit, "west");
            assert_eq!(failed.reason, "west did not answer before the deadline");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_desk_holds_so_many_jobs_and_each_once() {
    let trial = Trial::new();
    let mut seat = Seat::of(&trial.parties[0]);
    let offers: Vec<_> = (0..=MOST_JOBS)
        .map(|_| trial.offer(&job_toml("")))
        .collect();
    for offer in &offers[..MOST_JOBS] {
        seat.desk.offer(offer.clone());
        assert!(matches!(seat.hear(&trial), Kind::Verdict(verdict) if verdict.accepted));
    }
    for (offer, expected) in [(&offers[0], "already"), (&offers[MOST_JOBS], "too many")] {
        seat.desk.offer(offer.clone());
        match seat.hear(&trial) {
            Kind::Verdict(verdict) => {
                assert!(!verdict.accepted && verdict.reason.contains(expected))
            }
            other => panic!("{other:?}"),
        }
    }
}
