//! The scheduler's rules, told as stories.

use std::time::{Duration, Instant};

use tacit_api::job::JobSpec;
use tacit_api::proto::{
    Failed, Finished, JobState, Progress, SealedShare, SignedJob, Verdict, from_party, to_party,
};

use super::{Board, Input};
use crate::change::{Action, Submission};
use crate::config::Deadlines;

/// A board whose actions are read as sentences, and whose clock moves when told to.
struct Story {
    board: Board,
    now: Instant,
}

impl Story {
    fn begin(attending: &[&str]) -> Self {
        let mut story = Self {
            board: Board::new(Deadlines::default()),
            now: Instant::now(),
        };
        for party in attending {
            assert!(story.arrives(party).is_empty());
        }
        story
    }

    /// A story whose job "a" of north, west and south runs.
    fn running() -> Self {
        let mut story = Self::begin(&["north", "west", "south"]);
        story.submit("a", ["north", "west", "south"]);
        for party in ["north", "west", "south"] {
            story.accepts(party, "a");
        }
        story
    }

    fn step(&mut self, input: Input) -> Vec<String> {
        let actions = self.board.step(self.now, input);
        actions.iter().map(sentence).collect()
    }

    fn submit(&mut self, id: &str, compute: [&str; 3]) -> Vec<String> {
        self.step(Input::Submitted(Box::new(submission(id, compute))))
    }

    fn arrives(&mut self, party: &str) -> Vec<String> {
        self.step(Input::Arrived(party.into()))
    }

    fn leaves(&mut self, party: &str) -> Vec<String> {
        self.step(Input::Left(party.into(), "its connection broke".into()))
    }

    fn says(&mut self, party: &str, message: from_party::Kind) -> Vec<String> {
        self.step(Input::Said(party.into(), message))
    }

    fn accepts(&mut self, party: &str, id: &str) -> Vec<String> {
        let verdict = Verdict {
            job_id: id.into(),
            accepted: true,
            reason: String::new(),
        };
        self.says(party, from_party::Kind::Verdict(verdict))
    }

    fn reports(&mut self, party: &str, culprit: &str, reason: &str) -> Vec<String> {
        let failed = Failed {
            job_id: "a".into(),
            culprit: culprit.into(),
            reason: reason.into(),
            cheating: None,
        };
        self.says(party, from_party::Kind::Failed(failed))
    }

    fn finishes(&mut self, party: &str, result: Option<SealedShare>) -> Vec<String> {
        let finished = Finished {
            job_id: "a".into(),
            result,
            ..Finished::default()
        };
        self.says(party, from_party::Kind::Finished(finished))
    }

    fn waits(&mut self, time: Duration) -> Vec<String> {
        self.now += time;
        self.step(Input::Tick)
    }
}

fn submission(id: &str, compute: [&str; 3]) -> Submission {
    let text = format!(
        r#"
name = "{id}"
kind = "train"
recipient = "analyst"
compute = {compute:?}
data = {{ dataset = "d", label = "y", classes = 2, features = [{{ name = "x", min = 0, max = 1 }}] }}
model = {{ hidden = [] }}
training = {{ epochs = 3 }}
"#
    );
    Submission {
        id: id.into(),
        spec: JobSpec::parse(&text).unwrap(),
        signed: SignedJob::default(),
    }
}

fn sentence(action: &Action) -> String {
    match action {
        Action::Record(change) => {
            let state = match change.state {
                JobState::Failed => format!("FAILED by {}: ", change.culprit),
                JobState::Done => "DONE: ".into(),
                JobState::Cancelled => "CANCELLED: ".into(),
                _ => String::new(),
            };
            format!("{}: {state}{}", change.job_id, change.text)
        }
        Action::Tell(party, message) => {
            let what = match message {
                to_party::Kind::Offer(_) => "offer",
                to_party::Kind::Start(_) => "start",
                to_party::Kind::Cancel(_) => "cancel",
            };
            format!("{what} to {party}")
        }
    }
}

