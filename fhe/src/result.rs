//! Results as they leave: LWE ciphertexts cut to as few bits as the noise allows.
//!
//! Cutting the mask shifts a result by Σ (rounding error)·(key bit); half of the errors' sum, their mean, goes to the
//! body first, which halves the deviation (as in the modulus switch before a rotation).

use crate::Error;
use crate::bits::{pack, packed_len, round, unpack};
use crate::keys::ClientKey;
use crate::params::Params;
use crate::scale::decode;
use crate::wire::{KeyId, Kind};

const KIND: Kind = Kind {
    what: "an encrypted result",
    header: "tacit tfhe response 1",
};

/// Bytes before the centres: T, how many results, how many bits.
const FIXED: usize = 8 + 4 + 1;

/// An encrypted result, as it travels.
#[derive(Clone, Debug)]
pub struct Response {
    pub(crate) params: &'static Params,
    pub(crate) key: KeyId,
    /// What a result stands on: a - centre is at (a - centre)·2^64/T.
    torus: u64,
    bits: u32,
    centres: Vec<i64>,
    /// k·N + 1 words a result, the low ones zero.
    results: Vec<u64>,
}

impl Response {
    /// Cuts `results` (k·N + 1 words each) to `bits` bits.
    pub(crate) fn new(
        params: &'static Params,
        key: KeyId,
        torus: u64,
        bits: u32,
        centres: Vec<i64>,
        mut results: Vec<Vec<u64>>,
    ) -> Self {
        for result in &mut results {
            let (mask, body) = result.split_at_mut(params.long_dimension());
            let mut errors = 0_i128;
            for a in mask {
                let cut = round(*a, bits);
                errors += i128::from(cut.wrapping_sub(*a) as i64);
                *a = cut;
            }
            body[0] = round(body[0].wrapping_add((errors / 2) as u64), bits);
        }
        Self {
            params,
            key,
            torus,
            bits,
            centres,
            results: results.concat(),
        }
    }

    /// What is decrypted by `key`.
    pub(crate) fn decrypt(&self, key: &ClientKey) -> Vec<i64> {
        let long = self.params.long_dimension();
        let results = self.results.chunks_exact(long + 1).zip(&self.centres);
        let decrypt = |(result, &centre): (&[u64], &i64)| {
            let (mask, body) = result.split_at(long);
            let masked = mask.iter().zip(key.large.iter());
            let phase = masked.fold(body[0], |phase, (a, s)| {
                phase.wrapping_sub(a.wrapping_mul(*s))
            });
            decode(phase, self.torus).wrapping_add(centre)
        };
        results.map(decrypt).collect()
    }

    /// The key it is encrypted under.
    #[must_use]
    pub fn key(&self) -> KeyId {
        self.key
    }

    /// How many results it holds.
    #[must_use]
    pub fn values(&self) -> usize {
        self.centres.len()
    }

    /// As it travels.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(Self::body(self.params, self.centres.len(), self.bits));
        body.extend_from_slice(&self.torus.to_le_bytes());
        body.extend_from_slice(&(self.centres.len() as u32).to_le_bytes());
        body.push(self.bits as u8);
        self.centres
            .iter()
            .for_each(|c| body.extend_from_slice(&c.to_le_bytes()));
        pack(self.results.iter().copied(), self.bits, &mut body);
        KIND.write(self.params, self.key, &body)
    }

    /// How many bytes this many results of this many bits take on the way.
    #[must_use]
    pub fn wire_len(params: &Params, values: usize, bits: u32) -> usize {
        KIND.len(params, Self::body(params, values, bits))
    }

    /// # Errors
    /// If this is no response, or one of another version, cut off or damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let (params, key, body) = KIND.read(bytes)?;
        let length = |wanted| Error::Length {
            what: KIND.what,
            found: bytes.len(),
            wanted,
        };
        let Some((fixed, rest)) = body.split_first_chunk::<FIXED>() else {
            return Err(length(Self::wire_len(params, 1, 1)));
        };
        let [t0, t1, t2, t3, t4, t5, t6, t7, c0, c1, c2, c3, bits] = *fixed;
        let torus = u64::from_le_bytes([t0, t1, t2, t3, t4, t5, t6, t7]);
        let (count, bits) = (
            u32::from_le_bytes([c0, c1, c2, c3]) as usize,
            u32::from(bits),
        );
        if !(1..=64).contains(&bits) || !(2..=1 << 50).contains(&torus) || torus % 2 == 1 {
            return Err(Error::Malformed {
                what: KIND.what,
                why: "no such scale or number of bits",
            });
        }
        if body.len() != Self::body(params, count, bits) {
            return Err(length(Self::wire_len(params, count, bits)));
        }
        KIND.verify(bytes)?;
        let (centres, results) = rest.split_at(8 * count);
        let (centres, _) = centres.as_chunks::<8>();
        let centres = centres.iter().map(|&c| i64::from_le_bytes(c)).collect();
        let results = unpack(results, count * (params.long_dimension() + 1), bits);
        Ok(Self {
            params,
            key,
            torus,
            bits,
            centres,
            results,
        })
    }

    fn body(params: &Params, count: usize, bits: u32) -> usize {
        FIXED + 8 * count + packed_len(count * (params.long_dimension() + 1), bits)
    }
}
