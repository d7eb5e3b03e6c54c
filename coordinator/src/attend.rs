//! A party's stream: from its Hello to the end of its connection.

use std::sync::Arc;
use std::time::Duration;

use tacit_api::PROTOCOL_VERSION;
use tacit_api::proto::{FromParty, Hello, SealedShare, ToParty, from_party};
use tacit_api::roster::Roster;
use tacit_api::seal;
use tokio::sync::mpsc::{self, WeakSender};
use tokio::sync::oneshot;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use crate::change::ATTEMPT;
use crate::handle::{Admission, Handle, OUTBOX};
use crate::text::clean;

/// How long a stream may take to say Hello.
const HELLO_DEADLINE: Duration = Duration::from_secs(10);

/// The largest sealed loss, so that epochs without end cannot fill the database.
const MAX_LOSS_BYTES: usize = 256;

/// What the party receives.
pub(crate) type ToPartyStream = ReceiverStream<Result<ToParty, Status>>;

/// Admits `party` if its Hello fits and no other stream of it lives; a task then listens to it until it is gone.
pub(crate) async fn attend(
    handle: Handle,
    roster: Arc<Roster>,
    party: String,
    mut inbound: Streaming<FromParty>,
) -> Result<ToPartyStream, Status> {
    let first = tokio::time::timeout(HELLO_DEADLINE, inbound.message()).await;
    match first.map_err(|_| Status::deadline_exceeded("no Hello came"))?? {
        Some(FromParty {
            kind: Some(from_party::Kind::Hello(hello)),
        }) => check_hello(&hello, &roster)?,
        _ => return Err(Status::invalid_argument("the first message must be Hello")),
    }
    let (outbox, messages) = mpsc::channel(OUTBOX);
    let (admitted, answer) = oneshot::channel();
    // A task of its own, as the call may be abandoned at any moment, and the scheduler must learn of it all the same.
    tokio::spawn(async move {
        // Weak, so that the stream ends as soon as the scheduler lets go of the party.
        let replies = outbox.downgrade();
        let refusal = match handle.attend(&party, outbox).await {
            Ok(Some(admission)) => {
                admitted.send(Ok(())).ok();
                let Admission {
                    connection,
                    released,
                } = admission;
                let why = tokio::select! {
                    why = listen(&handle, &roster, &party, connection, &mut inbound, &replies) => why,
                    _ = released => return,
                };
                tracing::info!(party, "left: {why}");
                handle.left(&party, connection, why).await;
                return;
            }
            Ok(None) => Status::already_exists(format!(
                "{party} is already attending: stop the other process first"
            )),
            Err(stopping) => stopping,
        };
        admitted.send(Err(refusal)).ok();
    });
    answer
        .await
        .map_err(|_| Status::internal("the stream's task ended early"))??;
    Ok(ReceiverStream::new(messages))
}

/// Passes messages on until the stream ends or breaks a rule; says why it ended.
async fn listen(
    handle: &Handle,
    roster: &Roster,
    party: &str,
    connection: u64,
    inbound: &mut Streaming<FromParty>,
    replies: &WeakSender<Result<ToParty, Status>>,
) -> String {
    loop {
        let message = match inbound.message().await {
            Ok(Some(message)) => message,
            Ok(None) => return "it closed its connection".into(),
            Err(_) => return "its connection broke".into(),
        };
        match checked(message, roster, party) {
            Ok(kind) => {
                if handle.said(party, connection, kind).await.is_err() {
                    return "the coordinator is stopping".into();
                }
            }
            Err(why) => {
                if let Some(outbox) = replies.upgrade() {
                    let status = Status::invalid_argument(format!("{party} broke a rule: {why}"));
                    outbox.try_send(Err(status)).ok(); // it is cut off in any case
                }
                return why;
            }
        }
    }
}

fn check_hello(hello: &Hello, roster: &Roster) -> Result<(), Status> {
    if hello.version != PROTOCOL_VERSION {
        return Err(Status::failed_precondition(format!(
            "the coordinator speaks version {PROTOCOL_VERSION} of the control plane, the party version {}: install the \
             same release everywhere",
            hello.version
        )));
    }
    if hello.roster != roster.fingerprint().as_bytes() {
        return Err(Status::failed_precondition(format!(
            "the coordinator's roster has the fingerprint {}, the party's another one: everyone must use the same file",
            roster.fingerprint()
        )));
    }
    Ok(())
}

/// Cleans the words in a message and checks whose shares it carries; what is sealed in them stays unread.
fn checked(message: FromParty, roster: &Roster, party: &str) -> Result<from_party::Kind, String> {
    let check = |job_id: &str, share: &SealedShare, label: &str| {
        let own = share.party == party && share.label == label && share.attempt == ATTEMPT;
        if own && seal::verify(roster, job_id, share).is_ok() {
            return Ok(());
        }
        let job_id = clean(job_id);
        Err(format!(
            "it sent a share {label:?} that it did not sign for job {job_id}"
        ))
    };
    let mut kind = message.kind.ok_or("it sent an empty message")?;
    match &mut kind {
        from_party::Kind::Hello(_) => return Err("it sent a second Hello".into()),
        from_party::Kind::Verdict(verdict) => verdict.reason = clean(&verdict.reason),
        from_party::Kind::Failed(failed) => failed.reason = clean(&failed.reason),
        from_party::Kind::Progress(progress) => {
            if let Some(share) = &progress.loss {
                check(&progress.job_id, share, &seal::loss_label(progress.epoch))?;
                if share.ciphertext.len() > MAX_LOSS_BYTES {
                    return Err("its share of a loss is larger than a number".into());
                }
            }
        }
        from_party::Kind::Finished(finished) => {
            if let Some(share) = &finished.result {
                check(&finished.job_id, share, seal::RESULT)?;
            }
        }
    }
    Ok(kind)
}
