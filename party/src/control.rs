//! The connection to the coordinator: one lasting stream, made from here, made again whenever it is lost.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tacit_api::chain::chain;
use tacit_api::proto::coordinator_client::CoordinatorClient;
use tacit_api::proto::{FromParty, Hello, from_party, to_party};
use tacit_api::{MAX_MESSAGE_BYTES, PROTOCOL_VERSION};
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Status;
use tonic::transport::Endpoint;

use crate::desk::Desk;
use crate::party::Party;

/// The first pause after a lost connection; later ones double up to a limit.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// Attends at the coordinator for ever.
pub(crate) async fn attend(party: Arc<Party>, endpoint: Endpoint, longest_pause: Duration) {
    let mut pause = FIRST_PAUSE;
    loop {
        let start = Instant::now();
        let end = attend_once(&party, &endpoint).await;
        if start.elapsed() > longest_pause {
            pause = FIRST_PAUSE;
        }
        tracing::warn!(
            "not attending at the coordinator: {end}; next attempt in {:.1} s",
            pause.as_secs_f64()
        );
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(longest_pause);
    }
}

/// One connection; returns why it ended.
async fn attend_once(party: &Arc<Party>, endpoint: &Endpoint) -> String {
    let channel = match endpoint.connect().await {
        Ok(channel) => channel,
        Err(error) => return chain(&error),
    };
    let mut client = CoordinatorClient::new(channel)
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    let (out, messages) = mpsc::unbounded_channel();
    let hello = Hello {
        version: PROTOCOL_VERSION,
        roster: party.roster.fingerprint().as_bytes().to_vec(),
    };
    // The receiver is right here, so that this cannot fail.
    let _ = out.send(from_party::Kind::Hello(hello));
    let desk = Desk::new(party.clone(), out);
    let messages =
        UnboundedReceiverStream::new(messages).map(|kind| FromParty { kind: Some(kind) });
    let refused = |status: Status| status.message().to_owned();
    let mut stream = match client.attend(messages).await {
        Ok(response) => response.into_inner(),
        Err(status) => return refused(status),
    };
    tracing::info!("attending at the coordinator as {}", party.name);
    loop {
        match stream.message().await {
            Ok(Some(message)) => match message.kind {
                Some(to_party::Kind::Offer(offer)) => desk.offer(offer),
                Some(to_party::Kind::Start(start)) => desk.start(start),
                Some(to_party::Kind::Cancel(cancel)) => {
                    tracing::info!(job = cancel.job_id, "cancelled: {}", cancel.reason);
                    desk.cancel(&cancel.job_id);
                }
                None => return "it sent a message that this version does not know".into(),
            },
            Ok(None) => return "it closed the connection".into(),
            Err(status) => return refused(status),
        }
    }
}
