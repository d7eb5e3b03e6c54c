//! Number-theoretic transforms: `kernels/ntt.cu`.

mod error;

use std::ops::RangeInclusive;

use bytemuck::{Pod, Zeroable};

use crate::device::{Arguments, Device};
use crate::field::Field;
use crate::kernel::{Grid, Kernel};
use crate::primes::{inverse, root, times};
pub use error::NttError;

/// Transforms of one size modulo some primes, with their factors on a device.
pub struct Transforms<D: Device> {
    device: D,
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

/// log2 of the sizes that there are transforms of.
pub(crate) const LOG_SIZES: RangeInclusive<u32> = 9..=16;
/// The most levels of one launch.
const MOST_LEVELS: u32 = 13;
/// Threads of a block, where segments leave the choice.
const THREADS: u32 = 256;

fn reversed(i: u32, bits: u32) -> u32 {
    i.reverse_bits() >> (32 - bits)
}

impl<D: Device> Transforms<D> {
    /// Of 2^`log_size` coefficients, polynomial i modulo prime i mod `primes`.
    ///
    /// # Errors
    /// For other sizes than 2^9 to 2^16, what is no prime of the field with roots of unity of order 2^(`log_size` + 1), or
    /// if the device has not enough memory.
    pub fn new(device: D, field: Field, log_size: u32, primes: &[u64]) -> Result<Self, NttError> {
        Self::scaled(device, field, log_size, primes, &vec![1; primes.len()])
    }

    /// As [`new`](Self::new), and whatever is transformed back is multiplied by `scales`, one for each prime.
    pub(crate) fn scaled(
        device: D,
        field: Field,
        log_size: u32,
        primes: &[u64],
        scales: &[u64],
    ) -> Result<Self, NttError> {
        if !LOG_SIZES.contains(&log_size) {
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
        Ok(Self {
            field,
            log_size,
            primes: primes.to_vec(),
            forward: device.copied(&forward)?,
            backward: device.copied(&backward)?,
            constants: device.copied(&constants)?,
            device,
        })
    }

    /// Bytes of the device that [`new`](Self::new) takes for so many primes: of a field of words, whose factors and constants
    /// are two and six of them.
    pub(crate) fn bytes(field: Field, log_size: u32, primes: usize) -> usize {
        field.bytes() * primes * ((4 << log_size) + 6)
    }

    /// The device.
    pub(crate) fn device(&self) -> &D {
        &self.device
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
        Ok(self
            .device
            .copied(&self.field.encode(values.iter().copied()))?)
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
        let address = other.map_or(0, |other| self.device.address(other));
        self.back(values, address, other.is_some(), count)
    }

    /// As [`backward`](Self::backward), of the sums that [`sums`](Self::sums) gives.
    pub(crate) fn backward_sums(&self, sums: &mut D::Memory, count: usize) -> Result<(), NttError> {
        self.back(sums, 0, true, count)
    }

    /// Of `values`, or of the product with what lies at `other`; `of_product`: take off the factor that products leave.
    fn back(
        &self,
        values: &mut D::Memory,
        other: u64,
        of_product: bool,
        count: usize,
    ) -> Result<(), NttError> {
        let polynomials = self.polynomials(count)?;
        let x = self.device.address(values);
        for (at, (first, levels)) in self.steps().into_iter().rev().enumerate() {
            let (shape, grid) = self.launch(first, levels, polynomials);
            let arguments = Arguments::default()
                .with(x)
                .with(if at == 0 { other } else { 0 })
                .with(self.device.address(&self.backward))
                .with(self.device.address(&self.constants))
                .with(shape)
                .with(u32::from(of_product));
            // SAFETY: as above; `other` has as many values.
            unsafe {
                let kernel = self.field.kernels().1;
                self.device.launch(kernel, grid, arguments)?;
            }
        }
        Ok(())
    }

    /// Sums of products of transforms, modulo primes below 2^62: sum i is Σ others\[o\]·factors\[f\] over its pairs (o, f). They
    /// are brought back by [`backward_sums`](Self::backward_sums).
    ///
    /// # Safety
    /// The pairs must name polynomials that are there.
    pub(crate) unsafe fn sums(
        &self,
        others: &D::Memory,
        factors: &D::Memory,
        sums: &[Vec<(u32, u32)>],
    ) -> Result<D::Memory, NttError> {
        debug_assert_eq!(self.field, Field::Prime62);
        let pairs = sums.iter().flatten();
        let mut pairs: Vec<u64> = pairs
            .map(|&(other, factor)| u64::from(other) | u64::from(factor) << 32)
            .collect();
        pairs.resize(pairs.len().max(1), 0); // no memory is empty
        let starts: Vec<u64> = std::iter::once(0)
            .chain(sums.iter().scan(0, |end, pairs| {
                *end += pairs.len() as u64;
                Some(*end)
            }))
            .collect();
        let (pairs, starts) = (self.device.copied(&pairs)?, self.device.copied(&starts)?);
        let count = (sums.len() * self.primes.len()) << self.log_size;
        let to = self.device.allocate(8 * count)?;
        let kernel = Kernel::Ntt62Sums;
        let blocks = count.div_ceil(kernel.grid([1, 1, 1]).threads as usize);
        let arguments = [&to, others, factors, &pairs, &starts, &self.constants];
        let arguments = arguments
            .into_iter()
            .fold(Arguments::default(), |all, memory| {
                all.with(self.device.address(memory))
            })
            .with(self.primes.len() as u32)
            .with(self.log_size)
            .with(count as u64);
        // SAFETY: the kernel's arguments, and the caller's word for the pairs.
        unsafe {
            let grid = kernel.grid([blocks as u32, 1, 1]);
            self.device.launch(kernel, grid, arguments)?;
        }
        Ok(to)
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
        if count == 0 || !count.is_multiple_of(of_all) || count > 1 << 38 {
            let wanted = count.max(1).next_multiple_of(of_all);
            return Err(NttError::Length {
                found: count,
                wanted,
            });
        }
        Ok(count / size)
    }
}
