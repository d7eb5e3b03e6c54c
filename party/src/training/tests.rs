use std::thread;

use bytes::Bytes;
use tacit_mpc::net::{MemNet, Tamper};
use tacit_nn::{Engine, Plain};
use tacit_protocols::release::combined;

use super::*;
use crate::broadcast::fixture::Trio;
use crate::coin::Coin;
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
    session_over(job, rows, policies, |_, net| Arc::new(net))
}

/// The same over links that `link` makes of those in memory.
fn session_over(
    job: &JobSpec,
    rows: impl Fn(usize) -> Rows + Sync,
    policies: impl Fn(usize) -> Policy + Sync,
    link: impl Fn(usize, MemNet) -> Arc<dyn Transport> + Sync,
) -> Vec<Ending> {
    let binding = Binding {
        session: [1; 32],
        program: [2; 32],
        identities: vec![[3; 32], [4; 32], [5; 32]],
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
                let (rows, policies, link, trio) = (&rows, &policies, &link, &trio);
                scope.spawn(move || {
                    let net = link(index, net);
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
                        kernels: &Arc::from(tacit_mpc::kernels::cpu()),
                        failures: &Failures::default(),
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

/// What a recipient makes of the three parties' words.
fn put_together(job: &JobSpec, shares: &[&[u64]]) -> Vec<u64> {
    let copies = job.protocol.name == Protocol::Rep3Malicious;
    combined([shares[0], shares[1], shares[2]], copies).unwrap()
}

fn numbers(words: &[u64], fraction_bits: u32) -> Vec<f64> {
    let number = |&w| fixed::decode(std::num::Wrapping(w), fraction_bits);
    words.iter().map(number).collect()
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
        shares.map(|shares| numbers(&put_together(job, &shares), bits)[0])
    });
    let losses = losses.collect();
    let words = put_together(job, &words);
    assert_eq!(
        words.len(),
        Plan::of(job).unwrap().released().unwrap().words()
    );
    let (released, tossed) = words.split_at(words.len() - 4);
    (numbers(released, bits), losses, coin(tossed).unwrap())
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

/// With contributors that compute, one that does not, and padding.
#[test]
fn what_is_proved_is_what_one_place_would_train() {
    for pad in [None, Some(32)] {
        let mut job = job("protocol = \"rep3-malicious\"");
        job.training.epochs = 2;
        job.data.pad_rows = pad;
        job.contributors = ["north", "south", "east"].map(String::from).into();
        let counts = [30, 32, 31];
        let (numbers, losses, coin) = trained(&job, &counts);
        assert_close(&numbers, &in_the_clear(&job, &counts, coin));
        assert_eq!(losses.len(), 2);
    }
}

/// A party changes one bit of one of its frames, early or late: either somebody notices and there is no result, or the bit stands
/// for nothing and the result is right. It is among those that are suspected.
#[test]
fn a_computing_party_that_lies_once_makes_nobody_give_out_a_wrong_result() {
    let counts = [40, 40, 40];
    let (mut tried, mut aborted) = (0, 0);
    // With padding the number of rows is opened first, after a proof.
    let late = [12, 30, 60, 100].map(|frame| (None, frame)).to_vec();
    let early = (6..24).step_by(3).map(|frame| (Some(64), frame)).collect();
    let attacks = [late, early].concat();
    let attacks = attacks.iter().flat_map(|a| [0, 2].map(|to| (*a, to)));
    for ((pad, frame), victim) in attacks {
        let mut job = job("protocol = \"rep3-malicious\"");
        job.training.epochs = 1;
        job.data.pad_rows = pad;
        tried += 1;
        let lie = move |index: usize, net: MemNet| -> Arc<dyn Transport> {
            let mut sent = 0;
            if index != 1 {
                return Arc::new(net);
            }
            Arc::new(Tamper::new(net, move |to, bytes: Bytes| {
                sent += usize::from(to == victim);
                let mut bytes = bytes.to_vec();
                if to == victim && sent == frame {
                    *bytes.last_mut().unwrap() ^= 1;
                }
                vec![bytes.into()]
            }))
        };
        let endings = session_over(&job, |k| rows(&job, counts[k], k), |_| policy(), lie);
        let results: Option<Vec<_>> = (endings.iter())
            .map(|(outcome, _)| outcome.as_ref().ok()?.as_ref().map(|o| &o.words[..]))
            .collect();
        if let Some(words) = results {
            let words = put_together(&job, &words);
            let (released, tossed) = words.split_at(words.len() - 4);
            let right = in_the_clear(&job, &counts, coin(tossed).unwrap());

            assert_close(&numbers(released, job.training.fraction_bits), &right);
            continue;
        }
        aborted += 1;
        let suspected = |(outcome, _): &Ending| {
            let error = outcome.as_ref().err()?;
            let cheating = error.cheating().map(|(_, suspects)| suspects.contains(&1));
            cheating.or_else(|| error.culprit().map(|party| party == 1))
        };
        let honest = [0, 2].map(|k| suspected(&endings[k]));
        assert!(
            honest.contains(&Some(true)),
            "frame {frame} to {victim}: {honest:?}"
        );
    }
    println!("{aborted} of {tried} lies end the job");
    assert!(aborted >= 14, "{aborted} of {tried} lies were noticed");
}

#[test]
fn a_contributor_whose_shares_do_not_fit_together_is_refused_before_anything_is_computed() {
    for protocol in Protocol::ALL {
        let mut job = job(&format!("protocol = \"{protocol}\""));
        job.contributors = ["north", "south", "east"].map(String::from).into();
        let lie = |index: usize, net: MemNet| -> Arc<dyn Transport> {
            if index != 3 {
                return Arc::new(net);
            }
            Arc::new(Tamper::new(net, |to, bytes: Bytes| {
                let mut bytes = bytes.to_vec();
                // Not the number of rows, but a word of a share.
                if to == 2 && bytes.len() > 100 {
                    bytes[99] ^= 1;
                }
                vec![bytes.into()]
            }))
        };
        let endings = session_over(&job, |k| rows(&job, 40, k), |_| policy(), lie);
        let suspects = |k: usize| {
            let error = endings[k].0.as_ref().err().unwrap();
            error.cheating().map(|(_, suspects)| suspects.to_vec())
        };
        assert_eq!(
            (suspects(1), suspects(2)),
            (Some(vec![3, 2]), Some(vec![3, 1]))
        );
        assert!(endings[0].0.is_err());
    }
}

#[test]
fn who_announces_two_numbers_of_rows_is_found_out() {
    for protocol in Protocol::ALL {
        let job = job(&format!("protocol = \"{protocol}\""));
        let lie = |index: usize, net: MemNet| -> Arc<dyn Transport> {
            if index != 0 {
                return Arc::new(net);
            }
            Arc::new(Tamper::new(net, |to, bytes: Bytes| {
                let mut bytes = bytes.to_vec();
                // The number of rows is the only frame of eight bytes.
                if to == 2 && bytes.len() == 8 {
                    bytes[0] += 1;
                }
                vec![bytes.into()]
            }))
        };
        let endings = session_over(&job, |k| rows(&job, 40, k), |_| policy(), lie);
        for party in [1, 2] {
            let error = endings[party].0.as_ref().err().unwrap();
            assert!(
                error.to_string().contains("other numbers of rows"),
                "{error}"
            );
        }
    }
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
    // Also a pair whose sum is right, and words of which the squares are 0 mod 2^64.
    let high = (1u64 << 32) as f64;
    for (weights, liar) in [([2.0, 0.0], 0), ([2.0, -1.0], 1), ([high, -high], 2)] {
        for protocol in Protocol::ALL {
            job.protocol.name = protocol;
            let false_weights = |k: usize| {
                let mut rows = rows(&job, 64, k);
                if k == liar {
                    let mut column = rows.weights.as_mut().unwrap().column_mut(0);
                    (column[3], column[60]) = (weights[0], weights[1]);
                }
                rows
            };
            let endings = session_with(&job, false_weights, |_| policy());
            let index = [0, 2, 3][liar];
            for (outcome, _) in &endings[..3] {
                let culprit = outcome.as_ref().err().unwrap().culprit();
                assert_eq!(culprit, Some(index), "{weights:?} by {protocol}");
            }
            // The fourth, who does not compute, hears no total and shares no row.
            assert!(endings[3].0.is_err());
        }
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
