//! Clients that mean ill: whatever they do, the others get their answers, and the service ends when its time is over.

use std::num::Wrapping;

use ndarray::IxDyn;
use tacit_protocols::rep3::contribute;

use super::onnx::{Axis, Constant, model};
use super::*;
use crate::serve::wire::Ask;

/// The messages of a question of these words.
fn question(number: u64, words: &ArrayD<u64>) -> [Bytes; 3] {
    let parts = contribute::share(&words.mapv(Wrapping)).unwrap();
    parts.messages.map(|shares| {
        let ask = Ask {
            number,
            rows: words.shape()[0] as u32,
            shares,
        };
        ask.encode()
    })
}

/// One that never reads what it is sent is dropped once too much waits for it, and holds nothing up, not even the end.
#[test]
fn a_client_that_does_not_read_is_dropped_and_delays_nobody() {
    const WIDTH: u64 = 2048;
    let rows = 64;
    let mut setup = Setup::new(Duration::from_secs(20));
    let weights = vec![0.5; 2 * WIDTH as usize];
    setup.onnx = model(
        &[Axis::Free, Axis::Of(2)],
        &[Axis::Free, Axis::Of(WIDTH)],
        &[("w", Constant::Floats(&[2, WIDTH], weights))],
        &[("MatMul", &["x", "w"], "y", &[])],
    );
    setup.terms.max_rows = rows;
    let running = setup.start();
    // Each answer has a mebibyte.
    let mut mute = running.mute(0);
    let words = ArrayD::zeros(IxDyn(&[rows, 2]));
    let mut clinic = running.asker(1);
    let mut asked = 0;
    for number in 0..60 {
        let sent = question(number, &words);
        if !(0..3).all(|k| mute.send(k, &sent[k])) {
            break;
        }
        asked += 1;
        let one = array![[1.0, 3.0]];
        let good = clinic.ask(&[one.into_dyn()]).unwrap();
        let y = clinic.answer(good).unwrap();
        assert!((y[0][[0, 7]] - 2.0).abs() < 1e-4);
    }
    assert!(asked > 16, "dropped after {asked} questions");
    for party in 0..3 {
        let frames = mute.read_to_the_end(party);
        assert!(frames < 45, "{frames} answers were kept for it");
    }
    // Another leaves some answers unread, too few to be dropped, when the service ends.
    let mut silent = running.mute(0);
    for number in 0..12 {
        let sent = question(number, &words);
        assert!((0..3).all(|k| silent.send(k, &sent[k])));
    }
    drop(clinic);
    running.end();
    drop(silent);
}

/// A part that is late delays nobody, and its question is answered once it is whole.
#[test]
fn half_questions_delay_nobody_and_can_be_completed() {
    let running = Setup::new(Duration::from_secs(12)).start();
    let mut half = running.mute(0);
    let x = array![[0.5, -1.0]];
    let words = x.mapv(|v| (v * 262_144.0) as i64 as u64).into_dyn();
    for number in 0..10 {
        let sent = question(number, &words);
        // Each is missing somewhere else.
        for party in (0..3).filter(|&k| k != number as usize % 3) {
            assert!(half.send(party, &sent[party]));
        }
    }
    let late = question(99, &words);
    assert!(half.send(0, &late[0]) && half.send(1, &late[1]));
    let mut ward = running.asker(1);
    for _ in 0..20 {
        let good = ward.ask(&[x.clone().into_dyn()]).unwrap();
        close(&ward.answer(good).unwrap(), &x);
    }
    thread::sleep(Duration::from_millis(1500));
    assert!(half.send(2, &late[2]));
    thread::sleep(Duration::from_millis(500));
    drop(ward);
    for tally in running.end() {
        assert_eq!(tally.questions, 21);
    }
    // The greeting and the one answer: no half of a question was refused before its time.
    for party in 0..3 {
        assert_eq!(half.read_to_the_end(party), 2);
    }
}

/// A client's new connection asks under a number that a question of its former one has, which is being computed.
#[test]
fn an_answer_goes_to_the_connection_that_asked() {
    let mut setup = Setup::new(Duration::from_secs(14));
    setup.delay = Duration::from_millis(15);
    let running = setup.start();
    let (one, other) = (array![[2.0, -2.0]], array![[-1.0, 1.5]]);
    let mut former = running.asker(0);
    former.number_from(7);
    former.ask(&[one.into_dyn()]).unwrap();
    // The parties agree on it in about a tenth of a second, and compute for more than one.
    thread::sleep(Duration::from_millis(700));
    let mut newer = running.asker(0);
    newer.number_from(7);
    let asked = newer.ask(&[other.clone().into_dyn()]).unwrap();
    close(&newer.answer(asked).unwrap(), &other);
    drop((former, newer));
    running.end();
}

