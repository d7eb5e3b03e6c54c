//! Numbers from somebody who need not compute (a contributor of rows, a client with a question) to the three computing
//! parties.
//!
//! The sender draws seeds for shares 0 and 1 from the operating system and sends share 2 in words:
//!     P_0: seed 0, seed 1    P_1: seed 1, x_2    P_2: seed 0, x_2,     x_2 = x - F(seed 0) - F(seed 1).
//! 16 bytes a value in all and 1 round. Each share reaches two parties, and before it is computed on these two compare a hash
//! of it (`agreed`): a sender who gives them different ones would make the parties compute on shares that do not fit
//! together. 64 bytes a link and tensor, 1 round.

use std::num::Wrapping;

use bytes::{BufMut, Bytes, BytesMut};
use ndarray::{ArrayD, IxDyn};
use sha2::{Digest, Sha256};
use tacit_mpc::net::Transport;
use tacit_mpc::prss::expand_seed;
use tacit_mpc::{Error, PartyId, R64, Result, Session, Tensor};

use super::Rep3;
use crate::copies::{Hash, compare};

/// Bytes of one frame.
const FRAME: usize = 1 << 20;
const SEED: usize = 16;

/// What the three parties get of a tensor.
pub struct Parts {
    /// The message to each party, [`part_len`] bytes.
    pub messages: [Bytes; 3],
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").finish_non_exhaustive()
    }
}

/// Shares a tensor: nobody learns anything from less than two of the messages.
///
/// # Errors
/// No randomness.
pub fn share(x: &Tensor) -> Result<Parts> {
    let mut seeds = [[0u8; SEED]; 2];
    for seed in &mut seeds {
        getrandom::fill(seed).map_err(|e| Error::Randomness(e.to_string()))?;
    }
    let [zero, one] = seeds.map(|s| expand_seed(&s, x.len()));
    let two: Vec<R64> = x
        .iter()
        .zip(zero.iter().zip(&one))
        .map(|(&x, (&a, &b))| x - a - b)
        .collect();
    let with_words = |seed: &[u8; SEED]| {
        let mut message = BytesMut::with_capacity(SEED + 8 * two.len());
        message.put_slice(seed);
        two.iter().for_each(|w| message.put_u64_le(w.0));
        message.freeze()
    };
    Ok(Parts {
        messages: [
            Bytes::from(seeds.concat()),
            with_words(&seeds[1]),
            with_words(&seeds[0]),
        ],
    })
}

/// Bytes of the message to party `me` for `n` values.
#[must_use]
pub fn part_len(me: PartyId, n: usize) -> usize {
    if me == 0 { 2 * SEED } else { SEED + 8 * n }
}

/// The shares in the message to party `me`; `None` if it has another length than such a message.
#[must_use]
pub fn read(me: PartyId, message: &[u8], shape: &[usize]) -> Option<Rep3> {
    let n = shape.iter().product();
    if message.len() != part_len(me, n) {
        return None;
    }
    let (seed, rest) = message.split_first_chunk::<SEED>()?;
    let expanded = expand_seed(seed, n);
    let (a, b) = if me == 0 {
        (expanded, expand_seed(rest.first_chunk()?, n))
    } else {
        let words = rest.as_chunks::<8>().0.iter();
        let words = words.map(|b| Wrapping(u64::from_le_bytes(*b))).collect();
        if me == 1 {
            (expanded, words)
        } else {
            (words, expanded)
        }
    };
    Some(Rep3 {
        a: tensor(shape, a).ok()?,
        b: tensor(shape, b).ok()?,
    })
}

/// The part of the message to party `me` that `peer` holds too if the sender is honest. The third party, who does not, must
/// not learn even a hash of it: it knows the rest.
#[must_use]
pub fn common(me: PartyId, peer: PartyId, message: &[u8]) -> &[u8] {
    let (first, rest) = message.split_at(SEED.min(message.len()));
    match (me, peer) {
        (0, 1) | (1, 2) | (2, 1) => rest,
        _ => first,
    }
}

