//! Who submitted a job, and the identifier that follows from it.

use std::time::SystemTime;

use ed25519_dalek::Signature;
use sha2::{Digest, Sha256};

use crate::certificate::{CertificateError, Fingerprint};
use crate::identity::{Identity, IdentityError};
use crate::job::{JobError, JobSpec};
use crate::proto::{JobHead, SignedJob};
use crate::roster::{Roster, RosterError};
use crate::transcript::transcript;

/// The length of the random part of a signed job in bytes.
const NONCE_BYTES: usize = 16;

/// Why a signed job is not believed.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// The submitter is not in the roster.
    #[error(transparent)]
    Submitter(#[from] RosterError),
    /// The submitter's certificate is not valid now.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The job was signed for members of another roster.
    #[error(
        "{submitter} signed the job for another roster than ours ({ours}): everyone must use the same roster file"
    )]
    Roster {
        /// The submitter's name.
        submitter: String,
        /// The roster that we hold.
        ours: Fingerprint,
    },
    /// The signature is not the submitter's, or the job was changed after signing.
    #[error("the signature of {submitter} does not fit the job")]
    Signature {
        /// The submitter's name.
        submitter: String,
    },
    /// The job itself is malformed.
    #[error(transparent)]
    Job(#[from] JobError),
}

/// Signs the job file `toml`, and the model file that it names, as `identity`, for the members of `roster`.
///
/// The signature covers the exact bytes of both files (of the second by its SHA-256), the submitter's name, the roster and a fresh nonce. Nothing is
/// parsed and written again in between, so two programs can never disagree on what was signed.
pub fn sign_job(
    identity: &Identity,
    roster: &Roster,
    toml: &str,
    model: Option<&[u8]>,
) -> Result<SignedJob, IdentityError> {
    let mut nonce = vec![0; NONCE_BYTES];
    getrandom::fill(&mut nonce).map_err(IdentityError::Randomness)?;
    let mut job = SignedJob {
        toml: toml.as_bytes().to_vec(),
        submitter: identity.certificate(roster)?.name().to_owned(),
        nonce,
        roster: roster.fingerprint().as_bytes().to_vec(),
        signature: Vec::new(),
        model: model.unwrap_or_default().to_vec(),
    };
    job.signature = identity.sign(&message(&job_head(&job)));
    Ok(job)
}

/// Checks who signed `job` and parses it. Nothing of a job may be used before this.
pub fn verify_job(job: &SignedJob, roster: &Roster) -> Result<JobSpec, SignatureError> {
    check_signature(&job_head(job), roster)?;
    Ok(JobSpec::with_model(&job.toml, &job.model)?)
}

/// The same for a job without its model file, which its submitter signed by its hash: whoever asks a service must know from
/// nobody else who computes.
pub fn verify_head(head: &JobHead, roster: &Roster) -> Result<JobSpec, SignatureError> {
    check_signature(head, roster)?;
    Ok(JobSpec::from_bytes(&head.toml)?)
}

/// The job without its model file.
pub fn job_head(job: &SignedJob) -> JobHead {
    JobHead {
        toml: job.toml.clone(),
        submitter: job.submitter.clone(),
        nonce: job.nonce.clone(),
        roster: job.roster.clone(),
        signature: job.signature.clone(),
        model_hash: Sha256::digest(&job.model).to_vec(),
    }
}

fn check_signature(job: &JobHead, roster: &Roster) -> Result<(), SignatureError> {
    let submitter = roster.member(&job.submitter)?;
    submitter.certificate().check_valid_at(SystemTime::now())?;
    if job.roster != roster.fingerprint().as_bytes() {
        return Err(SignatureError::Roster {
            submitter: job.submitter.clone(),
            ours: roster.fingerprint(),
        });
    }
    let refused = || SignatureError::Signature {
        submitter: job.submitter.clone(),
    };
    let signature = Signature::from_slice(&job.signature).map_err(|_| refused())?;
    if job.nonce.len() != NONCE_BYTES {
        return Err(refused());
    }
    let key = submitter.certificate().key();
    key.verify_strict(&message(job), &signature)
        .map_err(|_| refused())
}

/// The job's identifier, for people and lists: 32 hexadecimal digits of its [`job_digest`]. Half of a hash: a
/// submitter could find two jobs of its own with one identifier in 2^64 steps. Sessions are bound to the whole hash; seals
/// and journals to this.
pub fn job_id(job: &SignedJob) -> String {
    head_id(&job_head(job))
}

/// [`job_id`] of a job without its model file.
pub fn head_id(head: &JobHead) -> String {
    hex::encode(&digest(head)[..16])
}

/// SHA-256 of all that is signed: what sessions are bound to.
pub fn job_digest(job: &SignedJob) -> [u8; 32] {
    digest(&job_head(job))
}

