use std::sync::Arc;

use tacit_api::policy::Policy;
use tacit_api::sign::sign_job;

use super::*;
use crate::config::OwnedModel;
use crate::incidents::Incident;
use crate::journal::{Admission, Entry};
use crate::own_model::OwnModel;
use crate::test_job::job_toml;
use crate::test_party::{ROWS, Trial, offer};

fn rows(accepted: Accepted) -> Option<Rows> {
    match accepted.work {
        Work::Train(_, rows) => rows,
        Work::Serve(..) => panic!("this job trains"),
    }
}

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
    assert_eq!(rows(accepted).unwrap().len(), ROWS);
    let toml = job_toml("").replace(
        "data.dataset",
        "contributors = [\"west\", \"south\", \"east\"]\ndata.dataset",
    );
    let accepted = consider(&trial.parties[0], &trial.offer(&toml)).unwrap();
    assert!(accepted.seats.computes() && rows(accepted).is_none());
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
    assert!(
        trial.parties[0]
            .journal
            .record(&good.job_id, Entry::Training, 9)
            .unwrap()
            == Admission::Begins
    );
    assert!(refusal(&trial.parties[0], &good).contains("already run here"));
    assert!(refusal(&trial.restarted(|_| ()), &good).contains("already run here"));
    // The same file under a new signature is a new job.
    consider(&trial.parties[0], &trial.offer(&job_toml(""))).unwrap();
    // But not as often as one likes: many trainings on other parts of the rows can be solved for the rows.
    for job in 0..party_budget(&trial) {
        trial.parties[0]
            .journal
            .record(&format!("job {job}"), Entry::Training, usize::MAX)
            .unwrap();
    }
    assert!(refusal(&trial.parties[0], &trial.offer(&job_toml(""))).contains("20 jobs on my rows"));
}

fn party_budget(trial: &Trial) -> usize {
    trial.parties[0].policy.max_jobs
}

#[test]
fn members_and_roles_must_fit() {
    let trial = Trial::new();
    // A policy that names them is not enough.
    let north = &trial.restarted(|config| {
        let Policy {
            compute,
            contributors,
            ..
        } = &mut config.policy;
        for list in [compute, contributors] {
            list.extend(["analyst", "nobody"].map(str::to_owned));
        }
    });
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
    let signed = sign_job(
        &trial.parties[0].identity,
        &trial.roster,
        &job_toml(""),
        None,
    )
    .unwrap();
    assert!(refusal(&trial.parties[0], &offer(signed)).contains("\"north\" under submitters"));
}

#[test]
fn a_job_is_held_against_what_the_party_declared() {
    let trial = Trial::new();
    let north = &trial.parties[0];
    let unnamed = trial.restarted(|config| config.datasets.clear());
    assert!(
        refusal(&unnamed, &trial.offer(&job_toml(""))).contains("declares no data set \"ward\"")
    );
    let offered = |from: &str, to: &str| {
        let toml = job_toml("").replace(from, to);
        refusal(north, &trial.offer(&toml))
    };
    for (from, to, expected) in [
        (
            "max = 100",
            "max = 101",
            "the bounds of \"age\" in data.features",
        ),
        ("classes = 2", "classes = 3", "data.classes"),
        (
            "classes = 2",
            "classes = 2\ndata.pad_rows = 50",
            "data.pad_rows",
        ),
        ("\"ill\"", "\"dead\"", "data.label"),
    ] {
        let reason = offered(from, to);
        assert!(reason.ends_with(&format!("about {expected}")), "{reason}");
    }
}

#[test]
fn a_file_that_cannot_be_used_is_one_sentence_whatever_the_fault() {
    let trial = Trial::new();
    let good = trial.offer(&job_toml(""));
    let file = &trial.configs[0].datasets["ward"].file;
    for csv in [
        "age,dose,ill\n40,0.5,1\n40,7,1\n",
        "age,dose,ill,surname\n40,0,1,x\n",
        "age,ill\n40,1\n",
        "age,dose,ill\n40,x,1\n",
        "age,dose,ill\n40,NaN,1\n",
        "age,dose,ill\n40,0,2\n",
        "age,dose,ill\n40\n",
        "age,dose,ill\n",
        "",
    ] {
        std::fs::write(file, csv).unwrap();
        assert_eq!(
            refusal(&trial.parties[0], &good),
            "my data set cannot be used at present: its operator finds the reason in my log"
        );
        assert!(Party::load(&trial.configs[0]).is_err(), "{csv:?}");
    }
    std::fs::remove_file(file).unwrap();
    assert!(refusal(&trial.parties[0], &good).contains("at present"));
}

