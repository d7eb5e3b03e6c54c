use super::*;

const LONG: Duration = Duration::from_secs(60);
const NOW: Duration = Duration::ZERO;

fn queue(parts: Duration, patience: Duration) -> Queue<u32> {
    Queue::new(Limits {
        questions: 4,
        bytes: 4000,
        of_one_client: 2,
        bytes_of_one_client: 2000,
        parts,
        patience,
    })
}

fn wide() -> Queue<u32> {
    Queue::new(Limits {
        questions: 100,
        bytes: 1 << 20,
        of_one_client: 100,
        bytes_of_one_client: 1 << 20,
        parts: LONG,
        patience: LONG,
    })
}

fn ticket(client: u16, number: u64) -> Ticket {
    Ticket { client, number }
}

fn list(queue: &Queue<u32>) -> Vec<Ticket> {
    queue.list(1, NOW, NOW, NOW)
}

#[test]
fn limits_hold_for_all_and_for_each() {
    let queue = queue(LONG, LONG);
    let put = |client, number| queue.put(ticket(client, number), Question::blank(1, 0), 0);
    assert_eq!((put(1, 1), put(1, 2)), (Ok(()), Ok(())));
    assert_eq!(put(1, 2), Err(Full::Twice));
    assert_eq!(put(1, 3), Err(Full::Client(2)));
    assert_eq!((put(2, 1), put(3, 1)), (Ok(()), Ok(())));
    assert_eq!(put(4, 1), Err(Full::Queue));
    assert_eq!(queue.reserve(&[ticket(2, 1)]).len(), 1);
    assert_eq!(queue.reserve(&[ticket(2, 1)]).len(), 0);
    assert_eq!(put(4, 1), Ok(()));
    queue.close();
    assert_eq!(put(5, 1), Err(Full::Closed));
}

#[test]
fn bytes_are_bounded_for_all_and_for_each_and_given_back() {
    let queue = queue(LONG, LONG);
    let put =
        |client, number, bytes| queue.put(ticket(client, number), Question::blank(1, bytes), 0);
    assert_eq!(put(1, 1, 1000), Ok(()));
    assert_eq!(put(1, 2, 1000), Err(Full::Bytes(2000)));
    assert_eq!((put(2, 1, 1500), put(3, 1, 500)), (Ok(()), Ok(())));
    assert_eq!(put(4, 1, 500), Err(Full::Queue));
    queue.reserve(&[ticket(1, 1)]);
    assert_eq!((put(4, 1, 500), put(1, 2, 100)), (Ok(()), Ok(())));
}

/// A reconnected client numbers from where it likes: only its former questions are forgotten.
#[test]
fn questions_of_a_connection_that_has_left_are_forgotten_and_no_others() {
    let queue = wide();
    for (number, connection) in [(1, 7), (2, 8), (3, 7)] {
        queue
            .put(ticket(1, number), Question::blank(1, 0), connection)
            .unwrap();
    }
    queue.forget(|&connection| connection == 7);
    assert_eq!(list(&queue), [ticket(1, 2)]);
    let (_, asker) = queue
        .reserve(&[ticket(1, 2)])
        .remove(&ticket(1, 2))
        .unwrap();
    assert_eq!(asker, 8);
}

#[test]
fn a_busy_client_does_not_starve_the_others() {
    let queue = wide();
    for number in 0..20 {
        queue
            .put(ticket(1, number), Question::blank(4, 0), 0)
            .unwrap();
    }
    queue.put(ticket(0, 0), Question::blank(8, 0), 0).unwrap();
    queue.put(ticket(2, 0), Question::blank(3, 0), 0).unwrap();
    queue.put(ticket(2, 1), Question::blank(3, 0), 0).unwrap();
    let mut batches = Vec::new();
    for _ in 0..3 {
        let batch = queue.choose(&list(&queue), 8);
        queue.reserve(&batch);
        batches.push(batch);
    }
    assert_eq!(batches[0], [ticket(0, 0)]);
    assert_eq!(batches[1], [ticket(1, 0), ticket(2, 0)]);
    assert_eq!(batches[2], [ticket(2, 1), ticket(1, 1)]);
    // A client that comes late is not behind all that waits.
    queue.put(ticket(3, 0), Question::blank(8, 0), 0).unwrap();
    let next = queue.choose(&list(&queue), 8);
    assert_eq!(next, [ticket(3, 0)]);
    queue.reserve(&next);
    // One question that is longer than a batch makes one.
    queue.put(ticket(3, 1), Question::blank(9, 0), 0).unwrap();
    queue.reserve(&queue.choose(&list(&queue), 8));
    assert_eq!(queue.choose(&[ticket(3, 1)], 8), [ticket(3, 1)]);
    // Only what all parties hold is chosen.
    assert_eq!(queue.choose(&[ticket(1, 7)], 100), [ticket(1, 7)]);
    assert_eq!(queue.choose(&[], 100), []);
}

