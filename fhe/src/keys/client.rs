//! The client's key: two vectors of bits.

use tfhe::core_crypto::prelude::{
    DefaultRandomGenerator, GlweSecretKey, LweSecretKey, PolynomialSize, SecretRandomGenerator,
    Seeder, generate_binary_glwe_secret_key, generate_binary_lwe_secret_key,
};
use zeroize::Zeroizing;

use super::EvaluationKey;
use crate::Error;
use crate::bits::{pack, packed_len, unpack};
use crate::params::Params;
use crate::random::OsSeeder;
use crate::wire::{KeyId, Kind};

const KIND: Kind = Kind {
    what: "a TFHE client key",
    header: "tacit tfhe client key 1",
};

/// What encrypts inputs and decrypts results. Whoever has it reads everything of this client; it never leaves it.
///
/// Its bits are overwritten when it is dropped; tfhe's own working copies while keys are made are not.
pub struct ClientKey {
    pub(crate) params: &'static Params,
    pub(crate) id: KeyId,
    /// n bits, a word each.
    pub(crate) small: Zeroizing<Vec<u64>>,
    /// k·N bits, a word each: k polynomials, or the bits of an LWE key.
    pub(crate) large: Zeroizing<Vec<u64>>,
}

impl std::fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ClientKey({}, {}, …)", self.params.name(), self.id)
    }
}

impl ClientKey {
    /// A new key, and what a server needs to compute under it.
    ///
    /// # Errors
    /// If the operating system gives no randomness.
    pub fn generate(params: &'static Params) -> Result<(Self, EvaluationKey), Error> {
        let mut seeder = OsSeeder::new()?;
        let mut key = Self::draw(params, &mut seeder);
        let evaluation = EvaluationKey::generate(&key, &mut seeder);
        key.id = evaluation.id();
        Ok((key, evaluation))
    }

    /// A new key for programs that look nothing up ([`Model::needs_key`](crate::Model::needs_key)): nothing is computed
    /// under it that needs an evaluation key, so there is none, and its id is drawn.
    ///
    /// # Errors
    /// If the operating system gives no randomness.
    pub fn generate_alone(params: &'static Params) -> Result<Self, Error> {
        let mut seeder = OsSeeder::new()?;
        let mut key = Self::draw(params, &mut seeder);
        key.id = KeyId(seeder.seed().0.to_le_bytes());
        Ok(key)
    }

    /// The bits of a new key, which has no id yet.
    fn draw(params: &'static Params, seeder: &mut OsSeeder) -> Self {
        let mut random = SecretRandomGenerator::<DefaultRandomGenerator>::new(seeder.seed());
        let mut small = Zeroizing::new(vec![0; params.lwe_dimension()]);
        let mut large = Zeroizing::new(vec![0; params.long_dimension()]);
        generate_binary_lwe_secret_key(
            &mut LweSecretKey::from_container(small.as_mut_slice()),
            &mut random,
        );
        let size = PolynomialSize(params.polynomial_size());
        generate_binary_glwe_secret_key(
            &mut GlweSecretKey::from_container(large.as_mut_slice(), size),
            &mut random,
        );
        Self {
            params,
            id: KeyId([0; 16]),
            small,
            large,
        }
    }

    /// Its parameter set.
    #[must_use]
    pub fn params(&self) -> &'static Params {
        self.params
    }

    /// Its id, and that of its evaluation key if it has one.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// As it is kept in a file, which only its owner may read.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let bits = self.small.iter().chain(self.large.iter());
        let mut body = Zeroizing::new(Vec::with_capacity(Self::body(self.params)));
        pack(bits.map(|bit| bit << 63), 1, &mut body);
        Zeroizing::new(KIND.write(self.params, self.id, &body))
    }

    /// # Errors
    /// If this is no client key, or one of another version, or damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let (params, id, body) = KIND.read(bytes)?;
        let wanted = Self::body(params);
        if body.len() != wanted {
            let wanted = KIND.len(params, wanted);
            return Err(Error::Length {
                what: KIND.what,
                found: bytes.len(),
                wanted,
            });
        }
        KIND.verify(bytes)?;
        let count = params.lwe_dimension() + params.long_dimension();
        let bits = Zeroizing::new(unpack(body, count, 1));
        let (small, large) = bits.split_at(params.lwe_dimension());
        let words = |bits: &[u64]| Zeroizing::new(bits.iter().map(|bit| bit >> 63).collect());
        Ok(Self {
            params,
            id,
            small: words(small),
            large: words(large),
        })
    }

    fn body(params: &Params) -> usize {
        packed_len(params.lwe_dimension() + params.long_dimension(), 1)
    }
}