/// Whoever may submit jobs could otherwise find the greatest age by bisection, and the number of rows.
#[test]
fn verdicts_say_nothing_about_rows() {
    let trial = Trial::new();
    let file = &trial.configs[0].datasets["ward"].file;
    let mut jobs = Vec::new();
    let mut bounds = (0.0, 100.0);
    while bounds.1 - bounds.0 > 1e-9 {
        let middle = (bounds.0 + bounds.1) / 2.0;
        jobs.push(job_toml("").replace("max = 100", &format!("max = {middle:?}")));
        // Towards the value that is in one file and not in the other.
        if middle < 83.375 {
            bounds.0 = middle;
        } else {
            bounds.1 = middle;
        }
    }
    jobs.extend((1..100).map(|rows| job_toml(&format!("data.pad_rows = {rows}"))));
    jobs.extend([2, 3, 9].map(|n| job_toml("").replace("classes = 2", &format!("classes = {n}"))));
    let verdicts = |rows: &str| -> Vec<Option<String>> {
        std::fs::write(file, rows).unwrap();
        let verdict = |toml: &String| {
            let decided = consider(&trial.parties[0], &trial.offer(toml));
            decided.err().map(|declined| declined.to_string())
        };
        jobs.iter().map(verdict).collect()
    };
    let one = verdicts("age,dose,ill\n40,0.5,1\n83.375,-0.25,1\n12,0.1,0\n");
    let another = verdicts("age,dose,ill\n1,0.5,0\n");
    assert_eq!(one, another);
    // Only the declared job itself is accepted.
    assert_eq!(one.iter().filter(|verdict| verdict.is_none()).count(), 1);
}

#[test]
fn padding_beyond_all_memory_is_refused() {
    let trial = Trial::new();
    let toml = job_toml("").replace(
        "data.classes = 2",
        "data.classes = 100\ndata.pad_rows = 10_000_000",
    );
    assert!(
        refusal(&trial.parties[0], &trial.offer(&toml)).contains("a training takes at most 262144")
    );
}

/// Services touch no rows: they spend none of the budget, and their number at a time is what is limited.
#[test]
fn services_are_limited_by_how_many_run_and_spend_no_training() {
    let trial = Trial::new();
    let north = trial.restarted(|config| {
        let policy = &mut config.policy;
        policy.kinds.push(tacit_api::job::Kind::Serve);
        policy.clients.push("analyst".into());
        (policy.max_services, policy.max_jobs) = (1, 1);
    });
    let toml = r#"
name = "triage"
kind = "serve"
recipient = "analyst"
compute = ["north", "west", "south"]
[model]
onnx = "triage.onnx"
[service]
clients = ["analyst"]
minutes = 1
"#;
    let layer = tacit_nn::model_file::Dense {
        weight: ndarray::array![[1.0, -1.0]],
        bias: ndarray::array![[0.0, 0.5]],
    };
    let model = tacit_nn::Model::new(vec!["x".into()], vec![layer]).unwrap();
    let signed = || {
        let onnx = model.to_onnx();
        offer(sign_job(&trial.analyst, &trial.roster, toml, Some(&onnx)).unwrap())
    };
    let first = consider(&north, &signed()).unwrap();
    assert!(refusal(&north, &signed()).contains("serves 1 models at a time"));
    drop(first);
    let second = consider(&north, &signed()).unwrap();
    let begun = north.journal.record(&second.id, Entry::Service, 0);
    assert_eq!(begun.unwrap(), Admission::Begins);
    // The one training that is allowed has not run.
    consider(&north, &trial.offer(&job_toml(""))).unwrap();
}

