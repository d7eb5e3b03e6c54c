//! The fields that transforms are over, and how a device has their values.

use crate::kernel::Kernel;
use crate::primes::{inverse, power, times};

/// What values are, and which primes there are room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// Words of 64 bits, primes below 2^62.
    Prime62,
    /// Numbers of double precision, primes below 2^47.
    Prime47,
    /// Words of 32 bits, primes below 2^30.
    Prime30,
}

impl Field {
    pub(crate) fn bits(self) -> u32 {
        match self {
            Self::Prime62 => 62,
            Self::Prime47 => 47,
            Self::Prime30 => 30,
        }
    }

    /// Bytes of a value.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::Prime62 | Self::Prime47 => 8,
            Self::Prime30 => 4,
        }
    }

    pub(crate) fn kernels(self) -> (Kernel, Kernel) {
        match self {
            Self::Prime62 => (Kernel::Ntt62Forward, Kernel::Ntt62Backward),
            Self::Prime47 => (Kernel::Ntt47Forward, Kernel::Ntt47Backward),
            Self::Prime30 => (Kernel::Ntt30Forward, Kernel::Ntt30Backward),
        }
    }

    /// Values as the device has them.
    pub(crate) fn encode(self, values: impl ExactSizeIterator<Item = u64>) -> Vec<u64> {
        match self {
            Self::Prime62 => values.collect(),
            Self::Prime47 => values.map(|x| (x as f64).to_bits()).collect(),
            Self::Prime30 => pairs(values.map(|x| x as u32)),
        }
    }

    pub(crate) fn decode(self, words: &[u64], count: usize) -> Vec<u64> {
        match self {
            Self::Prime62 => words.to_vec(),
            Self::Prime47 => words.iter().map(|&x| f64::from_bits(x) as u64).collect(),
            Self::Prime30 => {
                let halves = words.iter().flat_map(|&x| [x & 0xFFFF_FFFF, x >> 32]);
                halves.take(count).collect()
            }
        }
    }

    /// A constant factor, as butterflies take it.
    pub(crate) fn factor(self, w: u64, p: u64) -> Vec<u64> {
        match self {
            Self::Prime62 => vec![w, ((u128::from(w) << 64) / u128::from(p)) as u64],
            // At most p/2, with its sign.
            Self::Prime47 if w > p / 2 => vec![(-((p - w) as f64)).to_bits()],
            Self::Prime47 => vec![(w as f64).to_bits()],
            Self::Prime30 => vec![w | ((w << 32) / p) << 32],
        }
    }

    /// `Constants` of a field: the last step of a product multiplies by `scale`/N.
    pub(crate) fn constants(self, p: u64, log_size: u32, scale: u64) -> Vec<u64> {
        let n = times(scale, inverse(1 << log_size, p), p);
        // -p^-1 modulo 2^64, each step of Newton's iteration doubling the bits that are right.
        let negative = (0..6).fold(p, |x, _| {
            x.wrapping_mul(2_u64.wrapping_sub(p.wrapping_mul(x)))
        });
        let negative = negative.wrapping_neg();
        match self {
            Self::Prime62 => {
                let of_product = times(n, power(2, 64, p), p);
                [
                    vec![p, negative],
                    self.factor(of_product, p),
                    self.factor(n, p),
                ]
                .concat()
            }
            Self::Prime47 => {
                let p_bits = (p as f64).to_bits();
                let reciprocal = (1.0 / p as f64).to_bits();
                [vec![p_bits, reciprocal], self.factor(n, p), vec![0]].concat()
            }
            Self::Prime30 => {
                let of_product = times(n, power(2, 32, p), p);
                let head = vec![p | negative << 32];
                [head, self.factor(of_product, p), self.factor(n, p)].concat()
            }
        }
    }
}

fn pairs(values: impl ExactSizeIterator<Item = u32>) -> Vec<u64> {
    let values: Vec<u32> = values.collect();
    let pair = |pair: &[u32]| u64::from(pair[0]) | u64::from(*pair.get(1).unwrap_or(&0)) << 32;
    values.chunks(2).map(pair).collect()
}
