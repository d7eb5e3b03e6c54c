use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tacit_api::tls::server_name;
use tacit_mpc::net::{Error, Transport};

use super::consortium::{Node, Settings};
use super::{SHORT, nodes, session};
use crate::net::channel::Channel;
use crate::net::frame::{MAX_FRAME, header};
use crate::net::hello::Hello;
use crate::net::{Peer, TlsNet, tls};

/// Party 0 of a session and, at index 1, a member that follows no protocol after its hello.
fn with_rogue(settings: Settings) -> (TlsNet, Channel, [Node; 2]) {
    let nodes = nodes(settings);
    let [honest, rogue] = &nodes;
    let (net, channel) = thread::scope(|scope| {
        let party = scope.spawn(|| {
            honest
                .connector
                .connect(session(), 0, &[rogue.as_peer(1)])
                .unwrap()
        });
        let until = in_ten_seconds();
        let mut channel = dial(rogue, &honest.as_peer(0));
        let hello = Hello {
            session: session(),
            name: rogue.name(),
        };
        channel.send(&hello.encode(), until).unwrap();
        assert_eq!(
            Hello::decode(&channel.recv(until).unwrap()).unwrap().name,
            "member-0"
        );
        (party.join().unwrap(), channel)
    });
    (net, channel, nodes)
}

fn dial(from: &Node, to: &Peer) -> Channel {
    let config = tls::client(
        &from.connector.identity,
        &from.connector.roster,
        &to.certificate,
    )
    .unwrap();
    Channel::dial(
        &to.address,
        server_name(&to.certificate).unwrap(),
        config,
        in_ten_seconds(),
    )
    .unwrap()
}

fn in_ten_seconds() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

/// Sends these bytes in TLS records, without a frame around them.
fn send_plain(channel: &mut Channel, bytes: &[u8]) {
    channel.tls.writer().write_all(bytes).unwrap();
    while channel.tls.wants_write() {
        channel.tls.write_tls(&mut &channel.socket).unwrap();
    }
}

#[test]
fn a_frame_too_long_is_refused_at_its_header() {
    let (net, mut rogue, _nodes) = with_rogue(Settings::default());
    rogue.send(b"good", in_ten_seconds()).unwrap();
    send_plain(&mut rogue, &(MAX_FRAME as u32 + 1).to_le_bytes());
    assert_eq!(net.recv(1).unwrap(), "good");
    assert_eq!(
        net.recv(1),
        Err(Error::TooLong {
            peer: 1,
            len: MAX_FRAME + 1,
            max: MAX_FRAME
        })
    );
}

#[test]
fn a_truncated_frame_is_not_delivered() {
    let (net, mut rogue, _nodes) = with_rogue(Settings::default());
    send_plain(&mut rogue, &[&header(10).unwrap()[..], b"three"].concat());
    drop(rogue);
    let what = "it closed the link in the middle of a frame".into();
    assert_eq!(net.recv(1), Err(Error::Io { peer: 1, what }));
}

#[test]
fn a_connection_cut_between_frames_is_closed() {
    let (net, mut rogue, _nodes) = with_rogue(Settings::default());
    rogue.send(b"last", in_ten_seconds()).unwrap();
    drop(rogue);
    assert_eq!(net.recv(1).unwrap(), "last");
    assert_eq!(net.recv(1), Err(Error::Closed { peer: 1 }));
}

#[test]
fn bytes_outside_tls_end_the_link() {
    let (net, rogue, _nodes) = with_rogue(Settings::default());
    (&rogue.socket).write_all(&[0x55; 4096]).unwrap();
    match net.recv(1) {
        Err(Error::Io { peer: 1, .. }) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_record_changed_on_its_way_ends_the_link() {
    let (net, mut rogue, _nodes) = with_rogue(Settings::default());
    let mut wire = Vec::new();
    rogue
        .tls
        .writer()
        .write_all(&[&header(4).unwrap()[..], b"data"].concat())
        .unwrap();
    rogue.tls.write_tls(&mut wire).unwrap();
    let last = wire.len() - 1;
    wire[last] ^= 1;
    (&rogue.socket).write_all(&wire).unwrap();
    match net.recv(1) {
        Err(Error::Io { peer: 1, what }) => assert!(what.contains("decrypt"), "{what}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_peer_that_does_not_read_is_a_timeout() {
    let settings = Settings {
        exchange: SHORT,
        ..Settings::default()
    };
    let (net, _rogue, _nodes) = with_rogue(settings);
    let frame = Bytes::from(vec![0; 16 << 20]);
    let start = Instant::now();
    let refused = (0..20).find_map(|_| net.send(1, frame.clone()).err());
    assert_eq!(refused, Some(Error::Timeout { peer: 1 }));
    assert!(start.elapsed() < Duration::from_secs(10));
    assert_eq!(net.send(1, Bytes::new()), Err(Error::Timeout { peer: 1 })); // and the link stays broken
}

#[test]
fn many_empty_frames_are_just_frames() {
    let (net, mut rogue, _nodes) = with_rogue(Settings::default());
    send_plain(&mut rogue, &[0; 4 * 10_000]);
    (0..10_000).for_each(|_| assert_eq!(net.recv(1).unwrap(), ""));
}

#[test]
fn a_hello_under_another_name_or_of_garbage_is_refused() {
    let settings = Settings {
        connect: 3 * SHORT,
        ..Settings::default()
    };
    let [honest, rogue, third] = nodes(settings);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            honest
                .connector
                .connect(session(), 0, &[third.as_peer(1)])
                .err()
        });
        let borrowed = Hello {
            session: session(),
            name: third.name(),
        }
        .encode();
        let long = Bytes::from(vec![b'x'; Hello::MAX + 1]);
        for first in [
            borrowed,
            Bytes::from_static(b"GET / HTTP/1.1\r\n"),
            Bytes::new(),
            long,
        ] {
            let mut channel = dial(&rogue, &honest.as_peer(0));
            channel.send(&first, in_ten_seconds()).unwrap();
            assert!(channel.recv(in_ten_seconds()).is_err());
        }
        assert_eq!(waiting.join().unwrap(), Some(Error::Timeout { peer: 1 }));
    });
}

#[test]
fn an_answer_for_another_session_is_refused() {
    let [honest, rogue] = nodes(Settings::default());
    thread::scope(|scope| {
        let dialing = scope.spawn(|| {
            honest
                .connector
                .connect(session(), 1, &[rogue.as_peer(0)])
                .err()
        });
        let registry = &rogue.connector.registry;
        let mut channel = registry
            .claim(session(), &honest.name(), in_ten_seconds())
            .unwrap();
        let other = crate::net::SessionId::new("job", 2);
        let hello = Hello {
            session: other,
            name: rogue.name(),
        };
        channel.send(&hello.encode(), in_ten_seconds()).unwrap();
        let what = "it answered for another session or under another name".into();
        assert_eq!(dialing.join().unwrap(), Some(Error::Io { peer: 0, what }));
    });
}
