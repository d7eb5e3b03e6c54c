//! What two parties must hold alike: each two compare hashes of it, before anything depends on it. The third party sees
//! nothing of this: it knows the rest, and a hash of what it lacks would let it try values.
//!
//! 1 round, 32 bytes an item and direction of a link.

use tacit_mpc::{PartyId, Result, Session, Strand};

/// SHA-256 of what a party holds of an item, with whatever the item is bound to.
pub type Hash = [u8; HASH];
/// Bytes of a hash.
pub const HASH: usize = 32;

/// For every item and every peer, by its index, whether it holds what this party holds: `ours[item][peer]` is the hash of what
/// `peer` must hold too. A party agrees with itself.
///
/// # Errors
/// A failed link or peer.
pub fn compare(session: &Session, ours: &[[Hash; 3]]) -> Result<Vec<[bool; 3]>> {
    let mut alike = vec![[true; 3]; ours.len()];
    if ours.is_empty() {
        return Ok(alike);
    }
    let peers: [PartyId; 2] = [session.next(), session.prev()];
    let theirs = session.fan_out(1, async |strand: Strand<'_>| {
        let (label, len) = (strand.next_gate()?, ours.len() * HASH);
        for peer in peers {
            strand.send(peer, label, len, |out| {
                ours.iter()
                    .for_each(|all| out.extend_from_slice(&all[peer]));
            })?;
        }
        let mut theirs = Vec::new();
        for peer in peers {
            theirs.push((peer, strand.recv(peer, label, len).await?));
        }
        Ok(theirs)
    })?;
    for (peer, theirs) in theirs.into_iter().flat_map(|(_, theirs)| theirs) {
        for ((alike, ours), theirs) in alike.iter_mut().zip(ours).zip(theirs.chunks(HASH)) {
            alike[peer] = ours[peer] == *theirs;
        }
    }
    Ok(alike)
}

#[cfg(test)]
mod tests {
    use tacit_mpc::simulate::{mem, simulate};

    use super::*;

    #[test]
    fn each_two_learn_what_they_hold_alike() {
        // Of item 1 party 2 holds something else than party 0, of item 2 than both.
        let held = |me: usize| -> [[Hash; 3]; 3] {
            let differs = |item: usize, peer: usize| match item {
                1 => me == 2 && peer == 0,
                2 => me == 2,
                _ => false,
            };
            [0, 1, 2].map(|item| [0, 1, 2].map(|peer| [u8::from(differs(item, peer)); HASH]))
        };
        let found = simulate(mem(), |s| {
            s.begin_run().unwrap();
            compare(&s, &held(s.me())).unwrap()
        });
        let found: Vec<_> = found.into_iter().map(|f| f.unwrap()).collect();
        let all = [true; 3];
        assert_eq!(found[0], [all, [true, true, false], [true, true, false]]);
        assert_eq!(found[1], [all, all, [true, true, false]]);
        assert_eq!(found[2], [all, [false, true, true], [false, false, true]]);
    }
}
