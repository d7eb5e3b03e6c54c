//! The evaluation key as it travels.
//!
//! Masks are not sent but stretched from a seed each for the keyswitching, the bootstrapping and the packing key; of the
//! bodies of the last two only the leading bits are, for noise hides the others anyway (the rounding is counted:
//! [`Params::variances`]). Rounding is done on what is public, so it cannot weaken anything.

use tfhe::core_crypto::commons::math::random::Seed;
use tfhe::core_crypto::prelude::{
    CiphertextModulus, DecompositionBaseLog, DecompositionLevelCount, DefaultRandomGenerator,
    DynamicDistribution, GlweCiphertextCount, GlweCiphertextList, GlweSecretKey, GlweSize,
    LweDimension, LweSecretKey, PlaintextList, PolynomialSize, SeededLweBootstrapKey,
    SeededLweKeyswitchKey, Seeder, decompress_seeded_glwe_ciphertext_list,
    encrypt_seeded_glwe_ciphertext_list, generate_seeded_lwe_keyswitch_key,
    par_generate_seeded_lwe_bootstrap_key,
};
use zeroize::Zeroizing;

use super::ClientKey;
use crate::Error;
use crate::bits::{pack, packed_len, unpack};
use crate::packing;
use crate::params::{Gadget, Params};
use crate::random::OsSeeder;
use crate::request::list;
use crate::wire::{KeyId, Kind};

const KIND: Kind = Kind {
    what: "a TFHE evaluation key",
    header: "tacit tfhe evaluation key 2",
};

/// The bytes of a seed.
const SEED: usize = 16;
/// One each for the keyswitching, the bootstrapping and the packing key.
const SEEDS: usize = 3;

/// What a server needs to compute on a client's ciphertexts. It is public: it encrypts the client's key under itself
/// (circular security, as in every bootstrapping scheme), and decrypts nothing.
#[derive(Clone)]
pub struct EvaluationKey {
    params: &'static Params,
    id: KeyId,
    /// Three seeds, the bodies of the keyswitching key (32 bits each), those of the bootstrapping and the packing key.
    body: Vec<u8>,
}

impl std::fmt::Debug for EvaluationKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "EvaluationKey({}, {}, {} bytes)",
            self.params.name(),
            self.id,
            self.body.len()
        )
    }
}

pub(super) fn gadget(gadget: Gadget) -> (DecompositionBaseLog, DecompositionLevelCount) {
    let (base, levels) = (gadget.base_log as usize, gadget.levels as usize);
    (DecompositionBaseLog(base), DecompositionLevelCount(levels))
}

impl EvaluationKey {
    pub(super) fn generate(key: &ClientKey, seeder: &mut OsSeeder) -> Self {
        let params = key.params;
        let mut body = Vec::with_capacity(Self::body(params));
        let seeds = [(); SEEDS].map(|()| seeder.seed());
        seeds
            .iter()
            .for_each(|seed| body.extend_from_slice(&seed.0.to_le_bytes()));

        let words =
            |bits: &[u64]| Zeroizing::new(bits.iter().map(|&bit| bit as u32).collect::<Vec<_>>());
        let (small, large) = (words(&key.small), words(&key.large));
        let mut keyswitch = keyswitch(params, seeds[0], vec![0; keyswitch_bodies(params)]);
        generate_seeded_lwe_keyswitch_key(
            &LweSecretKey::from_container(large.as_slice()),
            &LweSecretKey::from_container(small.as_slice()),
            &mut keyswitch,
            DynamicDistribution::new_t_uniform(params.lwe_noise()),
            seeder,
        );
        let bodies = keyswitch.into_container();
        pack(bodies.iter().map(|&b| u64::from(b) << 32), 32, &mut body);

        let mut bootstrap = bootstrap(params, seeds[1], vec![0; bootstrap_bodies(params)]);
        let size = PolynomialSize(params.polynomial_size());
        par_generate_seeded_lwe_bootstrap_key(
            &LweSecretKey::from_container(key.small.as_slice()),
            &GlweSecretKey::from_container(key.large.as_slice(), size),
            &mut bootstrap,
            DynamicDistribution::new_t_uniform(params.glwe_noise()),
            seeder,
        );
        pack(bootstrap.into_container(), params.key_bits(), &mut body);

        let rows = packing::rows(params);
        let mut list = list(params, seeds[2], vec![0; rows * params.polynomial_size()]);
        let plain = Zeroizing::new(packing::plaintexts(&key.large, params));
        encrypt_seeded_glwe_ciphertext_list(
            &GlweSecretKey::from_container(key.large.as_slice(), size),
            &mut list,
            &PlaintextList::from_container(plain.as_slice()),
            DynamicDistribution::new_t_uniform(params.glwe_noise()),
            seeder,
        );
        pack(list.into_container(), packing::KEY_BITS, &mut body);
        Self {
            params,
            id: KeyId::of(params, &body),
            body,
        }
    }

