//! Base transfers: random 1-of-2 transfers of keys from one Diffie-Hellman exchange (Chou, Orlandi, "The simplest protocol for
//! oblivious transfer", LATINCRYPT 2015), over Ristretto.
//!
//! The sender gives A = aG; for transfer i with choice c_i the receiver gives B_i = b_i G + c_i A and knows H(i, A, B_i, b_i A),
//! which is the sender's k_{i,c} = H(i, A, B_i, a(B_i - c A)) for c = c_i. Semi-honest adversary, Diffie-Hellman assumption in the random oracle
//! model: B_i is uniform whatever c_i, and the other key takes a²G. (That the protocol is not composable against malicious parties,
//! as was found later, does not matter here.) 32 bytes there, 32 bytes a transfer back, one round each.

use curve25519_dalek::RistrettoPoint;
use curve25519_dalek::constants::RISTRETTO_BASEPOINT_TABLE;
use curve25519_dalek::ristretto::CompressedRistretto;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::IsIdentity;
use sha2::{Digest, Sha256};
use tacit_mpc::{Error, Result};
use zeroize::{Zeroize, Zeroizing};

/// Bytes of a group element.
pub(crate) const POINT: usize = 32;

/// What a transfer gives: 128 bits.
pub(crate) type Key = [u8; 16];

fn scalar() -> Result<Scalar> {
    let mut wide = Zeroizing::new([0; 64]);
    getrandom::fill(&mut *wide).map_err(|e| Error::Randomness(e.to_string()))?;
    Ok(Scalar::from_bytes_mod_order_wide(&wide))
}

fn point(bytes: &[u8]) -> std::result::Result<RistrettoPoint, &'static str> {
    let point = CompressedRistretto::from_slice(bytes).map_err(|_| "of another length")?;
    let point = point.decompress().ok_or("that is none")?;
    if point.is_identity() {
        return Err("that is the neutral one");
    }
    Ok(point)
}

fn key(i: usize, a: &[u8], b: &[u8], shared: &RistrettoPoint) -> Key {
    let digest = Sha256::new()
        .chain_update(b"tacit base transfer v1")
        .chain_update((i as u64).to_le_bytes())
        .chain_update(a)
        .chain_update(b)
        .chain_update(shared.compress().as_bytes());
    let mut digest: [u8; 32] = digest.finalize().into();
    let key = std::array::from_fn(|i| digest[i]);
    digest.zeroize();
    key
}

/// Who will know both keys of each transfer.
pub(crate) struct Sender {
    a: Scalar,
    point: [u8; POINT],
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.a.zeroize();
    }
}

impl Sender {
    /// The first message is [`Self::message`].
    pub(crate) fn new() -> Result<Self> {
        let a = scalar()?;
        let point = (&a * RISTRETTO_BASEPOINT_TABLE).compress().to_bytes();
        Ok(Self { a, point })
    }

    /// A.
    pub(crate) fn message(&self) -> [u8; POINT] {
        self.point
    }

    /// Both keys of each transfer from the points of the receiver, 32 bytes each.
    ///
    /// # Errors
    /// What is wrong with a point, as the end of "it sent a group element …".
    pub(crate) fn keys(&self, answer: &[u8]) -> std::result::Result<Vec<[Key; 2]>, &'static str> {
        // a(B - A) = aB - aA.
        let square = &(self.a * self.a) * RISTRETTO_BASEPOINT_TABLE;
        let transfers = answer.chunks(POINT).enumerate().map(|(i, bytes)| {
            let shared = self.a * point(bytes)?;
            let keys = [shared, shared - square];
            Ok(keys.map(|shared| key(i, &self.point, bytes, &shared)))
        });
        transfers.collect()
    }
}

/// One key of each transfer and the answer to the sender's A.
///
/// # Errors
/// What is wrong with A, as the end of "it sent a group element …", or no randomness.
pub(crate) fn choose(
    sender: &[u8],
    choices: &[bool],
) -> Result<std::result::Result<(Vec<Key>, Vec<u8>), &'static str>> {
    let a = match point(sender) {
        Ok(a) => a,
        Err(what) => return Ok(Err(what)),
    };
    let mut answer = Vec::with_capacity(POINT * choices.len());
    let mut keys = Vec::with_capacity(choices.len());
    for (i, &choice) in choices.iter().enumerate() {
        let b = Zeroizing::new(scalar()?);
        // The same operations for both choices.
        let chosen = Scalar::from(u64::from(choice)) * a;
        let point = (&*b * RISTRETTO_BASEPOINT_TABLE + chosen).compress();
        keys.push(key(i, sender, point.as_bytes(), &(*b * a)));
        answer.extend_from_slice(point.as_bytes());
    }
    Ok(Ok((keys, answer)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_receiver_knows_the_key_of_its_choice_and_not_the_other() {
        let sender = Sender::new().unwrap();
        let choices: Vec<bool> = (0..40).map(|i| i % 3 == 0).collect();
        let (chosen, answer) = choose(&sender.message(), &choices).unwrap().unwrap();
        let keys = sender.keys(&answer).unwrap();
        for ((both, one), choice) in keys.iter().zip(&chosen).zip(&choices) {
            assert_eq!(both[usize::from(*choice)], *one);
            assert_ne!(both[usize::from(!*choice)], *one);
        }
        let all: std::collections::HashSet<Key> = keys.into_iter().flatten().collect();
        assert_eq!(all.len(), 80);
    }

    #[test]
    fn what_is_no_group_element_is_refused() {
        let sender = Sender::new().unwrap();
        for bad in [[0; 32], [0xFF; 32]] {
            assert!(choose(&bad, &[true]).unwrap().is_err());
            assert!(sender.keys(&bad).is_err());
        }
        assert!(sender.keys(&[1; 31]).is_err());
    }
}
