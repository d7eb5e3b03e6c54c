//! Number-theoretic transforms: `kernels/ntt.cu`.

use bytemuck::{Pod, Zeroable};

use crate::device::{Arguments, Device, DeviceError, Grid, Kernel};
use crate::primes::{inverse, power, root, times};

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

/// Why there are no such transforms.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NttError {
    /// Another size.
    #[error("transforms are of 2^10 to 2^16 coefficients, not 2^{log_size}")]
    Size {
        /// log2 of what was asked for.
        log_size: u32,
    },
    /// Another prime.
    #[error("{prime} is no prime of this field with roots of unity of order 2^{log_order}")]
    Prime {
        /// The number,
        prime: u64,
        /// and the order.
        log_order: u32,
    },
    /// Polynomials are not as many, or not as long.
    #[error("{found} values where {wanted} are needed")]
    Length {
        /// How many there are,
        found: usize,
        /// and how many there should be.
        wanted: usize,
    },
    /// The device failed.
    #[error(transparent)]
    Device(#[from] DeviceError),
}

/// Transforms of one size modulo some primes, with their factors on a device.
pub struct Transforms<'a, D: Device> {
    device: &'a D,
    field: Field,
    log_size: u32,
    primes: Vec<u64>,
    forward: D::Memory,
    backward: D::Memory,
    constants: D::Memory,
}

/// `Shape` of `kernels/ntt.cu`.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Shape {
    log_size: u32,
    first: u32,
    levels: u32,
    primes: u32,
    segments: u32,
}

/// The most levels of one launch.
const MOST_LEVELS: u32 = 13;
/// Threads of a block, where segments leave the choice.
const THREADS: u32 = 256;

