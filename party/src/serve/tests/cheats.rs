//! Services in which a party cheats: no client ever gets a wrong answer, and where the parties themselves notice, the service ends
//! and says what failed and who is suspected.

use super::lies::Lie;
use super::*;

fn cheated(lie: (PartyId, Lie)) -> Running {
    let mut setup = Setup::new(Duration::from_secs(4)).by(Protocol::Rep3Malicious);
    setup.lie = Some(lie);
    setup.start()
}

/// Whatever word of its part a party changes, of the shares, the salt or the hash: the client alone sees it, and refuses.
#[test]
fn a_lie_about_an_answer_is_seen_by_the_client() {
    for (liar, word) in [(0, 7), (1, 5), (2, 3), (0, 0)] {
        let running = cheated((liar, Lie::Answer(word)));
        let mut clinic = running.asker(0);
        let asked = clinic.ask(&[array![[0.5, 0.5]].into_dyn()]).unwrap();
        match clinic.answer(asked) {
            Err(AskError::Answer(error)) => {
                let told = error.to_string();
                assert!(told.contains(&format!("party {liar}")), "{told}");
                assert!(told.contains("cheats"), "{told}");
            }
            other => panic!("party {liar}, word {word}: {other:?}"),
        }
        running.end();
    }
}

/// A party that computes on other shares than its client gave it, and one that sends something else in a gate.
#[test]
fn a_lie_in_the_computation_ends_the_service_without_an_answer() {
    let lies = [
        (0, Lie::Question(false)),
        (2, Lie::Question(true)),
        (1, Lie::Gate),
    ];
    for (liar, lie) in lies {
        let running = cheated((liar, lie));
        let mut clinic = running.asker(0);
        let question = Array2::from_elem((8, 2), 0.5);
        let asked = clinic.ask(&[question.into_dyn()]).unwrap();
        match clinic.answer(asked) {
            Err(AskError::Refused { reason, .. }) => {
                assert!(reason.contains("the service ends"), "{reason}");
            }
            // A party's link may end before its word is read.
            Err(AskError::Link(_)) => {}
            other => panic!("{lie:?} of party {liar}: {other:?}"),
        }
        let mut suspected = 0;
        for (party, end) in running.ends().into_iter().enumerate() {
            if party == liar {
                continue;
            }
            let error = end.expect_err("an honest party notices");
            if let Some((what, suspects)) = error.cheating() {
                assert!(!what.is_empty() && !suspects.contains(&party), "{error}");
                suspected += usize::from(suspects.contains(&liar));
            }
        }
        assert!(suspected > 0, "{lie:?}: nobody suspects party {liar}");
    }
}

/// Copies of a client's share that are not the same: the question is refused, the client is told whose differ, and the service
/// goes on.
#[test]
fn unequal_copies_of_a_question_are_refused_by_name() {
    for protocol in Protocol::ALL {
        let running = start(
            protocol,
            Held::Public,
            Duration::ZERO,
            Duration::from_secs(5),
        );
        let mut clinic = running.asker(0);
        let question = array![[0.5, 0.5]];
        // The last byte is of the words that parties 1 and 2 hold.
        let bad = clinic.ask_changed(&[question.clone().into_dyn()], |peer, message| {
            if peer == 2 {
                *message.last_mut().unwrap() ^= 1;
            }
        });
        match clinic.answer(bad.unwrap()) {
            Err(AskError::Refused { reason, .. }) => {
                let named = reason.contains("party 1") && reason.contains("party 2");
                assert!(named && !reason.contains("party 0"), "{reason}");
            }
            other => panic!("{other:?}"),
        }
        let good = clinic.ask(&[question.clone().into_dyn()]).unwrap();
        close(&clinic.answer(good).unwrap(), &question);
        for tally in running.end() {
            assert_eq!(tally.questions, 1);
        }
    }
}
