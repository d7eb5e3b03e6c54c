//! The data plane over real sockets: sessions that work, members that misbehave, strangers at the door.

pub(crate) mod consortium;
pub(crate) mod mute;
mod rogue;
mod sessions;
mod slow;
mod strangers;

use std::thread;
use std::time::Duration;

use consortium::{Consortium, Node, Settings};

use super::{SessionId, TlsNet};

/// A deadline that a test waits for.
const SHORT: Duration = Duration::from_millis(300);

/// Members of one consortium, each with a running listener.
fn nodes<const N: usize>(settings: Settings) -> [Node; N] {
    let mut consortium = Consortium::new();
    let members: [_; N] = std::array::from_fn(|i| consortium.member(&format!("member-{i}")));
    members.map(|member| member.start(&consortium.roster, settings))
}

/// The full mesh of one session over `nodes`, in the order of their indices.
fn mesh<const N: usize>(nodes: &[Node; N], session: SessionId) -> [TlsNet; N] {
    let peers: Vec<_> = nodes
        .iter()
        .enumerate()
        .map(|(i, node)| node.as_peer(i))
        .collect();
    thread::scope(|scope| {
        let starting: [_; N] = std::array::from_fn(|me| {
            let others: Vec<_> = peers
                .iter()
                .filter(|peer| peer.index != me)
                .cloned()
                .collect();
            scope.spawn(move || nodes[me].connector.connect(session, me, &others).unwrap())
        });
        starting.map(|party| party.join().unwrap())
    })
}

fn session() -> SessionId {
    SessionId::new("job", 1)
}
