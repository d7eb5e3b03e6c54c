use std::thread;

use tacit_mpc::net::MemNet;
use tacit_nn::Plain;

use super::*;
use crate::broadcast::fixture::Trio;
use crate::data;
use crate::row_count::most_rows;
use crate::test_job::{csv, job};
use crate::train_job::coin;

fn rows(job: &JobSpec, count: usize, seed: usize) -> Rows {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ward.csv");
    std::fs::write(&file, csv(count, seed)).unwrap();
    data::read(&file, &job.data).unwrap()
}

fn policy() -> Policy {
    Policy {
        min_rows: 60,
        min_test_rows: 10,
        ..Policy::default()
    }
}

/// A party's outcome, and the losses that it reported.
type Ending = (Result<Option<Outcome>, TrainError>, Vec<Option<Vec<u64>>>);

/// How a session ends for everyone. Contributor k brings `counts[k]` rows; the party at index i has policy `policies(i)`.
fn session(
    job: &JobSpec,
    counts: &[usize],
    policies: impl Fn(usize) -> Policy + Sync,
) -> Vec<Ending> {
    session_with(job, |k| rows(job, counts[k], k), policies)
}

/// The same, where contributor k brings `rows(k)`.
fn session_with(
    job: &JobSpec,
    rows: impl Fn(usize) -> Rows + Sync,
    policies: impl Fn(usize) -> Policy + Sync,
) -> Vec<Ending> {
    let binding = Binding {
        session: [1; 32],
        program: [2; 32],
        identities: [[3; 32], [4; 32], [5; 32]],
    };
    let names = job.parties();
    let trio = Trio::new([names[0], names[1], names[2]]);
    let nets = MemNet::mesh_with_deadline(names.len(), std::time::Duration::from_secs(20));
    thread::scope(|scope| {
        let parts: Vec<_> = nets
            .into_iter()
            .enumerate()
            .map(|(index, net)| {
                let (name, binding) = (names[index], &binding);
                let (rows, policies, trio) = (&rows, &policies, &trio);
                scope.spawn(move || {
                    let net: Arc<dyn Transport> = Arc::new(net);
                    let seats = Seats::new(job, name).unwrap();
                    let own = job.contributors.iter().position(|other| other == name);
                    let own = own.map(rows);
                    let policy = policies(index);
                    let plan = Plan::of(job).unwrap();
                    let training = Training {
                        job,
                        plan: &plan,
                        seats: &seats,
                        policy: &policy,
                        binding,
                        voice: trio.voice(index.min(2)),
                    };
                    let mut losses = Vec::new();
                    let outcome = training.run(&net, own, &mut |epoch| {
                        losses.push(epoch.loss.map(|words| words.to_vec()));
                        Ok(())
                    });
                    (outcome, losses)
                })
            })
            .collect();
        parts.into_iter().map(|part| part.join().unwrap()).collect()
    })
}

/// Adds the three parties' words up and reads them as numbers.
fn open(shares: &[&[u64]], fraction_bits: u32) -> Vec<f64> {
    let sum = |i: usize| {
        shares
            .iter()
            .fold(0u64, |sum, share| sum.wrapping_add(share[i]))
    };
    (0..shares[0].len())
        .map(|i| fixed::decode(std::num::Wrapping(sum(i)), fraction_bits))
        .collect()
}

/// The result of a session in which all goes well: the released numbers, the loss of every epoch and the coin.
fn trained(job: &JobSpec, counts: &[usize]) -> (Vec<f64>, Vec<f64>, Coin) {
    let parts = session(job, counts, |_| policy());
    let bits = job.training.fraction_bits;
    let outcomes: Vec<_> = parts
        .iter()
        .map(|(outcome, _)| outcome.as_ref().unwrap())
        .collect();
    assert!(outcomes[3..].iter().all(|outcome| outcome.is_none()));
    let words: Vec<&[u64]> = outcomes[..3]
        .iter()
        .map(|o| &o.as_ref().unwrap().words[..])
        .collect();
    let losses = (0..job.training.epochs).filter_map(|epoch| {
        let shares: Option<Vec<&[u64]>> = parts[..3]
            .iter()
            .map(|(_, losses)| losses[epoch].as_deref())
            .collect();
        shares.map(|shares| open(&shares, bits)[0])
    });
    let losses = losses.collect();
    assert_eq!(
        words[0].len(),
        Plan::of(job).unwrap().released().unwrap().words()
    );
    let (numbers, tossed) = words[0].split_at(words[0].len() - 4);
    for others in &words[1..] {
        assert_eq!(others[numbers.len()..], [0; 4]);
    }
    let mut numbers = open(&words, bits);
    numbers.truncate(numbers.len() - tossed.len());
    (numbers, losses, coin(tossed).unwrap())
}

