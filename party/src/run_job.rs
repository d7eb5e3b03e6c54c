//! One job from its start to the message that ends it.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use tacit_api::job::Protocol;
use tacit_api::misbehaviour::PeerMisbehaved;
use tacit_api::policy::Refusal;
use tacit_api::proto::{Cheating, Failed, Finished, Progress, SealedShare, from_party::Kind};
use tacit_api::roster::RosterError;
use tacit_api::seal::{RESULT, SealError, loss_label, seal};
use tacit_mpc::keys::Binding;
use tacit_mpc::net::Transport;
use tacit_mpc::{PartyId, net};
use tacit_protocols::Replicated;
use tacit_protocols::malicious::MaliciousEngine;
use tacit_protocols::rep3::Rep3Engine;

use crate::broadcast::{BroadcastError, Voice};
use crate::incidents::{Incident, Incidents};
use crate::journal::{Admission, Entry, JournalError};
use crate::lie::LiesOnce;
use crate::net::{SessionId, TlsNet};
use crate::offer::{Accepted, Declined, Work, check_incidents};
use crate::party::Party;
use crate::serve::{KEY_LIMITS, ServeError, Service};
use crate::training::{Epoch, TrainError, Training};

/// Stops a job from outside: its links are cut, and whoever waits on them wakes.
#[derive(Default)]
pub(crate) struct Cancel {
    cancelled: AtomicBool,
    net: Mutex<Weak<TlsNet>>,
}

impl Cancel {
    /// Stops the job, now or as soon as its links are up.
    pub(crate) fn cancel(&self) {
        self.cancelled.store(true, Ordering::SeqCst);
        if let Some(net) = self
            .net
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .upgrade()
        {
            net.abort();
        }
    }

    /// Waits for so long to be cancelled.
    fn comes_within(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        while !self.is_cancelled() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(20));
        }
        self.is_cancelled()
    }

    fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }

    fn watch(&self, net: &Arc<TlsNet>) {
        *self.net.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(net);
        if self.is_cancelled() {
            net.abort();
        }
    }
}

