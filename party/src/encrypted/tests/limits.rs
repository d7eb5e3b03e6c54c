//! Clients that send too much, too slowly, or too many things at once.

use tacit_api::proto::ModelsRequest;
use tacit_api::refusal::Remedy;
use tokio_stream::StreamExt;
use tonic::Code;

use super::super::connections::MOST;
use super::*;

/// What a call comes to whose client says no more, and does not end.
async fn refused<T>(call: impl Future<Output = Result<T, Status>>) -> Status {
    let refused = tokio::time::timeout(Duration::from_secs(30), call).await;
    match refused.expect("nothing is refused") {
        Ok(_) => panic!("it is taken"),
        Err(refused) => refused,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_announced_is_cut_at_once() {
    let trial = Trial::new().await;
    let mut client = trial.call(&trial.analyst).await;
    store(&mut client, OTHER).await.unwrap();
    let endless = key_pieces(KeyId::of(KEY), 8, &[KEY, b"s"]);
    let endless = tokio_stream::iter(endless).chain(tokio_stream::pending());
    let cut = refused(client.store_key(endless)).await;
    assert_eq!(cut.code(), Code::InvalidArgument);
    assert!(cut.message().contains("longer"), "{cut}");
    let endless = question_pieces(head_for(OTHER), b"what?");
    let endless = tokio_stream::iter(endless).chain(tokio_stream::pending());
    let cut = refused(client.ask(endless)).await;
    assert!(cut.message().contains("longer"), "{cut}");
    // And what is announced too long, before any of it comes.
    let announced = tokio_stream::iter(key_pieces(KeyId::of(KEY), 1 << 40, &[]));
    let cut = refused(client.store_key(announced.chain(tokio_stream::pending()))).await;
    assert!(
        cut.message().contains("has 8 bytes, not 1099511627776"),
        "{cut}"
    );
    let announced = tokio_stream::iter(question_pieces(head(1 << 40), b""));
    let cut = refused(client.ask(announced.chain(tokio_stream::pending()))).await;
    assert!(
        cut.message().contains("has 4 bytes, not 1099511627776"),
        "{cut}"
    );
    // A single message of more than the service holds in memory.
    let long = vec![0; (1 << 20) + 1];
    let long = tokio_stream::iter(key_pieces(KeyId::of(KEY), 8, &[&long]));
    let cut = refused(client.store_key(long.chain(tokio_stream::pending()))).await;
    assert_eq!(cut.code(), Code::OutOfRange, "{cut}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_slow_is_cut_off() {
    let seconds = Duration::from_secs;
    let pace = Pace {
        silence: seconds(1),
        key: seconds(2),
        question: seconds(2),
        ..Pace::default()
    };
    let trial = Trial::with(100_000, Duration::from_secs(20), pace).await;
    let mut client = trial.call(&trial.analyst).await;
    let key = trial.echo().key(KEY);
    // Silence: before the first piece, in the middle of a key, and in the middle of a question.
    let nothing = tokio_stream::pending::<KeyPiece>();
    let cut = refused(client.store_key(nothing)).await;
    assert_eq!(cut.code(), Code::DeadlineExceeded);
    let announced = || key_pieces(KeyId::of(&key), key.len() as u64, &[&key[..9]]);
    let half = tokio_stream::iter(announced()).chain(tokio_stream::pending());
    let cut = refused(client.store_key(half)).await;
    assert!(cut.message().contains("stood still"), "{cut}");
    // A drop now and then: never silent for long, and never whole.
    let drops = tokio_stream::iter(announced()).chain(drops_of(&key));
    let cut = refused(client.store_key(drops)).await;
    assert!(cut.message().contains("took too long"), "{cut}");
    store(&mut client, &key).await.unwrap();
    let half = question_pieces(head_for(&key), b"wha");
    let half = tokio_stream::iter(half).chain(tokio_stream::pending());
    let cut = refused(client.ask(half)).await;
    assert!(cut.message().contains("stood still"), "{cut}");
    ask(&mut client, head_for(&key), b"what").await.unwrap();
}

/// A byte of a key every 20 milliseconds.
fn drops_of(key: &[u8]) -> impl tokio_stream::Stream<Item = KeyPiece> + use<> {
    let pieces = key_pieces(KeyId::of(key), 0, &[&b"e"[..]; 1000]);
    let drops = pieces.into_iter().skip(1);
    tokio_stream::iter(drops).throttle(Duration::from_millis(20))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_has_so_many_connections_and_takes_none_from_others() {
    let trial = Trial::new().await;
    // Listed or not: who is not is refused by words, and holds a connection all the same.
    let answered = async |member: &Member| {
        let mut client = trial.reach(member).await?;
        let answer = client.models(ModelsRequest {}).await;
        let heard = answer.map_or_else(|e| e.code() == Code::PermissionDenied, |_| true);
        heard.then_some(client)
    };
    for member in [&trial.analyst, &trial.stranger] {
        let mut held = Vec::new();
        for _ in 0..MOST {
            held.push(answered(member).await.expect("there is room"));
        }
        assert!(answered(member).await.is_none(), "one more is dropped");
        assert!(answered(&trial.second).await.is_some());
        held.pop();
        let mut again = None;
        for _ in 0..500 {
            again = answered(member).await;
            if again.is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        again.expect("who is gone makes room");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_has_so_many_calls_at_a_time_over_all_its_connections() {
    let trial = Trial::new().await;
    let begun =
        || tokio_stream::iter(question_pieces(head(4), b"wha")).chain(tokio_stream::pending());
    let mut first = trial.call(&trial.analyst).await;
    store(&mut first, KEY).await.unwrap();
    let mut calls = Vec::new();
    for _ in 0..64 {
        let (mut client, begun) = (first.clone(), begun());
        calls.push(tokio::spawn(
            async move { client.ask(begun).await.map(drop) },
        ));
    }
    until(|| trial.calls.under_way() == 64).await;
    let mut another = trial.call(&trial.analyst).await;
    let cut = refused(another.ask(begun())).await;
    assert_eq!(cut.code(), Code::ResourceExhausted);
    assert!(matches!(Remedy::of(&cut), Some(Remedy::AskAgain(_))));
    let mut second = trial.call(&trial.second).await;
    store(&mut second, KEY).await.unwrap();
    ask(&mut second, head(4), b"what").await.unwrap();
    calls.drain(..).for_each(|call| call.abort());
    until(|| trial.calls.under_way() == 0).await;
    ask(&mut another, head(4), b"what").await.unwrap();
}
