//! Clients that read what they are sent, or hardly.

use std::io::Read;
use std::thread;
use std::time::{Duration, Instant};

use super::consortium::{Consortium, Settings};
use super::mute::dial;
use super::{SHORT, session};
use crate::net::channel::Channel;
use crate::net::{Allowance, Budget, Caller};

/// Bytes of a frame: more than systems keep by themselves.
const LEN: usize = 24 << 20;

/// A caller at a party that waits so long for nothing to be read, and what calls; then `act`.
fn with_caller(write: Duration, act: impl FnOnce(&Caller, Channel)) {
    let mut consortium = Consortium::new();
    let (north, clinic) = (consortium.member("north"), consortium.client("clinic"));
    let node = north.start(&consortium.roster, Settings::default());
    let connector = clinic.connector(&consortium.roster, Settings::default());
    let members = ["clinic".to_owned()];
    let open = node.connector.open(session(), &members);
    thread::scope(|scope| {
        let calls =
            scope.spawn(|| dial(&connector, "clinic", session(), &node.as_peer(0)).unwrap());
        let call = open
            .next_call(Instant::now() + Duration::from_secs(60))
            .unwrap();
        let allowance = Allowance {
            frame: 100,
            unread: 1,
            silence: Duration::from_secs(3600),
            unsent: 4 * LEN,
            write,
            account: Budget::new(8 * LEN, 1).account(0),
        };
        let caller = node
            .connector
            .answer_call(session(), "clinic", call, allowance);
        act(&caller.unwrap(), calls.join().unwrap());
    });
}

/// Its answers take many times as long as it may take nothing of them, and more come meanwhile.
#[test]
fn a_slow_client_that_reads_gets_long_answers_whole() {
    with_caller(SHORT, |caller, channel| {
        caller.send(vec![7; LEN].into()).unwrap();
        let (start, mut got, mut posted) = (Instant::now(), 0, 1);
        let mut buffer = vec![0; 64 << 10];
        while got < 2 * LEN {
            let read = (&channel.socket).read(&mut buffer).unwrap();
            assert!(read > 0, "dropped after {got} bytes");
            got += read;
            thread::sleep(Duration::from_millis(2));
            if posted == 1 && start.elapsed() > 2 * SHORT {
                posted = 2;
                caller.send(vec![8; LEN].into()).unwrap();
            }
        }
        assert_eq!(posted, 2);
    });
}

#[test]
fn a_client_that_takes_a_byte_now_and_then_is_dropped() {
    with_caller(SHORT, |caller, channel| {
        caller.send(vec![7; LEN].into()).unwrap();
        thread::scope(|scope| {
            let dropped = scope.spawn(|| caller.recv());
            // Would go on for days.
            while !dropped.is_finished() {
                let _ = (&channel.socket).read(&mut [0]);
                thread::sleep(Duration::from_millis(10));
            }
            assert!(dropped.join().unwrap().is_err());
        });
    });
}