/// Shares a tensor to the computing parties 0, 1, 2 among the links of `net`, for a contributor that is none of them.
///
/// # Errors
/// No randomness, or a failed link.
pub fn send(net: &dyn Transport, x: &Tensor) -> Result<()> {
    for (party, message) in share(x)?.messages.iter().enumerate() {
        for start in (0..message.len()).step_by(FRAME) {
            let end = (start + FRAME).min(message.len());
            net.send(party, message.slice(start..end))?;
        }
    }
    Ok(())
}

/// This computing party's shares of a contributor's tensor, as they came: an engine adopts them after the parties have
/// compared what each two of them must hold alike.
pub struct Received {
    from: PartyId,
    shape: Vec<usize>,
    message: Bytes,
}

impl std::fmt::Debug for Received {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Received")
            .field("from", &self.from)
            .field("shape", &self.shape)
            .finish_non_exhaustive()
    }
}

/// Receives this computing party's shares of a contributor's tensor of the given shape.
///
/// # Errors
/// A failed link, or a contributor that sends other lengths.
pub fn receive(net: &dyn Transport, from: PartyId, shape: &[usize]) -> Result<Received> {
    let len = part_len(net.me(), shape.iter().product());
    let mut message = BytesMut::with_capacity(len);
    while message.len() < len {
        let want = (len - message.len()).min(FRAME);
        let frame = net.recv(from)?;
        if frame.len() != want {
            let what = format!(
                "its shares came in a frame of {} bytes instead of {want}",
                frame.len()
            );
            return Err(Error::PeerMisbehaved { peer: from, what });
        }
        message.put(frame);
    }
    Ok(Received {
        from,
        shape: shape.to_vec(),
        message: message.freeze(),
    })
}

impl Received {
    /// What this party holds, as a hash for each peer of what that peer must hold too.
    fn hashes(&self, me: PartyId) -> [Hash; 3] {
        [0, 1, 2].map(|peer| {
            if peer == me {
                return Hash::default();
            }
            Sha256::new()
                .chain_update(b"tacit contribution v1")
                .chain_update((self.from as u64).to_le_bytes())
                .chain_update((self.shape.iter().product::<usize>() as u64).to_le_bytes())
                .chain_update(common(me, peer, &self.message))
                .finalize()
                .into()
        })
    }
}

/// The shares of tensors that contributors sent, after each two parties have compared what both must hold of them.
///
/// # Errors
/// [`Error::CheckFailed`] where a peer holds something else: it lies, or the contributor does. A failed link or peer.
pub(crate) fn agreed(session: &Session, received: &[Received]) -> Result<Vec<Rep3>> {
    let me = session.me();
    session.begin_run()?;
    let ours: Vec<_> = received.iter().map(|r| r.hashes(me)).collect();
    let alike = compare(session, &ours)?;
    let shares = received.iter().zip(alike).map(|(r, alike)| {
        if let Some(peer) = alike.iter().position(|alike| !alike) {
            return Err(Error::CheckFailed {
                broken_off: false,
                what: format!(
                    "what party {} shared: party {peer} holds another copy than I",
                    r.from
                ),
                suspects: vec![r.from, peer],
            });
        }
        read(me, &r.message, &r.shape).ok_or_else(|| Error::Shape {
            op: "contribute",
            left: vec![r.message.len()],
            right: r.shape.clone(),
        })
    });
    shares.collect()
}

