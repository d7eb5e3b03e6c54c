//! Results as they leave: packed into GLWE ciphertexts, cut to as few bits as the noise allows. Of a body only the
//! coefficients that hold a result travel.
//!
//! Results of a program without lookups are not packed, but leave one in a ciphertext: they are few, may need many bits,
//! and packing them would add more noise than all that was there.
//!
//! Cutting the mask shifts a result by Σ (rounding error)·(key bit); half of the errors' sum, their mean, goes to the
//! body first, which halves the deviation (as in the modulus switch before a rotation).

use crate::Error;
use crate::bits::{pack, packed_len, round, unpack};
use crate::keys::ClientKey;
use crate::packing::{PackingKey, stride};
use crate::params::Params;
use crate::ring::extract_constant;
use crate::scale::decode;
use crate::wire::{KeyId, Kind};

const KIND: Kind = Kind {
    what: "an encrypted result",
    header: "tacit tfhe response 3",
};

/// Bytes before the centres: T, how many results, how many bits, whether they are packed.
const FIXED: usize = 8 + 4 + 1 + 1;

/// How results leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// How many there are,
    pub(crate) count: usize,
    /// of how many bits,
    pub(crate) bits: u32,
    /// and whether up to N of them share a ciphertext, or each has its own.
    pub(crate) packed: bool,
}

impl Shape {
    /// Results of one ciphertext at most.
    fn each(self, params: &Params) -> usize {
        if self.packed {
            params.polynomial_size()
        } else {
            1
        }
    }

    /// How many words of ciphertext hold them.
    fn words(self, params: &Params) -> usize {
        self.count.div_ceil(self.each(params)) * params.long_dimension() + self.count
    }

    /// How many bytes a body has.
    fn body(self, params: &Params) -> usize {
        FIXED + 8 * self.count + packed_len(self.words(params), self.bits)
    }
}

/// An encrypted result, as it travels.
#[derive(Clone, Debug)]
pub struct Response {
    pub(crate) params: &'static Params,
    pub(crate) key: KeyId,
    /// What a result stands on: a - centre is at (a - centre)·2^64/T.
    torus: u64,
    shape: Shape,
    centres: Vec<i64>,
    /// For every ciphertext the masks, k·N words, and a body for each; the low bits zero.
    words: Vec<u64>,
}

impl Response {
    /// Packs `results` (k·N + 1 words each, under `key`), where their shape says so, and cuts them to its bits.
    ///
    /// # Errors
    /// The device failed that keeps the packing key.
    pub(crate) fn new(
        params: &'static Params,
        key: KeyId,
        packing: Option<&PackingKey>,
        torus: u64,
        shape: Shape,
        centres: Vec<i64>,
        results: &[Vec<u64>],
    ) -> tacit_mpc::Result<Self> {
        debug_assert_eq!(packing.is_some(), shape.packed);
        let bits = shape.bits;
        let (size, long) = (params.polynomial_size(), params.long_dimension());
        let mut words = Vec::with_capacity(shape.words(params));
        for results in results.chunks(shape.each(params)) {
            let packed = match packing {
                Some(packing) => packing.pack(results)?,
                None => alone(&results[0], size),
            };
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
        Ok(Self {
            params,
            key,
            torus,
            shape,
            centres,
            words,
        })
    }

    /// What is decrypted by `key`.
    pub(crate) fn decrypt(&self, key: &ClientKey) -> Vec<i64> {
        let (size, long) = (self.params.polynomial_size(), self.params.long_dimension());
        let each = self.shape.each(self.params);
        let ciphertexts = self
            .words
            .chunks(long + each)
            .zip(self.centres.chunks(each));
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
        let mut body = Vec::with_capacity(self.shape.body(self.params));
        body.extend_from_slice(&self.torus.to_le_bytes());
        body.extend_from_slice(&(self.centres.len() as u32).to_le_bytes());
        body.push(self.shape.bits as u8);
        body.push(u8::from(self.shape.packed));
        self.centres
            .iter()
            .for_each(|c| body.extend_from_slice(&c.to_le_bytes()));
        pack(self.words.iter().copied(), self.shape.bits, &mut body);
        KIND.write(self.params, self.key, &body)
    }

    /// How many bytes results of this shape take on the way.
    #[must_use]
    pub(crate) fn wire_len(params: &Params, shape: Shape) -> usize {
        KIND.len(params, shape.body(params))
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
            let least = Shape {
                count: 1,
                bits: 1,
                packed: false,
            };
            return Err(length(Self::wire_len(params, least)));
        };
        let [t0, t1, t2, t3, t4, t5, t6, t7, c0, c1, c2, c3, bits, packed] = *fixed;
        let torus = u64::from_le_bytes([t0, t1, t2, t3, t4, t5, t6, t7]);
        let (count, bits) = (
            u32::from_le_bytes([c0, c1, c2, c3]) as usize,
            u32::from(bits),
        );
        if !(1..=64).contains(&bits)
            || !(2..=1 << 50).contains(&torus)
            || torus % 2 == 1
            || packed > 1
        {
            return Err(Error::Malformed {
                what: KIND.what,
                why: "no such scale, number of bits or way of packing",
            });
        }
        let packed = packed == 1;
        let shape = Shape {
            count,
            bits,
            packed,
        };
        if body.len() != shape.body(params) {
            return Err(length(Self::wire_len(params, shape)));
        }
        KIND.verify(bytes)?;
        let (centres, words) = rest.split_at(8 * count);
        let (centres, _) = centres.as_chunks::<8>();
        let centres = centres.iter().map(|&c| i64::from_le_bytes(c)).collect();
        let words = unpack(words, shape.words(params), bits);
        Ok(Self {
            params,
            key,
            torus,
            shape,
            centres,
            words,
        })
    }
}

/// A result in a GLWE ciphertext of its own, at its constant coefficient: k·N + 1 words.
fn alone(result: &[u64], size: usize) -> Vec<u64> {
    let mut glwe = result.to_vec();
    let long = glwe.len() - 1;
    // Its own inverse.
    extract_constant(&mut glwe[..long], size);
    glwe
}

/// The coefficients of a ciphertext that hold `count` results.
fn positions(count: usize, size: usize) -> impl Iterator<Item = usize> {
    let stride = stride(count, size);
    (0..count).map(move |k| k * stride)
}
