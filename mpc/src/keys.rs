//! Agreement on the PRSS keys of a session.
//!
//! Each two parties P_i, P_j, i < j, of n run an ephemeral X25519 exchange over their authenticated link and derive
//!     k_ij ‖ c_ij = HKDF-SHA256(g^xy, info = label ‖ session ‖ program ‖ n ‖ all identities ‖ epoch ‖ i ‖ j ‖ ephemeral keys of P_i, P_j)
//! and confirm it by HMACs under c_ij in both directions. HKDF: RFC 5869; the epoch is 0, and one more with every renewal of the
//! keys of a long session ([`crate::Session::renew_keys`]); numbers take 4 bytes, least significant first. Binding the indices,
//! the identities and the session matters: a relaying cheater could otherwise make the keys of several links equal and, among
//! three, read products in clear (protocols-malicious, section 12). Among three, the key of P_{j-1} and P_j is that of share j.
//! One round trip and a half: 32 + 32 bytes a direction and pair.

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use crate::net::Transport;
use crate::prss::Prss;
use crate::{Error, PartyId, Result};

/// What the keys of a session are bound to. Parties whose bindings differ in any byte do not agree on keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The session: never the same for two runs, also not for two attempts at one job.
    pub session: [u8; 32],
    /// A hash of what will be run (the job, the graph, the ring).
    pub program: [u8; 32],
    /// Certificate fingerprints of parties 0, 1, 2, …: as many as the session has parties.
    pub identities: Vec<[u8; 32]>,
}

const LABEL: &[u8] = b"tacit prss v3";

/// Agrees with each peer on a key.
///
/// # Errors
/// The binding names no second party or not this one; a link fails, a peer sends a malformed or degenerate key, or key
/// confirmation fails.
pub fn agree(net: &dyn Transport, binding: &Binding) -> Result<Prss> {
    agree_epoch(net, binding, 0)
}

/// The same for the keys of an epoch of a session: parties in different epochs do not agree.
///
/// # Errors
/// As for [`agree`].
pub(crate) fn agree_epoch(net: &dyn Transport, binding: &Binding, epoch: u32) -> Result<Prss> {
    let (me, parties) = (net.me(), binding.identities.len());
    if parties < 2 || parties <= me {
        return Err(Error::Parties {
            have: parties,
            need: "two, and the one that runs it",
        });
    }
    // The next party first, the previous one last.
    let peers = (1..parties).map(|k| (me + k) % parties);
    let mut secrets = Vec::with_capacity(parties - 1);
    for peer in peers {
        let mut seed = Zeroizing::new([0u8; 32]);
        getrandom::fill(&mut *seed).map_err(|e| Error::Randomness(e.to_string()))?;
        let secret = StaticSecret::from(*seed);
        net.send(peer, PublicKey::from(&secret).to_bytes().to_vec().into())?;
        secrets.push((peer, secret));
    }
    let mut keys = Zeroizing::new(vec![[0u8; 16]; parties]);
    let mut expected = Vec::with_capacity(parties - 1);
    for (peer, secret) in secrets.iter().rev() {
        let theirs = PublicKey::from(exactly::<32>(net, *peer, "its ephemeral key")?);
        let ours = PublicKey::from(secret);
        let shared = secret.diffie_hellman(&theirs);
        if !shared.was_contributory() {
            return Err(Error::PeerMisbehaved {
                peer: *peer,
                what: "its ephemeral key has low order".into(),
            });
        }
        let (first, second) = if *peer < me {
            (theirs, ours)
        } else {
            (ours, theirs)
        };
        let number = |n: usize| (n as u32).to_le_bytes();
        let mut info = Vec::from(LABEL);
        info.extend_from_slice(&binding.session);
        info.extend_from_slice(&binding.program);
        info.extend_from_slice(&number(parties));
        info.extend_from_slice(binding.identities.as_flattened());
        info.extend_from_slice(&epoch.to_le_bytes());
        info.extend_from_slice(&number(me.min(*peer)));
        info.extend_from_slice(&number(me.max(*peer)));
        info.extend_from_slice(first.as_bytes());
        info.extend_from_slice(second.as_bytes());
        let mut okm = Zeroizing::new([0u8; 48]);
        Hkdf::<Sha256>::new(None, shared.as_bytes())
            .expand(&info, &mut *okm)
            .map_err(|_| Error::Exhausted {
                what: "derived key bytes",
            })?;
        keys[*peer].copy_from_slice(&okm[..16]);
        net.send(*peer, confirmation(&okm[16..], me).to_vec().into())?;
        expected.push((*peer, confirmation(&okm[16..], *peer)));
    }
    for (peer, tag) in expected {
        let theirs = exactly::<32>(net, peer, "its key confirmation")?;
        if !bool::from(theirs.ct_eq(&tag)) {
            return Err(Error::KeyConfirmation { peer });
        }
    }
    let salt = salt(binding, epoch);
    Ok(Prss::new(me, parties, salt, |peer| keys[peer]))
}