fn tensor(shape: &[usize], words: Vec<R64>) -> Result<Tensor> {
    let len = words.len();
    ArrayD::from_shape_vec(IxDyn(shape), words).map_err(|_| Error::Shape {
        op: "contribute",
        left: vec![len],
        right: shape.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tacit_mpc::net::{MemNet, Tamper};
    use tacit_mpc::simulate::simulate_seeded;

    use super::*;

    fn rows() -> Tensor {
        ArrayD::from_shape_fn(IxDyn(&[7, 5]), |ix| {
            Wrapping((ix[0] as u64).wrapping_mul(1 << 60) ^ ix[1] as u64)
        })
    }

    /// What the three parties adopt of a contribution of which `change` makes something else on its way to a party.
    fn adopted(
        contributor: PartyId,
        change: impl Fn(PartyId, Bytes) -> Bytes + Send + Sync + Copy + 'static,
    ) -> Vec<Result<Rep3>> {
        let mut nets = MemNet::mesh(contributor + 1);
        let last = Tamper::new(nets.pop().unwrap(), move |to, f| vec![change(to, f)]);
        send(&last, &rows()).unwrap();
        nets.truncate(3);
        let nets = nets
            .into_iter()
            .map(|net| Arc::new(net) as Arc<dyn Transport>);
        let nets: Vec<_> = nets.collect();
        simulate_seeded(nets.clone(), 1, |s| {
            let received = receive(&*nets[s.me()], contributor, &[7, 5])?;
            Ok(agreed(&s, &[received])?.swap_remove(0))
        })
    }

    #[test]
    fn any_contributor_can_share_to_the_three() {
        for contributor in [3, 9] {
            let shares = adopted(contributor, |_, frame| frame);
            let shares: Vec<Rep3> = shares.into_iter().map(|s| s.unwrap()).collect();
            for i in 0..3 {
                assert_eq!(shares[i].b, shares[(i + 1) % 3].a, "share {i}");
            }
            assert_eq!(&shares[0].a + &shares[1].a + &shares[2].a, rows());
            assert_ne!(shares[0].a, rows());
        }
    }

    /// Whatever one party gets changed, seed or words, the two that hold it notice, and suspect the contributor and each other.
    #[test]
    fn shares_that_do_not_fit_together_are_never_computed_on() {
        for (victim, byte) in [(0, 0), (0, 16), (1, 3), (1, 16), (2, 9), (2, 200)] {
            let results = adopted(3, move |to, frame| {
                let mut bytes = frame.to_vec();
                if to == victim {
                    bytes[byte] ^= 4;
                }
                bytes.into()
            });
            let mut noticed = 0;
            for (party, result) in results.into_iter().enumerate() {
                let Err(Error::CheckFailed { suspects, .. }) = result else {
                    continue;
                };
                noticed += 1;
                assert!(suspects[0] == 3 && suspects[1] != party);
                assert!(party == victim || suspects[1] == victim);
            }
            assert_eq!(noticed, 2, "byte {byte} of what party {victim} got");
        }
    }

    #[test]
    fn a_message_of_another_length_holds_no_shares() {
        let parts = share(&rows()).unwrap();
        for (me, message) in parts.messages.iter().enumerate() {
            assert_eq!(message.len(), part_len(me, 35));
            assert!(read(me, message, &[7, 5]).is_some());
            assert!(read(me, &message[..message.len() - 1], &[7, 5]).is_none());
        }
        for (me, peer) in [(0, 1), (1, 2), (2, 0)] {
            let ours = common(me, peer, &parts.messages[me]);
            assert_eq!(ours, common(peer, me, &parts.messages[peer]));
            assert!(!ours.is_empty());
        }
        assert!(read(1, &parts.messages[1], &[7, 6]).is_none());
        assert!(read(2, &[], &[0]).is_none());
    }

    #[test]
    fn other_lengths_are_refused_and_name_the_contributor() {
        let mut nets = MemNet::mesh(4);
        let short = Tamper::new(nets.pop().unwrap(), |_, f| vec![f.slice(..f.len() - 1)]);
        send(&short, &rows()).unwrap();
        for net in &nets[..3] {
            assert!(matches!(
                receive(net, 3, &[7, 5]),
                Err(Error::PeerMisbehaved { peer: 3, .. })
            ));
        }
    }
}
