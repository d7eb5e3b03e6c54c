//! X.509 certificates of members, and the fingerprints by which people and programs compare them.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ed25519_dalek::VerifyingKey;
use rustls::RootCertStore;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use x509_parser::oid_registry::OID_SIG_ED25519;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::name;

/// The SHA-256 of something public, shown in groups of four hexadecimal digits for reading aloud.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The 32 bytes of the hash.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, pair) in self.0.chunks(2).enumerate() {
            let space = if i == 0 { "" } else { " " };
            write!(f, "{space}{}", hex::encode(pair))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let digits: String = text.split_whitespace().collect();
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes)
            .map_err(|_| "a fingerprint is 64 hexadecimal digits".to_owned())?;
        Ok(Self(bytes))
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.to_string()
    }
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The text holds no PEM block of a certificate.
    #[error("there is no certificate in PEM form")]
    NotPem,
    /// The bytes are no X.509 certificate.
    #[error("the bytes are no X.509 certificate")]
    Malformed,
    /// The certificate's key is of another kind, or a weak one.
    #[error("the certificate of {name} does not hold a sound Ed25519 key")]
    Key {
        /// The subject's common name.
        name: String,
    },
    /// The subject has no usable name.
    #[error("the certificate's subject: {0}")]
    Name(String),
    /// The authority did not issue it.
    #[error("the certificate of {name} was not issued by this consortium's authority: {reason}")]
    Issuer {
        /// The subject's common name.
        name: String,
        /// What the verification of the chain found.
        reason: String,
    },
    /// The time is outside its validity.
    #[error(
        "the certificate of {name} is {0}; ask the coordinator's operator to admit {name} again",
        if *expired { "expired" } else { "not valid yet" }
    )]
    NotValidNow {
        /// The subject's common name.
        name: String,
        /// Whether its time is over, or has not come.
        expired: bool,
    },
}

/// A parsed certificate with an Ed25519 key and a name.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    der: CertificateDer<'static>,
    pem: String,
    name: String,
    key: VerifyingKey,
    not_before: SystemTime,
    not_after: SystemTime,
}

impl Certificate {
    /// Parses the first certificate in `pem`.
    pub fn from_pem(pem: &str) -> Result<Self, CertificateError> {
        let der =
            CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| CertificateError::NotPem)?;
        Self::parse(der, pem)
    }

    fn parse(der: CertificateDer<'static>, pem: &str) -> Result<Self, CertificateError> {
        let (rest, parsed) =
            X509Certificate::from_der(&der).map_err(|_| CertificateError::Malformed)?;
        if !rest.is_empty() {
            return Err(CertificateError::Malformed);
        }
        let common_name = parsed.subject().iter_common_name().next();
        let name = common_name
            .and_then(|attribute| attribute.as_str().ok())
            .unwrap_or_default()
            .to_owned();
        name::check(&name).map_err(CertificateError::Name)?;
        let info = parsed.public_key();
        let key = (info.algorithm.algorithm == OID_SIG_ED25519)
            .then(|| VerifyingKey::try_from(info.subject_public_key.data.as_ref()).ok())
            .flatten()
            .filter(|key| !key.is_weak())
            .ok_or_else(|| CertificateError::Key { name: name.clone() })?;
        let (not_before, not_after) = (parsed.validity().not_before, parsed.validity().not_after);
        Ok(Self {
            pem: pem.to_owned(),
            name,
            key,
            not_before: since_epoch(not_before.timestamp()),
            not_after: since_epoch(not_after.timestamp()),
            der,
        })
    }

    /// The subject's common name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The certificate as TLS sends it.
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// The text that it was parsed from.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The subject's key, for TLS and for signatures.
    pub fn key(&self) -> &VerifyingKey {
        &self.key
    }

    /// SHA-256 of the DER bytes.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.der)
    }

    /// Checks that `authority` issued this certificate for both ends of TLS connections.
    ///
    /// Dates are left out: an expired member must not keep the others from loading their roster. TLS and
    /// [`Self::check_valid_at`] look at them where it matters.
    pub fn check_issued_by(&self, authority: &Self) -> Result<(), CertificateError> {
        let issuer_error = |reason: rustls::Error| CertificateError::Issuer {
            name: self.name.clone(),
            reason: reason.to_string(),
        };
        let verifier = WebPkiClientVerifier::builder_with_provider(
            Arc::new(authority.root()),
            Arc::new(default_provider()),
        )
        .build()
        .map_err(|error| issuer_error(rustls::Error::General(error.to_string())))?;
        let at_issue = self
            .not_before
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        verifier
            .verify_client_cert(&self.der, &[], UnixTime::since_unix_epoch(at_issue))
            .map_err(issuer_error)?;
        Ok(())
    }

    /// Checks that `now` lies within the certificate's validity.
    pub fn check_valid_at(&self, now: SystemTime) -> Result<(), CertificateError> {
        if (self.not_before..=self.not_after).contains(&now) {
            return Ok(());
        }
        Err(CertificateError::NotValidNow {
            name: self.name.clone(),
            expired: now > self.not_after,
        })
    }

    /// This certificate as the only one that is trusted to issue others.
    pub(crate) fn root(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates([self.der.clone()]);
        roots
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({}, {})", self.name, self.fingerprint())
    }
}

/// The time `seconds` after the epoch; times before it count as the epoch itself.
fn since_epoch(seconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fingerprints_read_back_from_what_people_see() {
        let fingerprint = Fingerprint::of(b"abc");
        let text = fingerprint.to_string();
        assert!(text.starts_with("ba78 16bf 8f01"));
        assert_eq!(Fingerprint::try_from(text), Ok(fingerprint));
        assert!(Fingerprint::try_from("ba78".to_owned()).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
            let params = rcgen::CertificateParams::new(["north".to_owned()]).unwrap();
            let mut der = params.self_signed(&key).unwrap().der().to_vec();
            for (i, byte) in bytes.iter().enumerate().filter(|(_, byte)| **byte < 16) {
                let at = (i * 7 + usize::from(*byte)) % der.len();
                der[at] ^= byte | 1;
            }
            let _ = Certificate::parse(der.into(), "");
            let _ = Certificate::from_pem(&String::from_utf8_lossy(&bytes));
        }
    }
}
