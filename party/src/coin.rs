//! A coin that the computing parties toss: 32 bytes that nobody chose.
//!
//! The split into training and held-out rows comes from it. Whoever could choose the split, or try many, could let those few
//! rows train that he is curious about, and read them from the model.
//!
//! Each party draws r_i from the operating system and says [`commitment`](r_i) to both others; once all three agree on the
//! commitments each says r_i, which is held against its commitment, and coin = SHA-256(label ‖ session ‖ r_0 ‖ r_1 ‖ r_2). Both
//! are signed and passed on ([`crate::broadcast`]), so that nobody shows two others different commitments or openings without
//! being convicted by it. 4 rounds, 384 bytes a link and direction. Blum, "Coin flipping by telephone", CRYPTO 1981.
//!
//! The coin is uniform if one of the three draws at random. Who opens last knows it first and may leave; the session then
//! ends for everybody. A submitter who learns of it may submit again, as often as the parties' policies allow jobs: the coin is
//! one of so many, not a free choice.

use sha2::{Digest, Sha256};
use tacit_api::statement::{Step, commitment};
use tacit_mpc::Error;
use tacit_mpc::net::Transport;

use crate::broadcast::{BroadcastError, Voice};

/// What a toss gives.
pub(crate) type Coin = [u8; 32];

/// Tosses a coin among the computing parties of a session. Once a session: a second coin needs steps of its own.
pub(crate) fn toss(net: &dyn Transport, voice: &Voice<'_>) -> Result<Coin, BroadcastError> {
    let mut own = [0; 32];
    getrandom::fill(&mut own).map_err(|e| Error::Randomness(e.to_string()))?;
    open(net, voice, own, own)
}

/// Commits to `own` and opens `opened`.
fn open(
    net: &dyn Transport,
    voice: &Voice<'_>,
    own: [u8; 32],
    opened: [u8; 32],
) -> Result<Coin, BroadcastError> {
    let session = *voice.session();
    let committed = commitment(&session, voice.name(net.me()), &own);
    voice.broadcast(net, Step::Commitment, &committed)?;
    // Each opening is held against its commitment where it is heard.
    let openings = voice.broadcast(net, Step::Opening, &opened)?;
    let mut hash = Sha256::new()
        .chain_update(b"tacit coin v2: result")
        .chain_update(session);
    for (peer, opening) in openings.iter().enumerate() {
        if opening.body().len() != own.len() {
            let what = format!("its part of the coin has {} bytes", opening.body().len());
            return Err(Error::PeerMisbehaved { peer, what }.into());
        }
        hash.update(opening.body());
    }
    Ok(hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tacit_mpc::net::MemNet;

    use super::*;
    use crate::broadcast::fixture::Trio;

    fn mesh() -> Vec<Box<dyn Transport>> {
        let nets = MemNet::mesh_with_deadline(3, Duration::from_millis(500));
        nets.into_iter().map(|net| Box::new(net) as _).collect()
    }

    #[test]
    fn all_see_one_coin_and_every_toss_gives_another() {
        let trio = Trio::numbered();
        let coins = [(); 2].map(|()| {
            let coins = trio.each(&mesh(), |net, voice| toss(net, &voice).unwrap());
            assert!(coins.iter().all(|coin| *coin == coins[0]));
            coins[0]
        });
        assert_ne!(coins[0], coins[1]);
    }

    #[test]
    fn who_opens_another_coin_is_convicted() {
        let trio = Trio::numbered();
        let results = trio.each(&mesh(), |net, voice| {
            let own = [net.me() as u8; 32];
            let opened = if net.me() == 2 { [7; 32] } else { own };
            open(net, &voice, own, opened)
        });
        for refused in &results[..2] {
            let Err(BroadcastError::Convicted {
                peer: 2,
                certificate,
                ..
            }) = refused
            else {
                panic!("{refused:?}");
            };
            let conviction = certificate.verify(&trio.roster).unwrap();
            assert_eq!(conviction.party, "two");
            assert!(conviction.what.contains("committed"), "{conviction:?}");
        }
    }

    #[test]
    fn nobody_opens_before_all_have_committed() {
        let trio = Trio::numbered();
        let nets = MemNet::mesh_with_deadline(3, Duration::from_millis(200));
        // P_1 and P_2 say nothing: P_0 gives up, and has sent its commitment and nothing after it.
        assert!(toss(&nets[0], &trio.voice(0)).is_err());
        for net in &nets[1..] {
            assert_eq!(net.recv(0).unwrap().len(), 64 + 32);
            assert!(net.recv(0).is_err(), "an opening went to P_{}", net.me());
        }
    }

    /// A part of another length can fit its commitment, and is refused all the same.
    #[test]
    fn a_part_of_another_length_is_refused() {
        let trio = Trio::numbered();
        let results = trio.each(&mesh(), |net, voice| {
            if net.me() != 2 {
                return toss(net, &voice).map(|_| ());
            }
            let part = commitment(voice.session(), "two", b"short");
            voice.broadcast(net, Step::Commitment, &part)?;
            voice.broadcast(net, Step::Opening, b"short").map(|_| ())
        });
        for refused in &results[..2] {
            let error = refused.as_ref().unwrap_err();
            assert!(error.to_string().contains("5 bytes"), "{error}");
            assert_eq!(error.culprit(), Some(2));
        }
    }
}
