use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rcgen::{CertificateParams, KeyPair, PKCS_ED25519};
use rustls::pki_types::PrivateKeyDer;
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore};
use tacit_api::roster::Roster;
use tacit_api::tls::server_name;
use tacit_mpc::net::{Error, Transport};

use super::consortium::{Consortium, Member, Node, Settings};
use super::{SHORT, mesh, nodes, session};
use crate::net::channel::Channel;
use crate::net::{Limits, Peer, ReservedAddress, SessionId};

/// What `dialer` meets when it calls `peer` for a session.
fn refusal(dialer: &Member, roster: &Roster, peer: &Peer) -> Error {
    let connector = dialer.connector(
        roster,
        Settings {
            connect: SHORT,
            ..Settings::default()
        },
    );
    let refused = connector
        .connect(session(), 1, std::slice::from_ref(peer))
        .err();
    refused.expect("the connection is refused")
}

#[track_caller]
fn assert_reason(error: &Error, part: &str) {
    match error {
        Error::Io { what, .. } => assert!(what.contains(part), "{what}"),
        other => panic!("{other:?}"),
    }
}

/// Whether `node` still does its work.
fn assert_serves(node: &Node, other: &Node) {
    let (a, b) = (node.as_peer(0), other.as_peer(1));
    let session = SessionId::new("afterwards", 1);
    thread::scope(|scope| {
        let first = scope.spawn(|| node.connector.connect(session, 0, &[b]).unwrap());
        let second = other.connector.connect(session, 1, &[a]).unwrap();
        second.send(0, "still serving".into()).unwrap();
        assert_eq!(first.join().unwrap().recv(1).unwrap(), "still serving");
    });
}

#[test]
fn a_certificate_of_another_authority_is_refused_both_ways() {
    let (mut ours, mut theirs) = (Consortium::new(), Consortium::new());
    let [north, west] = ["north", "west"].map(|name| ours.member(name));
    let stranger = theirs.member("west");
    let node = north.start(&ours.roster, Settings::default());
    // The stranger, who trusts nobody but its own authority, hangs up first.
    assert_reason(
        &refusal(&stranger, &theirs.roster, &node.as_peer(0)),
        "certificate is not valid",
    );
    // And nobody takes the stranger's listener for one of ours.
    let impostor = stranger.start(&theirs.roster, Settings::default());
    assert_reason(
        &refusal(&west, &ours.roster, &impostor.as_peer(0)),
        "certificate is not valid",
    );
    assert_serves(&node, &west.start(&ours.roster, Settings::default()));
}

/// The listener itself refuses, also where the caller would trust it.
#[test]
fn a_self_signed_certificate_is_refused_by_the_listener() {
    let mut consortium = Consortium::new();
    let node = consortium
        .member("north")
        .start(&consortium.roster, Settings::default());
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let certificate = CertificateParams::new(["west".into()])
        .unwrap()
        .self_signed(&key)
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots
        .add(consortium.roster.authority().der().clone())
        .unwrap();
    let config =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            )
            .unwrap();
    let until = Instant::now() + Duration::from_secs(10);
    let name = server_name(&node.certificate).unwrap();
    let refused = Channel::dial(&node.address, name, Arc::new(config), until)
        .and_then(|mut channel| channel.recv(until));
    assert!(refused.unwrap_err().to_string().contains("UnknownCA"));
}

#[test]
fn an_expired_certificate_is_refused_both_ways() {
    let mut consortium = Consortium::new();
    let (north, late) = (consortium.member("north"), consortium.expired("late"));
    let node = north.start(&consortium.roster, Settings::default());
    assert_reason(
        &refusal(&late, &consortium.roster, &node.as_peer(0)),
        "CertificateExpired",
    );
    let expired = late.start(&consortium.roster, Settings::default());
    assert_reason(
        &refusal(&north, &consortium.roster, &expired.as_peer(0)),
        "expired",
    );
}

#[test]
fn another_members_certificate_is_refused_by_the_caller() {
    let mut consortium = Consortium::new();
    let [north, west, south] = ["north", "west", "south"].map(|name| consortium.member(name));
    let node = west.start(&consortium.roster, Settings::default());
    // West listens where the roster has north.
    let swapped = Peer {
        certificate: north.certificate,
        ..node.as_peer(0)
    };
    assert_reason(
        &refusal(&south, &consortium.roster, &swapped),
        "certificate is not valid",
    );
}

#[test]
fn an_older_certificate_of_the_same_member_is_refused_both_ways() {
    let mut consortium = Consortium::new();
    let west = consortium.member("west");
    let (before, after) = (consortium.readmit("north"), consortium.readmit("north"));
    let node = west.start(
        &after.1,
        Settings {
            connect: SHORT,
            ..Settings::default()
        },
    );
    // The listener looks the caller up in the roster of today.
    assert_eq!(
        refusal(&before.0, &before.1, &node.as_peer(0)),
        Error::Closed { peer: 0 }
    );
    // The caller, too, wants the certificate of its own roster.
    let old = before.0.start(&before.1, Settings::default());
    let expected = Peer {
        certificate: after.0.certificate,
        ..old.as_peer(0)
    };
    assert_reason(&refusal(&west, &after.1, &expected), "the roster says");
    // A session holds whoever was let in against the roster that it was given.
    let node = west.start(
        &before.1,
        Settings {
            connect: 5 * SHORT,
            ..Settings::default()
        },
    );
    thread::scope(|scope| {
        let expected = Peer {
            index: 1,
            ..expected
        };
        let waiting = scope.spawn(|| node.connector.connect(session(), 0, &[expected]).err());
        refusal(&before.0, &before.1, &node.as_peer(0));
        assert_reason(
            &waiting.join().unwrap().unwrap(),
            "not the one in the roster",
        );
    });
}

