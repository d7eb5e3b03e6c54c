//! What ends before it should: services, keys, patience, connections.

use std::sync::atomic::AtomicUsize;

use tacit_api::refusal::Remedy;
use tokio_stream::StreamExt;
use tonic::Code;

use super::*;

/// How long keys are of which two are more than a client may have.
const LONG: usize = 600 << 10;

fn count(counter: &AtomicUsize) -> usize {
    counter.load(Ordering::SeqCst)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_hangs_up_frees_the_worker_and_who_stays_is_told_of_the_end() {
    let mut trial = Trial::new().await;
    let mut client = trial.call(&trial.analyst).await;
    store(&mut client, KEY).await.unwrap();
    // Somebody begins to ask and never ends: that keeps nobody else from anything, nor the service from its end.
    let endless = tokio_stream::iter(question_pieces(head(4), b"wai"));
    let endless = endless.chain(tokio_stream::pending());
    let mut patient = trial.call(&trial.analyst).await;
    tokio::spawn(async move { patient.ask(endless).await.map(drop) });
    let wait = || tokio_stream::iter(question_pieces(head(4), b"wait"));
    let mut first = client.ask(wait()).await.unwrap().into_inner();
    computed(&mut first).await;
    // The worker is busy: one more may wait, a third may not.
    let mut second = client.ask(wait()).await.unwrap().into_inner();
    let full = client.ask(wait()).await.unwrap_err();
    assert_eq!(full.code(), Code::ResourceExhausted);
    assert!(matches!(Remedy::of(&full), Some(Remedy::AskAgain(_))));
    drop(first);
    computed(&mut second).await;
    assert!(trial.echo().stopped.load(Ordering::SeqCst));
    // The end of the service waits for who is served, but not for long, and not for who waits.
    let mut third = client.ask(wait()).await.unwrap().into_inner();
    trial.echo().stopped.store(false, Ordering::SeqCst);
    drop(trial.stop.take());
    for stream in [&mut third, &mut second] {
        assert!(!trial.echo().stopped.load(Ordering::SeqCst));
        let refused = loop {
            match stream.message().await {
                Ok(piece) => assert!(piece.is_some(), "it ends by a refusal"),
                Err(refused) => break refused,
            }
        };
        assert_eq!(refused.code(), Code::Unavailable);
    }
    trial.end().await;
    assert!(trial.echo().stopped.load(Ordering::SeqCst));
    drop((second, third, client));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_during_a_question_ends_it_and_costs_no_key() {
    let mut trial = Trial::new().await;
    let mut client = trial.call(&trial.analyst).await;
    store(&mut client, KEY).await.unwrap();
    let mut waits = begin(&mut client, head(4), b"wait").await.unwrap();
    computed(&mut waits).await;
    trial.restart().await;
    assert_eq!(end(waits).await.unwrap_err().code(), Code::Unavailable);
    let mut client = trial.call(&trial.analyst).await;
    assert!(store(&mut client, KEY).await.unwrap(), "it is still there");
    ask(&mut client, head(4), b"what").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_go_between_upload_and_question_can_be_sent_again() {
    let trial = Trial::with(LONG, Duration::from_secs(20), Pace::default()).await;
    let [key, other] = [KEY, OTHER].map(|key| trial.echo().key(key));
    let mut client = trial.call(&trial.analyst).await;
    let gone = async |client: &mut EncryptedClient<Channel>, key: &[u8]| {
        let refused = ask(client, head_for(key), b"what").await.unwrap_err();
        assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
        assert_eq!(Remedy::of(&refused), Some(Remedy::SendKey));
        assert!(!store(client, key).await.unwrap(), "it is taken again");
        ask(client, head_for(key), b"what").await.unwrap();
    };
    // Somebody emptied the folder under the service.
    store(&mut client, &key).await.unwrap();
    std::fs::remove_dir_all(trial.folder.path().join("analyst")).unwrap();
    assert!(store(&mut client, &key).await.unwrap(), "nobody noticed");
    gone(&mut client, &key).await;
    // Another key of the client's own took its place.
    store(&mut client, &other).await.unwrap();
    gone(&mut client, &key).await;
    gone(&mut client, &other).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_goes_while_its_question_waits_can_be_sent_again() {
    let trial = Trial::new().await;
    let mut client = trial.call(&trial.analyst).await;
    let mut second = trial.call(&trial.second).await;
    store(&mut second, KEY).await.unwrap();
    store(&mut client, KEY).await.unwrap();
    let mut busy = begin(&mut second, head(4), b"wait").await.unwrap();
    computed(&mut busy).await;
    let waits = begin(&mut client, head(4), b"what").await.unwrap();
    std::fs::remove_dir_all(trial.folder.path().join("analyst")).unwrap();
    drop(busy);
    assert_eq!(
        Remedy::of(&end(waits).await.unwrap_err()),
        Some(Remedy::SendKey)
    );
    assert!(!store(&mut client, KEY).await.unwrap());
    ask(&mut client, head(4), b"what").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn time_is_up_wherever_a_question_is() {
    let trial = Trial::with(0, Duration::from_secs(1), Pace::default()).await;
    let mut client = trial.call(&trial.analyst).await;
    let mut second = trial.call(&trial.second).await;
    for key in [KEY, SLOW] {
        store(&mut client, key).await.unwrap();
    }
    store(&mut second, KEY).await.unwrap();
    let stopped = || trial.echo().stopped.swap(false, Ordering::SeqCst);
    // While its key is made ready, and while it is computed: the worker stops.
    for (key, question) in [(SLOW, b"what"), (KEY, b"wait")] {
        let late = ask(&mut client, head_for(key), question).await.unwrap_err();
        assert_eq!(late.code(), Code::DeadlineExceeded);
        until(stopped).await;
    }
    // While a worker is at a step that does not end, and while another waits behind it: they are told all the same.
    let mut held = begin(&mut client, head(4), b"hang").await.unwrap();
    computed(&mut held).await;
    let waits = begin(&mut second, head(4), b"what").await.unwrap();
    let both = async { (end(held).await, end(waits).await) };
    let told = tokio::time::timeout(Duration::from_secs(30), both).await;
    trial.echo().let_go.store(true, Ordering::SeqCst);
    let (held, waits) = told.expect("nobody is told");
    for late in [held, waits] {
        assert_eq!(late.unwrap_err().code(), Code::DeadlineExceeded);
    }
    assert_eq!(count(&trial.echo().answered), 0);
    ask(&mut client, head(4), b"what").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_hangs_up_leaves_nothing_wherever_its_question_is() {
    let trial = Trial::new().await;
    let mut client = trial.call(&trial.analyst).await;
    let mut second = trial.call(&trial.second).await;
    for key in [KEY, SLOW] {
        store(&mut client, key).await.unwrap();
    }
    store(&mut second, KEY).await.unwrap();
    // In the middle of a key: nothing of it stays.
    let half = key_pieces(KeyId::of(OTHER), 8, &[&OTHER[..4]]);
    let half = tokio_stream::iter(half).chain(tokio_stream::pending());
    let mut sender = trial.call(&trial.analyst).await;
    let sent = tokio::spawn(async move { sender.store_key(half).await.map(drop) });
    let files = || {
        std::fs::read_dir(trial.folder.path().join("analyst"))
            .unwrap()
            .count()
    };
    until(|| files() == 3).await;
    sent.abort();
    until(|| files() == 2).await;
    // While its key is made ready.
    let mut making = begin(&mut client, head_for(SLOW), b"what").await.unwrap();
    computed(&mut making).await;
    // While it waits behind that one.
    let waits = begin(&mut second, head(4), b"what").await.unwrap();
    drop(waits);
    drop(making);
    until(|| trial.echo().stopped.load(Ordering::SeqCst)).await;
    ask(&mut client, head(4), b"what").await.unwrap();
    assert_eq!(count(&trial.echo().answered), 1, "only who stayed");
    // Who is there no longer has no calls under way.
    until(|| trial.calls.under_way() == 0).await;
}
