//! Rows from a data contributor, computing or not, to the three computing parties.
//!
//! The contributor draws seeds for shares 0 and 1 from the operating system and sends share 2 in words:
//!     P_0: seed 0, seed 1    P_1: seed 1, x_2    P_2: x_2, seed 0,     x_2 = x - F(seed 0) - F(seed 1).
//! 16 bytes a value in all and 1 round. A contributor that computes keeps its own part. Semi-honest: that P_1 and P_2 get the
//! same x_2 is not checked.

use std::num::Wrapping;

use bytes::{BufMut, Bytes, BytesMut};
use ndarray::{ArrayD, IxDyn};
use tacit_mpc::net::Transport;
use tacit_mpc::prss::expand_seed;
use tacit_mpc::{Error, PartyId, R64, Result, Tensor};

use super::Rep3;

/// Words of one frame of share 2: 1 MiB.
const FRAME_WORDS: usize = 1 << 17;
const SEED: usize = 16;

/// Shares a tensor to the computing parties 0, 1, 2 among the links of `net`. Returns the contributor's own shares where it is
/// one of them.
///
/// # Errors
/// No randomness, or a failed link.
pub fn send(net: &dyn Transport, x: &Tensor) -> Result<Option<Rep3>> {
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
    let me = net.me();
    for party in (0..3).filter(|&p| p != me) {
        match party {
            0 => net.send(0, Bytes::from(seeds.concat()))?,
            1 => net.send(1, Bytes::copy_from_slice(&seeds[1]))?,
            _ => net.send(2, Bytes::copy_from_slice(&seeds[0]))?,
        }
        if party != 0 {
            send_words(net, party, &two)?;
        }
    }
    let shares = match me {
        0 => (zero, one),
        1 => (one, two),
        2 => (two, zero),
        _ => return Ok(None),
    };
    Ok(Some(Rep3 {
        a: tensor(x.shape(), shares.0)?,
        b: tensor(x.shape(), shares.1)?,
    }))
}

/// Receives this computing party's shares of a contributor's tensor of the given shape.
///
/// # Errors
/// A failed link, or a contributor that sends other lengths.
pub fn receive(net: &dyn Transport, from: PartyId, shape: &[usize]) -> Result<Rep3> {
    let n = shape.iter().product();
    let seeds = net.recv(from)?;
    let expected = if net.me() == 0 { 2 * SEED } else { SEED };
    if seeds.len() != expected {
        let what = format!("its seeds have {} bytes instead of {expected}", seeds.len());
        return Err(Error::PeerMisbehaved { peer: from, what });
    }
    let expanded: Vec<Vec<R64>> = seeds
        .as_chunks::<SEED>()
        .0
        .iter()
        .map(|s| expand_seed(s, n))
        .collect();
    let words = if net.me() == 0 {
        None
    } else {
        Some(receive_words(net, from, n)?)
    };
    let mut expanded = expanded.into_iter();
    let (a, b) = match (net.me(), words) {
        (0, _) => (expanded.next(), expanded.next()),
        (1, words) => (expanded.next(), words),
        (_, words) => (words, expanded.next()),
    };
    Ok(Rep3 {
        a: tensor(shape, a.unwrap_or_default())?,
        b: tensor(shape, b.unwrap_or_default())?,
    })
}

fn send_words(net: &dyn Transport, to: PartyId, words: &[R64]) -> Result<()> {
    for part in words.chunks(FRAME_WORDS) {
        let mut frame = BytesMut::with_capacity(8 * part.len());
        part.iter().for_each(|w| frame.put_u64_le(w.0));
        net.send(to, frame.freeze())?;
    }
    Ok(())
}

fn receive_words(net: &dyn Transport, from: PartyId, n: usize) -> Result<Vec<R64>> {
    let mut words = Vec::with_capacity(n);
    while words.len() < n {
        let want = (n - words.len()).min(FRAME_WORDS);
        let frame = net.recv(from)?;
        if frame.len() != 8 * want {
            let what = format!(
                "its shares came in a frame of {} bytes instead of {}",
                frame.len(),
                8 * want
            );
            return Err(Error::PeerMisbehaved { peer: from, what });
        }
        words.extend(
            frame
                .as_chunks::<8>()
                .0
                .iter()
                .map(|b| Wrapping(u64::from_le_bytes(*b))),
        );
    }
    Ok(words)
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