fn digest(head: &JobHead) -> [u8; 32] {
    Sha256::digest(message(head)).into()
}

fn message(job: &JobHead) -> Vec<u8> {
    transcript(
        "tacit v3 job",
        &[
            &job.toml,
            job.submitter.as_bytes(),
            &job.nonce,
            &job.roster,
            &job.model_hash,
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consortium::fixture::members;

    const JOB: &str = r#"
name = "trial"
kind = "train"
recipient = "analyst"
compute = ["north", "west", "south"]
data = { dataset = "d", label = "y", classes = 2, features = [{ name = "x", min = 0, max = 1 }] }
model = { hidden = [] }
"#;

    #[test]
    fn the_submitter_is_believed_and_nobody_else() {
        let (roster, identities) = members();
        let job = sign_job(&identities[3], &roster, JOB, None).unwrap();
        assert_eq!(job.submitter, "analyst");
        assert_eq!(verify_job(&job, &roster).unwrap().name, "trial");
        let head = job_head(&job);
        assert_eq!(verify_head(&head, &roster).unwrap().name, "trial");
        assert_eq!(head_id(&head), job_id(&job));
        for change in [
            |head: &mut JobHead| head.toml.push(b'\n'),
            |head: &mut JobHead| head.submitter = "north".into(),
            |head: &mut JobHead| head.model_hash[0] ^= 1,
            |head: &mut JobHead| head.nonce.push(0),
        ] {
            let mut changed = head.clone();
            change(&mut changed);
            assert!(verify_head(&changed, &roster).is_err());
            assert_ne!(head_id(&changed), job_id(&job));
        }

        type Change = fn(&mut SignedJob);
        let changes: [(&str, Change); 7] = [
            ("does not fit", |job| job.model.push(0)),
            ("does not fit", |job| job.toml.push(b'\n')),
            ("does not fit", |job| job.submitter = "north".into()),
            ("does not fit", |job| job.nonce[0] ^= 1),
            ("does not fit", |job| job.signature.truncate(63)),
            ("not a member", |job| job.submitter = "east".into()),
            ("another roster", |job| job.roster[31] ^= 1),
        ];
        for (expected, change) in changes {
            let mut changed = job.clone();
            change(&mut changed);
            let error = verify_job(&changed, &roster).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_signature_is_no_excuse_for_a_malformed_job() {
        let (roster, identities) = members();
        let job = sign_job(&identities[3], &roster, "name = 1", None).unwrap();
        assert!(matches!(
            verify_job(&job, &roster),
            Err(SignatureError::Job(_))
        ));
    }

    #[test]
    fn the_same_file_can_be_submitted_twice_under_two_identifiers() {
        let (roster, identities) = members();
        let ids = [0, 1].map(|_| job_id(&sign_job(&identities[3], &roster, JOB, None).unwrap()));
        assert_eq!(ids[0].len(), 32);
        assert_ne!(ids[0], ids[1]);
    }

    #[test]
    fn a_job_comes_with_the_model_that_it_names_and_with_no_other() {
        let (roster, identities) = members();
        let named = JOB.replace("hidden = []", "onnx = \"net.onnx\"");
        let verify = |toml: &str, model: Option<&[u8]>| {
            verify_job(
                &sign_job(&identities[3], &roster, toml, model).unwrap(),
                &roster,
            )
        };
        let spec = verify(&named, Some(b"the file")).unwrap();
        assert_eq!(spec.model.onnx.as_deref(), Some("net.onnx"));
        assert_eq!(spec.model.file.unwrap().bytes(), b"the file");
        for (toml, model) in [(JOB, Some(&b"the file"[..])), (&named, None)] {
            assert!(matches!(verify(toml, model), Err(SignatureError::Job(_))));
        }
    }

    #[test]
    fn an_identifier_is_half_of_the_digest() {
        let (roster, identities) = members();
        let job = sign_job(&identities[3], &roster, JOB, None).unwrap();
        assert_eq!(job_id(&job), hex::encode(&job_digest(&job)[..16]));
    }

    proptest::proptest! {
        #[test]
        fn no_message_makes_verification_panic(
            bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200),
        ) {
            use prost::Message;
            thread_local!(static ROSTER: Roster = members().0);
            ROSTER.with(|roster| {
                let mut job = SignedJob::decode(bytes.as_slice()).unwrap_or_default();
                let _ = verify_job(&job, roster);
                job.submitter = "analyst".into();
                job.roster = roster.fingerprint().as_bytes().to_vec();
                job.signature.clone_from(&bytes);
                let _ = verify_job(&job, roster);
            });
            let _ = crate::proto::FromParty::decode(bytes.as_slice());
            let _ = crate::proto::ToParty::decode(bytes.as_slice());
        }
    }
}