#[test]
fn a_client_has_no_business_here() {
    let mut consortium = Consortium::new();
    let (north, analyst) = (consortium.member("north"), consortium.client("analyst"));
    let node = north.start(&consortium.roster, Settings::default());
    assert_eq!(
        refusal(&analyst, &consortium.roster, &node.as_peer(0)),
        Error::Closed { peer: 0 }
    );
}

#[test]
fn random_bytes_do_not_end_the_listener() {
    let nodes = nodes::<2>(Settings::default());
    let mut noise = vec![0; 1 << 16];
    getrandom::fill(&mut noise).unwrap();
    for bytes in noise.chunks(1 << 12) {
        let mut stream = TcpStream::connect(&nodes[0].address).unwrap();
        let _ = stream.write_all(bytes); // may be refused half-way
        let _ = stream.read_to_end(&mut Vec::new());
    }
    drop(mesh(&nodes, session()));
}

/// Strangers that connect and say nothing, or a byte now and then, as many as they like: whoever has something to say gets in.
#[test]
fn silent_strangers_keep_nobody_out() {
    let limits = Limits {
        // Nobody is dropped by a deadline here.
        first_message: Duration::from_secs(3600),
        handshake: Duration::from_secs(3600),
        half_open: 8,
        half_open_of_one: 4,
        ..Limits::default()
    };
    let nodes = nodes::<2>(Settings {
        limits,
        ..Settings::default()
    });
    let connect = |_| TcpStream::connect(&nodes[0].address).unwrap();
    let mut strangers: Vec<TcpStream> = (0..20).map(connect).collect();
    // The oldest are cut.
    for stranger in &mut strangers[..16] {
        assert!(matches!(stranger.read(&mut [0]), Ok(0) | Err(_)));
    }
    drop(mesh(&nodes, session()));
}

#[test]
fn a_stranger_says_something_whole_soon_or_leaves() {
    let limits = Limits {
        first_message: SHORT,
        handshake: Duration::from_secs(3600),
        ..Limits::default()
    };
    let nodes = nodes::<2>(Settings {
        limits,
        ..Settings::default()
    });
    // Nothing, and the beginning of a record of a handshake that never comes.
    for begun in [&[][..], &[22, 3, 1, 2, 0, 1]] {
        let mut stranger = TcpStream::connect(&nodes[0].address).unwrap();
        stranger.write_all(begun).unwrap();
        assert!(matches!(stranger.read(&mut [0]), Ok(0) | Err(_)));
    }
    drop(mesh(&nodes, session()));
}

#[test]
fn an_unclaimed_connection_is_dropped() {
    let limits = Limits {
        unclaimed: SHORT,
        ..Limits::default()
    };
    let [north, west] = nodes(Settings {
        connect: SHORT / 2,
        limits,
        ..Settings::default()
    });
    let start = Instant::now();
    // No session waits at north: west gives up at its own deadline.
    assert_eq!(
        west.connector
            .connect(session(), 1, &[north.as_peer(0)])
            .err(),
        Some(Error::Timeout { peer: 0 })
    );
    thread::sleep((2 * SHORT).saturating_sub(start.elapsed()));
    // By now the connection is gone: a session that begins here finds nobody.
    assert!(
        north
            .connector
            .registry
            .claim(session(), "member-1", Instant::now())
            .is_none()
    );
}

#[test]
fn a_party_that_is_not_there_yet_is_dialed_again() {
    let mut consortium = Consortium::new();
    let (north, west) = (consortium.member("north"), consortium.member("west"));
    let roster = &consortium.roster;
    let node = west.start(roster, Settings::default());
    let kept = ReservedAddress::new().unwrap();
    let address = kept.address();
    thread::scope(|scope| {
        let peer = Peer {
            index: 0,
            address: address.to_string(),
            certificate: north.certificate.clone(),
        };
        let dialing = scope.spawn(|| node.connector.connect(session(), 1, &[peer]).unwrap());
        thread::sleep(SHORT);
        let late = north.start_at(roster, Settings::default(), address);
        late.connector
            .connect(session(), 0, &[node.as_peer(1)])
            .unwrap();
        dialing.join().unwrap();
    });
}

#[test]
fn a_party_that_never_comes_is_named() {
    let nodes = nodes::<2>(Settings {
        connect: SHORT,
        ..Settings::default()
    });
    let absent = Peer {
        address: "127.0.0.1:1".into(),
        ..nodes[0].as_peer(0)
    };
    let error = nodes[1]
        .connector
        .connect(session(), 1, &[absent])
        .err()
        .unwrap();
    assert_eq!(error.peer(), 0);
    let error = nodes[1]
        .connector
        .connect(session(), 0, &[nodes[0].as_peer(2)])
        .err();
    assert_eq!(error, Some(Error::Timeout { peer: 2 }));
}
