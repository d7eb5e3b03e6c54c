//! Inputs: a vector in the coefficients of GLWE ciphertexts, and sums of its values by plaintext weights.
//!
//! Value j of a ciphertext is coefficient j. A row of weights is the polynomial Σ_j w_j·X^-j: the constant coefficient
//! of the product with it is Σ_j w_j·x_j, and sample extraction makes that an LWE ciphertext. Products are exact (see
//! [`Ring`]), so a row multiplies the noise's variance by Σ w_j² and adds nothing else.
//!
//! One product serves one row. Several could share one (rows at different powers of X), but then coefficients beyond the
//! input would have to be encryptions of zero, and their bodies would have to travel: 6 KB more a ciphertext, to save
//! what is a ten-thousandth of an inference anyway. As it is, a request is its seed and [`Params::input_bits`] a value.

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
use crate::program::{Linear, Row, Source};
use crate::random::OsSeeder;
use crate::ring::{Ring, Spectrum, add_monomial, extract_constant};
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

    /// The ciphertexts, each with its masks transformed and its bodies as sent.
    pub(crate) fn expand(&self, ring: &Ring) -> Vec<Packed> {
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
        let ciphertexts = full
            .as_ref()
            .chunks_exact((k + 1) * size)
            .zip(self.bodies.chunks(size));
        let packed = ciphertexts.map(|(glwe, bodies)| Packed {
            masks: glwe[..k * size].to_vec(),
            spectra: glwe[..k * size]
                .chunks_exact(size)
                .map(|mask| ring.forward(mask))
                .collect(),
            bodies: bodies.to_vec(),
        });
        packed.collect()
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

/// One ciphertext of an input.
pub(crate) struct Packed {
    /// k polynomials of N coefficients,
    masks: Vec<u64>,
    /// and their transforms.
    spectra: Vec<Spectrum>,
    /// Those of its values.
    bodies: Vec<u64>,
}

/// The rows of a linear node over the input.
pub(crate) struct Weights {
    rows: Vec<Vec<Part>>,
    bias: Vec<u64>,
}

/// The weights of a row that belong to one ciphertext: (coefficient, weight), and their polynomial if they are many.
struct Part {
    ciphertext: usize,
    terms: Vec<(usize, i64)>,
    spectrum: Option<Spectrum>,
}

/// From how many weights on a product of polynomials is faster than adding shifted masks.
const MANY: usize = 8;

impl Weights {
    /// Of a node whose terms are all of the input, on a torus of `torus` units.
    pub(crate) fn new(linear: &Linear, torus: u64, ring: &Ring, size: usize) -> Self {
        let row = |row: &Row| {
            let terms = terms(row);
            let parts = terms.chunk_by(|a, b| a.0 / size == b.0 / size);
            let part = |terms: &[(usize, i64)]| {
                let ciphertext = terms[0].0 / size;
                let terms: Vec<_> = terms
                    .iter()
                    .map(|&(index, weight)| (index % size, weight))
                    .collect();
                let spectrum = (terms.len() >= MANY).then(|| {
                    let mut polynomial = vec![0_u64; size];
                    for &(index, weight) in &terms {
                        let (power, sign) = inverse(index, size);
                        polynomial[power] = polynomial[power].wrapping_add((sign * weight) as u64);
                    }
                    ring.forward(&polynomial)
                });
                Part {
                    ciphertext,
                    terms,
                    spectrum,
                }
            };
            parts.map(part).collect()
        };
        Self {
            rows: linear.rows.iter().map(row).collect(),
            bias: linear
                .rows
                .iter()
                .map(|row| encode(row.bias, torus))
                .collect(),
        }
    }

    /// How many polynomials of a node are transformed.
    pub(crate) fn spectra(linear: &Linear, size: usize) -> usize {
        let of_row = |row: &Row| {
            let terms = terms(row);
            let parts = terms.chunk_by(|a, b| a.0 / size == b.0 / size);
            parts.filter(|part| part.len() >= MANY).count()
        };
        linear.rows.iter().map(of_row).sum()
    }

    /// The sums, k·N + 1 words each.
    pub(crate) fn apply(&self, input: &[Packed], ring: &Ring, params: &Params) -> Vec<Vec<u64>> {
        let size = params.polynomial_size();
        let row = |(parts, &bias): (&Vec<Part>, &u64)| {
            let mut sum = vec![0; params.long_dimension() + 1];
            let (masks, body) = sum.split_at_mut(params.long_dimension());
            body[0] = bias;
            for part in parts {
                let packed = &input[part.ciphertext];
                for &(index, weight) in &part.terms {
                    body[0] =
                        body[0].wrapping_add(packed.bodies[index].wrapping_mul(weight as u64));
                }
                let masks = masks
                    .chunks_exact_mut(size)
                    .zip(packed.masks.chunks_exact(size));
                for ((to, mask), transformed) in masks.zip(&packed.spectra) {
                    if let Some(weights) = &part.spectrum {
                        ring.add_product(to, transformed, weights);
                    } else {
                        for &(index, weight) in &part.terms {
                            let (power, sign) = inverse(index, size);
                            add_monomial(to, power, (sign * weight) as u64, mask);
                        }
                    }
                }
            }
            extract_constant(masks, size);
            sum
        };
        self.rows.iter().zip(&self.bias).map(row).collect()
    }
}

/// A row's terms, all of them of the input, in the order of what they weigh.
fn terms(row: &Row) -> Vec<(usize, i64)> {
    debug_assert!(row.terms.iter().all(|term| term.source == Source::Input));
    let terms = row.terms.iter();
    let mut terms: Vec<_> = terms.map(|t| (t.index, i64::from(t.weight))).collect();
    terms.sort_unstable();
    terms
}

/// X^-index = sign · X^power.
fn inverse(index: usize, size: usize) -> (usize, i64) {
    if index == 0 {
        (0, 1)
    } else {
        (size - index, -1)
    }
}
