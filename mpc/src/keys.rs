//! Agreement on the PRSS keys of a session.
//!
//! For each j, P_{j-1} and P_j run an ephemeral X25519 exchange over their authenticated link and derive
//!     k_j ‖ c_j = HKDF-SHA256(g^xy, info = label ‖ session ‖ program ‖ all identities ‖ epoch ‖ j ‖ ephemeral keys of P_{j-1}, P_j)
//! and confirm it by HMACs under c_j in both directions. HKDF: RFC 5869; the epoch is 0, and one more with every renewal of the
//! keys of a long session ([`crate::Session::renew_keys`]), in 4 bytes, least significant first. Binding the index, the identities and the session matters: a
//! relaying cheater could otherwise make the three keys equal and read products in clear (protocols-malicious, section 12).
//! One round trip and a half: 32 + 32 bytes a direction and pair.

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::{Zeroize, Zeroizing};

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
    /// Certificate fingerprints of parties 0, 1, 2.
    pub identities: [[u8; 32]; 3],
}

const LABEL: &[u8] = b"tacit prss v2";

/// Agrees with both peers on the pairwise keys.
///
/// # Errors
/// A link fails, a peer sends a malformed or degenerate key, or key confirmation fails.
pub fn agree(net: &dyn Transport, binding: &Binding) -> Result<Prss> {
    agree_epoch(net, binding, 0)
}

/// The same for the keys of an epoch of a session: parties in different epochs do not agree.
///
/// # Errors
/// As for [`agree`].
pub(crate) fn agree_epoch(net: &dyn Transport, binding: &Binding, epoch: u32) -> Result<Prss> {
    let me = net.me();
    let (prev, next) = ((me + 2) % 3, (me + 1) % 3);
    let mut seed = Zeroizing::new([0u8; 64]);
    getrandom::fill(&mut *seed).map_err(|e| Error::Randomness(e.to_string()))?;
    let (own_seed, next_seed) = seed.split_at(32);
    let secret = |s: &[u8]| {
        let mut b = [0; 32];
        b.copy_from_slice(s);
        let secret = StaticSecret::from(b);
        b.zeroize();
        secret
    };
    // The link to P_{me-1} carries key me, the link to P_{me+1} key me+1.
    let links = [
        (prev, me, secret(own_seed)),
        (next, next, secret(next_seed)),
    ];
    for (peer, _, secret) in &links {
        net.send(*peer, PublicKey::from(secret).to_bytes().to_vec().into())?;
    }
    let mut keys = [Zeroizing::new([0u8; 16]), Zeroizing::new([0u8; 16])];
    let mut expected = Vec::new();
    for ((peer, index, secret), key) in links.iter().zip(&mut keys) {
        let theirs = PublicKey::from(exactly::<32>(net, *peer, "its ephemeral key")?);
        let ours = PublicKey::from(secret);
        let shared = secret.diffie_hellman(&theirs);
        if !shared.was_contributory() {
            return Err(Error::PeerMisbehaved {
                peer: *peer,
                what: "its ephemeral key has low order".into(),
            });
        }
        // P_{j-1}'s key first: on the link to the previous party that is the peer's.
        let (first, second) = if *peer == prev {
            (theirs, ours)
        } else {
            (ours, theirs)
        };
        let mut info = Vec::from(LABEL);
        info.extend_from_slice(&binding.session);
        info.extend_from_slice(&binding.program);
        binding
            .identities
            .iter()
            .for_each(|id| info.extend_from_slice(id));
        info.extend_from_slice(&epoch.to_le_bytes());
        info.push(*index as u8);
        info.extend_from_slice(first.as_bytes());
        info.extend_from_slice(second.as_bytes());
        let mut okm = Zeroizing::new([0u8; 48]);
        Hkdf::<Sha256>::new(None, shared.as_bytes())
            .expand(&info, &mut *okm)
            .map_err(|_| Error::Exhausted {
                what: "derived key bytes",
            })?;
        key.copy_from_slice(&okm[..16]);
        net.send(*peer, confirmation(&okm[16..], me).to_vec().into())?;
        expected.push((*peer, confirmation(&okm[16..], *peer)));
    }
    for (peer, tag) in expected {
        let theirs = exactly::<32>(net, peer, "its key confirmation")?;
        if !bool::from(theirs.ct_eq(&tag)) {
            return Err(Error::KeyConfirmation { peer });
        }
    }
    Ok(Prss::new(me, &keys[0], &keys[1]))
}

/// HMAC-SHA256 under the confirmation key, of who speaks.
fn confirmation(key: &[u8], speaker: PartyId) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(b"confirm");
    mac.update(&[speaker as u8]);
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
            identities: [[3; 32], [4; 32], [5; 32]],
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
