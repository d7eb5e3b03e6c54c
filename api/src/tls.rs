//! Mutually authenticated TLS between members: certificates on both sides, and the exact certificate of the roster at
//! the other end.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    CipherSuite, ClientConfig, DigitallySignedStruct, ServerConfig, SignatureScheme, version,
};
use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo};
use tonic::transport::{ClientTlsConfig, Endpoint};
use zeroize::Zeroizing;

use crate::certificate::{Certificate, CertificateError, Fingerprint};
use crate::identity::{Identity, IdentityError};
use crate::roster::Roster;

/// How often an idle connection is probed.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// How long the answer to a probe, a connection or a handshake may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a connection cannot be prepared.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Our identity is not in the roster.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Our certificate is not valid now.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The TLS library refuses the certificates or keys.
    #[error("cannot set up TLS: {0}")]
    Setup(String),
    /// The address does not make a URI.
    #[error("{address:?} is not an address: write host:port")]
    Address {
        /// The address as given.
        address: String,
    },
}

/// The library's algorithms, AES-128-GCM before AES-256-GCM: the keys that mask the shares have 128 bits as well, and ten
/// rounds cost less than fourteen. The client's order decides.
fn provider() -> CryptoProvider {
    let mut provider = default_provider();
    let preferred = CipherSuite::TLS13_AES_128_GCM_SHA256;
    provider
        .cipher_suites
        .sort_by_key(|suite| suite.suite() != preferred);
    provider
}

/// What a listening member uses: TLS 1.3 alone, and clients must show a certificate of the consortium's authority.
///
/// Whoever accepts a connection must still look the certificate's fingerprint up in the roster: a certificate that the
/// roster no longer holds passes the handshake.
pub fn server_tls(identity: &Identity, roster: &Roster) -> Result<ServerConfig, TlsError> {
    let own = identity.certificate(roster)?;
    let provider = Arc::new(provider());
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
    ClientConfig::builder_with_provider(Arc::new(provider()))
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
    endpoint(identity, roster, roster.coordinator(), address)
}

