//! Inputs: a vector in the coefficients of GLWE ciphertexts, and sums of its values by plaintext weights.
//!
//! Value j of a ciphertext is coefficient j. A row of weights is the polynomial Σ_j w_j·X^-j: the constant coefficient
//! of the product with it is Σ_j w_j·x_j, and sample extraction makes that an LWE ciphertext. Products are exact (see
//! `ring.rs`), so a row multiplies the noise's variance by Σ w_j² and adds nothing else.
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

use tacit_mpc::Kernels;
use tacit_mpc::kernels::Factors;
use zeroize::Zeroizing;

use crate::Error;
use crate::bits::{pack, packed_len, unpack};
use crate::keys::ClientKey;
use crate::params::Params;
use crate::program::{Linear, Row, Source};
use crate::random::OsSeeder;
use crate::ring::{add, add_monomial, extract_constant, factors};
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
    masks: Vec<u64>,
    /// Of each value one.
    bodies: Vec<u64>,
}

/// The rows of a linear node over the input.
pub(crate) struct Weights {
    rows: Vec<Vec<Part>>,
    bias: Vec<u64>,
    products: Option<Products>,
}

/// The weights of a row that belong to one ciphertext.
struct Part {
    ciphertext: usize,
    /// (coefficient, weight)
    terms: Vec<(usize, i64)>,
    /// Whether they are a polynomial of the products.
    many: bool,
}

/// What masks are multiplied by.
struct Products {
    weights: Box<dyn Factors>,
    /// For each mask of each row that has any, which masks of the input by which weights,
    sums: Vec<Vec<(u32, u32)>>,
    /// and which it is: (row, mask).
    of: Vec<(usize, usize)>,
}

/// From how many weights on a product of polynomials is faster than adding shifted masks.
const MANY: usize = 8;

impl Weights {
    /// Of a node whose terms are all of the input, on a torus of `torus` units.
    ///
    /// # Errors
    /// The device failed that keeps them.
    pub(crate) fn new(
        linear: &Linear,
        torus: u64,
        params: &Params,
        kernels: &dyn Kernels,
    ) -> tacit_mpc::Result<Self> {
        let size = params.polynomial_size();
        let part = |terms: &[(usize, i64)]| Part {
            ciphertext: terms[0].0 / size,
            terms: terms
                .iter()
                .map(|&(index, weight)| (index % size, weight))
                .collect(),
            many: terms.len() >= MANY,
        };
        let row = |row: &Row| -> Vec<Part> {
            let terms = terms(row);
            let parts = terms.chunk_by(|a, b| a.0 / size == b.0 / size);
            parts.map(part).collect()
        };
        let rows: Vec<_> = linear.rows.iter().map(row).collect();
        Ok(Self {
            products: Products::new(&rows, params, kernels)?,
            rows,
            bias: linear
                .rows
                .iter()
                .map(|row| encode(row.bias, torus))
                .collect(),
        })
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
    ///
    /// # Errors
    /// The device failed that keeps the weights.
    pub(crate) fn apply(
        &self,
        input: &Packed,
        params: &Params,
    ) -> tacit_mpc::Result<Vec<Vec<u64>>> {
        let (size, long) = (params.polynomial_size(), params.long_dimension());
        let few = |(parts, &bias): (&Vec<Part>, &u64)| {
            let mut sum = vec![0; long + 1];
            let (masks, body) = sum.split_at_mut(long);
            body[0] = bias;
            for part in parts {
                let bodies = &input.bodies[part.ciphertext * size..];
                for &(index, weight) in &part.terms {
                    body[0] = body[0].wrapping_add(bodies[index].wrapping_mul(weight as u64));
                }
                if part.many {
                    continue;
                }
                let own = &input.masks[part.ciphertext * long..][..long];
                let masks = masks.chunks_exact_mut(size);
                for (to, mask) in masks.zip(own.chunks_exact(size)) {
                    for &(index, weight) in &part.terms {
                        let (power, sign) = inverse(index, size);
                        add_monomial(to, power, (sign * weight) as u64, mask);
                    }
                }
            }
            sum
        };
        let mut rows: Vec<_> = self.rows.iter().zip(&self.bias).map(few).collect();
        if let Some(products) = &self.products {
            let sums = &products.sums;
            products.weights.sums(&input.masks, sums, &mut |i, sum| {
                let (row, mask) = products.of[i];
                add(&mut rows[row][mask * size..][..size], sum);
            })?;
        }
        for row in &mut rows {
            extract_constant(&mut row[..long], size);
        }
        Ok(rows)
    }
}

impl Products {
    /// Those of the parts that are many; none where there is none.
    fn new(
        rows: &[Vec<Part>],
        params: &Params,
        kernels: &dyn Kernels,
    ) -> tacit_mpc::Result<Option<Self>> {
        let (size, k) = (params.polynomial_size(), params.glwe_dimension());
        let (mut polynomials, mut sums, mut of) = (Vec::new(), Vec::new(), Vec::new());
        for (row, parts) in rows.iter().enumerate() {
            // (ciphertext, polynomial)
            let mut own = Vec::new();
            for part in parts.iter().filter(|part| part.many) {
                own.push((part.ciphertext, polynomials.len() / size));
                let start = polynomials.len();
                polynomials.resize(start + size, 0_u64);
                for &(index, weight) in &part.terms {
                    let (power, sign) = inverse(index, size);
                    let to = &mut polynomials[start + power];
                    *to = to.wrapping_add((sign * weight) as u64);
                }
            }
            for mask in (0..k).filter(|_| !own.is_empty()) {
                let pair = |&(ciphertext, polynomial): &(usize, usize)| {
                    ((ciphertext * k + mask) as u32, polynomial as u32)
                };
                sums.push(own.iter().map(pair).collect());
                of.push((row, mask));
            }
        }
        if of.is_empty() {
            return Ok(None);
        }
        let weights = factors(kernels, size, &polynomials)?;
        Ok(Some(Self { weights, sums, of }))
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