#[test]
fn a_job_goes_from_offer_to_result() {
    let mut story = Story::begin(&["north", "west", "south"]);
    let offered = story.submit("a", ["north", "west", "south"]);
    assert_eq!(
        offered,
        [
            "a: offered to north, west, south",
            "offer to north",
            "offer to west",
            "offer to south"
        ]
    );
    assert_eq!(story.accepts("north", "a"), ["a: north accepted"]);
    assert_eq!(story.accepts("north", "a"), [""; 0]);
    story.accepts("south", "a");
    let started = story.accepts("west", "a");
    assert_eq!(started[1], "a: all parties accepted: it runs");
    assert_eq!(
        started[2..],
        ["start to north", "start to west", "start to south"]
    );
    let share = Some(SealedShare::default());
    assert_eq!(
        story.finishes("north", share.clone()),
        ["a: north finished"]
    );
    assert_eq!(story.finishes("north", share.clone()), [""; 0]);
    story.finishes("west", share.clone());
    let done = story.finishes("south", share);
    assert_eq!(
        done,
        [
            "a: south finished",
            "a: DONE: done: analyst can fetch the result"
        ]
    );
    assert_eq!(story.board.open(), 0);
    assert_eq!(story.leaves("north"), [""; 0]);
}

#[test]
fn jobs_that_share_a_party_run_in_order_and_others_side_by_side() {
    let mut story = Story::begin(&["north", "west", "south", "east", "up", "down"]);
    story.submit("a", ["north", "west", "south"]);
    assert_eq!(story.submit("b", ["south", "east", "up"]), [""; 0]);
    // East and up are free, but waiting for south is already in line before this one.
    assert_eq!(story.submit("c", ["east", "up", "down"]), [""; 0]);
    let ended = story.step(Input::Cancelled("a".into(), "analyst".into()));
    assert_eq!(ended[0], "a: CANCELLED: analyst cancelled it");
    assert_eq!(
        ended[1..4],
        ["cancel to north", "cancel to west", "cancel to south"]
    );
    assert_eq!(ended[4], "b: offered to south, east, up");
    assert_eq!(ended.len(), 8);
    assert!(
        story.submit("d", ["north", "west", "down"]).is_empty(),
        "c waits for down as well"
    );
    let ended = story.step(Input::Cancelled("c".into(), "analyst".into()));
    assert_eq!(ended[0], "c: CANCELLED: analyst cancelled it");
    assert_eq!(
        ended[1], "d: offered to north, west, down",
        "beside b, which shares nobody"
    );
}

#[test]
fn a_refusal_ends_the_job_in_the_partys_own_words() {
    let mut story = Story::begin(&["north", "west", "south"]);
    story.submit("a", ["north", "west", "south"]);
    let verdict = Verdict {
        job_id: "a".into(),
        accepted: false,
        reason: "my policy demands at least 500 rows".into(),
    };
    let ended = story.says("west", from_party::Kind::Verdict(verdict));
    assert_eq!(
        ended[0],
        "a: FAILED by west: west refused: my policy demands at least 500 rows"
    );
    assert_eq!(
        ended[1..],
        ["cancel to north", "cancel to west", "cancel to south"]
    );
}

#[test]
fn an_absent_party_is_waited_for_and_then_named() {
    let limits = Deadlines::default();
    let mut story = Story::begin(&["north"]);
    let waiting = story.submit("a", ["north", "west", "south"]);
    assert_eq!(waiting, ["a: waiting for west and south to attend"]);
    assert_eq!(story.board.deadline(), Some(story.now + limits.attend));
    assert_eq!(story.arrives("west"), [""; 0]);
    assert_eq!(story.waits(limits.attend / 2), [""; 0]);
    let late = story.waits(limits.attend / 2);
    assert_eq!(
        late,
        ["a: FAILED by south: south did not attend within 60 s"]
    );
    story.submit("b", ["north", "west", "south"]);
    assert_eq!(
        story.arrives("south")[0],
        "b: offered to north, west, south"
    );
}

#[test]
fn silence_after_an_offer_or_a_start_has_an_end() {
    let limits = Deadlines::default();
    let mut story = Story::begin(&["north", "west", "south"]);
    story.submit("a", ["north", "west", "south"]);
    story.accepts("north", "a");
    story.accepts("south", "a");
    let late = story.waits(limits.verdict);
    assert_eq!(
        late[0],
        "a: FAILED by west: west gave no verdict within 60 s"
    );

    let mut story = Story::running();
    story.finishes("north", Some(SealedShare::default()));
    assert_eq!(story.board.deadline(), Some(story.now + limits.run));
    let late = story.waits(limits.run);
    assert_eq!(
        late[0],
        "a: FAILED by : west and south did not finish within 21600 s"
    );
}