    /// Its parameter set.
    #[must_use]
    pub fn params(&self) -> &'static Params {
        self.params
    }

    /// Its id: a hash over it, so nobody can pass off another key for it.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// As it travels.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        KIND.write(self.params, self.id, &self.body)
    }

    /// How many bytes a key of this set takes on the way.
    #[must_use]
    pub fn wire_len(params: &Params) -> usize {
        KIND.len(params, Self::body(params))
    }

    /// The parameter set of a key of which there is only the beginning: 64 bytes are enough.
    ///
    /// # Errors
    /// If no evaluation key of this version begins so.
    pub fn params_of(start: &[u8]) -> Result<&'static Params, Error> {
        KIND.start(start).map(|(params, _)| params)
    }

    /// # Errors
    /// If this is no evaluation key, or one of another version, cut off or damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let (params, id, body) = KIND.read(bytes)?;
        if body.len() != Self::body(params) {
            let wanted = Self::wire_len(params);
            return Err(Error::Length {
                what: KIND.what,
                found: bytes.len(),
                wanted,
            });
        }
        KIND.verify(bytes)?;
        if KeyId::of(params, body) != id {
            return Err(Error::Malformed {
                what: KIND.what,
                why: "its id is not the hash over it",
            });
        }
        Ok(Self {
            params,
            id,
            body: body.to_vec(),
        })
    }

    /// The keyswitching key.
    pub(super) fn keyswitch(&self) -> SeededLweKeyswitchKey<Vec<u32>> {
        let count = keyswitch_bodies(self.params);
        let bodies = unpack(self.part(SEEDS * SEED, packed_len(count, 32)), count, 32);
        let bodies = bodies.into_iter().map(|body| (body >> 32) as u32).collect();
        keyswitch(self.params, self.seed(0), bodies)
    }

    /// The bootstrapping key.
    pub(super) fn bootstrap(&self) -> SeededLweBootstrapKey<Vec<u64>> {
        let (count, bits) = (bootstrap_bodies(self.params), self.params.key_bits());
        let from = SEEDS * SEED + packed_len(keyswitch_bodies(self.params), 32);
        let bodies = unpack(self.part(from, packed_len(count, bits)), count, bits);
        bootstrap(self.params, self.seed(1), bodies)
    }

    /// The packing key, expanded: GLWE ciphertexts, one after another.
    pub(super) fn packing(&self) -> Vec<u64> {
        let (rows, size) = (packing::rows(self.params), self.params.polynomial_size());
        let len = packed_len(rows * size, packing::KEY_BITS);
        let bodies = unpack(
            self.part(self.body.len() - len, len),
            rows * size,
            packing::KEY_BITS,
        );
        let seeded = list(self.params, self.seed(2), bodies);
        let mut full = GlweCiphertextList::new(
            0,
            seeded.glwe_size(),
            seeded.polynomial_size(),
            GlweCiphertextCount(rows),
            CiphertextModulus::new_native(),
        );
        decompress_seeded_glwe_ciphertext_list::<_, _, _, DefaultRandomGenerator>(
            &mut full, &seeded,
        );
        full.into_container()
    }

    fn part(&self, from: usize, len: usize) -> &[u8] {
        &self.body[from..from + len]
    }

    fn seed(&self, which: usize) -> Seed {
        let mut bytes = [0; SEED];
        bytes.copy_from_slice(self.part(which * SEED, SEED));
        Seed(u128::from_le_bytes(bytes))
    }

    fn body(params: &Params) -> usize {
        SEEDS * SEED
            + packed_len(keyswitch_bodies(params), 32)
            + packed_len(bootstrap_bodies(params), params.key_bits())
            + packed_len(
                packing::rows(params) * params.polynomial_size(),
                packing::KEY_BITS,
            )
    }
}

/// k·N·l.
fn keyswitch_bodies(params: &Params) -> usize {
    params.long_dimension() * params.keyswitch().levels as usize
}

/// n·l·(k+1)·N.
fn bootstrap_bodies(params: &Params) -> usize {
    let rows = params.bootstrap().levels as usize * (params.glwe_dimension() + 1);
    params.lwe_dimension() * rows * params.polynomial_size()
}

fn keyswitch(params: &Params, seed: Seed, bodies: Vec<u32>) -> SeededLweKeyswitchKey<Vec<u32>> {
    let (base, levels) = gadget(params.keyswitch());
    let size = LweDimension(params.lwe_dimension()).to_lwe_size();
    SeededLweKeyswitchKey::from_container(
        bodies,
        base,
        levels,
        size,
        seed.into(),
        CiphertextModulus::new_native(),
    )
}

fn bootstrap(params: &Params, seed: Seed, bodies: Vec<u64>) -> SeededLweBootstrapKey<Vec<u64>> {
    let (base, levels) = gadget(params.bootstrap());
    let (size, polynomial) = (
        GlweSize(params.glwe_dimension() + 1),
        PolynomialSize(params.polynomial_size()),
    );
    let native = CiphertextModulus::new_native();
    SeededLweBootstrapKey::from_container(
        bodies,
        size,
        polynomial,
        base,
        levels,
        seed.into(),
        native,
    )
}
