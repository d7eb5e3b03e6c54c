use tacit_api::sign::sign_job;

use super::*;
use crate::test_job::job_toml;
use crate::test_party::{ROWS, Trial, offer};

fn refusal(party: &Party, offer: &Offer) -> String {
    consider(party, offer)
        .err()
        .expect("the offer is refused")
        .to_string()
}

#[test]
fn a_sound_offer_is_accepted_with_the_rows_it_needs() {
    let trial = Trial::new();
    let offer = trial.offer(&job_toml(""));
    let accepted = consider(&trial.parties[0], &offer).unwrap();
    assert_eq!(accepted.id, offer.job_id);
    assert_eq!(accepted.rows.unwrap().len(), ROWS);
    let toml = job_toml("").replace(
        "data.dataset",
        "contributors = [\"west\", \"south\", \"east\"]\ndata.dataset",
    );
    let accepted = consider(&trial.parties[0], &trial.offer(&toml)).unwrap();
    assert!(accepted.rows.is_none() && accepted.seats.computes());
}

#[test]
fn what_the_submitter_did_not_sign_is_refused() {
    let trial = Trial::new();
    let north = &trial.parties[0];
    let good = trial.offer(&job_toml(""));
    let changed = |change: fn(&mut tacit_api::proto::SignedJob)| {
        let mut job = good.job.clone().unwrap();
        change(&mut job);
        offer(job)
    };
    assert!(refusal(north, &changed(|job| job.toml.push(b'\n'))).contains("does not fit the job"));
    assert!(
        refusal(north, &changed(|job| job.submitter = "north".into()))
            .contains("does not fit the job")
    );
    assert!(
        refusal(north, &changed(|job| job.submitter = "nobody".into())).contains("not a member")
    );
    let other_name = Offer {
        job_id: "00".repeat(16),
        ..good.clone()
    };
    assert!(refusal(north, &other_name).contains("identifier"));
    assert!(
        refusal(
            north,
            &Offer {
                job: None,
                ..good.clone()
            }
        )
        .contains("identifier")
    );
    assert!(refusal(north, &trial.offer("name = 3")).contains("line 1"));
}

#[test]
fn a_job_that_has_run_is_refused_for_good() {
    let trial = Trial::new();
    let good = trial.offer(&job_toml(""));
    assert!(trial.parties[0].journal.record(&good.job_id).unwrap());
    assert!(refusal(&trial.parties[0], &good).contains("already run here"));
    assert!(refusal(&trial.restarted(|_| ()), &good).contains("already run here"));
    // The same file under a new signature is a new job.
    consider(&trial.parties[0], &trial.offer(&job_toml(""))).unwrap();
}

#[test]
fn members_and_roles_must_fit() {
    let trial = Trial::new();
    let north = &trial.parties[0];
    let job = job_toml("");
    let offered = |from: &str, to: &str| refusal(north, &trial.offer(&job.replace(from, to)));
    assert!(offered("\"south\"]", "\"analyst\"]").contains("analyst is a client"));
    assert!(offered("\"south\"]", "\"nobody\"]").contains("not a member"));
    assert!(offered("\"north\", ", "\"east\", ").contains("no part for me"));
}

#[test]
fn the_partys_own_policy_decides() {
    let trial = Trial::new();
    let good = trial.offer(&job_toml(""));
    let strict = trial.restarted(|config| config.policy.recipients = vec!["auditor".into()]);
    assert!(refusal(&strict, &good).contains("\"analyst\" under recipients"));
    let signed = sign_job(&trial.parties[0].identity, &trial.roster, &job_toml("")).unwrap();
    assert!(refusal(&trial.parties[0], &offer(signed)).contains("\"north\" under submitters"));
}

#[test]
fn trouble_with_the_data_is_told_without_the_institutions_own_words() {
    let trial = Trial::new();
    let good = trial.offer(&job_toml(""));
    let unnamed = trial.restarted(|config| config.datasets.clear());
    assert!(refusal(&unnamed, &good).contains("no file for the data set \"ward\""));
    let file = trial.configs[0].datasets["ward"].clone();
    for (csv, expected) in [
        (
            "age,dose,ill\n40,0.5,1\n40,7,1\n",
            "\"dose\" outside [-1, 1]",
        ),
        (
            "age,dose,ill,surname\n40,0,1,x\n",
            "columns that the job does not list",
        ),
        ("age,ill\n40,1\n", "lacks the column \"dose\""),
        ("age,dose,ill\n40,x,1\n", "not a finite number"),
        ("age,dose,ill\n", "cannot be read"),
    ] {
        std::fs::write(&file, csv).unwrap();
        let reason = refusal(&trial.parties[0], &good);
        assert!(reason.contains(expected), "{reason}");
        assert!(
            !reason.contains("ward.csv") && !reason.contains("line") && !reason.contains("surname"),
            "{reason}"
        );
    }
}

#[test]
fn padding_beyond_all_memory_is_refused() {
    let trial = Trial::new();
    let toml = job_toml("").replace(
        "data.classes = 2",
        "data.classes = 100\ndata.pad_rows = 10_000_000",
    );
    assert!(refusal(&trial.parties[0], &trial.offer(&toml)).contains("at most 651542 rows"));
}
