//! One watcher's view of a job: what the store remembers, then what happens.

use std::sync::Arc;

use tacit_api::proto::Event;
use tokio::sync::{broadcast, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use crate::service::internal;
use crate::store::{Store, is_over};

/// Events that may wait for a watcher's connection.
const WAITING: usize = 64;

/// What a watcher receives.
pub(crate) type EventStream = ReceiverStream<Result<Event, Status>>;

/// Streams the events of `job_id` after the sequence number `after`, up to the one that ends the job. `live` must have
/// been subscribed to before this call, so that no event falls between the store and it.
pub(crate) fn watch(
    store: Arc<dyn Store>,
    live: broadcast::Receiver<Event>,
    job_id: String,
    after: u64,
) -> EventStream {
    let (sender, events) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        tokio::select! {
            () = follow(&*store, live, &job_id, after, &sender) => {}
            () = sender.closed() => {} // the watcher has gone
        }
    });
    ReceiverStream::new(events)
}

async fn follow(
    store: &dyn Store,
    mut live: broadcast::Receiver<Event>,
    job_id: &str,
    mut last: u64,
    sender: &mpsc::Sender<Result<Event, Status>>,
) {
    loop {
        // From the store at first, and again whenever live events were missed.
        let missed = match store.events(job_id, last).await {
            Ok(events) => events,
            Err(error) => {
                sender.send(Err(internal(error))).await.ok();
                return;
            }
        };
        for event in missed {
            last = event.sequence;
            if deliver(event, sender).await {
                return;
            }
        }
        loop {
            match live.recv().await {
                Ok(event) if event.job_id != job_id || event.sequence <= last => {}
                Ok(event) => {
                    last = event.sequence;
                    if deliver(event, sender).await {
                        return;
                    }
                }
                Err(broadcast::error::RecvError::Lagged(_)) => break,
                Err(broadcast::error::RecvError::Closed) => {
                    let stopping =
                        Status::unavailable("the coordinator is stopping: watch again later");
                    sender.send(Err(stopping)).await.ok();
                    return;
                }
            }
        }
    }
}

/// Passes an event on; true if it was the last.
async fn deliver(event: Event, sender: &mpsc::Sender<Result<Event, Status>>) -> bool {
    let over = is_over(event.state());
    sender.send(Ok(event)).await.is_err() || over
}