/// A party that owns the model x·weight + (0, 1/2), within what its configuration says; and jobs for it.
struct Owner {
    trial: Trial,
    skeleton: Vec<u8>,
}

impl Owner {
    fn of(weight: f32, declare: impl FnOnce(&mut OwnedModel, &mut Policy)) -> (Self, Arc<Party>) {
        let trial = Trial::new();
        let layer = tacit_nn::model_file::Dense {
            weight: ndarray::array![[weight, -1.0]],
            bias: ndarray::array![[0.0, 0.5]],
        };
        let model = tacit_nn::Model::new(vec!["x".into()], vec![layer]).unwrap();
        let onnx = model.to_onnx();
        let folder = tempfile::tempdir().unwrap();
        let mut declared = OwnedModel {
            file: folder.path().join("triage.onnx"),
            bounds: Vec::new(),
            max_rows: 128,
            fraction_bits: 18,
        };
        std::fs::write(&declared.file, &onnx).unwrap();
        let skeleton = Model::parse(&onnx).unwrap().skeleton().unwrap().bytes;
        let north = trial.restarted(|config| {
            let policy = &mut config.policy;
            policy.kinds.push(tacit_api::job::Kind::Serve);
            policy.clients.push("analyst".into());
            policy.max_services = 100;
            declare(&mut declared, policy);
            config.models.insert("triage".into(), declared);
        });
        (Self { trial, skeleton }, north)
    }

    /// A job with these lines in its table of the service.
    fn job(&self, lines: &str) -> Offer {
        let toml = format!(
            r#"
name = "triage"
kind = "serve"
recipient = "analyst"
compute = ["north", "west", "south"]
[model]
onnx = "triage.onnx"
weights = "north"
[service]
clients = ["analyst"]
minutes = 1
{lines}
"#
        );
        let (analyst, roster) = (&self.trial.analyst, &self.trial.roster);
        offer(sign_job(analyst, roster, &toml, Some(&self.skeleton)).unwrap())
    }
}

/// Weights of 2000 take inputs up to ±65536 out of range: with such bounds their owner is open to no job, and tells nobody
/// where and by how much.
#[test]
fn private_weights_are_offered_within_bounds_that_hold_or_to_trusted_clients() {
    let (owner, north) = Owner::of(2000.0, |_, _| ());
    for lines in ["", "bounds = [[-1, 1]]", "bounds = [[0, 1], [0, 1]]"] {
        let declined = refusal(&north, &owner.job(lines));
        assert!(declined.contains("open for no service"), "{declined}");
        let told = ["2000", "131", "rows", "node", "layer"];
        assert!(
            told.iter().all(|word| !declined.contains(word)),
            "{declined}"
        );
    }
    let (owner, north) = Owner::of(2000.0, |declared, _| declared.bounds = vec![[-1.0, 1.0]]);
    consider(&north, &owner.job("bounds = [[-1, 1]]")).unwrap();
    consider(&north, &owner.job("bounds = [[-0.5, 1]]\nmax_rows = 7")).unwrap();
    for lines in [
        "",
        "bounds = [[-1, 2]]",
        "bounds = [[-1, 1]]\nmax_rows = 129",
    ] {
        let declined = refusal(&north, &owner.job(lines));
        assert!(declined.contains("bounds [(-1.0, 1.0)]"), "{declined}");
        assert!(declined.contains("128 rows"), "{declined}");
    }
    let (owner, north) = Owner::of(2000.0, |_, policy| policy.unproven_ranges = true);
    consider(&north, &owner.job("")).unwrap();
}

