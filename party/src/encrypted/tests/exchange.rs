//! Keys and questions as they should be, and what is refused of others.

use tacit_api::proto::ModelsRequest;
use tacit_api::refusal::Remedy;
use tonic::Code;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_sent_once_and_questions_are_answered_also_after_a_restart() {
    let mut trial = Trial::new().await;
    let mut client = trial.call(&trial.analyst).await;
    let models = client.models(ModelsRequest {}).await.unwrap().into_inner();
    let names: Vec<_> = models.models.iter().map(|model| &*model.name).collect();
    assert_eq!(names, ["echo", "sums"]);
    let id = KeyId::of(KEY);
    let pieces = key_pieces(id, 8, &[&KEY[..3], &KEY[3..]]);
    let stored = client.store_key(tokio_stream::iter(pieces)).await.unwrap();
    assert!(!stored.into_inner().known);
    let announced = tokio_stream::iter(key_pieces(id, 8, &[]));
    let stored = client.store_key(announced).await.unwrap();
    assert!(stored.into_inner().known);
    let (answer, seen) = ask(&mut client, head(4), b"what").await.unwrap();
    assert_eq!(answer, b"whatevaluate");
    assert!(seen.len() >= 2 && seen.is_sorted(), "{seen:?}");
    ask(&mut client, head(4), b"then").await.unwrap();
    assert_eq!(
        trial.echo().expanded.load(Ordering::SeqCst),
        1,
        "the key was ready"
    );
    trial.restart().await;
    let mut client = trial.call(&trial.analyst).await;
    assert_eq!(
        ask(&mut client, head(4), b"what").await.unwrap().0,
        b"whatevaluate"
    );
    assert_eq!(trial.echo().expanded.load(Ordering::SeqCst), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_listed_is_refused() {
    let trial = Trial::new().await;
    for member in [&trial.stranger, &trial.north] {
        let mut client = trial.call(member).await;
        let refused = client.models(ModelsRequest {}).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
        let refused = store(&mut client, KEY).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
        let refused = ask(&mut client, head(4), b"what").await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_refused_in_words() {
    let trial = Trial::new().await;
    let mut client = trial.call(&trial.analyst).await;
    for (announced, pieces, words) in [
        (9, vec![KEY], "has 8 bytes, not 9"),
        (8, vec![&KEY[..7]], "cut off"),
        (8, vec![KEY, b"s"], "longer"),
        (8, vec![&b"evaluatE"[..]], "hash"),
        (8, vec![KEY, b""], "never empty"),
    ] {
        let pieces = tokio_stream::iter(key_pieces(KeyId::of(KEY), announced, &pieces));
        let refused = client.store_key(pieces).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().contains(words), "{refused}");
    }
    let unknown = ask(&mut client, head(4), b"what").await.unwrap_err();
    assert!(unknown.message().contains("send it first"), "{unknown}");
    assert_eq!(Remedy::of(&unknown), Some(Remedy::SendKey));
    store(&mut client, KEY).await.unwrap();
    let another = QuestionHead {
        model: "digits".into(),
        ..head(4)
    };
    let replaced = QuestionHead {
        model_id: vec![2; 32],
        ..head(4)
    };
    for (head, question, words) in [
        (head(5), &b"what?"[..], "has 4 bytes, not 5"),
        (head(4), b"wha", "cut off"),
        (head(4), b"what?", "longer"),
        (another, b"what", "there are: echo, sums"),
        (replaced, b"what", "replaced"),
    ] {
        let refused = ask(&mut client, head, question).await.unwrap_err();
        assert!(refused.message().contains(words), "{refused}");
    }
    let mut empty = question_pieces(head(4), b"what");
    let kind = Some(question_piece::Kind::Piece(Vec::new()));
    empty.push(QuestionPiece { kind });
    let refused = client.ask(tokio_stream::iter(empty)).await.unwrap_err();
    assert!(refused.message().contains("never empty"), "{refused}");
    let bare = tokio_stream::iter(Vec::<QuestionPiece>::new());
    assert!(
        client
            .ask(bare)
            .await
            .unwrap_err()
            .message()
            .contains("announce")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_lost_a_key_to_damage_is_told_so_but_not_where() {
    let trial = Trial::new().await;
    let mut client = trial.call(&trial.analyst).await;
    store(&mut client, KEY).await.unwrap();
    let file = format!("analyst/{}.key", KeyId::of(KEY));
    std::fs::write(trial.folder.path().join(file), b"evaluatE").unwrap();
    let damaged = ask(&mut client, head(4), b"what").await.unwrap_err();
    assert_eq!(
        damaged.message(),
        "the key was damaged here and removed: send it again"
    );
    assert_eq!(Remedy::of(&damaged), Some(Remedy::SendKey));
    assert!(!store(&mut client, KEY).await.unwrap());
    ask(&mut client, head(4), b"what").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_panics_harms_no_other() {
    let trial = Trial::new().await;
    let mut client = trial.call(&trial.analyst).await;
    store(&mut client, KEY).await.unwrap();
    let failed = ask(&mut client, head(4), b"boom").await.unwrap_err();
    assert_eq!(failed.code(), Code::Internal);
    assert!(
        !failed.message().contains("as the test asks"),
        "nothing of the inside is told"
    );
    ask(&mut client, head(4), b"what").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_looks_nothing_up_asks_for_no_key() {
    let trial = Trial::new().await;
    let mut client = trial.call(&trial.analyst).await;
    let models = client.models(ModelsRequest {}).await.unwrap().into_inner();
    assert_eq!([false, true], [0, 1].map(|k| models.models[k].keyless));
    let head = QuestionHead {
        model: "sums".into(),
        key_id: Vec::new(),
        ..head(4)
    };
    assert_eq!(ask(&mut client, head, b"what").await.unwrap().0, b"what");
    let without = QuestionHead {
        key_id: Vec::new(),
        ..head_for(KEY)
    };
    let refused = ask(&mut client, without, b"what").await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(trial.models[1].expanded.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_questions_under_two_keys_get_each_its_own() {
    let trial = Trial::new().await;
    let mut client = trial.call(&trial.analyst).await;
    for key in [KEY, OTHER] {
        store(&mut client, key).await.unwrap();
    }
    let mut first = begin(&mut client, head_for(KEY), b"what").await.unwrap();
    computed(&mut first).await;
    let second = begin(&mut client, head_for(OTHER), b"what").await.unwrap();
    let (first, second) = tokio::join!(end(first), end(second));
    assert_eq!(first.unwrap().0, b"whatevaluate");
    assert_eq!(second.unwrap().0, b"whatEVALUATE");
    // Nobody computes with the keys of others, whatever they are called.
    let mut second = trial.call(&trial.second).await;
    let refused = ask(&mut second, head_for(KEY), b"what").await.unwrap_err();
    assert_eq!(Remedy::of(&refused), Some(Remedy::SendKey));
}
