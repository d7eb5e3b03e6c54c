//! Inputs: a vector in the coefficients of GLWE ciphertexts, value j of a ciphertext in coefficient j.
//!
//! A request is its seed, and [`Params::input_bits`] a value.

use tfhe::core_crypto::commons::math::random::Seed;
use tfhe::core_crypto::prelude::{
    CiphertextModulus, DefaultRandomGenerator, DynamicDistribution, GlweCiphertextCount,
    GlweCiphertextList, GlweSecretKey, GlweSize, PlaintextList, PolynomialSize,
    SeededGlweCiphertextList, Seeder, decompress_seeded_glwe_ciphertext_list,
    encrypt_seeded_glwe_ciphertext_list,
};
use zeroize::Zeroizing;

use crate::Error;
use crate::bits::{pack, packed_len, unpack};
use crate::keys::ClientKey;
use crate::params::Params;
use crate::random::OsSeeder;
use crate::scale::encode;
use crate::wire::{KeyId, Kind};

const KIND: Kind = Kind {
    what: "an encrypted input",
    header: "tacit tfhe request 2",
};

/// Bytes of the number of values, and of the seed.
const COUNT: usize = 4;
const SEED: usize = 16;

/// An encrypted input, as it travels: of the masks only the seed, of the bodies those that hold a value.
#[derive(Clone, Debug)]
pub struct Request {
    params: &'static Params,
    key: KeyId,
    count: usize,
    seed: u128,
    bodies: Vec<u64>,
}

impl Request {
    /// Encrypts values that stand on a torus of `torus` units.
    pub(crate) fn encrypt(key: &ClientKey, values: &[u16], torus: u64) -> Result<Self, Error> {
        let params = key.params;
        let (size, k) = (params.polynomial_size(), params.glwe_dimension());
        let ciphertexts = values.len().div_ceil(size);
        // An input is as secret as the key, so it has room enough from the start and leaves no copies.
        let mut plain = Zeroizing::new(Vec::with_capacity(ciphertexts * size));
        plain.extend(values.iter().map(|&x| encode(i64::from(x), torus)));
        plain.resize(ciphertexts * size, 0);
        let mut seeder = OsSeeder::new()?;
        let seed = seeder.seed();
        let mut list = list(params, seed, vec![0; ciphertexts * size]);
        encrypt_seeded_glwe_ciphertext_list(
            &GlweSecretKey::from_container(&key.large[..], PolynomialSize(size)),
            &mut list,
            &PlaintextList::from_container(&plain[..]),
            DynamicDistribution::new_t_uniform(params.glwe_noise()),
            &mut seeder,
        );
        debug_assert_eq!(list.glwe_size(), GlweSize(k + 1));
        let mut bodies = list.into_container();
        bodies.truncate(values.len());
        Ok(Self {
            params,
            key: key.id,
            count: values.len(),
            seed: seed.0,
            bodies,
        })
    }

    /// Its parameter set.
    #[must_use]
    pub fn params(&self) -> &'static Params {
        self.params
    }

    /// The key it is encrypted under.
    #[must_use]
    pub fn key(&self) -> KeyId {
        self.key
    }

    /// How many values it holds.
    #[must_use]
    pub fn values(&self) -> usize {
        self.count
    }

    /// As it travels.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(Self::body(self.params, self.count));
        body.extend_from_slice(&(self.count as u32).to_le_bytes());
        body.extend_from_slice(&self.seed.to_le_bytes());
        pack(
            self.bodies.iter().copied(),
            self.params.input_bits(),
            &mut body,
        );
        KIND.write(self.params, self.key, &body)
    }

    /// How many bytes an input of this many values takes on the way.
    #[must_use]
    pub fn wire_len(params: &Params, values: usize) -> usize {
        KIND.len(params, Self::body(params, values))
    }

    /// # Errors
    /// If this is no request, or one of another version, cut off or damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let (params, key, body) = KIND.read(bytes)?;
        let length = |wanted| Error::Length {
            what: KIND.what,
            found: bytes.len(),
            wanted,
        };
        let Some((count, rest)) = body.split_first_chunk::<COUNT>() else {
            return Err(length(Self::wire_len(params, 1)));
        };
        let count = u32::from_le_bytes(*count) as usize;
        if body.len() != Self::body(params, count) {
            return Err(length(Self::wire_len(params, count)));
        }
        KIND.verify(bytes)?;
        let Some((seed, bodies)) = rest.split_first_chunk::<SEED>() else {
            return Err(length(Self::wire_len(params, count)));
        };
        let bodies = unpack(bodies, count, params.input_bits());
        Ok(Self {
            params,
            key,
            count,
            seed: u128::from_le_bytes(*seed),
            bodies,
        })
    }

    fn body(params: &Params, count: usize) -> usize {
        COUNT + SEED + packed_len(count, params.input_bits())
    }

    /// The ciphertexts.
    pub(crate) fn expand(&self) -> Packed {
        let (size, k) = (self.params.polynomial_size(), self.params.glwe_dimension());
        let ciphertexts = self.count.div_ceil(size);
        let seeded = list(self.params, Seed(self.seed), vec![0; ciphertexts * size]);
        let mut full = GlweCiphertextList::new(
            0_u64,
            GlweSize(k + 1),
            PolynomialSize(size),
            GlweCiphertextCount(ciphertexts),
            CiphertextModulus::new_native(),
        );
        decompress_seeded_glwe_ciphertext_list::<_, _, _, DefaultRandomGenerator>(
            &mut full, &seeded,
        );
        let ciphertexts = full.as_ref().chunks_exact((k + 1) * size);
        Packed {
            masks: ciphertexts
                .flat_map(|glwe| &glwe[..k * size])
                .copied()
                .collect(),
            bodies: self.bodies.clone(),
        }
    }
}

/// GLWE ciphertexts of these bodies, whose masks come from a seed.
pub(crate) fn list(
    params: &Params,
    seed: Seed,
    bodies: Vec<u64>,
) -> SeededGlweCiphertextList<Vec<u64>> {
    let (glwe, size) = (
        GlweSize(params.glwe_dimension() + 1),
        PolynomialSize(params.polynomial_size()),
    );
    SeededGlweCiphertextList::from_container(
        bodies,
        glwe,
        size,
        seed.into(),
        CiphertextModulus::new_native(),
    )
}

/// The ciphertexts of an input.
pub(crate) struct Packed {
    /// Of each ciphertext k polynomials of N coefficients.
    pub(crate) masks: Vec<u64>,
    /// Of each value one.
    pub(crate) bodies: Vec<u64>,
}
