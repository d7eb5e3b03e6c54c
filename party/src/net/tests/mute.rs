//! A client that says hello to the parties of a service and then does what it likes.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use tacit_api::tls::server_name;

use crate::net::channel::Channel;
use crate::net::hello::Hello;
use crate::net::{Connector, MAX_FRAME, Peer, SessionId, tls};

/// Its connections, from which nothing is read unless a test says so.
pub(crate) struct Mute([Channel; 3]);

/// Calls a party for a service, and says hello.
pub(in crate::net) fn dial(
    connector: &Connector,
    name: &str,
    session: SessionId,
    peer: &Peer,
) -> io::Result<Channel> {
    let Connector {
        identity, roster, ..
    } = connector;
    let config = tls::client(identity, roster, &peer.certificate).unwrap();
    let server = server_name(&peer.certificate).unwrap();
    let mut channel = Channel::dial(&peer.address, server, config, soon())?;
    let hello = Hello {
        session,
        name: name.to_owned(),
    };
    channel.send(&hello.encode(), soon())?;
    channel.recv(soon())?; // the party's hello
    channel.decoder.set_max(MAX_FRAME);
    Ok(channel)
}

impl Mute {
    pub(crate) fn connect(
        connector: &Connector,
        name: &str,
        session: SessionId,
        parties: &[Peer; 3],
    ) -> Self {
        // The service may not have begun.
        let patient = |peer: &Peer| {
            for _ in 0..200 {
                if let Ok(channel) = dial(connector, name, session, peer) {
                    return channel;
                }
                thread::sleep(Duration::from_millis(50));
            }
            panic!("the service does not begin");
        };
        Self(parties.each_ref().map(patient))
    }

    /// Sends a frame; `false` if the party has cut the link.
    pub(crate) fn send(&mut self, party: usize, frame: &[u8]) -> bool {
        self.0[party].send(frame, soon()).is_ok()
    }

    /// Reads until the party closes the link.
    pub(crate) fn read_to_the_end(&mut self, party: usize) -> usize {
        let until = Instant::now() + Duration::from_secs(60);
        let frames = std::iter::from_fn(|| self.0[party].recv(until).ok());
        let frames = frames.count();
        assert!(Instant::now() < until, "party {party} keeps the link");
        frames
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}