#[test]
fn half_questions_and_whole_ones_expire_by_their_own_deadlines() {
    let put = |queue: &Queue<u32>| {
        for number in 0..2 {
            queue
                .put(ticket(1, number), Question::blank(1, 0), 5)
                .unwrap();
        }
        queue.mark([(ticket(1, 1), true), (ticket(9, 9), true)]);
        std::thread::sleep(Duration::from_millis(2));
    };
    let impatient = queue(NOW, LONG);
    put(&impatient);
    assert_eq!(impatient.expire(), [(ticket(1, 0), 5, Late::Parts)]);
    assert_eq!(list(&impatient), [ticket(1, 1)]);
    let slow = queue(LONG, NOW);
    put(&slow);
    assert_eq!(slow.expire(), [(ticket(1, 1), 5, Late::Turn)]);
    assert_eq!(list(&slow), [ticket(1, 0)]);
}

#[test]
fn whoever_waits_hears_of_an_arrival() {
    let queue = wide();
    let asked = [ticket(1, 0), ticket(1, 1)];
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| queue.held(&asked, Duration::from_secs(30)));
        queue.put(asked[1], Question::blank(1, 0), 0).unwrap();
        assert_eq!(waiting.join().unwrap(), [false, true]);
    });
    let queue = wide();
    // What was listed and could not be run does not keep the leader busy; something new wakes it.
    queue.put(ticket(1, 0), Question::blank(1, 0), 0).unwrap();
    assert_eq!(list(&queue), [ticket(1, 0)]);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| queue.list(1, NOW, Duration::from_secs(30), NOW));
        queue.put(ticket(2, 0), Question::blank(1, 0), 0).unwrap();
        assert_eq!(waiting.join().unwrap(), [ticket(1, 0), ticket(2, 0)]);
    });
    assert_eq!(queue.held(&[], Duration::from_secs(30)), [] as [bool; 0]);
}

/// A client that drops one of its links after its questions were known to be whole kept the leader busy without a pause.
#[test]
fn a_question_that_a_party_has_lost_keeps_nobody_busy() {
    let queue = wide();
    queue.put(ticket(1, 0), Question::blank(1, 0), 0).unwrap();
    assert_eq!(list(&queue), [ticket(1, 0)]);
    queue.mark([(ticket(1, 0), true)]);
    assert_eq!(list(&queue), [ticket(1, 0)]);
    queue.mark([(ticket(1, 0), false)]);
    assert_eq!(
        listed_after_another(&queue, 1, Duration::from_secs(30), NOW).len(),
        2
    );
}

/// What is listed with another question of eight rows that comes a little later.
fn listed_after_another(
    queue: &Queue<u32>,
    rows: usize,
    pause: Duration,
    gather: Duration,
) -> Vec<Ticket> {
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| queue.list(rows, NOW, pause, gather));
        // Time for a list that does not wait to return without it.
        std::thread::sleep(Duration::from_millis(100));
        queue.put(ticket(9, 9), Question::blank(8, 0), 0).unwrap();
        waiting.join().unwrap()
    })
}

/// One half of a question of the most rows made every batch go without waiting for more.
#[test]
fn a_half_question_does_not_fill_a_batch() {
    let queue = wide();
    queue.put(ticket(1, 0), Question::blank(8, 0), 0).unwrap();
    let long = Duration::from_secs(30);
    // New, it may be whole.
    assert_eq!(queue.list(8, NOW, NOW, long), [ticket(1, 0)]);
    queue.mark([(ticket(1, 0), false)]);
    queue.put(ticket(2, 0), Question::blank(1, 0), 0).unwrap();
    assert_eq!(listed_after_another(&queue, 8, NOW, long).len(), 3);
}

/// To be gone at one party and whole again does not make a question wait longer.
#[test]
fn a_question_is_whole_for_the_first_time_once() {
    let queue = queue(LONG, NOW);
    queue.put(ticket(1, 0), Question::blank(1, 0), 5).unwrap();
    queue.mark([(ticket(1, 0), true)]);
    std::thread::sleep(Duration::from_millis(2));
    queue.mark([(ticket(1, 0), false)]);
    assert_eq!(queue.expire(), [(ticket(1, 0), 5, Late::Parts)]);
}

#[test]
fn nothing_is_made_of_a_question_that_is_not_taken() {
    let queue = queue(LONG, LONG);
    let bytes = Question::blank(1, 0).bytes();
    let admit =
        |number, bytes, make: fn() -> Question| queue.admit(ticket(1, number), bytes, make, 0);
    let one = || Question::blank(1, 0);
    let never = || panic!("it was hashed before there was room for it");
    assert_eq!(admit(1, bytes, one), Ok(()));
    assert_eq!(admit(1, bytes, never), Err(Full::Twice));
    assert_eq!(admit(2, 2001, never), Err(Full::Bytes(2000)));
    assert_eq!(admit(2, bytes, one), Ok(()));
    assert_eq!(admit(3, bytes, never), Err(Full::Client(2)));
    queue.close();
    assert_eq!(admit(4, bytes, never), Err(Full::Closed));
}
