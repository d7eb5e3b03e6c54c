//! Lookups: values of a node through rotations into sums.

use crate::Error;
use crate::bootstrap::rotate;
use crate::keys::ServerKey;
use crate::params::Params;
use crate::program::Lookup;
use crate::ring::{add_monomial, extract_constant};
use crate::rotation::{Rotation, Test, first_position, rotations};
use crate::scale::encode;
use crate::server::{Part, Work};

/// A lookup, prepared for a parameter set.
pub(crate) struct Lookups {
    rotations: Vec<Prepared>,
    bias: Vec<u64>,
}

/// A rotation with its scales and positions.
struct Prepared {
    from: usize,
    /// What is added to the body first.
    shift: u64,
    test: Vec<u64>,
    /// To which result, and what: (power of X, factor).
    reads: Vec<(usize, Vec<(usize, u64)>)>,
}

impl Lookups {
    /// Of values that stand on a torus of `input` units, to sums on one of `output` units.
    pub(crate) fn new(lookup: &Lookup, input: u64, output: u64, params: &Params) -> Self {
        let (all, bias) = rotations(lookup, input);
        let size = params.polynomial_size();
        let prepared = all
            .into_iter()
            .map(|rotation| prepare(rotation, input, output, size));
        Self {
            rotations: prepared.collect(),
            bias: bias.into_iter().map(|b| encode(b, output)).collect(),
        }
    }

    /// The sums, k·N + 1 words each.
    ///
    /// # Errors
    /// If `work` was cancelled.
    pub(crate) fn apply(
        &self,
        values: &[Vec<u64>],
        key: &ServerKey,
        work: &Work<'_>,
    ) -> Result<Vec<Vec<u64>>, Error> {
        let (long, size) = (key.params.long_dimension(), key.params.polynomial_size());
        let empty = || vec![vec![0; long + 1]; self.bias.len()];
        let parts = work.batches(&self.rotations, empty, |sums: &mut Vec<Vec<u64>>, batch| {
            let inputs: Vec<Vec<u64>> = batch
                .iter()
                .map(|prepared| prepared.input(values))
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

fn prepare(rotation: Rotation, input: u64, output: u64, size: usize) -> Prepared {
    // Half a unit of the results, `times` over.
    let halves = |times: i64| encode(times, 2 * output);
    let first = |b: usize| first_position(b, input, size);
    let test = match rotation.test {
        Test::Constant(g) => vec![halves(g); size],
        Test::Table(table) => {
            let mut test = Vec::with_capacity(size);
            for (b, &entry) in table.iter().enumerate() {
                test.resize(first(b + 1).min(size), halves(entry));
            }
            // The last box is the first one's negative.
            test.resize(size, halves(-table[0]));
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
        from: rotation.from,
        shift: encode(rotation.shift, input),
        test,
        reads: reads.collect(),
    }
}

impl Prepared {
    fn input(&self, values: &[Vec<u64>]) -> Vec<u64> {
        let mut value = values[self.from].clone();
        if let Some(body) = value.last_mut() {
            *body = body.wrapping_add(self.shift);
        }
        value
    }

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
