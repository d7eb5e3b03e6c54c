//! Bits in the clear: what every other way of running a circuit is held against.

use crate::plan::{Bits, Plan};

/// Planes of bits that everybody may see: instance i is bit i mod 64 of word i / 64.
#[derive(Clone, Copy, Debug)]
pub struct Clear {
    /// Instances.
    pub instances: usize,
}

fn zip(x: &[u64], y: &[u64], f: impl Fn(u64, u64) -> u64) -> Vec<u64> {
    x.iter().zip(y).map(|(&x, &y)| f(x, y)).collect()
}

impl Bits for Clear {
    type Plane = Vec<u64>;

    fn xor(&self, x: &Vec<u64>, y: &Vec<u64>) -> Vec<u64> {
        zip(x, y, |x, y| x ^ y)
    }

    fn not(&self, x: &Vec<u64>) -> Vec<u64> {
        x.iter().map(|x| !x).collect()
    }

    fn constant(&self, bit: bool) -> Vec<u64> {
        vec![if bit { u64::MAX } else { 0 }; self.instances.div_ceil(64)]
    }
}

impl Clear {
    /// Runs a circuit: the planes of each output from those of each input.
    ///
    /// # Panics
    /// As [`Plan::start`].
    #[must_use]
    pub fn run(self, plan: &Plan, inputs: Vec<Vec<Vec<u64>>>) -> Vec<Vec<Vec<u64>>> {
        let mut run = plan.start(inputs);
        while let Some(pairs) = run.conjunctions(&self) {
            let products = pairs.iter().map(|[x, y]| zip(x, y, |x, y| x & y));
            run.resume(products.collect());
        }
        run.outputs()
    }
}

/// The planes of values of `bits` bits each, given as bytes, least significant first: plane k holds bit k of every instance.
#[must_use]
pub fn to_planes(values: &[Vec<u8>], bits: usize) -> Vec<Vec<u64>> {
    let mut planes = vec![vec![0u64; values.len().div_ceil(64)]; bits];
    for (i, value) in values.iter().enumerate() {
        for (k, plane) in planes.iter_mut().enumerate() {
            let bit = value.get(k / 8).map_or(0, |byte| byte >> (k % 8) & 1);
            plane[i / 64] |= u64::from(bit) << (i % 64);
        }
    }
    planes
}

/// The inverse of [`to_planes`].
#[must_use]
pub fn from_planes(planes: &[Vec<u64>], instances: usize) -> Vec<Vec<u8>> {
    let mut values = vec![vec![0u8; planes.len().div_ceil(8)]; instances];
    for (i, value) in values.iter_mut().enumerate() {
        for (k, plane) in planes.iter().enumerate() {
            let bit = plane[i / 64] >> (i % 64) & 1;
            value[k / 8] |= (bit as u8) << (k % 8);
        }
    }
    values
}
