//! TLS of the data plane: the consortium's mutual authentication, with what blocking links need besides.

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::server::NoServerSessionStorage;
use rustls::{CertificateError, ClientConfig, Error, ServerConfig};
use tacit_api::certificate::Certificate;
use tacit_api::identity::Identity;
use tacit_api::roster::Roster;
use tacit_api::tls::{TlsError, client_tls, server_tls};

/// Keeps these connections apart from any other service with the same certificates.
const ALPN: &[u8] = b"tacit-data/1";

/// Accepts connections of any certificate that the authority issued: whose it is, the roster tells.
pub(super) fn server(identity: &Identity, roster: &Roster) -> Result<Arc<ServerConfig>, TlsError> {
    let mut config = server_tls(identity, roster)?;
    // A resumed connection would skip the certificates.
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(Arc::new(config))
}

/// Connects to the member with this very certificate and to nobody else.
pub(super) fn client(
    identity: &Identity,
    roster: &Roster,
    peer: &Certificate,
) -> Result<Arc<ClientConfig>, TlsError> {
    let mut config = client_tls(identity, roster, peer)?;
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(Arc::new(config))
}

/// A TLS failure in words for people.
pub(super) fn explain(error: &Error) -> String {
    match error {
        Error::General(reason) => reason.clone(),
        Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        ) => "its certificate has expired: ask the coordinator's operator for a new one".into(),
        Error::InvalidCertificate(reason) => format!("its certificate is not valid ({reason:?})"),
        Error::AlertReceived(alert) => {
            format!("it refused this party's certificate or messages ({alert:?})")
        }
        other => other.to_string(),
    }
}
