//! The consortium's certificate authority: it turns requests into members.
//!
//! The coordinator's operator keeps it. It cannot impersonate a member to another, as everyone pins certificates by the
//! roster, whose fingerprint the members compare by telephone.

use std::ops::Range;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ED25519, PublicKeyData,
};

use crate::certificate::{Certificate, CertificateError};
use crate::identity::{Identity, Request};
use crate::member::Member;
use crate::name;
use crate::roster::{COORDINATOR, RosterError};

/// Why a certificate was not issued.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The name cannot be used.
    #[error("{0}")]
    Name(String),
    /// The certificate request is damaged or not signed by the key it asks a certificate for.
    #[error("the certificate request of {name} is not valid: {reason}")]
    Request {
        /// The name that was asked for.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The finished member would not be accepted into a roster.
    #[error(transparent)]
    Member(#[from] RosterError),
    /// The certificate cannot be written.
    #[error("cannot issue the certificate: {0}")]
    Issue(#[from] rcgen::Error),
    /// The certificate that was written cannot be read back.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

/// The authority's key and certificate.
pub struct Authority {
    key: KeyPair,
    certificate: Certificate,
}

impl Authority {
    /// A new authority for the consortium `name`. Its key is the signing half of `identity`.
    pub fn create(name: &str, identity: &Identity) -> Result<Self, AuthorityError> {
        name::check(name).map_err(AuthorityError::Name)?;
        let key = identity.key_pair()?;
        let mut params = subject(name, days(3650));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = Certificate::from_pem(&params.self_signed(&key)?.pem())?;
        Ok(Self { key, certificate })
    }

    /// The authority whose `certificate` was made earlier from the same `identity`.
    pub fn open(certificate: &Certificate, identity: &Identity) -> Result<Self, AuthorityError> {
        if *certificate.key() != identity.public_key() {
            return Err(AuthorityError::Request {
                name: certificate.name().to_owned(),
                reason: "this is not the key of the roster's authority".into(),
            });
        }
        Ok(Self {
            key: identity.key_pair()?,
            certificate: certificate.clone(),
        })
    }

    /// The certificate that all others chain to.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Checks a request and makes the member that goes into the roster, valid during `validity`.
    ///
    /// The certificate holds the requested name and the proved key; whatever else the request asks for is ignored.
    pub fn admit(
        &self,
        request: &Request,
        validity: Range<SystemTime>,
    ) -> Result<Member, AuthorityError> {
        name::check(&request.name).map_err(AuthorityError::Name)?;
        if request.name == COORDINATOR {
            return Err(AuthorityError::Name(format!(
                "{COORDINATOR:?} is reserved: choose another name"
            )));
        }
        let refused = |reason: String| AuthorityError::Request {
            name: request.name.clone(),
            reason,
        };
        let csr = CertificateSigningRequestParams::from_pem(&request.certificate_request)
            .map_err(|error| refused(error.to_string()))?;
        if csr.public_key.algorithm() != &PKCS_ED25519 {
            return Err(refused("the key must be an Ed25519 key".into()));
        }
        let member = Member::new(
            request,
            self.issue(&request.name, validity, &csr.public_key)?,
        )?;
        member.check(&self.certificate)?;
        Ok(member)
    }

    /// The coordinator's own certificate, valid during `validity`.
    pub fn certify_coordinator(
        &self,
        identity: &Identity,
        validity: Range<SystemTime>,
    ) -> Result<Certificate, AuthorityError> {
        self.issue(COORDINATOR, validity, &identity.key_pair()?)
    }

    fn issue(
        &self,
        name: &str,
        validity: Range<SystemTime>,
        key: &impl PublicKeyData,
    ) -> Result<Certificate, AuthorityError> {
        let mut params = subject(name, validity);
        params.subject_alt_names = CertificateParams::new([name.to_owned()])?.subject_alt_names;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let issuer = Issuer::from_ca_cert_der(self.certificate.der(), &self.key)?;
        Ok(Certificate::from_pem(
            &params.signed_by(key, &issuer)?.pem(),
        )?)
    }
}

/// From an hour ago, as clocks differ, until `days` from now.
pub fn days(days: u64) -> Range<SystemTime> {
    let now = SystemTime::now();
    now - Duration::from_secs(3600)..now + Duration::from_secs(days * 86_400)
}

/// Parameters of a certificate for `name` with no extensions yet.
fn subject(name: &str, validity: Range<SystemTime>) -> CertificateParams {
    let date = |time: SystemTime| {
        rcgen::date_time_ymd(1970, 1, 1) + time.duration_since(UNIX_EPOCH).unwrap_or_default()
    };
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date(validity.start);
    params.not_after = date(validity.end);
    params
}