/// The same training on all rows in one place.
fn in_the_clear(job: &JobSpec, counts: &[usize], coin: Coin) -> Vec<f64> {
    let all: Vec<Rows> = counts
        .iter()
        .enumerate()
        .map(|(k, &count)| rows(job, count, k))
        .collect();
    let mut engine = Plain;
    let mut part = |column: fn(&Rows) -> Option<&ndarray::Array2<f64>>| {
        let views: Vec<_> = all
            .iter()
            .filter_map(column)
            .map(|part| part.view())
            .collect();
        let joined = ndarray::concatenate(ndarray::Axis(0), &views).ok()?;
        (!views.is_empty()).then(|| engine.public(&joined.into_dyn()).unwrap())
    };
    let data = Data {
        x: part(|rows| Some(&rows.x)).unwrap(),
        y: part(|rows| Some(&rows.y)).unwrap(),
        weights: part(|rows| rows.weights.as_ref()),
    };
    let split = Split::new(
        job.training.test_fraction,
        coin,
        all.iter().map(Rows::len).sum(),
    );
    let plan = Plan::of(job).unwrap();
    let released = plan
        .train(&mut engine, &data, &split, &mut |_, _, _| Ok(()))
        .unwrap();
    released
        .model
        .iter()
        .chain(&released.metrics)
        .flat_map(|(_, v)| v.iter().map(|&x| f64::from(x)))
        .collect()
}

fn assert_close(private: &[f64], clear: &[f64]) {
    assert_eq!(private.len(), clear.len());
    for (a, b) in private.iter().zip(clear) {
        assert!((a - b).abs() < 0.02, "{private:?} {clear:?}");
    }
}

#[test]
fn three_parties_train_what_one_place_would() {
    let job = job("");
    let counts = [40, 33, 50];
    let (numbers, losses, coin) = trained(&job, &counts);
    assert_close(&numbers, &in_the_clear(&job, &counts, coin));
    let accuracy = numbers[3];
    assert!(accuracy > 0.85, "{accuracy}");
    assert_eq!(losses.len(), job.training.epochs);
    assert!(losses.last() < losses.first());
}

#[test]
fn contributors_need_not_compute_nor_computing_parties_contribute() {
    let mut job = job("");
    job.contributors = ["east", "far", "south"].map(String::from).into();
    job.release.epoch_loss = false;
    let (numbers, losses, _) = trained(&job, &[45, 30, 40]);
    assert!(numbers[3] > 0.85 && losses.is_empty());
}

#[test]
fn four_and_ten_contributors_train_what_one_place_would() {
    for outside in [1, 7] {
        let mut job = job("");
        let clinics = (0..outside).map(|k| format!("clinic-{k}"));
        job.contributors = job.compute.iter().cloned().chain(clinics).collect();
        let counts: Vec<usize> = (0..3 + outside).map(|k| 20 + 3 * k).collect();
        let (numbers, _, coin) = trained(&job, &counts);
        assert_close(&numbers, &in_the_clear(&job, &counts, coin));
    }
}

#[test]
fn padding_changes_nothing_but_what_is_known() {
    let mut job = job("");
    job.data.pad_rows = Some(64);
    job.contributors = ["north", "south", "east"].map(String::from).into();
    let counts = [50, 64, 20];
    let (numbers, _, coin) = trained(&job, &counts);
    assert_close(&numbers, &in_the_clear(&job, &counts, coin));
}

#[test]
fn metrics_that_nobody_asked_for_stay_inside() {
    let mut job = job("");
    job.release.metrics.clear();
    let (numbers, ..) = trained(&job, &[40, 40, 40]);
    assert_eq!(numbers.len(), 3); // two weights and a bias
}