impl Field {
    fn bits(self) -> u32 {
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

    fn kernels(self) -> (Kernel, Kernel) {
        match self {
            Self::Prime62 => (Kernel::Ntt62Forward, Kernel::Ntt62Backward),
            Self::Prime47 => (Kernel::Ntt47Forward, Kernel::Ntt47Backward),
            Self::Prime30 => (Kernel::Ntt30Forward, Kernel::Ntt30Backward),
        }
    }

    /// Values as the device has them.
    fn encode(self, values: impl ExactSizeIterator<Item = u64>) -> Vec<u64> {
        match self {
            Self::Prime62 => values.collect(),
            Self::Prime47 => values.map(|x| (x as f64).to_bits()).collect(),
            Self::Prime30 => pairs(values.map(|x| x as u32)),
        }
    }

    fn decode(self, words: &[u64], count: usize) -> Vec<u64> {
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
    fn factor(self, w: u64, p: u64) -> Vec<u64> {
        match self {
            Self::Prime62 => vec![w, ((u128::from(w) << 64) / u128::from(p)) as u64],
            // At most p/2, with its sign.
            Self::Prime47 if w > p / 2 => vec![(-((p - w) as f64)).to_bits()],
            Self::Prime47 => vec![(w as f64).to_bits()],
            Self::Prime30 => vec![w | ((w << 32) / p) << 32],
        }
    }

    /// `Constants` of a field: the last step of a product multiplies by `scale`/N.
    fn constants(self, p: u64, log_size: u32, scale: u64) -> Vec<u64> {
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

fn reversed(i: u32, bits: u32) -> u32 {
    i.reverse_bits() >> (32 - bits)
}

impl<'a, D: Device> Transforms<'a, D> {
    /// Of 2^`log_size` coefficients, polynomial i modulo prime i mod `primes`.
    ///
    /// # Errors
    /// For other sizes than 2^10 to 2^16, what is no prime of the field with roots of unity of order 2^(`log_size` + 1), or
    /// if the device has not enough memory.
    pub fn new(
        device: &'a D,
        field: Field,
        log_size: u32,
        primes: &[u64],
    ) -> Result<Self, NttError> {
        Self::scaled(device, field, log_size, primes, &vec![1; primes.len()])
    }

    /// As [`new`](Self::new), and whatever is transformed back is multiplied by `scales`, one for each prime.
    pub(crate) fn scaled(
        device: &'a D,
        field: Field,
        log_size: u32,
        primes: &[u64],
        scales: &[u64],
    ) -> Result<Self, NttError> {
        if !(10..=16).contains(&log_size) {
            return Err(NttError::Size { log_size });
        }
        let (mut forward, mut backward, mut constants) = (Vec::new(), Vec::new(), Vec::new());
        for (&p, &scale) in primes.iter().zip(scales) {
            let log_order = log_size + 1;
            let refused = NttError::Prime {
                prime: p,
                log_order,
            };
            if p >> field.bits() != 0 || !crate::primes::is_prime(p) {
                return Err(refused);
            }
            let psi = root(p, log_order).ok_or(refused)?;
            for (factors, psi) in [(&mut forward, psi), (&mut backward, inverse(psi, p))] {
                let powers: Vec<u64> = std::iter::successors(Some(1), |&x| Some(times(x, psi, p)))
                    .take(1 << log_size)
                    .collect();
                let in_order =
                    (0..1_u32 << log_size).map(|i| powers[reversed(i, log_size) as usize]);
                factors.extend(in_order.flat_map(|w| field.factor(w, p)));
            }
            constants.extend(field.constants(p, log_size, scale));
        }
        let upload = |words: &[u64]| {
            let mut memory = device.allocate(8 * words.len())?;
            device.write(&mut memory, words)?;
            Ok::<_, DeviceError>(memory)
        };
        Ok(Self {
            device,
            field,
            log_size,
            primes: primes.to_vec(),
            forward: upload(&forward)?,
            backward: upload(&backward)?,
            constants: upload(&constants)?,
        })
    }

    /// The primes.
    #[must_use]
    pub fn primes(&self) -> &[u64] {
        &self.primes
    }

    /// Values of polynomials to the device: each below its prime.
    ///
    /// # Errors
    /// If they are no whole polynomials, or there is not enough memory.
    pub fn upload(&self, values: &[u64]) -> Result<D::Memory, NttError> {
        self.polynomials(values.len())?;
        let words = self.field.encode(values.iter().copied());
        let mut memory = self.device.allocate(8 * words.len())?;
        self.device.write(&mut memory, &words)?;
        Ok(memory)
    }

    /// `count` values from the device.
    ///
    /// # Errors
    /// If the device fails.
    pub fn download(&self, memory: &D::Memory, count: usize) -> Result<Vec<u64>, NttError> {
        let mut words = vec![0; (count * self.field.bytes()).div_ceil(8)];
        self.device.read(memory, &mut words)?;
        Ok(self.field.decode(&words, count))
    }

    /// Transforms `count` values, in place.
    ///
    /// # Errors
    /// If they are no whole polynomials, or the device fails.
    pub fn forward(&self, values: &mut D::Memory, count: usize) -> Result<(), NttError> {
        let polynomials = self.polynomials(count)?;
        let x = self.device.address(values);
        for (first, levels) in self.steps() {
            let (shape, grid) = self.launch(first, levels, polynomials);
            let arguments = Arguments::default()
                .with(x)
                .with(self.device.address(&self.forward))
                .with(self.device.address(&self.constants))
                .with(shape);
            // SAFETY: the kernel's arguments; `values` has `count` values, or the device's memory is not what was asked for.
            unsafe {
                let kernel = self.field.kernels().0;
                self.device.launch(kernel, grid, arguments)?;
            }
        }
        Ok(())
    }

    /// Transforms `count` values back, in place: of `values` or, where there is another, of the product with it.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn backward(
        &self,
        values: &mut D::Memory,
        other: Option<&D::Memory>,
        count: usize,
    ) -> Result<(), NttError> {
        let polynomials = self.polynomials(count)?;
        let x = self.device.address(values);
        for (at, (first, levels)) in self.steps().into_iter().rev().enumerate() {
            let (shape, grid) = self.launch(first, levels, polynomials);
            let other_at = other
                .filter(|_| at == 0)
                .map_or(0, |m| self.device.address(m));
            let arguments = Arguments::default()
                .with(x)
                .with(other_at)
                .with(self.device.address(&self.backward))
                .with(self.device.address(&self.constants))
                .with(shape)
                .with(u32::from(other.is_some()));
            // SAFETY: as above; `other` has as many values.
            unsafe {
                let kernel = self.field.kernels().1;
                self.device.launch(kernel, grid, arguments)?;
            }
        }
        Ok(())
    }

    /// (first level, levels) of each launch.
    fn steps(&self) -> Vec<(u32, u32)> {
        if self.log_size <= MOST_LEVELS {
            vec![(0, self.log_size)]
        } else {
            let half = self.log_size / 2;
            vec![(0, half), (half, self.log_size - half)]
        }
    }

    fn launch(&self, first: u32, levels: u32, polynomials: usize) -> (Shape, Grid) {
        let each = 1_u32 << (levels - 3);
        let together = (THREADS / each).max(1);
        let segments = (polynomials << (self.log_size - levels)) as u32;
        let shape = Shape {
            log_size: self.log_size,
            first,
            levels,
            primes: self.primes.len() as u32,
            segments,
        };
        let size = 1_u32 << levels;
        let shared = together * (size + size / 8 + 1) * self.field.bytes() as u32;
        let grid = Grid {
            blocks: [segments.div_ceil(together), 1, 1],
            threads: each * together,
            shared,
        };
        (shape, grid)
    }

    fn polynomials(&self, count: usize) -> Result<usize, NttError> {
        let size = 1 << self.log_size;
        let of_all = size * self.primes.len();
        if count == 0 || !count.is_multiple_of(of_all) || count > 1 << 40 {
            let wanted = count.max(1).next_multiple_of(of_all);
            return Err(NttError::Length {
                found: count,
                wanted,
            });
        }
        Ok(count / size)
    }
}