/// How a member reaches the gRPC server at `address`, which shows the certificate `peer` and no other.
pub fn endpoint(
    identity: &Identity,
    roster: &Roster,
    peer: &Certificate,
    address: &str,
) -> Result<Endpoint, TlsError> {
    let own = identity.certificate(roster)?;
    // Said here in words: the server would only break off the handshake.
    own.check_valid_at(SystemTime::now())?;
    let key = identity.key_pair().map_err(setup)?;
    let key = Zeroizing::new(key.serialize_pem());
    let tls = ClientTlsConfig::new()
        .domain_name(peer.name())
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
        .tls_config_with_verifier(tls, Pinned::new(roster, peer)?)
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
        // A general error, as its text is the only one that reaches people as it was written.
        Err(rustls::Error::General(format!(
            "{} showed a certificate with fingerprint {found}, but the roster says {}: use the current roster file, \
             or somebody stands in between",
            self.name, self.expected
        )))
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

#[cfg(test)]
mod tests {
    use rustls::{ClientConnection, Connection, ServerConnection};

    use super::*;
    use crate::authority::{Authority, days};
    use crate::consortium::fixture::{founded, members};

    /// Shakes hands in memory; returns the fingerprints that client and server saw.
    fn handshake(
        client: ClientConfig,
        server: ServerConfig,
        name: ServerName<'static>,
    ) -> Result<[Option<Fingerprint>; 2], rustls::Error> {
        let mut ends = [
            Connection::from(ClientConnection::new(Arc::new(client), name)?),
            Connection::from(ServerConnection::new(Arc::new(server))?),
        ];
        while ends.iter().any(|end| end.wants_write()) {
            for (from, to) in [(0, 1), (1, 0)] {
                let mut wire = Vec::new();
                while ends[from].wants_write() {
                    ends[from].write_tls(&mut wire).unwrap();
                }
                let mut wire = wire.as_slice();
                while !wire.is_empty() {
                    ends[to].read_tls(&mut wire).unwrap();
                    ends[to].process_new_packets()?;
                }
            }
        }
        assert!(ends.iter().all(|end| !end.is_handshaking()));
        assert!(
            ends.iter()
                .all(|end| end.protocol_version() == Some(rustls::ProtocolVersion::TLSv1_3))
        );
        assert!(ends.iter().all(|end| {
            let suite = end.negotiated_cipher_suite().map(|s| s.suite());
            suite == Some(CipherSuite::TLS13_AES_128_GCM_SHA256)
        }));
        Ok(ends.map(|end| end.peer_certificates().and_then(fingerprint)))
    }

    fn call(
        client: (&Identity, &Roster),
        server: (&Identity, &Roster),
        callee: &Certificate,
    ) -> Result<[Option<Fingerprint>; 2], rustls::Error> {
        handshake(
            client_tls(client.0, client.1, callee).unwrap(),
            server_tls(server.0, server.1).unwrap(),
            server_name(callee).unwrap(),
        )
    }

    #[test]
    fn both_ends_see_the_certificate_of_the_roster() {
        let (roster, ids) = members();
        let [north, west] = [0, 1].map(|i: usize| roster.members()[i].certificate());
        let seen = call((&ids[0], &roster), (&ids[1], &roster), west).unwrap();
        assert_eq!(seen, [Some(west.fingerprint()), Some(north.fingerprint())]);
    }

    #[test]
    fn another_member_cannot_answer_in_place_of_the_one_that_was_called() {
        let (roster, ids) = members();
        let west = roster.members()[1].certificate();
        call((&ids[0], &roster), (&ids[2], &roster), west).unwrap_err();
    }

    #[test]
    fn a_second_certificate_for_the_same_name_is_not_the_pinned_one() {
        let fixture = founded();
        let roster = fixture.consortium.roster();
        let authority = Authority::open(roster.authority(), &fixture.authority).unwrap();
        let impostor = Identity::generate().unwrap();
        let forged = authority.certify_coordinator(&impostor, days(1)).unwrap();
        let address = roster.coordinator_address();
        let theirs = Roster::new(roster.authority().clone(), forged, address).unwrap();
        let (us, them) = ((&fixture.coordinator, roster), (&impostor, &theirs));
        let error = call(us, them, roster.coordinator())
            .unwrap_err()
            .to_string();
        assert!(error.contains("the roster says"), "{error}");
    }

    #[test]
    fn strangers_are_refused_by_the_server() {
        let (roster, ids) = members();
        let (foreign, strangers) = members();
        let west = roster.members()[1].certificate();
        // The stranger accepts west, but its own certificate is of another authority.
        let client = ClientConfig::builder_with_provider(Arc::new(provider()))
            .with_protocol_versions(&[&version::TLS13])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Pinned::new(&roster, west).unwrap());
        let own = vec![foreign.members()[0].certificate().der().clone()];
        let stranger = client
            .clone()
            .with_client_auth_cert(own, private_key(&strangers[0]))
            .unwrap();
        let refusal = |client| {
            let server = server_tls(&ids[1], &roster).unwrap();
            handshake(client, server, server_name(west).unwrap()).unwrap_err()
        };
        // Both authorities bear the same name, so it is the signature that gives the stranger away.
        let forged = rustls::Error::InvalidCertificate(rustls::CertificateError::BadSignature);
        assert_eq!(refusal(stranger), forged);
        let anonymous = client.with_no_client_auth();
        assert_eq!(refusal(anonymous), rustls::Error::NoCertificatesPresented);
    }

    #[test]
    fn a_certificate_that_has_expired_is_refused() {
        let fixture = founded();
        let roster = fixture.consortium.roster();
        let authority = Authority::open(roster.authority(), &fixture.authority).unwrap();
        let identity = Identity::generate().unwrap();
        let year = Duration::from_secs(365 * 86_400);
        let past = days(0).start - year..days(0).start;
        let expired = authority.certify_coordinator(&identity, past).unwrap();
        let address = roster.coordinator_address();
        let stale = Roster::new(roster.authority().clone(), expired, address).unwrap();
        let late = (&identity, &stale);
        let us = (&fixture.coordinator, roster);
        for error in [
            call(us, late, stale.coordinator()).unwrap_err(),
            call(late, us, roster.coordinator()).unwrap_err(),
        ] {
            assert!(
                error.to_string().to_lowercase().contains("expired"),
                "{error}"
            );
        }
        let address = stale.coordinator_address();
        let error = coordinator_endpoint(&identity, &stale, address).unwrap_err();
        assert!(error.to_string().contains("is expired; ask"), "{error}");
    }

    #[test]
    fn an_endpoint_needs_an_address_and_a_member() {
        let (roster, ids) = members();
        coordinator_endpoint(&ids[0], &roster, "localhost:7000").unwrap();
        assert!(coordinator_endpoint(&ids[0], &roster, "no address").is_err());
        let stranger = Identity::generate().unwrap();
        let error = coordinator_endpoint(&stranger, &roster, "localhost:7000").unwrap_err();
        assert!(error.to_string().contains("request file"), "{error}");
    }
}
