//! Members and running listeners for the tests of the links.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tacit_api::authority::{Authority, days};
use tacit_api::certificate::Certificate;
use tacit_api::identity::Identity;
use tacit_api::roster::Roster;
use tokio::net::TcpSocket;
use tokio::runtime::Runtime;

use crate::net::{Connector, Deadlines, Limits, Listener, Peer, Registry};

/// An authority and the members that it has admitted so far.
pub(crate) struct Consortium {
    authority: Authority,
    pub(crate) roster: Roster,
}

/// A member of a roster.
pub(crate) struct Member {
    pub(crate) identity: Arc<Identity>,
    pub(crate) certificate: Certificate,
}

impl Consortium {
    pub(crate) fn new() -> Self {
        let [authority, coordinator] = [(); 2].map(|()| Identity::generate().unwrap());
        let authority = Authority::create("trial", &authority).unwrap();
        let certificate = authority
            .certify_coordinator(&coordinator, days(1))
            .unwrap();
        let roster = Roster::new(
            authority.certificate().clone(),
            certificate,
            "localhost:7000",
        )
        .unwrap();
        Self { authority, roster }
    }

    /// Admits a party.
    pub(crate) fn member(&mut self, name: &str) -> Member {
        self.admit(name, Some("localhost:7001"), days(1))
    }

    /// Admits a client.
    pub(crate) fn client(&mut self, name: &str) -> Member {
        self.admit(name, None, days(1))
    }

    /// Admits a party whose certificate is past its date.
    pub(crate) fn expired(&mut self, name: &str) -> Member {
        let day = Duration::from_secs(86_400);
        let now = SystemTime::now();
        self.admit(name, Some("localhost:7001"), now - 2 * day..now - day)
    }

    /// A party of this name with a certificate of its own, and the roster as it would be with it.
    pub(crate) fn readmit(&self, name: &str) -> (Member, Roster) {
        let identity = Identity::generate().unwrap();
        let request = identity.request(name, Some("localhost:7001")).unwrap();
        let member = self.authority.admit(&request, days(1)).unwrap();
        let certificate = member.certificate().clone();
        let mut roster = self.roster.clone();
        roster.add(member).unwrap();
        (
            Member {
                identity: Arc::new(identity),
                certificate,
            },
            roster,
        )
    }

    fn admit(&mut self, name: &str, address: Option<&str>, validity: Range<SystemTime>) -> Member {
        let identity = Identity::generate().unwrap();
        let member = self
            .authority
            .admit(&identity.request(name, address).unwrap(), validity)
            .unwrap();
        let certificate = member.certificate().clone();
        self.roster.add(member).unwrap();
        Member {
            identity: Arc::new(identity),
            certificate,
        }
    }
}

/// A member whose listener runs on a port of its own.
pub(crate) struct Node {
    pub(crate) connector: Connector,
    pub(crate) address: String,
    pub(crate) certificate: Certificate,
    _runtime: Runtime,
}

/// Settings of the nodes of a test.
#[derive(Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) connect: Duration,
    pub(crate) exchange: Duration,
    pub(crate) limits: Limits,
    pub(crate) socket_buffers: Option<u32>,
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
    pub(crate) fn start(&self, roster: &Roster, settings: Settings) -> Node {
        self.start_at(roster, settings, ([127, 0, 0, 1], 0).into())
    }

    /// The same at a given address.
    pub(crate) fn start_at(&self, roster: &Roster, settings: Settings, at: SocketAddr) -> Node {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let connector = self.connector(roster, settings);
        let (roster, registry) = (connector.roster.clone(), connector.registry.clone());
        let listener = Listener::new(&self.identity, roster, registry, settings.limits).unwrap();
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
            connector,
            address,
            certificate: self.certificate.clone(),
            _runtime: runtime,
        }
    }

    /// The dialing half alone.
    pub(crate) fn connector(&self, roster: &Roster, settings: Settings) -> Connector {
        Connector {
            identity: self.identity.clone(),
            roster: Arc::new(roster.clone()),
            registry: Arc::new(Registry::default()),
            deadlines: Deadlines {
                connect: settings.connect,
                exchange: settings.exchange,
            },
        }
    }
}

impl Node {
    /// This node as others see it at `index` of a session.
    pub(crate) fn as_peer(&self, index: usize) -> Peer {
        Peer {
            index,
            address: self.address.clone(),
            certificate: self.certificate.clone(),
        }
    }

    pub(crate) fn name(&self) -> String {
        self.certificate.name().to_owned()
    }
}