/// Why a job failed here.
#[derive(Debug, thiserror::Error)]
enum JobError {
    #[error(transparent)]
    Declined(#[from] Declined),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Roster(#[from] RosterError),
    #[error(transparent)]
    Link(#[from] net::Error),
    #[error(transparent)]
    Train(#[from] TrainError),
    #[error(transparent)]
    Serve(#[from] ServeError),
    #[error(transparent)]
    Seal(#[from] SealError),
}

impl JobError {
    /// The evidence against the culprit, where it signed what it did.
    fn certificate(&self) -> Option<&PeerMisbehaved> {
        match self {
            Self::Train(TrainError::Broadcast(BroadcastError::Convicted {
                certificate, ..
            })) => Some(certificate),
            _ => None,
        }
    }

    fn culprit(&self) -> Option<PartyId> {
        match self {
            Self::Link(error) => Some(error.peer()),
            Self::Train(error) => error.culprit(),
            Self::Serve(error) => error.culprit(),
            Self::Declined(_) | Self::Journal(_) | Self::Roster(_) | Self::Seal(_) => None,
        }
    }

    /// What was checked and who is suspected, where somebody cheated.
    fn cheating(&self) -> Option<(&str, &[PartyId])> {
        match self {
            Self::Train(error) => error.cheating(),
            Self::Serve(error) => error.cheating(),
            _ => None,
        }
    }

    /// Whether nobody said anything wrong: a link fell silent or broke where only a cheater gains by it.
    fn broken_off(&self) -> bool {
        let protocol = match self {
            Self::Train(error) => error.protocol(),
            Self::Serve(error) => error.protocol(),
            _ => None,
        };
        let broken = |e: &tacit_mpc::Error| {
            matches!(
                e,
                tacit_mpc::Error::CheckFailed {
                    broken_off: true,
                    ..
                }
            )
        };
        protocol.is_some_and(broken)
    }
}

/// A job that is stopped is stopped at all parties, at each by its own link to the coordinator: whose links are cut by another
/// waits for so long to hear why.
const GRACE: Duration = Duration::from_secs(2);

/// Runs an accepted job and reports on it: progress after every epoch, and in the end `Finished` or `Failed`. After a
/// cancellation nothing is reported.
pub(crate) fn run(
    party: &Party,
    accepted: Accepted,
    attempt: u32,
    cancel: &Cancel,
    report: &dyn Fn(Kind),
) {
    let (id, seats) = (accepted.id.clone(), accepted.seats.clone());
    // Held here so that the failure is on its way before the links close and others report what they see of it.
    let mut links = None;
    let ended = attend(party, accepted, attempt, cancel, report, &mut links);
    // Also of a job that was stopped: who misbehaves could have it stopped for that.
    if let Err(error) = &ended
        && let Some(certificate) = error.certificate()
    {
        keep(&party.evidence, certificate, &id, attempt);
    }
    let cheating = ended.as_ref().err().and_then(JobError::cheating);
    let cheating = cheating.map(|(what, suspects)| Cheating {
        what: seats.named(what),
        suspects: (suspects.iter())
            .filter_map(|&index| Some(seats.name(index)?.to_owned()))
            .collect(),
        ..Cheating::default()
    });
    // A contributor that does not compute could only have given shares that do not fit together, and gains nothing by trying
    // again.
    let among_three = |found: &&Cheating| {
        let computing = seats.computing();
        found.suspects.iter().all(|name| computing.contains(name))
    };
    if let Some(found) = cheating.as_ref().filter(among_three) {
        let broken_off = ended.as_ref().is_err_and(JobError::broken_off);
        let incident = Incident {
            job: id.clone(),
            attempt,
            computing: seats.computing().to_vec(),
            found: found.what.clone(),
            suspects: found.suspects.clone(),
            stopped: broken_off && cancel.comes_within(GRACE),
        };
        remember(&party.incidents, &incident);
    }
    match ended {
        Ok(finished) => report(Kind::Finished(finished)),
        Err(error) if cancel.is_cancelled() => tracing::info!(job = id, "stopped: {error}"),
        Err(error) => {
            let culprit = error.culprit().and_then(|index| seats.name(index));
            let reason = match &cheating {
                Some(Cheating { what, suspects, .. }) => {
                    let reason = format!("cheating in {what}: {} did it", suspects.join(" or "));
                    tracing::error!(
                        job = id,
                        "{reason}; sessions whose proof failed since this party started: {}",
                        party.failures.count()
                    );
                    reason
                }
                None => seats.named(&error.to_string()),
            };
            tracing::warn!(job = id, "failed: {reason}");
            report(Kind::Failed(Failed {
                job_id: id,
                culprit: culprit.unwrap_or_default().to_owned(),
                reason,
                cheating,
            }));
        }
    }
}

/// Writes a certificate into the directory `evidence`, where the operator and whoever he shows it to find it.
fn keep(evidence: &Path, certificate: &PeerMisbehaved, id: &str, attempt: u32) {
    let path = evidence.join(format!("{id}-{attempt}.toml"));
    let kept = std::fs::create_dir_all(evidence).map_err(|e| e.to_string());
    match kept.and_then(|()| certificate.save(&path).map_err(|e| e.to_string())) {
        Ok(()) => tracing::warn!(
            job = id,
            "the evidence is in {}: anybody with the roster can check it by `tacit evidence`",
            path.display()
        ),
        Err(e) => tracing::error!(job = id, "the evidence cannot be kept: {e}"),
    }
}

/// Writes down that somebody cheated, so that these three do not start again by themselves.
fn remember(incidents: &Incidents, incident: &Incident) {
    let job = &incident.job;
    match incidents.keep(incident) {
        Ok(path) if incident.stopped => tracing::warn!(
            job,
            "stopped in the middle of a proof or opening: {} says so, and a few of these count as a failed proof",
            path.display()
        ),
        Ok(path) => tracing::error!(
            job,
            "until {} is put away I do not compute with the same two again: find out first which of them it was",
            path.display()
        ),
        Err(error) => tracing::error!(
            job,
            "{error}: do not compute with the same two again before it is understood"
        ),
    }
}

/// A service reports on itself this often at most.
const REPORT: Duration = Duration::from_secs(1);

/// What the keys of a session are bound to: the protocol with its parameters, the whole hash of the signed job, which says
/// everything else that the parties must have alike (precision, model, rounding), and the version of the programs, which
/// must draw alike in every step.
fn program(protocol: Protocol, digest: &[u8; 32], version: &str) -> [u8; 32] {
    let protocol = match protocol {
        Protocol::Rep3 => Rep3Engine::PROGRAM,
        Protocol::Rep3Malicious => MaliciousEngine::PROGRAM,
    };
    Sha256::new()
        .chain_update(b"tacit job v3")
        .chain_update((protocol.len() as u64).to_le_bytes())
        .chain_update(protocol)
        .chain_update(digest)
        .chain_update(version)
        .finalize()
        .into()
}

fn attend(
    party: &Party,
    accepted: Accepted,
    attempt: u32,
    cancel: &Cancel,
    report: &dyn Fn(Kind),
    links: &mut Option<Arc<TlsNet>>,
) -> Result<Finished, JobError> {
    let Accepted {
        id,
        digest,
        job,
        seats,
        work,
    } = accepted;
    let start = Instant::now();
    // Before anything else, so that not even a crash lets the job run again.
    let entry = match &work {
        Work::Train(..) => Entry::Training,
        Work::Serve(..) => Entry::Service,
    };
    // What was so when the job was accepted need not be so any more.
    if seats.computes() {
        check_incidents(party, &id, &job)?;
    }
    let max = party.policy.max_jobs;
    match party.journal.record(&id, entry, max)? {
        Admission::Begins => {}
        Admission::Replay => return Err(Declined::Replay.into()),
        Admission::Spent => return Err(Declined::from(Refusal::Spent { max }).into()),
    }
    let session = SessionId::new(&id, attempt);
    let peers = seats.peers(&party.roster)?;
    let tls = &*links.insert(Arc::new(party.connector.connect(
        session,
        seats.me(),
        &peers,
    )?));
    cancel.watch(tls);

    let mut identities = vec![[0; 32]; 3];
    for (identity, name) in identities.iter_mut().zip(&job.compute) {
        *identity = *party.roster.member(name)?.fingerprint().as_bytes();
    }
    let binding = Binding {
        session: session.0,
        program: program(job.protocol.name, &digest, env!("CARGO_PKG_VERSION")),
        identities,
    };
    let recipient = party.roster.member(&job.recipient)?;
    let sealed = |label: &str, words: &[u64]| -> Result<SealedShare, SealError> {
        seal(
            &party.identity,
            &party.roster,
            recipient,
            &id,
            attempt,
            label,
            words,
        )
    };

    let (plan, rows) = match work {
        Work::Train(plan, rows) => (plan, rows),
        // The permit is held until the service ends.
        Work::Serve(served, terms, _permit) => {
            let service = Service {
                connector: &party.connector,
                session: SessionId::service(&id),
                binding: &binding,
                terms: &terms,
                keys: KEY_LIMITS,
                kernels: &party.kernels,
                failures: &party.failures,
            };
            let net: Arc<dyn Transport> = tls.clone();
            let mut reported = Instant::now();
            let tally = service.run(&net, *served, &mut |tally| {
                // A long service does not fill the coordinator's database.
                if reported.elapsed() < REPORT.max(terms.duration / 500) {
                    return;
                }
                reported = Instant::now();
                report(Kind::Progress(Progress {
                    job_id: id.clone(),
                    questions: tally.questions,
                    batches: tally.batches,
                    bytes_sent: tls.traffic().payload_bytes,
                    rounds: tally.rounds,
                    seconds: start.elapsed().as_secs_f64(),
                    ..Progress::default()
                }));
            })?;
            return Ok(Finished {
                rounds: tally.rounds,
                result: Some(sealed(RESULT, &tally.words(seats.me(), job.protocol.name))?),
                job_id: id,
                bytes_sent: tls.traffic().payload_bytes,
                seconds: start.elapsed().as_secs_f64(),
            });
        }
    };
    let net: Arc<dyn Transport> = if party.lies {
        Arc::new(LiesOnce::over(tls.clone()))
    } else {
        tls.clone()
    };
    let training = Training {
        job: &job,
        plan: &plan,
        seats: &seats,
        policy: &party.policy,
        binding: &binding,
        kernels: &party.kernels,
        failures: &party.failures,
        voice: Voice::new(&party.identity, &party.roster, &job.compute, session.0),
    };
    let outcome =
        training.run(&net, rows, &mut |Epoch {
                                            number,
                                            rounds,
                                            loss,
                                        }| {
            let epoch = number as u32;
            let loss = loss
                .map(|words| sealed(&loss_label(epoch), &words))
                .transpose();
            report(Kind::Progress(Progress {
                job_id: id.clone(),
                epoch,
                epochs: job.training.epochs as u32,
                bytes_sent: tls.traffic().payload_bytes,
                rounds,
                seconds: start.elapsed().as_secs_f64(),
                loss: loss.map_err(|e| tacit_nn::Error::Invalid(e.to_string()))?,
                ..Progress::default()
            }));
            Ok(())
        })?;
    Ok(Finished {
        rounds: outcome.as_ref().map_or(0, |outcome| outcome.rounds),
        result: outcome
            .map(|outcome| sealed(RESULT, &outcome.words))
            .transpose()?,
        job_id: id,
        bytes_sent: tls.traffic().payload_bytes,
        seconds: start.elapsed().as_secs_f64(),
    })
}

#[cfg(test)]
mod tests {
    use tacit_api::statement::{Statement, Step};

    use super::*;
    use crate::broadcast::fixture::Trio;
    use crate::offer::consider;
    use crate::test_job::job_toml;
    use crate::test_party::Trial;

    /// The evidence in an error of a training becomes a file that convicts, and nothing else does.
    #[test]
    fn evidence_is_kept() {
        let trio = Trio::numbered();
        let said = |body: &[u8]| {
            let west = &trio.identities[1];
            Statement::sign(west, &trio.roster, [1; 32], Step::Opening, body).unwrap()
        };
        let certificate = PeerMisbehaved::new(&trio.roster, said(b"r"), said(b"s")).unwrap();
        let convicted = BroadcastError::Convicted {
            peer: 1,
            what: "it lied",
            certificate: Box::new(certificate),
        };
        let error = JobError::Train(TrainError::Broadcast(convicted));
        assert_eq!(error.culprit(), Some(1));
        let dir = tempfile::tempdir().unwrap();
        let evidence = dir.path().join("evidence");
        keep(&evidence, error.certificate().unwrap(), "job", 2);
        let kept = PeerMisbehaved::load(&evidence.join("job-2.toml")).unwrap();
        assert_eq!(kept.verify(&trio.roster).unwrap().party, "one");
        assert!(JobError::from(Declined::Replay).certificate().is_none());
    }

    /// Two jobs may share the half of the hash that names them.
    #[test]
    fn a_session_is_bound_to_the_whole_job_and_to_the_version() {
        let program = |digest, version| program(Protocol::Rep3, digest, version);
        let one = program(&[1; 32], "0.1.0");
        let mut last_byte = [1; 32];
        last_byte[31] ^= 1;
        assert_ne!(one, program(&last_byte, "0.1.0"));
        assert_ne!(one, program(&[1; 32], "0.1.1"));
        assert_ne!(
            one,
            super::program(Protocol::Rep3Malicious, &[1; 32], "0.1.0")
        );
    }

    /// Jobs are accepted long before they begin: what forbids one then counts, though nothing did when it was accepted.
    #[test]
    fn what_was_accepted_does_not_begin_where_it_may_not_any_more() {
        let trial = Trial::new();
        let ends = |party: &Party, accepted: Accepted| {
            let said = Mutex::new(Vec::new());
            let report = |kind| said.lock().unwrap().push(kind);
            run(party, accepted, 1, &Cancel::default(), &report);
            match said.into_inner().unwrap().pop() {
                Some(Kind::Failed(failed)) => failed.reason,
                other => panic!("{other:?}"),
            }
        };
        let accept = |party: &Party| consider(party, &trial.offer(&job_toml(""))).unwrap();
        let north = trial.restarted(|config| config.policy.max_jobs = 1);
        let (first, second) = (accept(&north), accept(&north));
        let begun = north.journal.record(&first.id, Entry::Training, 1);
        assert_eq!(begun.unwrap(), Admission::Begins);
        assert!(ends(&north, second).contains("1 jobs on my rows"));

        let north = &trial.parties[0];
        let accepted = accept(north);
        let incident = Incident {
            job: "f00d".into(),
            attempt: 1,
            computing: accepted.seats.computing().to_vec(),
            found: "the proof of run 3".into(),
            suspects: vec!["west".into()],
            stopped: false,
        };
        north.incidents.keep(&incident).unwrap();
        let id = accepted.id.clone();
        assert!(ends(north, accepted).contains("job f00d"));
        assert!(
            !north.journal.has(&id),
            "a job that does not begin is not spent"
        );
    }
}
