//! A coin that the computing parties toss: 32 bytes that nobody chose.
//!
//! The split into training and held-out rows comes from it. Whoever could choose the split, or try many, could let those few
//! rows train that he is curious about, and read them from the model.
//!
//! Each party draws r_i from the operating system and sends c_i = SHA-256(label ‖ session ‖ i ‖ r_i). Once it holds both
//! other commitments it sends r_i; each opening is held against its commitment, and coin = SHA-256(label ‖ session ‖ r_0 ‖
//! r_1 ‖ r_2). In a third round all compare it, so that nobody shows two others different commitments. 96 bytes a link and
//! direction, 3 rounds. Blum, "Coin flipping by telephone", CRYPTO 1981; hiding and binding
//! with SHA-256 as a random oracle. A commitment names session and party, so that nobody can repeat somebody else's.
//!
//! The coin is uniform if one of the three draws at random. Who opens last knows it first and may leave; the session then
//! ends for everybody. A submitter who learns of it may submit again, as often as the parties' policies allow jobs: the coin is
//! one of so many, not a free choice.

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tacit_mpc::net::Transport;
use tacit_mpc::{Error, PartyId};

use crate::seats::COMPUTING;

/// What a toss gives.
pub(crate) type Coin = [u8; 32];

/// Tosses a coin among the computing parties of `session`.
pub(crate) fn toss(net: &dyn Transport, session: &[u8; 32]) -> Result<Coin, Error> {
    let mut own = [0; 32];
    getrandom::fill(&mut own).map_err(|e| Error::Randomness(e.to_string()))?;
    let commitments = exchange(net, commitment(session, net.me(), &own))?;
    let openings = exchange(net, own)?;
    for (peer, (committed, opened)) in commitments.iter().zip(&openings).enumerate() {
        if peer != net.me() && *committed != commitment(session, peer, opened) {
            let what = "it opened another coin than it had committed to".into();
            return Err(Error::PeerMisbehaved { peer, what });
        }
    }
    let hash = Sha256::new()
        .chain_update(b"tacit coin v1: result")
        .chain_update(session);
    let hash = openings.iter().fold(hash, |hash, r| hash.chain_update(r));
    let coin: Coin = hash.finalize().into();
    let seen = exchange(net, Sha256::digest(coin).into())?;
    match (0..COMPUTING).find(|&peer| seen[peer] != seen[net.me()]) {
        None => Ok(coin),
        Some(peer) => {
            let what = "it saw another coin: somebody opened two".into();
            Err(Error::PeerMisbehaved { peer, what })
        }
    }
}

fn commitment(session: &[u8; 32], party: PartyId, opening: &[u8; 32]) -> [u8; 32] {
    Sha256::new()
        .chain_update(b"tacit coin v1: commitment")
        .chain_update(session)
        .chain_update([party as u8])
        .chain_update(opening)
        .finalize()
        .into()
}

