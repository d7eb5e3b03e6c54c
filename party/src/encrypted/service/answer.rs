//! An answer on its way to the client.

use std::time::{Duration, Instant};

use tacit_api::proto::{AnswerPiece, Bootstraps, answer_piece};
use tokio::sync::{mpsc, watch};
use tokio::time::sleep_until;
use tonic::Status;

use super::super::queue::{Refusal, State};
use super::status::refused;

/// How long the pieces of an answer are.
const PIECE: usize = 64 << 10;
/// How long after its deadline a question may still hear from the queue itself that it is late.
const GRACE: Duration = Duration::from_secs(1);

/// The client has hung up, or does not read.
pub(super) struct Gone;

/// Says one thing to the client, which must not leave it unread for ever.
async fn say(
    out: &mpsc::Sender<Result<AnswerPiece, Status>>,
    unread: Duration,
    piece: Result<AnswerPiece, Status>,
) -> Result<(), Gone> {
    let sent = out.send_timeout(piece, unread).await;
    sent.map_err(|_| Gone)
}

/// Tells the client what becomes of its question. Ends when the client hangs up or does not read, and when its time is up,
/// whatever a worker is at: the watch is let go of, and the queue sees it.
pub(super) async fn tell(
    mut watched: watch::Receiver<State>,
    out: &mpsc::Sender<Result<AnswerPiece, Status>>,
    unread: Duration,
    deadline: Instant,
) -> Result<(), Gone> {
    let say = |what| say(out, unread, what);
    let piece = |kind| Ok(AnswerPiece { kind: Some(kind) });
    loop {
        let state = watched.borrow_and_update().clone();
        match state {
            State::Waiting(before) => {
                say(piece(answer_piece::Kind::Waiting(before as u64))).await?;
            }
            State::Working { done, all } => {
                let (done, all) = (done as u64, all as u64);
                let progress = answer_piece::Kind::Progress(Bootstraps { done, all });
                say(piece(progress)).await?;
            }
            State::Over(Ok(bytes)) => {
                drop(watched); // it holds the answer a second time
                say(piece(answer_piece::Kind::Bytes(bytes.len() as u64))).await?;
                for part in bytes.chunks(PIECE) {
                    say(piece(answer_piece::Kind::Piece(part.to_vec()))).await?;
                }
                return Ok(());
            }
            State::Over(Err(refusal)) => return say(Err(refused(&refusal))).await,
        }
        tokio::select! {
            changed = watched.changed() => if changed.is_err() {
                return say(Err(refused(&Refusal::Failed))).await;
            },
            () = out.closed() => return Ok(()),
            () = sleep_until((deadline + GRACE).into()) => {
                return say(Err(refused(&Refusal::Late))).await;
            }
        }
    }
}
