//! Public coins, and the order in which they may be tossed.
//!
//! s_j = F(k_j, label) has 16 bytes; the coin is H(s_0, s_1, s_2). P_i lacks s_{i+2}: it gets the value from P_{i-1} and a hash of
//! it from P_{i+1}, and compares at once. P_{i-1} is the receiver of everything that P_i owes the proof, and it sends the value
//! only when it has received all of that; were it P_{i+1} who sent the value, a rushing P_i would see the coin before its last
//! message. No commitment is needed: keys fix the s_j before the session's first message (protocols-malicious, section 4).
//! 48 bytes a party, 1 round.

use std::marker::PhantomData;

use sha2::{Digest, Sha256};
use tacit_mpc::prss::{SeedStream, expand_seed};
use tacit_mpc::{Error, Purpose, Result};

use super::super::circuit::Circuit;
use super::strength::early_coin;

/// What must be sent and received before a coin may be tossed. Implemented by the witnesses that exist only after that.
pub(super) trait Fixed {}

/// A coin that was tossed when `After` was fixed.
pub(super) struct Coin<After> {
    bytes: [u8; 32],
    after: PhantomData<After>,
}

/// Tosses a coin.
pub(super) async fn toss<A: Fixed>(c: &Circuit<'_>, _after: &A) -> Result<Coin<A>> {
    let label = c.strand.next_gate()?;
    let (me, prev, next) = (c.me(), (c.me() + 2) % 3, (c.me() + 1) % 3);
    let part = |j| -> Result<[u8; 16]> {
        let words = c.strand.draw(j, label, Purpose::Coin, 2)?;
        Ok(bytemuck::cast([words[0].0.to_le(), words[1].0.to_le()]))
    };
    let (own, theirs) = (part(me)?, part(next)?);
    // P_{me+1} lacks s_me, and everything that it owes has come to P_me; P_{me-1} lacks s_{me+1}.
    let (gives, confirms) = if early_coin() {
        (next, prev)
    } else {
        (prev, next)
    };
    for (to, part) in [(next, own), (prev, theirs)] {
        let confirmed = confirmation(&part);
        let message = if to == confirms {
            &part[..]
        } else {
            &confirmed[..]
        };
        c.strand.send(to, label, message.len(), |out| {
            out.extend_from_slice(message)
        })?;
    }
    let missing = c.strand.recv(gives, label, 16).await?;
    let confirmed = c.strand.recv(confirms, label, 32).await?;
    if confirmed[..] != confirmation(&missing) {
        return Err(Error::CheckFailed {
            broken_off: false,
            what: format!("the coin of {label}"),
            suspects: vec![prev, next],
        });
    }
    let mut parts = [[0; 16]; 3];
    parts[me] = own;
    parts[next] = theirs;
    parts[prev].copy_from_slice(&missing);
    Ok(Coin::of(parts))
}

fn confirmation(part: &[u8]) -> [u8; 32] {
    Sha256::new()
        .chain_update(b"tacit coin part v1")
        .chain_update(part)
        .finalize()
        .into()
}

impl<A> Coin<A> {
    /// From its parts. Only [`toss`] has all three in time.
    pub(super) fn of(parts: [[u8; 16]; 3]) -> Self {
        let mut hash = Sha256::new().chain_update(b"tacit coin v1");
        parts.iter().for_each(|p| hash.update(p));
        Self {
            bytes: hash.finalize().into(),
            after: PhantomData,
        }
    }

    /// Uniform words for one use: a name and a number that no other use of this coin has.
    pub(super) fn words(&self, name: &str, number: usize, n: usize) -> Vec<u64> {
        let words = expand_seed(&self.key(name, number), n);
        words.into_iter().map(|w| w.0).collect()
    }

    /// The same words, drawn when they are needed.
    pub(super) fn stream(&self, name: &str, number: usize) -> SeedStream {
        SeedStream::new(&self.key(name, number))
    }

    fn key(&self, name: &str, number: usize) -> [u8; 16] {
        let seed = self.seed(name, number);
        std::array::from_fn(|k| seed[k])
    }

    /// 32 bytes for one use.
    pub(super) fn seed(&self, name: &str, number: usize) -> [u8; 32] {
        Sha256::new()
            .chain_update(b"tacit challenge v1")
            .chain_update(self.bytes)
            .chain_update((name.len() as u64).to_le_bytes())
            .chain_update(name)
            .chain_update((number as u64).to_le_bytes())
            .finalize()
            .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is drawn part by part is what is drawn at once.
    #[test]
    fn a_stream_has_the_words_of_its_coin() {
        let coin = Coin::<()> {
            bytes: [7; 32],
            after: PhantomData,
        };
        let words = coin.words("gates", 3, 1000);
        let stream = coin.stream("gates", 3);
        for (start, len) in [(0, 1000), (0, 1), (2, 129), (640, 360), (998, 2)] {
            let mut part = vec![0; len];
            stream.fill(start as u32 / 2, &mut part);
            assert_eq!(part, words[start..start + len]);
        }
        assert_ne!(words, coin.words("gates", 4, 1000));
    }
}