/// Words outside the bounds count as a bound: the greatest, the least, and some whose products wrap.
#[test]
fn inputs_are_put_into_their_bounds_on_shares() {
    let mut setup = Setup::new(Duration::from_secs(8));
    setup.terms.bounds = vec![(-4.0, 3.0)];
    let running = setup.start();
    let mut clinic = running.asker(0);
    match clinic.ask(&[array![[3.5, 0.0]].into_dyn()]) {
        Err(AskError::Question(reason)) => assert!(reason.contains("from -4 to 3"), "{reason}"),
        other => panic!("{other:?}"),
    }
    let unit = 1i64 << 18;
    // Words from which the distance to the lower bound wraps count as that bound.
    let words = [
        [i64::MAX, i64::MIN],
        [1 << 61, -(1 << 61)],
        [3 * unit + 1, -4 * unit - 1],
        [i64::MIN + 1, i64::MAX - 4 * unit - 1],
        [i64::MAX - 4 * unit, unit],
        [unit, -unit],
    ];
    let want = array![
        [-4.0, -4.0],
        [3.0, -4.0],
        [3.0, -4.0],
        [-4.0, 3.0],
        [3.0, 1.0],
        [1.0, -1.0]
    ];
    let words = ArrayD::from_shape_fn(IxDyn(&[6, 2]), |at| Wrapping(words[at[0]][at[1]] as u64));
    let asked = clinic.ask_words(&[words]).unwrap();
    close(&clinic.answer(asked).unwrap(), &want);
    drop(clinic);
    running.end();
}

/// Keys that give few blocks are renewed again and again, and a service that never renewed them would end.
#[test]
fn keys_are_renewed_before_they_are_used_up() {
    let mut setup = Setup::new(Duration::from_secs(9));
    setup.keys.blocks = 10_000;
    setup.held = Held::Owner(2);
    let running = setup.start();
    let mut clinic = running.asker(0);
    let x = array![[0.5, -1.0], [1.0, 1.0]];
    for _ in 0..25 {
        let asked = clinic.ask(&[x.clone().into_dyn()]).unwrap();
        close(&clinic.answer(asked).unwrap(), &x);
    }
    drop(clinic);
    for tally in running.end() {
        assert_eq!(tally.questions, 25);
        assert!(tally.renewals > 2, "{} renewals", tally.renewals);
    }
}

/// Two batches fit into these keys and three do not: one that began when half of a key was used ended the service.
#[test]
fn a_batch_of_nearly_half_of_the_keys_does_not_use_them_up() {
    let mut setup = Setup::new(Duration::from_secs(12));
    let onnx = Model::parse(&setup.onnx).unwrap();
    let words = Served::new(onnx, Held::Public, &setup.terms)
        .unwrap()
        .blocks();
    // A quarter of them is what a key gives in blocks: 37 of 100.
    setup.keys.blocks = words * 68 / 100;
    let running = setup.start();
    let mut clinic = running.asker(0);
    let x = Array2::from_shape_fn((8, 2), |(i, j)| i as f64 / 4.0 - j as f64);
    for _ in 0..8 {
        let asked = clinic.ask(&[x.clone().into_dyn()]).unwrap();
        close(&clinic.answer(asked).unwrap(), &x);
    }
    drop(clinic);
    for tally in running.end() {
        assert_eq!(tally.questions, 8);
        assert!(tally.renewals > 2, "{} renewals", tally.renewals);
    }
}

/// Labels have room for 2^32 runs under the same keys, which a busy service begins in days.
#[test]
fn runs_under_the_same_keys_are_not_used_up() {
    let mut setup = Setup::new(Duration::from_secs(9));
    setup.keys.runs = 60;
    let running = setup.start();
    let mut clinic = running.asker(0);
    let x = array![[0.5, -1.0], [1.0, 1.0]];
    for _ in 0..25 {
        let asked = clinic.ask(&[x.clone().into_dyn()]).unwrap();
        close(&clinic.answer(asked).unwrap(), &x);
    }
    drop(clinic);
    for tally in running.end() {
        assert_eq!(tally.questions, 25);
        assert!(tally.renewals > 2, "{} renewals", tally.renewals);
    }
}

/// A fault in the program of one party ends the service there and at the others, with clients connected: nothing waits for ever.
#[test]
fn a_panic_of_one_party_ends_the_service() {
    let mut setup = Setup::new(Duration::from_secs(3600));
    setup.panics = Some(1);
    let running = setup.start();
    let (mut clinic, _ward) = (running.asker(0), running.asker(1));
    clinic.ask(&[array![[0.5, -1.0]].into_dyn()]).unwrap();
    for _ in 0..600 {
        if running.parties.iter().all(JoinHandle::is_finished) {
            break;
        }
        thread::sleep(Duration::from_millis(50));
    }
    for party in running.parties {
        assert!(party.is_finished(), "a party waits for ever");
        assert!(!matches!(party.join(), Ok(Ok(_))), "a party ends well");
    }
}
