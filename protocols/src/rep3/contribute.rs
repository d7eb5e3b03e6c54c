//! Numbers from somebody who need not compute (a contributor of rows, a client with a question) to the three computing
//! parties.
//!
//! The sender draws seeds for shares 0 and 1 from the operating system and sends share 2 in words:
//!     P_0: seed 0, seed 1    P_1: seed 1, x_2    P_2: seed 0, x_2,     x_2 = x - F(seed 0) - F(seed 1).
//! 16 bytes a value in all and 1 round. A contributor that computes keeps its own part. Semi-honest: that P_1 and P_2 get the
//! same x_2 is not checked.

use std::num::Wrapping;

use bytes::{BufMut, Bytes, BytesMut};
use ndarray::{ArrayD, IxDyn};
use tacit_mpc::net::Transport;
use tacit_mpc::prss::expand_seed;
use tacit_mpc::{Error, PartyId, R64, Result, Tensor};

use super::Rep3;

/// Bytes of one frame.
const FRAME: usize = 1 << 20;
const SEED: usize = 16;

/// What the three parties get of a tensor.
pub struct Parts {
    /// The message to each party, [`part_len`] bytes.
    pub messages: [Bytes; 3],
    shares: [Tensor; 3],
}

impl Parts {
    /// The shares that party `i` reads from its message.
    fn of(self, i: PartyId) -> Rep3 {
        let [zero, one, two] = self.shares;
        let (a, b) = match i {
            0 => (zero, one),
            1 => (one, two),
            _ => (two, zero),
        };
        Rep3 { a, b }
    }
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
        shares: [
            tensor(x.shape(), zero)?,
            tensor(x.shape(), one)?,
            tensor(x.shape(), two)?,
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

/// Shares a tensor to the computing parties 0, 1, 2 among the links of `net`. Returns the contributor's own shares where it is
/// one of them.
///
/// # Errors
/// No randomness, or a failed link.
pub fn send(net: &dyn Transport, x: &Tensor) -> Result<Option<Rep3>> {
    let parts = share(x)?;
    let me = net.me();
    for (party, message) in parts.messages.iter().enumerate() {
        if party != me {
            for start in (0..message.len()).step_by(FRAME) {
                let end = (start + FRAME).min(message.len());
                net.send(party, message.slice(start..end))?;
            }
        }
    }
    Ok((me < 3).then(|| parts.of(me)))
}

/// Receives this computing party's shares of a contributor's tensor of the given shape.
///
/// # Errors
/// A failed link, or a contributor that sends other lengths.
pub fn receive(net: &dyn Transport, from: PartyId, shape: &[usize]) -> Result<Rep3> {
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
    read(net.me(), &message, shape).ok_or_else(|| Error::Shape {
        op: "contribute",
        left: vec![message.len()],
        right: shape.to_vec(),
    })
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
    use tacit_mpc::net::{MemNet, Tamper};

    use super::*;

    fn rows() -> Tensor {
        ArrayD::from_shape_fn(IxDyn(&[7, 5]), |ix| {
            Wrapping((ix[0] as u64).wrapping_mul(1 << 60) ^ ix[1] as u64)
        })
    }

    fn reconstruct(shares: &[Rep3]) -> Tensor {
        for i in 0..3 {
            assert_eq!(
                shares[i].b,
                shares[(i + 1) % 3].a,
                "P_{i} and its successor hold the same share"
            );
        }
        &shares[0].a + &shares[1].a + &shares[2].a
    }

    #[test]
    fn any_contributor_can_share_to_the_three() {
        for contributor in [0, 1, 2, 3, 9] {
            let nets = MemNet::mesh(10);
            let own = send(&nets[contributor], &rows()).unwrap();
            assert_eq!(own.is_some(), contributor < 3);
            let shares: Vec<Rep3> = (0..3)
                .map(|p| {
                    if p == contributor {
                        own.clone().unwrap()
                    } else {
                        receive(&nets[p], contributor, &[7, 5]).unwrap()
                    }
                })
                .collect();
            assert_eq!(reconstruct(&shares), rows());
            assert_ne!(shares[0].a, rows());
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
