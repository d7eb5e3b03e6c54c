//! What a client sends in pieces: never silent for long, never longer than announced.

use std::time::{Duration, Instant};

use tokio::time::timeout_at;
use tokio_stream::StreamExt;
use tonic::{Status, Streaming};

/// An upload under way.
pub(super) struct Upload<T> {
    pieces: Streaming<T>,
    /// The longest silence in the middle of it.
    silence: Duration,
    /// When it must be whole.
    until: Instant,
}

impl<T> Upload<T> {
    pub(super) fn new(pieces: Streaming<T>, silence: Duration, longest: Duration) -> Self {
        Self {
            pieces,
            silence,
            until: Instant::now() + longest,
        }
    }

    /// The next piece of it, which must neither stand still nor go on for too long.
    pub(super) async fn next(&mut self) -> Result<Option<T>, Status> {
        let now = Instant::now();
        let (end, why) = if self.until < now + self.silence {
            (self.until, "the upload took too long")
        } else {
            (now + self.silence, "the upload stood still for too long")
        };
        // A time-out alone never strikes where the next piece is always there already.
        if end <= now {
            return Err(Status::deadline_exceeded(why));
        }
        match timeout_at(end.into(), self.pieces.next()).await {
            Ok(piece) => piece.transpose(),
            Err(_) => Err(Status::deadline_exceeded(why)),
        }
    }
}

/// Refuses pieces that bring nothing: an upload of them would come no nearer to its end.
pub(super) fn not_empty(piece: &[u8]) -> Result<(), Status> {
    if piece.is_empty() {
        return Err(Status::invalid_argument("a piece is never empty"));
    }
    Ok(())
}
