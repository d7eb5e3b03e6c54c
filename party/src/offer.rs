//! What a party answers when a job is offered to it. Nothing that the coordinator says is believed: the submitter's
//! signature, the roster, the journal and the party's own policy and declarations decide.
//!
//! Everybody sees the answer, so it must not depend on rows: what a job says about data is held against what this party
//! has declared, and a file that cannot be used is one and the same sentence, whatever the job and the fault. Nor on weights:
//! a job for a model of this party's is held against what the configuration says, and what its weights have a part in has been
//! decided before (`own_model.rs`).

use std::time::Duration;

use tacit_api::job::{JobSpec, ServiceSpec, Weights};
use tacit_api::member::Role;
use tacit_api::policy::Refusal;
use tacit_api::proto::Offer;
use tacit_api::roster::RosterError;
use tacit_api::sign::{SignatureError, job_digest, job_id, verify_job};
use tacit_nn::onnx::Model;
use tokio::sync::OwnedSemaphorePermit;

use crate::data::Rows;
use crate::dataset::Difference;
use crate::own_model::{NotOffered, pairs};
use crate::party::Party;
use crate::row_count::most_rows;
use crate::seats::Seats;
use crate::serve::{Held, ModelError, Served, Terms, longest_silence};
use crate::train_job::Plan;

/// A job that this party has agreed to, ready to start.
pub(crate) struct Accepted {
    pub(crate) id: String,
    /// The hash of all that its submitter signed.
    pub(crate) digest: [u8; 32],
    pub(crate) job: JobSpec,
    pub(crate) seats: Seats,
    pub(crate) work: Work,
}

/// What a party brings to a job.
pub(crate) enum Work {
    /// What is trained, and its rows, if it contributes.
    Train(Box<Plan>, Option<Rows>),
    /// The model that it serves, with its weights if it knows them, and the permit to serve one more.
    Serve(Box<Served>, Terms, OwnedSemaphorePermit),
}

