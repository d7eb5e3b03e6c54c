//! The beginning of transfers between each two parties: base transfers and trees, both ways on every link at once.

use sha2::{Digest, Sha256};
use tacit_mpc::{Error, PartyId, Result, Strand};
use zeroize::Zeroizing;

use super::base::{self, Key, POINT};
use super::extension::{Chooser, Holder};
use super::hash::Hash;
use super::tree::{self, CORRECTION};
use super::{DEPTH, LEAVES, SECURITY, TREES};

/// What a party keeps for the transfers with one other.
pub(crate) struct Link {
    /// Where this party chooses.
    pub(crate) chooser: Chooser,
    /// Where the other party chooses.
    pub(crate) holder: Holder,
    /// For pads of transfers in which this party chooses, and in which the other does.
    pub(crate) hashes: [Hash; 2],
}

/// Bytes of a party's answers to base transfers.
const ANSWER: usize = SECURITY * POINT;
/// Bytes of the corrections of its trees.
const CORRECTIONS: usize = TREES * CORRECTION;

fn misbehaved(peer: PartyId, what: &str) -> Error {
    let what = format!("it sent a group element {what}");
    Error::PeerMisbehaved { peer, what }
}

/// The public key of the hash of a direction: of the messages of its base transfers.
fn hash_key(a: &[u8], answer: &[u8]) -> Key {
    let digest = Sha256::new()
        .chain_update(b"tacit transfer hash v1")
        .chain_update(a)
        .chain_update(answer)
        .finalize();
    std::array::from_fn(|i| digest[i])
}

/// Sets up transfers with each peer, in both directions. 32 + 4096 + 4096 bytes a direction of a link, 3 rounds; 128 base transfers each.
///
/// # Errors
/// No randomness, or a link or peer failed.
pub(crate) async fn link_up(
    strand: &Strand<'_>,
    peers: &[PartyId],
) -> Result<Vec<(PartyId, Link)>> {
    let [first, second, third] = [
        strand.next_gate()?,
        strand.next_gate()?,
        strand.next_gate()?,
    ];
    let send = |to, label, bytes: &[u8]| {
        strand.send(to, label, bytes.len(), |out| out.extend_from_slice(bytes))
    };
    // Its trees are for transfers in which this party chooses: there it is the sender of the base transfers.
    let mut senders = Vec::with_capacity(peers.len());
    for &peer in peers {
        let sender = base::Sender::new()?;
        send(peer, first, &sender.message())?;
        senders.push(sender);
    }
    let mut holes = Vec::with_capacity(peers.len());
    for &peer in peers {
        let a = strand.recv(peer, first, POINT).await?;
        let mut delta = Zeroizing::new([0u8; TREES]);
        getrandom::fill(&mut *delta).map_err(|e| Error::Randomness(e.to_string()))?;
        let places: [usize; TREES] = std::array::from_fn(|k| usize::from(delta[k]) % LEAVES);
        let choices: Vec<bool> = places
            .iter()
            .flat_map(|&hole| tree::choices(hole))
            .collect();
        let (keys, answer) = base::choose(&a, &choices)?.map_err(|what| misbehaved(peer, what))?;
        send(peer, second, &answer)?;
        holes.push((places, Zeroizing::new(keys), hash_key(&a, &answer)));
    }
    let mut choosers = Vec::with_capacity(peers.len());
    for (&peer, sender) in peers.iter().zip(&senders) {
        let answer = strand.recv(peer, second, ANSWER).await?;
        let keys = sender
            .keys(&answer)
            .map_err(|what| misbehaved(peer, what))?;
        let keys = Zeroizing::new(keys);
        let mut leaves = Zeroizing::new(Vec::with_capacity(TREES * LEAVES));
        let mut corrections = Vec::with_capacity(CORRECTIONS);
        for keys in keys.chunks_exact(DEPTH) {
            let mut root = Zeroizing::new([0; 16]);
            getrandom::fill(&mut *root).map_err(|e| Error::Randomness(e.to_string()))?;
            let (tree, correction) = tree::grow(&root, keys);
            leaves.extend_from_slice(&tree);
            corrections.extend_from_slice(&correction);
        }
        send(peer, third, &corrections)?;
        let hash = Hash::new(&hash_key(&sender.message(), &answer));
        choosers.push((Chooser::new(leaves.iter()), hash));
    }
    let mut links = Vec::with_capacity(peers.len());
    for ((&peer, (places, keys, key)), (chooser, hash)) in peers.iter().zip(holes).zip(choosers) {
        let corrections = strand.recv(peer, third, CORRECTIONS).await?;
        let parts = places
            .iter()
            .zip(keys.chunks_exact(DEPTH))
            .zip(corrections.chunks_exact(CORRECTION));
        let mut leaves = Zeroizing::new(Vec::with_capacity(TREES * LEAVES));
        for ((&hole, keys), correction) in parts {
            leaves.extend_from_slice(&tree::punctured(hole, keys, correction));
        }
        let link = Link {
            chooser,
            holder: Holder::new(leaves.iter(), places),
            hashes: [hash, Hash::new(&key)],
        };
        links.push((peer, link));
    }
    Ok(links)
}