/// What the public keys of one-way functions differ by from session to session ([`crate::Strand::hash`]).
fn salt(binding: &Binding, epoch: u32) -> u128 {
    let digest = Sha256::new()
        .chain_update(b"tacit salt v1")
        .chain_update(binding.session)
        .chain_update(binding.program)
        .chain_update(binding.identities.as_flattened())
        .chain_update(epoch.to_le_bytes())
        .finalize();
    digest[..16]
        .iter()
        .fold(0, |word, b| word << 8 | u128::from(*b))
}

/// HMAC-SHA256 under the confirmation key, of who speaks.
fn confirmation(key: &[u8], speaker: PartyId) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(b"confirm");
    mac.update(&(speaker as u32).to_le_bytes());
    mac.finalize().into_bytes().into()
}

fn exactly<const N: usize>(net: &dyn Transport, peer: PartyId, what: &str) -> Result<[u8; N]> {
    let frame = net.recv(peer)?;
    frame[..].try_into().map_err(|_| Error::PeerMisbehaved {
        peer,
        what: format!("{what} has {} bytes instead of {N}", frame.len()),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::net::{MemNet, Tamper};
    use crate::prss::Purpose;
    use crate::session::Label;

    fn binding() -> Binding {
        Binding {
            session: [1; 32],
            program: [2; 32],
            identities: vec![[3; 32], [4; 32], [5; 32]],
        }
    }

    fn agree_all(nets: Vec<Box<dyn Transport>>, bindings: [Binding; 3]) -> Vec<Result<Prss>> {
        std::thread::scope(|s| {
            let handles: Vec<_> = nets
                .iter()
                .zip(bindings)
                .map(|(n, b)| s.spawn(move || agree(&**n, &b)))
                .collect();
            handles.into_iter().map(|h| h.join().unwrap()).collect()
        })
    }

    fn mesh() -> Vec<Box<dyn Transport>> {
        MemNet::mesh_with_deadline(3, std::time::Duration::from_millis(300))
            .into_iter()
            .map(|n| Box::new(n) as Box<dyn Transport>)
            .collect()
    }

    #[test]
    fn holders_of_a_share_get_the_same_stream_and_nobody_else() {
        let prss: Vec<_> = agree_all(mesh(), [binding(), binding(), binding()])
            .into_iter()
            .map(Result::unwrap)
            .collect();
        let draw = |p: usize, j: usize| {
            let mut words = [crate::R64::default(); 8];
            prss[p]
                .draw(j % 3, Label::default(), Purpose::Zero, &mut words)
                .unwrap();
            words
        };
        for j in 0..3 {
            assert_eq!(draw(j, j), draw((j + 2) % 3, j));
            assert_ne!(draw(j, j), draw(j, j + 1));
        }
    }

    /// Every pair has a key of its own, whatever the number of parties.
    #[test]
    fn each_two_parties_share_a_key_that_no_other_two_share() {
        for n in [2, 3, 5] {
            let nets = MemNet::mesh_with_deadline(n, std::time::Duration::from_secs(5));
            let binding = Binding {
                identities: (0..n as u8).map(|k| [k; 32]).collect(),
                ..binding()
            };
            let prss: Vec<Prss> = std::thread::scope(|s| {
                let parties: Vec<_> = nets
                    .iter()
                    .map(|net| s.spawn(|| agree(net, &binding).unwrap()))
                    .collect();
                parties.into_iter().map(|h| h.join().unwrap()).collect()
            });
            let draw = |p: usize, peer: usize| {
                let mut words = [crate::R64::default(); 2];
                prss[p]
                    .draw_with(peer, Label::default(), Purpose::Correlation, &mut words)
                    .map(|()| words)
            };
            let mut seen = std::collections::HashSet::new();
            for (i, j) in (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j))) {
                assert_eq!(draw(i, j).unwrap(), draw(j, i).unwrap());
                assert!(seen.insert(draw(i, j).unwrap()));
            }
            assert!(draw(0, 0).is_err() && draw(0, n).is_err());
            let replicated = prss[0].draw(
                0,
                Label::default(),
                Purpose::Zero,
                &mut [Default::default()],
            );
            assert_eq!(replicated.is_ok(), n == 3);
        }
    }

    #[test]
    fn a_session_of_one_or_without_this_party_is_refused() {
        for (n, me) in [(1, 0), (2, 2), (0, 0)] {
            let net = MemNet::mesh(3).swap_remove(me);
            let identities = vec![[0; 32]; n];
            let binding = Binding {
                identities,
                ..binding()
            };
            let refused = agree(&net, &binding);
            assert!(matches!(refused, Err(Error::Parties { .. })), "{n} {me}");
        }
    }

    #[test]
    fn r4_another_session_program_or_roster_is_refused_before_the_first_draw() {
        for change in 0..4 {
            let mut other = binding();
            match change {
                0 => other.session[31] ^= 1,
                1 => other.program[0] ^= 1,
                2 => other.identities[0][5] ^= 1,
                _ => other.identities.swap(0, 2),
            }
            let results = agree_all(mesh(), [binding(), other, binding()]);
            assert!(
                matches!(results[0], Err(Error::KeyConfirmation { peer: 1 })),
                "{change}: {:?}",
                results[0]
            );
            assert!(
                matches!(results[1], Err(Error::KeyConfirmation { .. })),
                "{change}"
            );
        }
    }

    #[test]
    fn another_epoch_gives_other_keys_and_is_not_mixed_with_them() {
        let epochs = |epochs: [u32; 3]| -> Vec<Result<Prss>> {
            let nets = mesh();
            std::thread::scope(|s| {
                let parts: Vec<_> = nets
                    .iter()
                    .zip(epochs)
                    .map(|(n, epoch)| s.spawn(move || agree_epoch(&**n, &binding(), epoch)))
                    .collect();
                parts.into_iter().map(|h| h.join().unwrap()).collect()
            })
        };
        assert!(epochs([7; 3]).iter().all(Result::is_ok));
        let mixed = epochs([1, 0, 1]);
        assert!(matches!(mixed[0], Err(Error::KeyConfirmation { peer: 1 })));
        assert!(matches!(mixed[1], Err(Error::KeyConfirmation { .. })));
    }

    /// P_1 sits between P_0 and P_2 and sends each the other's ephemeral key, so that all three links would share one secret.
    #[test]
    fn a_relay_does_not_make_keys_equal() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut nets = mesh();
        let p1 = nets.remove(1);
        let record = Arc::clone(&seen);
        let results = std::thread::scope(|s| {
            let honest: Vec<_> = nets
                .into_iter()
                .map(|n| s.spawn(move || agree(&*n, &binding())))
                .collect();
            s.spawn(move || {
                for _ in 0..2 {
                    let from_0 = p1.recv(0).unwrap();
                    let from_2 = p1.recv(2).unwrap();
                    record
                        .lock()
                        .unwrap()
                        .push((from_0.clone(), from_2.clone()));
                    p1.send(0, from_2).unwrap();
                    p1.send(2, from_0).unwrap();
                }
            });
            honest
                .into_iter()
                .map(|h| h.join().unwrap())
                .collect::<Vec<_>>()
        });
        for r in &results {
            assert!(
                matches!(r, Err(Error::KeyConfirmation { peer: 1 })),
                "{r:?}"
            );
        }
        assert_eq!(seen.lock().unwrap().len(), 2);
    }

    #[test]
    fn malformed_and_degenerate_keys_name_the_peer() {
        for bad in [vec![0; 31], vec![0; 32], vec![]] {
            let nets = MemNet::mesh_with_deadline(3, std::time::Duration::from_millis(300));
            let nets = nets
                .into_iter()
                .map(|n| {
                    if n.me() == 2 {
                        let bad = bad.clone();
                        Box::new(Tamper::new(n, move |_, _| vec![bad.clone().into()]))
                            as Box<dyn Transport>
                    } else {
                        Box::new(n)
                    }
                })
                .collect();
            let results = agree_all(nets, [binding(), binding(), binding()]);
            assert!(
                matches!(results[0], Err(Error::PeerMisbehaved { peer: 2, .. })),
                "{:?}",
                results[0]
            );
        }
    }
}
