//! The calls that a client makes to the coordinator.

use anyhow::{Context, Result, anyhow};
use tacit_api::MAX_MESSAGE_BYTES;
use tacit_api::proto::coordinator_client::CoordinatorClient;
use tacit_api::proto::{
    CancelRequest, Event, FetchRequest, HeadRequest, Job, JobHead, JobsRequest, Release, SignedJob,
    WatchRequest,
};
use tacit_api::tls::coordinator_endpoint;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

use crate::home::Member;
use crate::text::printable;

/// A connection to the coordinator, mutually authenticated.
#[derive(Clone, Debug)]
pub struct Connection {
    client: CoordinatorClient<Channel>,
}

impl Connection {
    /// Connects as `member` to the coordinator of its roster.
    pub async fn open(member: &Member) -> Result<Self> {
        let address = member.roster.coordinator_address();
        let endpoint = coordinator_endpoint(&member.identity, &member.roster, address)?;
        let channel = endpoint
            .connect()
            .await
            .with_context(|| format!("cannot reach the coordinator at {address}"))?;
        let client = CoordinatorClient::new(channel)
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        Ok(Self { client })
    }

    /// Puts a job into the queue; its identifier.
    pub async fn submit(&mut self, job: SignedJob) -> Result<String> {
        let reply = self.client.submit(job).await.map_err(refused)?;
        Ok(reply.into_inner().job_id)
    }

    /// All jobs, newest first.
    pub async fn jobs(&mut self) -> Result<Vec<Job>> {
        let reply = self.client.jobs(JobsRequest {}).await.map_err(refused)?;
        Ok(reply.into_inner().jobs)
    }

    /// What happens to a job, from its beginning.
    pub async fn watch(&mut self, job_id: &str) -> Result<Events> {
        let request = WatchRequest {
            job_id: job_id.to_owned(),
            after: 0,
        };
        let reply = self.client.watch(request).await.map_err(refused)?;
        Ok(Events {
            stream: reply.into_inner(),
        })
    }

    /// A job as its submitter signed it, without its model file: what the coordinator says has not been checked.
    pub async fn head(&mut self, job_id: &str) -> Result<JobHead> {
        let request = HeadRequest {
            job_id: job_id.to_owned(),
        };
        let reply = self.client.head(request).await.map_err(refused)?;
        Ok(reply.into_inner())
    }

    /// The sealed result of a job that is done.
    pub async fn fetch(&mut self, job_id: &str) -> Result<Release> {
        let request = FetchRequest {
            job_id: job_id.to_owned(),
        };
        Ok(self
            .client
            .fetch(request)
            .await
            .map_err(refused)?
            .into_inner())
    }

    /// Stops a job that we submitted.
    pub async fn cancel(&mut self, job_id: &str) -> Result<()> {
        let request = CancelRequest {
            job_id: job_id.to_owned(),
        };
        self.client.cancel(request).await.map_err(refused)?;
        Ok(())
    }
}

/// The events of one job, up to the one that ends it.
pub struct Events {
    stream: Streaming<Event>,
}

impl Events {
    /// The next event; `None` after the last.
    pub async fn next(&mut self) -> Result<Option<Event>> {
        self.stream.message().await.map_err(refused)
    }
}

/// The coordinator's answer as an error: its sentence says it all.
pub(crate) fn refused(status: Status) -> anyhow::Error {
    let sentence = printable(status.message());
    if sentence.is_empty() {
        anyhow!("the server answered {:?} without a reason", status.code())
    } else {
        anyhow!("{sentence}")
    }
}
