//! The calls of a client.

use super::*;

/// The pieces by which a key is announced and sent.
pub(super) fn key_pieces(id: KeyId, announced: u64, pieces: &[&[u8]]) -> Vec<KeyPiece> {
    let head = key_piece::Kind::Head(KeyHead {
        id: id.0.to_vec(),
        parameters: "toy".into(),
        bytes: announced,
    });
    let pieces = pieces.iter().map(|p| key_piece::Kind::Piece(p.to_vec()));
    let kinds = std::iter::once(head).chain(pieces);
    kinds.map(|kind| KeyPiece { kind: Some(kind) }).collect()
}

/// Whether the service had the key already.
pub(super) async fn store(
    client: &mut EncryptedClient<Channel>,
    key: &[u8],
) -> Result<bool, Status> {
    let pieces = key_pieces(KeyId::of(key), key.len() as u64, &[key]);
    let stored = client.store_key(tokio_stream::iter(pieces)).await?;
    Ok(stored.into_inner().known)
}

pub(super) fn head_for(key: &[u8]) -> QuestionHead {
    QuestionHead {
        model: "echo".into(),
        model_id: vec![1; 32],
        key_id: KeyId::of(key).0.to_vec(),
        bytes: 4,
    }
}

pub(super) fn head(bytes: u64) -> QuestionHead {
    QuestionHead {
        bytes,
        ..head_for(KEY)
    }
}

pub(super) fn question_pieces(head: QuestionHead, question: &[u8]) -> Vec<QuestionPiece> {
    let pieces = question
        .chunks(3)
        .map(|p| question_piece::Kind::Piece(p.to_vec()));
    let kinds = std::iter::once(question_piece::Kind::Head(head)).chain(pieces);
    kinds
        .map(|kind| QuestionPiece { kind: Some(kind) })
        .collect()
}

/// A question under way.
pub(super) async fn begin(
    client: &mut EncryptedClient<Channel>,
    head: QuestionHead,
    question: &[u8],
) -> Result<Streaming<AnswerPiece>, Status> {
    let pieces = tokio_stream::iter(question_pieces(head, question));
    Ok(client.ask(pieces).await?.into_inner())
}

/// Its answer, and how far it was seen to be.
pub(super) async fn end(mut stream: Streaming<AnswerPiece>) -> Result<(Vec<u8>, Vec<u64>), Status> {
    let (mut answer, mut seen, mut announced) = (Vec::new(), Vec::new(), 0);
    while let Some(piece) = stream.message().await? {
        match piece.kind.unwrap() {
            answer_piece::Kind::Waiting(_) => {}
            answer_piece::Kind::Progress(steps) => seen.push(steps.done),
            answer_piece::Kind::Bytes(bytes) => announced = bytes,
            answer_piece::Kind::Piece(piece) => answer.extend(piece),
        }
    }
    assert_eq!(answer.len() as u64, announced);
    Ok((answer, seen))
}

pub(super) async fn ask(
    client: &mut EncryptedClient<Channel>,
    head: QuestionHead,
    question: &[u8],
) -> Result<(Vec<u8>, Vec<u64>), Status> {
    end(begin(client, head, question).await?).await
}

/// Reads up to the moment when a worker has the question.
pub(super) async fn computed(stream: &mut Streaming<AnswerPiece>) {
    let working = |kind| matches!(kind, Some(answer_piece::Kind::Progress(_)));
    while !working(stream.message().await.unwrap().unwrap().kind) {}
}

/// Waits until something that happens soon has happened.
pub(super) async fn until(happened: impl Fn() -> bool) {
    for _ in 0..2000 {
        if happened() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it does not happen");
}