#[test]
fn a_party_refuses_too_few_rows_before_it_shares_any() {
    for pad in [None, Some(64)] {
        let mut job = job("");
        job.data.pad_rows = pad;
        job.contributors = ["north", "south", "east"].map(String::from).into();
        let strict = |index: usize| Policy {
            min_rows: if index == 3 { 91 } else { 90 },
            min_test_rows: 5,
            ..policy()
        };
        let parts = session(&job, &[30, 30, 30], strict);
        let error = parts[3].0.as_ref().err().unwrap();
        assert!(
            error
                .to_string()
                .ends_with("my policy demands at least 91 rows of all contributors"),
            "{error}"
        );
        // The others learn no more than that the fourth has gone.
        for (outcome, _) in &parts[..3] {
            let error = outcome.as_ref().err().unwrap();
            assert_eq!(error.culprit(), Some(3), "{error}");
        }
    }
}

/// An attack by grinding: a submitter who knew the split would try seeds until the few rows that he is curious about train.
#[test]
fn no_submitter_chooses_which_rows_train() {
    let job = job("training.seed = \"ground\"");
    let counts = [40, 33, 50];
    let splits = [(); 2].map(|()| {
        let (numbers, _, coin) = trained(&job, &counts);
        assert_close(&numbers, &in_the_clear(&job, &counts, coin));
        Split::new(job.training.test_fraction, coin, counts.iter().sum())
    });
    assert_ne!(splits[0].train, splits[1].train);
}

#[test]
fn a_job_that_trains_on_a_handful_is_refused() {
    for pad in [None, Some(64)] {
        let mut job = job("training.test_fraction = 0.9");
        job.data.pad_rows = pad;
        for (outcome, _) in session(&job, &[34, 34, 34], |_| policy()) {
            let error = outcome.err().unwrap().to_string();
            assert!(
                error.ends_with("my policy demands at least 50 training rows"),
                "{error}"
            );
        }
    }
}

/// With padding the coin decides how many of the training rows are real, 45 of 60 on the average. The floor is held by a
/// margin beforehand: nothing about the split is opened, and nobody refuses after it.
#[test]
fn padded_jobs_are_refused_before_the_split_or_not_at_all() {
    let mut job = job("");
    job.training.epochs = 1;
    job.data.pad_rows = Some(64);
    let with_floor = |min_train_rows| {
        let policy = |_| Policy {
            min_rows_of_others: 40,
            min_test_rows: 1,
            min_train_rows,
            ..policy()
        };
        session(&job, &[20, 20, 20], policy)
    };
    for (outcome, _) in with_floor(40) {
        let error = outcome.err().unwrap().to_string();
        assert!(error.contains("at least 40 training rows"), "{error}");
    }
    for _ in 0..20 {
        assert!(with_floor(25).iter().all(|(outcome, _)| outcome.is_ok()));
    }
}

#[test]
fn weights_that_do_not_count_rows_are_refused_before_any_row_is_shared() {
    let mut job = job("");
    job.data.pad_rows = Some(64);
    job.contributors = ["north", "south", "east"].map(String::from).into();
    for weight in [1.5, -1.0, 1.0 / 1024.0] {
        let false_weights = |k: usize| {
            let mut rows = rows(&job, 64, k);
            rows.weights.as_mut().unwrap().fill(weight);
            rows
        };
        let endings = session_with(&job, false_weights, |_| policy());
        for (outcome, _) in &endings[..3] {
            assert!(matches!(outcome, Err(TrainError::Weights { most: 192 })));
        }
        // The fourth, who does not compute, hears no total and shares no row.
        assert!(endings[3].0.is_err());
    }
}

#[test]
fn the_rows_of_all_contributors_together_are_bounded() {
    let mut job = job("");
    let all = most_rows(&job);
    assert_eq!(all, (1 << 26) / 5);
    job.data.pad_rows = Some(10);
    assert_eq!(most_rows(&job), all / 3);
}

/// Each step compares at least twice, one after the other, and each comparison takes five rounds or four.
#[test]
fn the_job_chooses_the_variant_of_comparisons() {
    let rounds = |word: &str| {
        let job = job(&format!("protocol.comparison = \"{word}\""));
        let parts = session(&job, &[40, 40, 40], |_| policy());
        let rounds = parts.into_iter().map(|(outcome, _)| outcome.unwrap());
        rounds.flatten().map(|outcome| outcome.rounds).max()
    };
    let (many, few) = (rounds("few-bytes").unwrap(), rounds("few-rounds").unwrap());
    // Four epochs of at least five batches.
    assert!(few + 2 * 4 * 5 <= many, "{few} rounds and {many}");
}
