//! Results as they leave: packed into GLWE ciphertexts, cut to as few bits as the noise allows. Of a body only the
//! coefficients that hold a result travel.
//!
//! Cutting the mask shifts a result by Σ (rounding error)·(key bit); half of the errors' sum, their mean, goes to the
//! body first, which halves the deviation (as in the modulus switch before a rotation).

use crate::Error;
use crate::bits::{pack, packed_len, round, unpack};
use crate::keys::{ClientKey, ServerKey};
use crate::packing::stride;
use crate::params::Params;
use crate::scale::decode;
use crate::wire::{KeyId, Kind};

const KIND: Kind = Kind {
    what: "an encrypted result",
    header: "tacit tfhe response 2",
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
    /// For every N results the masks, k·N words, and a body for each; the low bits zero.
    words: Vec<u64>,
}

impl Response {
    /// Packs `results` (k·N + 1 words each) and cuts them to `bits` bits.
    pub(crate) fn new(
        key: &ServerKey,
        torus: u64,
        bits: u32,
        centres: Vec<i64>,
        results: &[Vec<u64>],
    ) -> Self {
        let params = key.params;
        let (size, long) = (params.polynomial_size(), params.long_dimension());
        let mut words = Vec::with_capacity(Self::words(params, results.len()));
        for results in results.chunks(size) {
            let packed = key.packing.pack(results, params);
            let (masks, body) = packed.split_at(long);
            let cut: Vec<u64> = masks.iter().map(|&a| round(a, bits)).collect();
            let errors: Vec<i64> = cut
                .iter()
                .zip(masks)
                .map(|(cut, a)| cut.wrapping_sub(*a) as i64)
                .collect();
            words.extend_from_slice(&cut);
            for at in positions(results.len(), size) {
                // What the errors come to at this coefficient when all key bits are ½.
                let mean = |errors: &[i64]| {
                    let (before, after) = errors.split_at(at + 1);
                    let sum = |errors: &[i64]| errors.iter().map(|&e| i128::from(e)).sum::<i128>();
                    (sum(before) - sum(after)) / 2
                };
                let mean: i128 = errors.chunks_exact(size).map(mean).sum();
                words.push(round(body[at].wrapping_add(mean as u64), bits));
            }
        }
        Self {
            params,
            key: key.id,
            torus,
            bits,
            centres,
            words,
        }
    }

    /// What is decrypted by `key`.
    pub(crate) fn decrypt(&self, key: &ClientKey) -> Vec<i64> {
        let (size, long) = (self.params.polynomial_size(), self.params.long_dimension());
        let ciphertexts = self
            .words
            .chunks(long + size)
            .zip(self.centres.chunks(size));
        let decrypt = |(words, centres): (&[u64], &[i64])| {
            let (masks, bodies) = words.split_at(long);
            let results = positions(centres.len(), size).zip(bodies).zip(centres);
            let result = |((at, &body), &centre): ((usize, &u64), &i64)| {
                let mut phase = body;
                for (mask, key) in masks.chunks_exact(size).zip(key.large.chunks_exact(size)) {
                    // Coefficient `at` of mask·key.
                    for (i, s) in key.iter().enumerate() {
                        let product = mask[(at + size - i) % size].wrapping_mul(*s);
                        phase = if i <= at {
                            phase.wrapping_sub(product)
                        } else {
                            phase.wrapping_add(product)
                        };
                    }
                }
                decode(phase, self.torus).wrapping_add(centre)
            };
            results.map(result).collect::<Vec<_>>()
        };
        ciphertexts.flat_map(decrypt).collect()
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
        pack(self.words.iter().copied(), self.bits, &mut body);
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
        let (centres, words) = rest.split_at(8 * count);
        let (centres, _) = centres.as_chunks::<8>();
        let centres = centres.iter().map(|&c| i64::from_le_bytes(c)).collect();
        let words = unpack(words, Self::words(params, count), bits);
        Ok(Self {
            params,
            key,
            torus,
            bits,
            centres,
            words,
        })
    }

    fn body(params: &Params, count: usize, bits: u32) -> usize {
        FIXED + 8 * count + packed_len(Self::words(params, count), bits)
    }

    /// How many words of ciphertext hold this many results.
    fn words(params: &Params, count: usize) -> usize {
        count.div_ceil(params.polynomial_size()) * params.long_dimension() + count
    }
}

/// The coefficients of a ciphertext that hold `count` results.
fn positions(count: usize, size: usize) -> impl Iterator<Item = usize> {
    let stride = stride(count, size);
    (0..count).map(move |k| k * stride)
}
