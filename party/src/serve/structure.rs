//! Whether the parties serve the same: the same graphs, where only one of them knows the weights, within the same bounds, under
//! the same terms.
//!
//! The others hold a skeleton of the owner's file, which is made to give the same graph for one number of rows. A file may
//! make another one of it for others, and the parties would find out by getting stuck in the middle of a batch, or not at
//! all. Versions of this program could differ in what they make of a file too. So before the weights are shared each two
//! parties compare a hash of all their graphs and of what each of them would tell clients.
//!
//! 32 bytes a link, 1 round.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};
use tacit_mpc::{Session, Strand};

use super::agree::post;
use super::wire::Greeting;
use super::{ServeError, Terms};

/// The hash of what a party serves. Every part has a length or a fixed one, so that none runs into the next.
pub(super) struct Structure(Sha256);

impl Structure {
    /// What clients are told (ports, kinds, bounds, rows, fractional bits), who may ask, and the rows of a batch.
    pub(super) fn new(greeting: &Greeting, terms: &Terms, most_rows: usize) -> Self {
        let mut hash = Self(Sha256::new_with_prefix(b"tacit service v3"));
        hash.bytes(&greeting.encode());
        hash.number(terms.clients.len());
        for client in &terms.clients {
            hash.bytes(client.as_bytes());
        }
        hash.bytes(format!("{:?}", terms.protocol).as_bytes());
        hash.number(most_rows);
        hash
    }

    fn number(&mut self, n: usize) {
        self.0.update((n as u64).to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len());
        self.0.update(bytes);
    }

    /// The numbers of rows that there are graphs for.
    pub(super) fn sizes(&mut self, sizes: &BTreeSet<usize>) {
        self.number(sizes.len());
        sizes.iter().for_each(|&rows| self.number(rows));
    }

    /// The graph of so many rows, as a hash.
    pub(super) fn graph(&mut self, rows: usize, graph: &[u8; 32]) {
        self.number(rows);
        self.0.update(graph);
    }

    /// The name and shape of a private weight.
    pub(super) fn weight(&mut self, name: &str, shape: &[usize]) {
        self.bytes(name.as_bytes());
        self.number(shape.len());
        shape.iter().for_each(|&n| self.number(n));
    }

    pub(super) fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

/// Compares the hash of what is served with the peers.
///
/// # Errors
/// [`ServeError::Structure`] where they have another one; a failed link or peer.
pub(super) fn compare(session: &Session, own: &[u8; 32]) -> Result<(), ServeError> {
    session.begin_run()?;
    let peers = [session.next(), session.prev()];
    let theirs = session.fan_out(1, async |strand: Strand<'_>| {
        let label = strand.next_gate()?;
        for peer in peers {
            post(&strand, peer, label, own)?;
        }
        let mut theirs = Vec::with_capacity(2);
        for peer in peers {
            theirs.push((peer, strand.recv(peer, label, own.len()).await?));
        }
        Ok(theirs)
    })?;
    for (peer, theirs) in theirs.into_iter().flat_map(|(_, theirs)| theirs) {
        if theirs[..] != own[..] {
            return Err(ServeError::Structure { peer });
        }
    }
    Ok(())
}
