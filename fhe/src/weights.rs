//! Sums of an input's values by plaintext weights.
//!
//! A row of weights is the polynomial Σ_j w_j·X^-j: the constant coefficient of the product with a ciphertext is Σ_j w_j·x_j,
//! and sample extraction makes that an LWE ciphertext. Products are exact (see `ring.rs`), so a row multiplies the noise's
//! variance by Σ w_j² and adds nothing else.
//!
//! One product serves one row. Several could share one (rows at different powers of X), but then coefficients beyond the
//! input would have to be encryptions of zero, and their bodies would have to travel: 6 KB more a ciphertext, to save
//! what is a ten-thousandth of an inference anyway.

use tacit_mpc::Kernels;
use tacit_mpc::kernels::Factors;

use crate::params::Params;
use crate::program::{Linear, Row, Source};
use crate::request::Packed;
use crate::ring::{add, add_monomial, extract_constant, factors};
use crate::scale::encode;

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
