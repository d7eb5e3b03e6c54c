//! Mutually authenticated TLS between members: certificates on both sides, and the exact certificate of the roster at
//! the other end.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, OtherError, ServerConfig,
    SignatureScheme, version,
};
use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo};
use tonic::transport::{ClientTlsConfig, Endpoint};
use zeroize::Zeroizing;

use crate::certificate::{Certificate, Fingerprint};
use crate::identity::{Identity, IdentityError};
use crate::roster::{COORDINATOR, Roster};

/// How often an idle connection to the coordinator is probed.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// How long the answer to a probe, a connection or a handshake may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a connection cannot be prepared.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Our identity is not in the roster.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The TLS library refuses the certificates or keys.
    #[error("cannot set up TLS: {0}")]
    Setup(String),
    /// The address does not make a URI.
    #[error("{address:?} is not an address of a coordinator: write host:port")]
    Address {
        /// The address as given.
        address: String,
    },
}

/// What a listening member uses: TLS 1.3 alone, and clients must show a certificate of the consortium's authority.
///
/// Whoever accepts a connection must still look the certificate's fingerprint up in the roster: a certificate that the
/// roster no longer holds passes the handshake.
pub fn server_tls(identity: &Identity, roster: &Roster) -> Result<ServerConfig, TlsError> {
    let own = identity.certificate(roster)?;
    let provider = Arc::new(default_provider());
    let clients = WebPkiClientVerifier::builder_with_provider(
        Arc::new(roster.authority().root()),
        provider.clone(),
    )
    .build()
    .map_err(setup)?;
    ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13])
        .map_err(setup)?
        .with_client_cert_verifier(clients)
        .with_single_cert(vec![own.der().clone()], private_key(identity))
        .map_err(setup)
}

/// What a member uses to call the one whose certificate is `peer`: TLS 1.3 alone, and no other certificate is accepted.
/// The server's name is [`server_name`].
pub fn client_tls(
    identity: &Identity,
    roster: &Roster,
    peer: &Certificate,
) -> Result<ClientConfig, TlsError> {
    let own = identity.certificate(roster)?;
    ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&version::TLS13])
        .map_err(setup)?
        .dangerous() // rustls' word for a verifier of one's own; ours only adds a check to the usual ones
        .with_custom_certificate_verifier(Pinned::new(roster, peer)?)
        .with_client_auth_cert(vec![own.der().clone()], private_key(identity))
        .map_err(setup)
}

/// The name under which TLS expects `peer`.
pub fn server_name(peer: &Certificate) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(peer.name().to_owned()).map_err(setup)
}

/// How a party or client reaches the coordinator at `address`, which is the roster's unless a test or a tunnel moved it.
pub fn coordinator_endpoint(
    identity: &Identity,
    roster: &Roster,
    address: &str,
) -> Result<Endpoint, TlsError> {
    let own = identity.certificate(roster)?;
    let key = identity.key_pair().map_err(setup)?;
    let key = Zeroizing::new(key.serialize_pem());
    let tls = ClientTlsConfig::new()
        .domain_name(COORDINATOR)
        .identity(tonic::transport::Identity::from_pem(own.pem(), &*key))
        .timeout(PATIENCE);
    Endpoint::from_shared(format!("https://{address}"))
        .map_err(|_| TlsError::Address {
            address: address.to_owned(),
        })?
        .connect_timeout(PATIENCE)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(PATIENCE)
        .keep_alive_while_idle(true)
        .tcp_nodelay(true)
        .tls_config_with_verifier(tls, Pinned::new(roster, roster.coordinator())?)
        .map_err(setup)
}

/// The fingerprint of the certificate that the caller of `request` showed in the handshake.
pub fn peer<T>(request: &tonic::Request<T>) -> Option<Fingerprint> {
    let info = request
        .extensions()
        .get::<TlsConnectInfo<TcpConnectInfo>>()?;
    fingerprint(info.peer_certs()?.as_slice())
}

/// The fingerprint of the first certificate of a chain, as `peer_certificates` of a TLS connection gives it.
pub fn fingerprint(chain: &[CertificateDer<'_>]) -> Option<Fingerprint> {
    chain
        .first()
        .map(|certificate| Fingerprint::of(certificate))
}

fn private_key(identity: &Identity) -> PrivateKeyDer<'static> {
    PrivateKeyDer::from(identity.pkcs8())
}

fn setup(error: impl std::fmt::Display) -> TlsError {
    TlsError::Setup(error.to_string())
}

/// The usual verification, and then: is it this very certificate?
#[derive(Debug)]
struct Pinned {
    usual: Arc<WebPkiServerVerifier>,
    name: String,
    expected: Fingerprint,
}

impl Pinned {
    fn new(roster: &Roster, peer: &Certificate) -> Result<Arc<Self>, TlsError> {
        let roots = Arc::new(roster.authority().root());
        let provider: Arc<CryptoProvider> = Arc::new(default_provider());
        let usual = WebPkiServerVerifier::builder_with_provider(roots, provider)
            .build()
            .map_err(setup)?;
        Ok(Arc::new(Self {
            usual,
            name: peer.name().to_owned(),
            expected: peer.fingerprint(),
        }))
    }
}

/// The other end showed a sound certificate, but not the one in the roster.
#[derive(Debug, thiserror::Error)]
#[error(
    "{name} showed a certificate with fingerprint {found}, but the roster says {expected}: use the current roster file, or somebody stands in between"
)]
struct WrongCertificate {
    name: String,
    found: Fingerprint,
    expected: Fingerprint,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified =
            self.usual
                .verify_server_cert(end_entity, intermediates, server_name, ocsp, now)?;
        let found = Fingerprint::of(end_entity);
        if found == self.expected {
            return Ok(verified);
        }
        let error = WrongCertificate {
            name: self.name.clone(),
            found,
            expected: self.expected,
        };
        Err(CertificateError::Other(OtherError(Arc::new(error))).into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.usual
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.usual
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}