/// Why a job is refused. `Display` goes to the coordinator.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Declined {
    /// The offer is empty, or names a job by another identifier than its own.
    #[error("the offer holds no job of this identifier")]
    Mislabelled,
    /// The submitter did not sign this job.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// Somebody that the job names is not a member.
    #[error(transparent)]
    Roster(#[from] RosterError),
    /// Somebody that should compute or contribute is a client.
    #[error("{0} is a client, and only parties compute or contribute")]
    Client(String),
    /// The job does not name this party.
    #[error("the job has no part for me")]
    NoPart,
    /// The job has run here before.
    #[error("this job has already run here: submit it again to sign it anew")]
    Replay,
    /// A session of the same three ended in a failed proof, and the operator has not said that it is understood.
    #[error(
        "job {0}, computed by the same three parties, ended in a failed proof: until my operator has put that incident away, I \
         do not compute with them"
    )]
    Incident(String),
    /// What happened before cannot be told. Why is this institution's own business, and only in its log.
    #[error("my record of incidents cannot be read: its operator finds the reason in my log")]
    NoRecord,
    /// The party's policy forbids it.
    #[error(transparent)]
    Policy(#[from] Refusal),
    /// The model cannot be served.
    #[error("the model cannot be served: {0}")]
    Model(#[from] ModelError),
    /// The weights should be this party's, and it has no such model.
    #[error("the job names me as the owner of a model that my configuration does not declare")]
    NotMyModel,
    /// The weights are this party's, and it does not serve them like this.
    #[error(transparent)]
    NotOffered(#[from] NotOffered),
    /// Its batches wait for more questions for so long that the links between the parties would be given up.
    #[error(
        "batches would wait {} ms for more questions (service.gather_ms), at most {} ms go with my deadline of {} s for \
         exchanges", .gather.as_millis(), .most.as_millis(), .exchange.as_secs()
    )]
    Gather {
        /// What the job says.
        gather: Duration,
        /// The most.
        most: Duration,
        /// Longest silence of a peer here.
        exchange: Duration,
    },
    /// No engine can run it.
    #[error("the job cannot be run: {0}")]
    Training(tacit_nn::Error),
    /// More rows, padding included, than a session takes.
    #[error("a contributor may share at most {0} rows of these columns")]
    TooManyRows(usize),
    /// The party has declared no such data set.
    #[error("my configuration declares no data set {0:?}")]
    Undeclared(String),
    /// The job describes the data in another way than this party.
    #[error(transparent)]
    Difference(#[from] Difference),
    /// The rows cannot be used now. Why is this institution's own business, and only in its log.
    #[error("my data set cannot be used at present: its operator finds the reason in my log")]
    Unusable,
}

/// Decides on an offer, and reads the rows that it needs. Takes as long as the file is large.
pub(crate) fn consider(party: &Party, offer: &Offer) -> Result<Accepted, Declined> {
    let signed = offer.job.as_ref().ok_or(Declined::Mislabelled)?;
    let id = job_id(signed);
    if id != offer.job_id {
        return Err(Declined::Mislabelled);
    }
    let job = verify_job(signed, &party.roster)?;
    if party.journal.has(&id) {
        return Err(Declined::Replay);
    }
    party.policy.check_job(&job, &signed.submitter)?;
    if job.service.is_none() {
        party.policy.check_budget(party.journal.trainings())?;
    }
    party.roster.member(&job.recipient)?;
    for name in job.parties() {
        if party.roster.member(name)?.role() != Role::Party {
            return Err(Declined::Client(name.to_owned()));
        }
    }
    let seats = Seats::new(&job, &party.name).ok_or(Declined::NoPart)?;
    if seats.computes() {
        check_incidents(party, &id, &job)?;
    }
    let work = match &job.service {
        Some(service) => serve(party, &job, service, &signed.model)?,
        None => train(party, &id, &job, &seats)?,
    };
    Ok(Accepted {
        id,
        digest: job_digest(signed),
        job,
        seats,
        work,
    })
}

/// Whoever computed a session whose proof failed does not compute together again before it is understood.
pub(crate) fn check_incidents(party: &Party, id: &str, job: &JobSpec) -> Result<(), Declined> {
    match party.incidents.among(&job.compute) {
        Ok(None) => Ok(()),
        Ok(Some(incident)) => Err(Declined::Incident(incident.job)),
        Err(error) => {
            tracing::error!(job = id, "{error}");
            Err(Declined::NoRecord)
        }
    }
}

/// What this party brings to a service.
fn serve(
    party: &Party,
    job: &JobSpec,
    service: &ServiceSpec,
    file: &[u8],
) -> Result<Work, Declined> {
    for client in &service.clients {
        party.roster.member(client)?;
    }
    check_gather(
        Duration::from_millis(service.gather_ms),
        party.connector.deadlines.exchange,
    )?;
    let max = party.policy.max_services;
    let permit = party.services.clone().try_acquire_owned();
    let permit = permit.map_err(|_| Refusal::TooManyServices { max })?;
    let (held, own) = match &job.model.weights {
        Weights::Public => (Held::Public, None),
        Weights::Owner(owner) => {
            let seat = job.compute.iter().position(|name| name == owner);
            let own = if *owner == party.name {
                let mut models = party.models.iter();
                Some(
                    models
                        .find(|own| own.has_skeleton(file))
                        .ok_or(Declined::NotMyModel)?,
                )
            } else {
                None
            };
            (Held::Owner(seat.unwrap_or_default()), own)
        }
    };
    let model = match own {
        Some(own) => {
            own.offers(service)?;
            own.model.clone()
        }
        None => Model::parse(file).map_err(ModelError::from)?,
    };
    let terms = Terms {
        clients: service.clients.clone(),
        fraction_bits: service.fraction_bits,
        protocol: job.protocol,
        max_rows: service.max_rows,
        gather: Duration::from_millis(service.gather_ms),
        duration: Duration::from_secs(60 * service.minutes),
        bounds: pairs(&service.bounds),
    };
    let served = Served::new(model, held, &terms)?;
    Ok(Work::Serve(Box::new(served), terms, permit))
}

/// An idle service must show that it is alive twice as often as links need it.
fn check_gather(gather: Duration, exchange: Duration) -> Result<(), Declined> {
    if longest_silence(gather) < exchange / 2 {
        return Ok(());
    }
    let most = (exchange / 2).saturating_sub(longest_silence(Duration::from_millis(1)));
    Err(Declined::Gather {
        gather,
        most,
        exchange,
    })
}

/// What this party brings to a training.
fn train(party: &Party, id: &str, job: &JobSpec, seats: &Seats) -> Result<Work, Declined> {
    let plan = Plan::of(job).map_err(Declined::Training)?;
    let parameters = plan.parameters().map_err(Declined::Training)?;
    party.policy.check_parameters(parameters)?;
    let most = most_rows(job);
    if job.data.pad_rows.is_some_and(|rows| rows > most) {
        return Err(Declined::TooManyRows(most));
    }
    let rows = if seats.contributes() {
        Some(read_rows(party, id, job, most)?)
    } else {
        None
    };
    Ok(Work::Train(Box::new(plan), rows))
}

/// This party's rows for the job `id`: at most `most` of them.
fn read_rows(party: &Party, id: &str, job: &JobSpec, most: usize) -> Result<Rows, Declined> {
    let name = &job.data.dataset;
    let dataset = party
        .datasets
        .get(name)
        .ok_or_else(|| Declined::Undeclared(name.clone()))?;
    let agreed = dataset.agree(&job.data)?;
    let mut rows = dataset.read(&agreed).map_err(|error| {
        tracing::error!(job = id, "{error}");
        Declined::Unusable
    })?;
    if job.model.onnx.is_some() {
        rows.unscale(&agreed);
    }
    if rows.len() > most {
        let file = dataset.file();
        tracing::error!(
            job = id,
            "{file}: has more than the {most} rows of these columns that a session takes"
        );
        return Err(Declined::Unusable);
    }
    Ok(rows)
}

#[cfg(test)]
mod tests;
