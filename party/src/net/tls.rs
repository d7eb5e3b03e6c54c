//! TLS 1.3 with certificates of the consortium at both ends, held against the roster's fingerprints.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, ring, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{NoServerSessionStorage, ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, OtherError,
    RootCertStore, ServerConfig, SignatureScheme, version::TLS13,
};
use sha2::{Digest, Sha256};

/// SHA-256 of a member's certificate (DER).
pub type Fingerprint = [u8; 32];

/// Keeps these connections apart from any other service with the same certificates.
const ALPN: &[u8] = b"tacit-data/1";

/// This party's certificate and key, or the consortium's authority, cannot be used for TLS.
#[derive(Debug, thiserror::Error)]
#[error("the party's certificate, key or authority cannot be used for TLS: {0}")]
pub struct TlsError(String);

/// What a party shows and what it trusts.
pub struct Credentials {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    roots: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("fingerprint", &hex::encode(fingerprint(&self.certificate)))
            .finish_non_exhaustive()
    }
}

/// The fingerprint of a certificate.
pub(super) fn fingerprint(certificate: &CertificateDer<'_>) -> Fingerprint {
    Sha256::digest(certificate).into()
}

impl Credentials {
    /// A member's certificate and private key, and the certificate of the consortium's authority.
    ///
    /// # Errors
    /// The authority's certificate cannot be read.
    pub fn new(
        certificate: CertificateDer<'static>,
        key: PrivateKeyDer<'static>,
        authority: CertificateDer<'static>,
    ) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        roots.add(authority).map_err(|e| TlsError(e.to_string()))?;
        Ok(Self {
            certificate,
            key,
            roots: Arc::new(roots),
            provider: Arc::new(ring::default_provider()),
        })
    }

    /// The same certificate and key under another authority.
    #[cfg(test)]
    pub(super) fn with_authority(&self, authority: CertificateDer<'static>) -> Self {
        Self::new(self.certificate.clone(), self.key.clone_key(), authority).unwrap()
    }

    /// Accepts connections of any member: which one it is, the caller looks up by fingerprint.
    pub(super) fn server(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let build = || {
            let verifier = WebPkiClientVerifier::builder_with_provider(
                self.roots.clone(),
                self.provider.clone(),
            )
            .build()
            .map_err(|e| Error::General(e.to_string()))?;
            let mut config = ServerConfig::builder_with_provider(self.provider.clone())
                .with_protocol_versions(&[&TLS13])?
                .with_client_cert_verifier(verifier)
                .with_single_cert(vec![self.certificate.clone()], self.key.clone_key())?;
            // A resumed connection would skip the certificates.
            config.send_tls13_tickets = 0;
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.alpn_protocols = vec![ALPN.to_vec()];
            Ok(Arc::new(config))
        };
        build().map_err(|e: Error| TlsError(e.to_string()))
    }

    /// Connects to the member with this fingerprint and to nobody else.
    pub(super) fn client(&self, expected: Fingerprint) -> Result<Arc<ClientConfig>, TlsError> {
        let verifier = Pinned {
            expected,
            roots: self.roots.clone(),
            provider: self.provider.clone(),
        };
        let build = || {
            let mut config = ClientConfig::builder_with_provider(self.provider.clone())
                .with_protocol_versions(&[&TLS13])?
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(verifier))
                .with_client_auth_cert(vec![self.certificate.clone()], self.key.clone_key())?;
            config.resumption = rustls::client::Resumption::disabled();
            config.enable_sni = false;
            config.alpn_protocols = vec![ALPN.to_vec()];
            Ok(Arc::new(config))
        };
        build().map_err(|e: Error| TlsError(e.to_string()))
    }
}

/// A certificate of the consortium, but of another member or an older one of this member.
#[derive(Debug, thiserror::Error)]
#[error("its certificate is not the one in the roster; compare the rosters' fingerprints")]
struct OtherCertificate;

/// A TLS failure in words for the log of a party.
pub(super) fn explain(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(CertificateError::Other(OtherError(reason))) => {
            reason.to_string()
        }
        Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        ) => {
            "its certificate has expired; ask for a new one from the consortium's authority".into()
        }
        Error::InvalidCertificate(reason) => format!("its certificate is not valid ({reason:?})"),
        Error::AlertReceived(alert) => {
            format!("it refused this party's certificate or messages ({alert:?})")
        }
        other => other.to_string(),
    }
}

/// Accepts one certificate: in force, signed by the consortium's authority, and with the fingerprint of the roster.
/// The fingerprint takes the place of the host name, since institutions move addresses but not identities.
#[derive(Debug)]
struct Pinned {
    expected: Fingerprint,
    roots: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let algorithms = self.provider.signature_verification_algorithms.all;
        let parsed = ParsedCertificate::try_from(certificate)?;
        verify_server_cert_signed_by_trust_anchor(
            &parsed,
            &self.roots,
            intermediates,
            now,
            algorithms,
        )?;
        if fingerprint(certificate) != self.expected {
            return Err(CertificateError::Other(OtherError(Arc::new(OtherCertificate))).into());
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not spoken here".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        None
    }
}