/// Whoever may submit jobs asked for bounds around where a weight takes them out of range, and got it bit by bit.
#[test]
fn no_answer_to_a_job_depends_on_weights() {
    let verdicts = |weight: f32| -> Vec<Option<String>> {
        let (owner, north) = Owner::of(weight, |declared, _| declared.bounds = vec![[-9.0, 9.0]]);
        // An input of ±2^26/weight was the limit: between 3·10^4 and 10^6 for these weights.
        let jobs = (-4..24).map(|k| format!("bounds = [[-1, {:?}]]", 2f64.powi(k)));
        let jobs = jobs.chain((1..9).map(|k| format!("bounds = [[-1, 1]]\nmax_rows = {}", 40 * k)));
        let verdict = |lines: String| {
            let decided = consider(&north, &owner.job(&lines));
            decided.err().map(|declined| declined.to_string())
        };
        jobs.map(verdict).collect()
    };
    let one = verdicts(2000.0);
    assert_eq!(one, verdicts(-67.25));
    let accepted = one.iter().filter(|verdict| verdict.is_none()).count();
    assert_eq!(accepted, 8 + 3, "{one:?}");
}

#[test]
fn models_that_cannot_be_served_are_found_when_the_party_starts() {
    let load = |change: &dyn Fn(&mut OwnedModel)| {
        let (owner, _) = Owner::of(2.0, |_, _| ());
        let file = owner.trial.configs[0].roster.with_file_name("triage.onnx");
        let layer = tacit_nn::model_file::Dense {
            weight: ndarray::array![[2.0]],
            bias: ndarray::array![[0.0]],
        };
        let model = tacit_nn::Model::new(vec!["x".into()], vec![layer]).unwrap();
        std::fs::write(&file, model.to_onnx()).unwrap();
        let mut declared = OwnedModel {
            file,
            bounds: vec![[0.0, 1.0]],
            max_rows: 8,
            fraction_bits: 18,
        };
        change(&mut declared);
        OwnModel::load("triage", &declared, false)
            .map(drop)
            .map_err(|e| e.to_string())
    };
    load(&|_| ()).unwrap();
    for (change, expected) in [
        (
            (|d| d.bounds = vec![[1.0, 0.0]]) as fn(&mut OwnedModel),
            "models.triage.bounds",
        ),
        (|d| d.bounds = vec![[0.0, 1.0]; 2], "the model has 1 inputs"),
        (|d| d.max_rows = 0, "models.triage.max_rows"),
        (|d| d.fraction_bits = 30, "models.triage.fraction_bits"),
        (
            |d| d.file = d.file.with_extension("onyx"),
            "models.triage: ",
        ),
    ] {
        let error = load(&change).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

/// A service that gathers for longer than its links may be silent ends by itself.
#[test]
fn batches_do_not_wait_for_longer_than_links_may_be_silent() {
    let ms = Duration::from_millis;
    let most = |gather, exchange| match check_gather(ms(gather), ms(exchange)) {
        Ok(()) => None,
        Err(Declined::Gather { most, .. }) => Some(most),
        Err(other) => panic!("{other}"),
    };
    assert_eq!(most(5, 60_000), None);
    let limit = most(29_000, 60_000).unwrap();
    assert_eq!(most(limit.as_millis() as u64, 60_000), None);
    assert_eq!(most(limit.as_millis() as u64 + 1, 60_000), Some(limit));
    // No waiting is short enough for links that are given up after two seconds.
    assert_eq!(most(0, 2000), Some(ms(0)));
}

#[test]
fn who_cheated_does_not_compute_with_us_before_it_is_understood() {
    let trial = Trial::new();
    let job = trial.offer(&job_toml(""));
    let north = &trial.parties[0];
    let accepted = consider(north, &job).unwrap();
    let incident = Incident {
        job: "f00d".into(),
        attempt: 1,
        computing: accepted.seats.computing().to_vec(),
        found: "the proof of run 3".into(),
        suspects: vec!["west".into()],
        stopped: false,
    };
    let path = north.incidents.keep(&incident).unwrap();
    assert!(refusal(north, &job).contains("job f00d"));
    assert!(refusal(&trial.restarted(|_| ()), &job).contains("job f00d"));
    // Others, and a party that contributes to them, go on.
    let others = job_toml("").replace("\"south\"]", "\"east\"]");
    consider(north, &trial.offer(&others)).unwrap();
    std::fs::write(&path, "job =").unwrap();
    assert!(refusal(north, &job).contains("finds the reason in my log"));
    std::fs::remove_file(path).unwrap();
    consider(north, &job).unwrap();
}
