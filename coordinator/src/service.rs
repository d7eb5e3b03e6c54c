//! The calls of the control plane, each by a member of the roster.

use std::sync::Arc;

use tacit_api::member::{Member, Role};
use tacit_api::proto::coordinator_server::Coordinator;
use tacit_api::proto::{
    CancelRequest, Cancelled, FetchRequest, FromParty, HeadRequest, JobHead, JobList, JobState,
    JobsRequest, Release, SignedJob, Submitted, WatchRequest,
};
use tacit_api::roster::Roster;
use tacit_api::{sign, tls};
use tonic::{Request, Response, Status, Streaming};

use crate::attend::{self, ToPartyStream};
use crate::change::Submission;
use crate::handle::Handle;
use crate::store::{Store, StoreError, StoredJob, is_over};
use crate::watch::{self, EventStream};

/// The most jobs that one list holds.
const MAX_LISTED: u32 = 1000;

/// What every call needs.
pub(crate) struct Service {
    pub(crate) roster: Arc<Roster>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) handle: Handle,
}

impl Service {
    /// The member that calls, by the certificate of its connection.
    fn caller<T>(&self, request: &Request<T>) -> Result<&Member, Status> {
        let fingerprint = tls::peer(request)
            .ok_or_else(|| Status::unauthenticated("show a certificate of the consortium"))?;
        self.roster.by_fingerprint(&fingerprint).ok_or_else(|| {
            Status::permission_denied(format!(
                "the coordinator's roster has no member with the certificate {fingerprint}: use the current roster, \
                 or ask the coordinator's operator to admit you"
            ))
        })
    }

    async fn job(&self, id: &str) -> Result<StoredJob, Status> {
        let job = self.store.job(id).await.map_err(internal)?;
        job.ok_or_else(|| Status::not_found("there is no job with this identifier"))
    }
}

#[tonic::async_trait]
impl Coordinator for Service {
    type AttendStream = ToPartyStream;
    type WatchStream = EventStream;

    async fn attend(
        &self,
        request: Request<Streaming<FromParty>>,
    ) -> Result<Response<ToPartyStream>, Status> {
        let caller = self.caller(&request)?;
        if caller.role() != Role::Party {
            return Err(Status::permission_denied(format!(
                "{} is a client of this consortium: only parties attend",
                caller.name()
            )));
        }
        let (party, roster) = (caller.name().to_owned(), self.roster.clone());
        let inbound = request.into_inner();
        let stream = attend::attend(self.handle.clone(), roster, party, inbound).await?;
        Ok(Response::new(stream))
    }

    async fn submit(&self, request: Request<SignedJob>) -> Result<Response<Submitted>, Status> {
        let caller = self.caller(&request)?.name();
        let signed = request.into_inner();
        if signed.submitter != caller {
            return Err(Status::permission_denied(format!(
                "{caller} cannot submit a job that somebody else signed"
            )));
        }
        let spec = sign::verify_job(&signed, &self.roster)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        for party in spec.parties() {
            let member = self.roster.member(party);
            if !member.is_ok_and(|member| member.role() == Role::Party) {
                return Err(Status::invalid_argument(format!(
                    "the job names {party}, which is not a party of {}",
                    self.roster.name()
                )));
            }
        }
        self.roster
            .member(&spec.recipient)
            .map_err(|error| Status::invalid_argument(format!("recipient: {error}")))?;
        let id = sign::job_id(&signed);
        let submission = Submission {
            id: id.clone(),
            spec,
            signed,
        };
        self.handle.submit(submission).await?;
        Ok(Response::new(Submitted { job_id: id }))
    }

    async fn jobs(&self, request: Request<JobsRequest>) -> Result<Response<JobList>, Status> {
        self.caller(&request)?;
        let jobs = self.store.newest(MAX_LISTED).await.map_err(internal)?;
        Ok(Response::new(JobList { jobs }))
    }

    async fn watch(&self, request: Request<WatchRequest>) -> Result<Response<EventStream>, Status> {
        self.caller(&request)?;
        let request = request.into_inner();
        self.job(&request.job_id).await?;
        let events = self.handle.events()?;
        let stream = watch::watch(self.store.clone(), events, request.job_id, request.after);
        Ok(Response::new(stream))
    }

    async fn fetch(&self, request: Request<FetchRequest>) -> Result<Response<Release>, Status> {
        let caller = self.caller(&request)?.name();
        let job = self.job(&request.get_ref().job_id).await?;
        let summary = &job.summary;
        if caller != summary.recipient && caller != summary.submitter {
            return Err(Status::permission_denied(format!(
                "the result of {} is for {}",
                summary.name, summary.recipient
            )));
        }
        if summary.state() != JobState::Done {
            let state = match summary.state() {
                JobState::Failed => format!("failed: {}", summary.reason),
                JobState::Cancelled => "was cancelled".to_owned(),
                _ => "is not done yet: watch it".to_owned(),
            };
            return Err(Status::failed_precondition(format!(
                "{} {state}",
                summary.name
            )));
        }
        let shares = self.store.shares(&summary.id).await.map_err(internal)?;
        Ok(Response::new(Release {
            job: Some(job.signed),
            shares,
        }))
    }

    async fn head(&self, request: Request<HeadRequest>) -> Result<Response<JobHead>, Status> {
        self.caller(&request)?;
        let job = self.job(&request.get_ref().job_id).await?;
        Ok(Response::new(sign::job_head(&job.signed)))
    }

    async fn cancel(&self, request: Request<CancelRequest>) -> Result<Response<Cancelled>, Status> {
        let caller = self.caller(&request)?.name();
        let job = self.job(&request.get_ref().job_id).await?;
        if caller != job.summary.submitter {
            return Err(Status::permission_denied(format!(
                "only {}, who submitted {}, can cancel it",
                job.summary.submitter, job.summary.name
            )));
        }
        if is_over(job.summary.state()) {
            let over = format!("{} is over already", job.summary.name);
            return Err(Status::failed_precondition(over));
        }
        self.handle.cancel(&job.summary.id, caller).await?;
        Ok(Response::new(Cancelled {}))
    }
}

/// A caller learns that the store failed; the log says how.
pub(crate) fn internal(error: StoreError) -> Status {
    tracing::error!("{error}");
    Status::internal("the coordinator cannot read its database: tell its operator")
}