/// Everybody's 32 bytes, in the order of the parties.
fn exchange(net: &dyn Transport, own: [u8; 32]) -> Result<[[u8; 32]; COMPUTING], Error> {
    let others = || (0..COMPUTING).filter(|&peer| peer != net.me());
    for peer in others() {
        net.send(peer, Bytes::copy_from_slice(&own))?;
    }
    let mut all = [own; COMPUTING];
    for peer in others() {
        let frame = net.recv(peer)?;
        all[peer] = frame[..].try_into().map_err(|_| Error::PeerMisbehaved {
            peer,
            what: format!(
                "its part of the coin has {} bytes instead of 32",
                frame.len()
            ),
        })?;
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use tacit_mpc::net::{MemNet, Tamper};

    use super::*;

    fn tossed(nets: Vec<Box<dyn Transport>>) -> Vec<Result<Coin, Error>> {
        std::thread::scope(|scope| {
            let parts: Vec<_> = nets
                .into_iter()
                .map(|net| scope.spawn(move || toss(&*net, &[1; 32])))
                .collect();
            parts.into_iter().map(|part| part.join().unwrap()).collect()
        })
    }

    /// Three parties, of which the last changes its frames.
    fn mesh(change: impl FnMut(usize, Bytes) -> Bytes + Send + 'static) -> Vec<Box<dyn Transport>> {
        let change = Mutex::new((change, [0; COMPUTING]));
        let mut nets = MemNet::mesh_with_deadline(3, Duration::from_millis(500));
        let last = Tamper::new(nets.pop().unwrap(), move |to, frame| {
            let (change, sent) = &mut *change.lock().unwrap();
            let count = sent[to];
            sent[to] += 1;
            vec![change(count, frame)]
        });
        let honest = nets
            .into_iter()
            .map(|net| Box::new(net) as Box<dyn Transport>);
        honest.chain([Box::new(last) as _]).collect()
    }

    #[test]
    fn all_see_one_coin_and_every_toss_gives_another() {
        let coins = [(); 2].map(|()| {
            let coins: Vec<Coin> = tossed(mesh(|_, frame| frame))
                .into_iter()
                .map(Result::unwrap)
                .collect();
            assert!(coins.iter().all(|coin| *coin == coins[0]));
            coins[0]
        });
        assert_ne!(coins[0], coins[1]);
    }

    #[test]
    fn a_changed_opening_is_refused_and_names_the_peer() {
        let second = |count, frame: Bytes| match count {
            0 => frame,
            _ => Bytes::from(vec![7; 32]),
        };
        for refused in &tossed(mesh(second))[..2] {
            let error = refused.as_ref().unwrap_err();
            assert_eq!(error.culprit(), Some(2));
            assert!(error.to_string().contains("opened another coin"), "{error}");
        }
        let short = |_, frame: Bytes| frame.slice(..31);
        for refused in &tossed(mesh(short))[..2] {
            let error = refused.as_ref().unwrap_err();
            assert!(
                error.to_string().contains("31 bytes instead of 32"),
                "{error}"
            );
            assert_eq!(error.culprit(), Some(2));
        }
    }

    #[test]
    fn a_commitment_belongs_to_one_party_of_one_session() {
        let one = commitment(&[1; 32], 0, &[5; 32]);
        assert_ne!(one, commitment(&[1; 32], 1, &[5; 32]));
        assert_ne!(one, commitment(&[2; 32], 0, &[5; 32]));
        assert_ne!(one, commitment(&[1; 32], 0, &[6; 32]));
    }

    /// P_2 is somebody else to each of the others: both openings fit their commitments, and the coins differ.
    #[test]
    fn two_faces_are_seen_in_the_third_round() {
        let (session, mut nets) = (
            [1; 32],
            MemNet::mesh_with_deadline(3, Duration::from_millis(500)),
        );
        let cheat = nets.pop().unwrap();
        let results = std::thread::scope(|scope| {
            let honest: Vec<_> = nets
                .iter()
                .map(|net| scope.spawn(move || toss(net, &session)))
                .collect();
            for to in 0..2 {
                let own = [to as u8; 32];
                cheat
                    .send(to, Bytes::copy_from_slice(&commitment(&session, 2, &own)))
                    .unwrap();
                cheat.send(to, Bytes::copy_from_slice(&own)).unwrap();
                cheat.send(to, Bytes::copy_from_slice(&[0; 32])).unwrap();
            }
            honest
                .into_iter()
                .map(|part| part.join().unwrap())
                .collect::<Vec<_>>()
        });
        assert!(
            results
                .iter()
                .all(|r| matches!(r, Err(Error::PeerMisbehaved { .. }))),
            "{results:?}"
        );
    }

    #[test]
    fn nobody_opens_before_all_have_committed() {
        let nets = MemNet::mesh_with_deadline(3, Duration::from_millis(200));
        nets[1].send(0, Bytes::copy_from_slice(&[7; 32])).unwrap();
        // P_2 withholds its commitment: P_0 gives up, and has sent its own and nothing after it.
        assert!(toss(&nets[0], &[1; 32]).is_err());
        for net in &nets[1..] {
            assert_eq!(net.recv(0).unwrap().len(), 32);
            assert!(net.recv(0).is_err(), "an opening went to P_{}", net.me());
        }
    }
}
