//! Refusals as a client hears them: a code, a sentence, and what it can do.

use tacit_api::refusal::Remedy;
use tonic::Status;

use super::super::key_store::KeyStoreError;
use super::super::queue::{Full, Refusal};

pub(super) fn not_kept(error: KeyStoreError) -> Status {
    match error {
        KeyStoreError::TooLong { .. } | KeyStoreError::Full => {
            Status::resource_exhausted(error.to_string())
        }
        // Their words name files, which are nothing to clients.
        KeyStoreError::Io { .. } | KeyStoreError::Damaged(_) => {
            tracing::error!("{error}");
            Status::internal(Refusal::Failed.to_string())
        }
        _ => Status::invalid_argument(error.to_string()),
    }
}

pub(super) fn full(error: Full) -> Status {
    match error {
        Full::Stopping => Status::unavailable(error.to_string()),
        Full::Client { again, .. } | Full::All { again, .. } => {
            Remedy::AskAgain(again).to(Status::resource_exhausted(error.to_string()))
        }
    }
}

pub(super) fn refused(refusal: &Refusal) -> Status {
    let words = refusal.to_string();
    match refusal {
        Refusal::Wrong(_) => Status::invalid_argument(words),
        Refusal::Key(_) => Remedy::SendKey.to(Status::failed_precondition(words)),
        Refusal::Late => Status::deadline_exceeded(words),
        Refusal::Stopping => Status::unavailable(words),
        Refusal::Failed => Status::internal(words),
    }
}
