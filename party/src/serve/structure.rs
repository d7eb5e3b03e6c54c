//! Whether the parties hold the same graphs, where only one of them knows the weights.
//!
//! The others hold a skeleton of the owner's file, which is made to give the same graph for one number of rows. A file may
//! make another one of it for others, and the parties would find out by getting stuck in the middle of a batch, or not at
//! all. So before the weights are shared each two parties compare a hash of all their graphs.
//!
//! 32 bytes a link, 1 round.

use tacit_mpc::{Session, Strand};

use super::ServeError;
use super::agree::post;

/// Compares the hash of all graphs with the peers.
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
