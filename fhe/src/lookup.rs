//! Lookups: values through rotations into sums.

use crate::Error;
use crate::bootstrap::rotate;
use crate::keys::ServerKey;
use crate::lower::{Looked, Row, Wire};
use crate::params::Params;
use crate::ring::{add_monomial, extract_constant};
use crate::rotation::{Test, first_position, rotation};
use crate::run::{Part, Work};
use crate::scale::encode;

/// The lookups of a step, prepared for a parameter set.
pub(crate) struct Lookups {
    rotations: Vec<Prepared>,
    bias: Vec<u64>,
}

/// A rotation with its scales and positions.
struct Prepared {
    input: Sum,
    test: Vec<u64>,
    /// To which result, and what: (power of X, factor).
    reads: Vec<(usize, Vec<(usize, u64)>)>,
}

/// A sum of earlier values, its bias encoded.
pub(crate) struct Sum {
    terms: Vec<(Wire, u64)>,
    bias: u64,
}

impl Sum {
    /// On a torus of `torus` units.
    pub(crate) fn new(row: &Row, torus: u64) -> Self {
        Self {
            terms: row
                .terms
                .iter()
                .map(|&(wire, w)| (wire, w as u64))
                .collect(),
            bias: encode(row.bias, torus),
        }
    }

    /// bias + Σ weight · value, word by word, of values of `long` + 1 words.
    pub(crate) fn apply(&self, values: &[Vec<Vec<u64>>], long: usize) -> Vec<u64> {
        let mut sum = vec![0_u64; long + 1];
        sum[long] = self.bias;
        for &(wire, weight) in &self.terms {
            for (sum, x) in sum.iter_mut().zip(&values[wire.step][wire.at]) {
                *sum = sum.wrapping_add(weight.wrapping_mul(*x));
            }
        }
        sum
    }
}

impl Lookups {
    /// To sums of these biases (in halves) on these tori.
    pub(crate) fn new(all: &[Looked], bias: &[i64], tori: &[u64], params: &Params) -> Self {
        let size = params.polynomial_size();
        let bias = bias.iter().zip(tori);
        Self {
            rotations: all.iter().map(|looked| prepare(looked, size)).collect(),
            bias: bias.map(|(&b, &torus)| encode(b, 2 * torus)).collect(),
        }
    }

    /// The sums, k·N + 1 words each.
    ///
    /// # Errors
    /// If `work` was cancelled.
    pub(crate) fn apply(
        &self,
        values: &[Vec<Vec<u64>>],
        key: &ServerKey,
        work: &Work<'_>,
    ) -> Result<Vec<Vec<u64>>, Error> {
        let (long, size) = (key.params.long_dimension(), key.params.polynomial_size());
        let empty = || vec![vec![0; long + 1]; self.bias.len()];
        let parts = work.batches(&self.rotations, empty, |sums: &mut Vec<Vec<u64>>, batch| {
            work.enter(Part::Sums);
            let inputs: Vec<Vec<u64>> = batch
                .iter()
                .map(|prepared| prepared.input.apply(values, long))
                .collect();
            let tests: Vec<Vec<u64>> = batch.iter().map(|prepared| prepared.test.clone()).collect();
            let rotated = rotate(key, &inputs, &tests, &|part| work.enter(part));
            work.enter(Part::Tables);
            for (prepared, glwe) in batch.iter().zip(rotated.chunks_exact(long + size)) {
                prepared.read(glwe, size, sums);
            }
        })?;
        work.enter(Part::Tables);
        let mut sums = empty();
        for part in parts {
            for (sum, part) in sums.iter_mut().zip(part) {
                sum.iter_mut()
                    .zip(part)
                    .for_each(|(s, p)| *s = s.wrapping_add(p));
            }
        }
        for (sum, &bias) in sums.iter_mut().zip(&self.bias) {
            sum[long] = sum[long].wrapping_add(bias);
            extract_constant(&mut sum[..long], size);
        }
        Ok(sums)
    }
}

fn prepare(looked: &Looked, size: usize) -> Prepared {
    let rotation = rotation(looked);
    let quarters = |times: i64| encode(times, 4 * looked.out);
    let first = |b: usize| first_position(b, looked.boxes, size);
    let test = match rotation.test {
        Test::Constant(g) => vec![quarters(g); size],
        Test::Table(table) => {
            let mut test = Vec::with_capacity(size);
            for (b, &entry) in table.iter().enumerate() {
                test.resize(first(b + 1).min(size), quarters(entry));
            }
            // The last box is the first one's negative.
            test.resize(size, quarters(-table[0]));
            test
        }
    };
    let reads = rotation.reads.into_iter().map(|read| {
        let taps = read
            .taps
            .into_iter()
            .map(|(b, factor)| (first(b), factor as u64));
        (read.to, taps.collect())
    });
    Prepared {
        input: Sum::new(&looked.input, looked.torus),
        test,
        reads: reads.collect(),
    }
}

impl Prepared {
    /// Adds Σ factor · X^power · GLWE to the sums: of masks all, of the body the constant coefficient, which is all that
    /// will be extracted.
    fn read(&self, glwe: &[u64], size: usize, sums: &mut [Vec<u64>]) {
        let (masks, body) = glwe.split_at(glwe.len() - size);
        for (to, taps) in &self.reads {
            let (to, to_body) = sums[*to].split_at_mut(masks.len());
            for &(power, factor) in taps {
                for (to, mask) in to.chunks_exact_mut(size).zip(masks.chunks_exact(size)) {
                    add_monomial(to, power, factor, mask);
                }
                let constant = if power == 0 {
                    body[0]
                } else {
                    body[size - power].wrapping_neg()
                };
                to_body[0] = to_body[0].wrapping_add(factor.wrapping_mul(constant));
            }
        }
    }
}