#[test]
fn a_lost_party_ends_its_job_at_once_unless_it_had_finished() {
    let mut story = Story::running();
    let lost = story.leaves("south");
    assert_eq!(
        lost[0],
        "a: FAILED by south: lost south: its connection broke"
    );
    assert_eq!(lost[1..], ["cancel to north", "cancel to west"]);

    let mut story = Story::running();
    story.finishes("south", Some(SealedShare::default()));
    assert_eq!(story.leaves("south"), [""; 0]);
    assert_eq!(story.board.open(), 1);
}

#[test]
fn the_one_at_the_end_of_the_blame_is_named() {
    let limits = Deadlines::default();
    let mut story = Story::running();
    assert_eq!(
        story.reports("north", "west", "west closed the link"),
        [""; 0]
    );
    assert_eq!(
        story.reports("west", "south", "south sent too long a frame"),
        [""; 0]
    );
    assert_eq!(story.board.deadline(), Some(story.now + limits.blame));
    let settled = story.waits(limits.blame);
    assert_eq!(
        settled[0],
        "a: FAILED by south: west reports: south sent too long a frame"
    );

    let mut story = Story::running();
    story.reports("north", "south", "south closed the link");
    story.reports("west", "south", "south closed the link");
    let settled = story.reports("south", "", "column age is missing");
    assert_eq!(
        settled[0],
        "a: FAILED by south: south failed: column age is missing"
    );

    let mut story = Story::running();
    story.reports("north", "south", "timeout");
    let lost = story.leaves("west");
    assert_eq!(
        lost[0],
        "a: FAILED by west: lost west: its connection broke"
    );

    let mut story = Story::running();
    story.reports("north", "mallory", "blames a stranger");
    let settled = story.waits(limits.blame);
    assert_eq!(
        settled[0],
        "a: FAILED by north: north failed: blames a stranger"
    );
}

#[test]
fn a_result_without_a_share_is_no_result() {
    let mut story = Story::running();
    let ended = story.finishes("west", None);
    assert_eq!(
        ended[0],
        "a: FAILED by west: west finished without its share of the result"
    );
}

#[test]
fn a_computing_partys_last_word_says_what_its_whole_part_has_cost() {
    let mut job = submission("a", ["north", "west", "south"]);
    job.spec.contributors = ["north", "east"].map(str::to_owned).into();
    let mut story = Story::begin(&["north", "west", "south", "east"]);
    story.step(Input::Submitted(Box::new(job)));
    for party in ["north", "west", "south", "east"] {
        story.accepts(party, "a");
    }
    let mut finish = |party: &str, result| {
        let finished = Finished {
            job_id: "a".into(),
            result,
            bytes_sent: 70,
            rounds: 8,
            seconds: 0.5,
        };
        let said = Input::Said(party.into(), from_party::Kind::Finished(finished));
        match &story.board.step(story.now, said)[0] {
            Action::Record(change) => change.progress.clone(),
            other => panic!("{other:?}"),
        }
    };
    let whole = Progress {
        job_id: "a".into(),
        epoch: 3,
        epochs: 3,
        bytes_sent: 70,
        rounds: 8,
        seconds: 0.5,
        ..Progress::default()
    };
    assert_eq!(finish("north", Some(SealedShare::default())), Some(whole));
    assert_eq!(finish("east", None), None);
}

#[test]
fn progress_counts_upwards_and_not_beyond_the_last_epoch() {
    let mut story = Story::running();
    let mut epoch = |epoch| {
        let progress = Progress {
            job_id: "a".into(),
            epoch,
            ..Progress::default()
        };
        story.says("north", from_party::Kind::Progress(progress))
    };
    assert_eq!(epoch(1), ["a: north finished epoch 1 of 3"]);
    assert_eq!(epoch(1), [""; 0]);
    assert_eq!(epoch(3), ["a: north finished epoch 3 of 3"]);
    assert_eq!(epoch(2), [""; 0]);
    assert_eq!(epoch(4), [""; 0]);
}

#[test]
fn strangers_to_a_job_and_late_words_change_nothing() {
    let mut story = Story::running();
    assert_eq!(story.arrives("east"), [""; 0]);
    assert_eq!(story.reports("east", "north", "I was never asked"), [""; 0]);
    assert_eq!(story.accepts("north", "a"), [""; 0]);
    assert_eq!(story.accepts("north", "no such job"), [""; 0]);
    assert_eq!(story.leaves("east"), [""; 0]);
    assert_eq!(story.board.open(), 1);
}
