use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tacit_mpc::net::{Error, Transport};

use super::consortium::{Consortium, Member, Node, Settings};
use super::{SHORT, mesh, nodes, session};
use crate::net::{Limits, Peer, Registry, SessionId};

/// What `dialer` meets when it calls `peer` for a session.
fn refusal(dialer: &Member, peer: &Peer) -> Error {
    let connector = dialer.connector(
        Arc::new(Registry::default()),
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
fn assert_reason(error: Error, part: &str) {
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
    let (ours, theirs) = (Consortium::new(), Consortium::new());
    let (north, west, stranger) = (
        ours.member("north"),
        ours.member("west"),
        theirs.member("west"),
    );
    let node = north.start(&[&north, &west], Settings::default());
    // The stranger trusts nobody but its own authority and hangs up first.
    assert_reason(refusal(&stranger, &node.as_peer(0)), "BadSignature");
    // Even if it trusts ours, the listener does not trust it.
    let turncoat = ours.trusting(&stranger);
    assert_reason(refusal(&turncoat, &node.as_peer(0)), "DecryptError");
    // And nobody takes its listener for north's.
    let impostor = stranger.start(&[&north, &west], Settings::default());
    assert_reason(refusal(&west, &impostor.as_peer(0)), "BadSignature");
    assert_serves(&node, &west.start(&[&north, &west], Settings::default()));
}

#[test]
fn an_expired_certificate_is_refused_both_ways() {
    let consortium = Consortium::new();
    let (north, late) = (consortium.member("north"), consortium.expired("late"));
    let node = north.start(&[&north, &late], Settings::default());
    assert_reason(refusal(&late, &node.as_peer(0)), "CertificateExpired");
    let expired = late.start(&[&north, &late], Settings::default());
    assert_reason(refusal(&north, &expired.as_peer(0)), "expired");
}

#[test]
fn another_members_certificate_is_refused_both_ways() {
    let consortium = Consortium::new();
    let [north, west, south] = ["north", "west", "south"].map(|name| consortium.member(name));
    let node = west.start(
        &[&north, &west],
        Settings {
            connect: SHORT,
            ..Settings::default()
        },
    );
    // West listens where the roster has north.
    let swapped = Peer {
        fingerprint: north.fingerprint,
        name: north.name.clone(),
        ..node.as_peer(0)
    };
    assert_reason(refusal(&south, &swapped), "not the one in the roster");
    // South has a certificate of the authority but no place in west's roster.
    assert_eq!(refusal(&south, &node.as_peer(0)), Error::Closed { peer: 0 });
    // Two certificates of one name: the session holds the caller against the roster it was given.
    let renewed = consortium.member("north");
    let peer = Peer {
        fingerprint: renewed.fingerprint,
        ..swapped
    };
    thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            node.connector
                .connect(session(), 0, &[Peer { index: 1, ..peer }])
                .err()
        });
        refusal(&north, &node.as_peer(0));
        assert_reason(
            waiting.join().unwrap().unwrap(),
            "not the one in the roster",
        );
    });
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

#[test]
fn silent_strangers_are_dropped_and_bounded_in_number() {
    let limits = Limits {
        handshake: SHORT,
        half_open: 2,
        ..Limits::default()
    };
    let nodes = nodes::<2>(Settings {
        limits,
        ..Settings::default()
    });
    let start = Instant::now();
    let connect = |_| TcpStream::connect(&nodes[0].address).unwrap();
    let mut strangers: Vec<TcpStream> = (0..3).map(connect).collect();
    // One too many: dropped at once. The others are dropped at the deadline of the handshake.
    assert!(matches!(strangers.remove(2).read(&mut [0]), Ok(0) | Err(_)));
    assert!(start.elapsed() < SHORT);
    // Members that call meanwhile try again until there is room.
    drop(mesh(&nodes, session()));
    assert!(start.elapsed() >= SHORT && start.elapsed() < Duration::from_secs(10));
    for mut stranger in strangers {
        assert!(matches!(stranger.read(&mut [0]), Ok(0) | Err(_)));
    }
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
    let consortium = Consortium::new();
    let (north, west) = (consortium.member("north"), consortium.member("west"));
    let roster = [&north, &west];
    let node = west.start(&roster, Settings::default());
    // Reserve an address, free it, and start north there a little later.
    let address = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    thread::scope(|scope| {
        let peer = Peer {
            index: 0,
            name: "north".into(),
            address: address.to_string(),
            fingerprint: north.fingerprint,
        };
        let dialing = scope.spawn(|| node.connector.connect(session(), 1, &[peer]).unwrap());
        thread::sleep(SHORT);
        let late = north.start_at(&roster, Settings::default(), address);
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
