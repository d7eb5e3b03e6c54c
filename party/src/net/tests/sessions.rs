use std::thread;
use std::time::Instant;

use bytes::Bytes;
use tacit_mpc::net::{Error, Transport};

use super::consortium::Settings;
use super::{SHORT, mesh, nodes, session};
use crate::net::{MAX_FRAME, SessionId};

#[test]
fn frames_arrive_whole_and_in_order_between_all_pairs() {
    let nets = mesh(&nodes::<3>(Settings::default()), session());
    let sizes = [
        0,
        1,
        7,
        64,
        16_379,
        16_380,
        16_381,
        32 << 10,
        (32 << 10) + 1,
        1 << 20,
        3,
        0,
        300_000,
        5,
    ];
    let frame = |from: usize, to: usize, k: usize| {
        Bytes::from(vec![(from * 100 + to * 10 + k) as u8; sizes[k]])
    };
    for (from, net) in nets.iter().enumerate() {
        for to in (0..3).filter(|&to| to != from) {
            (0..sizes.len()).for_each(|k| net.send(to, frame(from, to, k)).unwrap());
        }
    }
    for (to, net) in nets.iter().enumerate() {
        for from in (0..3).filter(|&from| from != to) {
            (0..sizes.len()).for_each(|k| {
                assert!(
                    net.recv(from).unwrap() == frame(from, to, k),
                    "{from}->{to} {k}"
                )
            });
        }
    }
    assert_eq!(
        nets[0].send(7, Bytes::new()),
        Err(Error::NoLink { peer: 7 })
    );
    assert_eq!(nets[0].recv(0), Err(Error::NoLink { peer: 0 }));
}

/// Every party first sends to all, then receives: more than the sockets and the queue of a link hold together.
#[test]
fn large_frames_in_a_ring_do_not_lock_up() {
    let settings = Settings {
        socket_buffers: Some(4096),
        ..Settings::default()
    };
    let nets = mesh(&nodes::<3>(settings), session());
    let (frames, bytes) = (5, 20 << 20);
    thread::scope(|scope| {
        for net in &nets {
            scope.spawn(move || {
                let others = || (0..3).filter(|&to| to != net.me());
                let frame = Bytes::from(vec![net.me() as u8; bytes]);
                (0..frames)
                    .for_each(|_| others().for_each(|to| net.send(to, frame.clone()).unwrap()));
                for from in (0..frames).flat_map(|_| others()) {
                    let frame = net.recv(from).unwrap();
                    assert!(frame.len() == bytes && frame.iter().all(|&b| b == from as u8));
                }
            });
        }
    });
}

#[test]
fn sessions_between_the_same_members_are_apart() {
    let nodes = nodes::<2>(Settings::default());
    let (first, second) = thread::scope(|scope| {
        let first = scope.spawn(|| mesh(&nodes, SessionId::new("job", 1)));
        let second = scope.spawn(|| mesh(&nodes, SessionId::new("job", 2)));
        (first.join().unwrap(), second.join().unwrap())
    });
    first[0].send(1, Bytes::from_static(b"first")).unwrap();
    second[0].send(1, Bytes::from_static(b"second")).unwrap();
    assert_eq!(second[1].recv(0).unwrap(), "second");
    assert_eq!(first[1].recv(0).unwrap(), "first");
    drop(first);
    second[1]
        .send(0, Bytes::from_static(b"still here"))
        .unwrap();
    assert_eq!(second[0].recv(1).unwrap(), "still here");
}

#[test]
fn contributors_need_links_to_the_computing_parties_alone() {
    let nodes = nodes::<5>(Settings::default());
    let peers: Vec<_> = nodes
        .iter()
        .enumerate()
        .map(|(i, node)| node.as_peer(i))
        .collect();
    thread::scope(|scope| {
        for (me, node) in nodes.iter().enumerate() {
            let peers = &peers;
            scope.spawn(move || {
                let others: Vec<_> = peers
                    .iter()
                    .filter(|p| p.index != me && p.index.min(me) < 3)
                    .cloned()
                    .collect();
                let net = node.connector.connect(session(), me, &others).unwrap();
                others
                    .iter()
                    .for_each(|peer| net.send(peer.index, Bytes::from(vec![me as u8])).unwrap());
                others.iter().for_each(|peer| {
                    assert_eq!(net.recv(peer.index).unwrap()[..], [peer.index as u8])
                });
            });
        }
    });
}

#[test]
fn what_was_sent_arrives_before_the_link_closes() {
    let [a, b] = mesh(&nodes::<2>(Settings::default()), session());
    let frame = Bytes::from(vec![3; 10 << 20]);
    (0..4).for_each(|_| b.send(0, frame.clone()).unwrap());
    drop(b);
    (0..4).for_each(|_| assert!(a.recv(1).unwrap() == frame));
    assert_eq!(a.recv(1), Err(Error::Closed { peer: 1 }));
    assert_eq!(a.recv(1), Err(Error::Closed { peer: 1 }));
    assert_eq!(a.send(1, frame.clone()), Err(Error::Closed { peer: 1 }));
    assert_eq!(a.send(1, Bytes::new()), Err(Error::Closed { peer: 1 }));
}

#[test]
fn a_silent_peer_is_a_timeout() {
    let settings = Settings {
        exchange: SHORT,
        ..Settings::default()
    };
    let [a, b] = mesh(&nodes::<2>(settings), session());
    let start = Instant::now();
    assert_eq!(a.recv(1), Err(Error::Timeout { peer: 1 }));
    assert!(start.elapsed() >= SHORT && start.elapsed() < 10 * SHORT);
    b.send(0, Bytes::from_static(b"late")).unwrap();
    assert_eq!(a.recv(1).unwrap(), "late");
}

#[test]
fn an_abort_wakes_both_ends() {
    let [a, b] = mesh(&nodes::<2>(Settings::default()), session());
    thread::scope(|scope| {
        let (here, there) = (scope.spawn(|| a.recv(1)), scope.spawn(|| b.recv(0)));
        thread::sleep(SHORT);
        a.abort();
        assert_eq!(here.join().unwrap(), Err(Error::Closed { peer: 1 }));
        assert_eq!(there.join().unwrap(), Err(Error::Closed { peer: 0 }));
    });
}

#[test]
fn traffic_is_counted() {
    let [a, b] = mesh(&nodes::<2>(Settings::default()), session());
    let sizes = [0, 100, 20_000];
    for len in sizes {
        a.send(1, Bytes::from(vec![1; len])).unwrap();
        b.recv(0).unwrap();
    }
    let traffic = a.traffic();
    assert_eq!((traffic.frames, traffic.payload_bytes), (3, 20_100));
    // 4 bytes of length a frame, 22 bytes a TLS record; the last frame fills two records.
    assert_eq!(traffic.wire_bytes, 20_100 + 3 * 4 + 4 * 22);
    assert_eq!(b.traffic().frames, 0);
}

#[test]
fn a_frame_over_the_limit_does_not_leave() {
    let [a, _b] = mesh(&nodes::<2>(Settings::default()), session());
    let len = MAX_FRAME + 1;
    assert_eq!(
        a.send(1, Bytes::from(vec![0; len])),
        Err(Error::TooLong {
            peer: 1,
            len,
            max: MAX_FRAME
        })
    );
}
