//! Certificates and running listeners for the tests of the links.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, PKCS_ED25519, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpSocket;
use tokio::runtime::Runtime;

use crate::net::tls::fingerprint;
use crate::net::{Connector, Credentials, Fingerprint, Limits, Listener, Peer, Registry};

/// An authority that signs members.
pub(in crate::net) struct Consortium {
    issuer: Issuer<'static, KeyPair>,
    authority: CertificateDer<'static>,
}

/// A member's certificate, with the means to use it.
pub(in crate::net) struct Member {
    pub(in crate::net) name: String,
    pub(in crate::net) credentials: Arc<Credentials>,
    pub(in crate::net) fingerprint: Fingerprint,
}

impl Consortium {
    pub(in crate::net) fn new() -> Self {
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = params.self_signed(&key).unwrap().der().clone();
        Self {
            issuer: Issuer::new(params, key),
            authority,
        }
    }

    pub(in crate::net) fn member(&self, name: &str) -> Member {
        self.member_until(name, 4000)
    }

    pub(in crate::net) fn expired(&self, name: &str) -> Member {
        self.member_until(name, 2001)
    }

    /// A member of another consortium that shows its own certificate but trusts this authority.
    pub(in crate::net) fn trusting(&self, other: &Member) -> Member {
        let credentials = other.credentials.with_authority(self.authority.clone());
        Member {
            name: other.name.clone(),
            credentials: Arc::new(credentials),
            fingerprint: other.fingerprint,
        }
    }

    fn member_until(&self, name: &str, year: i32) -> Member {
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        let fingerprint = fingerprint(&certificate);
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let credentials = Credentials::new(certificate, key, self.authority.clone()).unwrap();
        Member {
            name: name.into(),
            credentials: Arc::new(credentials),
            fingerprint,
        }
    }
}

/// A member whose listener runs on a port of its own.
pub(in crate::net) struct Node {
    pub(in crate::net) connector: Connector,
    pub(in crate::net) address: String,
    pub(in crate::net) fingerprint: Fingerprint,
    _runtime: Runtime,
}

/// Settings of the nodes of a test.
#[derive(Clone, Copy)]
pub(in crate::net) struct Settings {
    pub(in crate::net) connect: Duration,
    pub(in crate::net) exchange: Duration,
    pub(in crate::net) limits: Limits,
    pub(in crate::net) socket_buffers: Option<u32>,
}

impl Default for Settings {
    fn default() -> Self {
        let long = Duration::from_secs(20);
        Self {
            connect: long,
            exchange: long,
            limits: Limits::default(),
            socket_buffers: None,
        }
    }
}

impl Member {
    /// Starts this member's listener, which knows `roster`.
    pub(in crate::net) fn start(&self, roster: &[&Self], settings: Settings) -> Node {
        self.start_at(roster, settings, ([127, 0, 0, 1], 0).into())
    }

    /// The same at a given address.
    pub(in crate::net) fn start_at(
        &self,
        roster: &[&Self],
        settings: Settings,
        at: SocketAddr,
    ) -> Node {
        let members: HashMap<_, _> = roster
            .iter()
            .map(|m| (m.fingerprint, m.name.clone()))
            .collect();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let registry = Arc::new(Registry::default());
        let listener = Listener::new(
            &self.credentials,
            members,
            registry.clone(),
            settings.limits,
        )
        .unwrap();
        let socket = runtime.block_on(async {
            let socket = TcpSocket::new_v4().unwrap();
            if let Some(bytes) = settings.socket_buffers {
                socket.set_send_buffer_size(bytes).unwrap();
                socket.set_recv_buffer_size(bytes).unwrap();
            }
            socket.set_reuseaddr(true).unwrap();
            socket.bind(at).unwrap();
            socket.listen(64).unwrap()
        });
        let address = socket.local_addr().unwrap().to_string();
        runtime.spawn(listener.serve(socket));
        Node {
            connector: self.connector(registry, settings),
            address,
            fingerprint: self.fingerprint,
            _runtime: runtime,
        }
    }

    /// The dialing half alone.
    pub(in crate::net) fn connector(
        &self,
        registry: Arc<Registry>,
        settings: Settings,
    ) -> Connector {
        Connector {
            name: self.name.clone(),
            credentials: self.credentials.clone(),
            registry,
            connect_deadline: settings.connect,
            exchange_deadline: settings.exchange,
        }
    }
}

impl Node {
    /// This node as others see it at `index` of a session.
    pub(in crate::net) fn as_peer(&self, index: usize) -> Peer {
        Peer {
            index,
            name: self.connector.name.clone(),
            address: self.address.clone(),
            fingerprint: self.fingerprint,
        }
    }
}
