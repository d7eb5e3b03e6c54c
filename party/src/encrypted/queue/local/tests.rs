//! Turns, bounds, deadlines and ends.

use super::super::super::key_store::KeyId;
use super::*;

const SOON: Duration = Duration::from_millis(1);
const BOUNDS: Bounds = Bounds { client: 2, all: 3 };

fn question(client: &str, seconds: u64) -> Question {
    Question {
        client: client.into(),
        model: "digits".into(),
        key: Some(KeyId([7; 32])),
        ciphertext: client.into(),
        deadline: Instant::now() + Duration::from_secs(seconds),
    }
}

/// Who is served next.
fn next(queue: &Local) -> Option<String> {
    let (ticket, question) = queue.take(SOON)?;
    queue.finish(ticket, Ok(question.ciphertext));
    Some(question.client)
}

#[test]
fn clients_take_turns_and_each_in_its_order() {
    let queue = Local::new(Bounds { client: 9, all: 9 });
    let order = ["a", "a", "a", "b", "c", "b"];
    let watched = order.map(|client| queue.put(question(client, 60)).unwrap());
    assert_eq!(*watched[3].borrow(), State::Waiting(3));
    let served: Vec<_> = std::iter::from_fn(|| next(&queue)).collect();
    assert_eq!(served, ["a", "b", "c", "a", "b", "a"]);
    for (client, watched) in order.iter().zip(&watched) {
        assert_eq!(*watched.borrow(), State::Over(Ok((*client).into())));
    }
}

#[test]
fn no_more_wait_than_the_bounds_say() {
    let queue = Local::new(BOUNDS);
    let _a = queue.put(question("a", 60)).unwrap();
    let second = queue.put(question("a", 60)).unwrap();
    let again = *AGAIN.start();
    assert_eq!(
        queue.put(question("a", 60)).unwrap_err(),
        Full::Client { most: 2, again }
    );
    let _b = queue.put(question("b", 60)).unwrap();
    assert_eq!(
        queue.put(question("c", 60)).unwrap_err(),
        Full::All { most: 3, again }
    );
    // Who hangs up makes room.
    drop(second);
    let _c = queue.put(question("c", 60)).unwrap();
}

#[test]
fn who_hangs_up_is_not_computed_for() {
    let queue = Local::new(BOUNDS);
    drop(queue.put(question("a", 60)).unwrap());
    let watched = queue.put(question("b", 60)).unwrap();
    let (ticket, taken) = queue.take(SOON).unwrap();
    assert_eq!(taken.client, "b");
    assert!(queue.report(ticket, 1, 4));
    assert_eq!(*watched.borrow(), State::Working { done: 1, all: 4 });
    drop(watched);
    assert!(!queue.report(ticket, 2, 4));
    queue.finish(ticket, Ok(Vec::new()));
    assert!(!queue.report(ticket, 3, 4), "it is over");
}

#[test]
fn late_questions_are_told_so_waiting_or_running() {
    let queue = Local::new(BOUNDS);
    let late = queue.put(question("a", 0)).unwrap();
    assert!(queue.take(SOON).is_none());
    assert_eq!(*late.borrow(), State::Over(Err(Refusal::Late)));
    let mut soon = question("a", 60);
    soon.deadline = Instant::now() + Duration::from_millis(30);
    let running = queue.put(soon).unwrap();
    let (ticket, _) = queue.take(SOON).unwrap();
    std::thread::sleep(Duration::from_millis(40));
    assert!(!queue.report(ticket, 1, 2));
    queue.finish(ticket, Ok(vec![1]));
    assert_eq!(*running.borrow(), State::Over(Err(Refusal::Late)));
}

#[test]
fn a_closed_queue_ends_what_waits_and_wakes_workers() {
    let queue = Local::new(BOUNDS);
    let waiting = queue.put(question("a", 60)).unwrap();
    std::thread::scope(|scope| {
        let (ticket, _) = queue.take(SOON).unwrap();
        let idle = scope.spawn(|| queue.take(Duration::from_secs(60)));
        queue.close();
        assert!(idle.join().unwrap().is_none());
        // What runs may end.
        queue.finish(ticket, Ok(vec![1]));
    });
    assert_eq!(*waiting.borrow(), State::Over(Ok(vec![1])));
    assert_eq!(queue.put(question("a", 60)).unwrap_err(), Full::Stopping);
    assert!(queue.is_closed());
}

#[test]
fn an_abandoned_queue_ends_what_runs() {
    let queue = Local::new(BOUNDS);
    let running = queue.put(question("a", 60)).unwrap();
    let (ticket, _) = queue.take(SOON).unwrap();
    let waiting = queue.put(question("b", 60)).unwrap();
    queue.close();
    assert!(queue.report(ticket, 1, 4), "closed, but not abandoned");
    queue.abandon();
    assert!(!queue.report(ticket, 2, 4));
    queue.finish(ticket, Ok(vec![1]));
    for watched in [running, waiting] {
        assert_eq!(*watched.borrow(), State::Over(Err(Refusal::Stopping)));
    }
    assert!(queue.is_closed() && queue.take(SOON).is_none());
}

#[test]
fn who_finds_it_full_is_told_to_come_back_after_the_time_of_a_question() {
    let queue = Local::new(BOUNDS);
    let full = |queue: &Local| match queue.put(question("b", 60)).unwrap_err() {
        Full::All { again, .. } => again,
        other => panic!("{other}"),
    };
    let waiting = ["a", "a", "c"].map(|client| queue.put(question(client, 60)).unwrap());
    assert_eq!(full(&queue), *AGAIN.start(), "nothing is known yet");
    for (usual, wanted) in [(8, 8), (3600, 30)] {
        queue.lock().usual = Duration::from_secs(usual);
        assert_eq!(full(&queue), Duration::from_secs(wanted));
    }
    // An answer counts, a refusal does not.
    queue.lock().usual = Duration::from_secs(8);
    let (ticket, _) = queue.take(SOON).unwrap();
    queue.finish(ticket, Err(Refusal::Failed));
    assert_eq!(queue.lock().usual, Duration::from_secs(8));
    let (ticket, _) = queue.take(SOON).unwrap();
    queue.finish(ticket, Ok(Vec::new()));
    let usual = queue.lock().usual;
    assert!(usual >= Duration::from_secs(6) && usual < Duration::from_secs(8));
    drop(waiting);
}
