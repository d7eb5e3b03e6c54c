//! Exact products of polynomials over Z_2^64 / (X^N + 1): `kernels/polynomials.cu` around `kernels/ntt.cu`.

use bytemuck::{Pod, Zeroable};

use crate::device::{Arguments, Device, DeviceError};
use crate::field::Field;
use crate::kernel::Kernel;
use crate::ntt::{LOG_SIZES, NttError, Transforms};
use crate::primes::{inverse, primes, times};

/// Products of polynomials of one size.
pub struct Polynomials<D: Device> {
    log_size: u32,
    transforms: Transforms<D>,
    /// `Prime`s of the kernels.
    constants: D::Memory,
    /// Of all primes, modulo 2^64.
    product: u64,
}

/// Polynomials on a device, transformed.
pub(crate) struct Spectra<M> {
    memory: M,
    /// How many polynomials.
    pub(crate) count: usize,
}

/// `Prime` of `kernels/polynomials.cu`.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Prime {
    p: u64,
    quotient: u64,
    wrap: u64,
    cofactor: u64,
    reciprocal: f64,
}

/// How many primes products take whose factors' coefficients, read as signed, have `bits` bits together:
/// |S| < 2^(bits - 2 + log N) is to be below M/4, M their product; primes are above 2^61.9.
pub(crate) fn primes_for(log_size: u32, bits: u32) -> usize {
    (bits + log_size).div_ceil(61) as usize
}

impl<D: Device> Polynomials<D> {
    /// Of 2^`log_size` coefficients, for factors whose coefficients, read as signed, have `bits` bits together: 128 for any
    /// words, fewer where one of them has small coefficients. Fewer bits take fewer primes.
    ///
    /// # Errors
    /// For other sizes than 2^9 to 2^16, or if the device has not enough memory.
    pub fn new(device: D, log_size: u32, bits: u32) -> Result<Self, NttError> {
        if !LOG_SIZES.contains(&log_size) {
            return Err(NttError::Size { log_size });
        }
        let chosen = primes(62, log_size + 1, primes_for(log_size, bits));
        let others = |p: u64| chosen.iter().copied().filter(move |&q| q != p);
        let constants: Vec<Prime> = chosen
            .iter()
            .map(|&p| Prime {
                p,
                quotient: ((1_u128 << 64) / u128::from(p)) as u64,
                wrap: ((1_u128 << 64) % u128::from(p)) as u64,
                cofactor: others(p).fold(1, u64::wrapping_mul),
                reciprocal: 1.0 / p as f64,
            })
            .collect();
        let scales: Vec<u64> = chosen
            .iter()
            .map(|&p| inverse(others(p).fold(1, |x, q| times(x, q % p, p)), p))
            .collect();
        Ok(Self {
            log_size,
            constants: device.copied(bytemuck::cast_slice(&constants))?,
            transforms: Transforms::scaled(device, Field::Prime62, log_size, &chosen, &scales)?,
            product: chosen.iter().copied().fold(1, u64::wrapping_mul),
        })
    }

    /// Bytes of the device that [`new`](Self::new) takes.
    pub(crate) fn bytes(log_size: u32, bits: u32) -> usize {
        let primes = primes_for(log_size, bits);
        size_of::<Prime>() * primes + Transforms::<D>::bytes(Field::Prime62, log_size, primes)
    }

    /// Product i of polynomials i of `a` and `b`, modulo X^N + 1 and 2^64.
    ///
    /// # Errors
    /// If they are not as many whole polynomials, or the device fails.
    pub fn multiply(&self, a: &[u64], b: &[u64]) -> Result<Vec<u64>, NttError> {
        if a.len() != b.len() {
            return Err(NttError::Length {
                found: b.len(),
                wanted: a.len(),
            });
        }
        if a.is_empty() {
            return Ok(Vec::new());
        }
        let mut product = self.transformed(a)?.memory;
        let other = self.transformed(b)?.memory;
        let count = self.primes() * a.len();
        self.transforms
            .backward(&mut product, Some(&other), count)?;
        self.join(&product, a.len())
    }

    /// Polynomials, transformed.
    ///
    /// # Errors
    /// If they are no whole polynomials, or the device fails.
    pub(crate) fn transformed(&self, words: &[u64]) -> Result<Spectra<D::Memory>, NttError> {
        let size = 1 << self.log_size;
        if !words.len().is_multiple_of(size) {
            return Err(NttError::Length {
                found: words.len(),
                wanted: words.len().next_multiple_of(size),
            });
        }
        if words.is_empty() {
            let memory = self.device().copied(&[0])?; // no memory is empty
            return Ok(Spectra { memory, count: 0 });
        }
        let mut memory = self.split(words)?;
        let count = self.primes() * words.len();
        self.transforms.forward(&mut memory, count)?;
        Ok(Spectra {
            memory,
            count: words.len() / size,
        })
    }

    /// Σ others\[o\]·factors\[f\] over the pairs (o, f) of each of `sums`. The sums of |S| must be below M/4, as products.
    ///
    /// # Errors
    /// If a pair names a polynomial that is not there, or the device fails.
    pub(crate) fn sums(
        &self,
        others: &Spectra<D::Memory>,
        factors: &Spectra<D::Memory>,
        sums: &[Vec<(u32, u32)>],
    ) -> Result<Vec<u64>, NttError> {
        for &(other, factor) in sums.iter().flatten() {
            for (at, among) in [(other, others), (factor, factors)] {
                if at as usize >= among.count {
                    let count = among.count;
                    return Err(NttError::Polynomial { at, count });
                }
            }
        }
        let count = sums.len() << self.log_size;
        // SAFETY: all polynomials of the pairs are there.
        let mut digits = unsafe {
            self.transforms
                .sums(&others.memory, &factors.memory, sums)?
        };
        self.transforms
            .backward_sums(&mut digits, self.primes() * count)?;
        self.join(&digits, count)
    }

    fn primes(&self) -> usize {
        self.transforms.primes().len()
    }

    fn device(&self) -> &D {
        self.transforms.device()
    }

    fn split(&self, words: &[u64]) -> Result<D::Memory, NttError> {
        let device = self.device();
        let from = device.copied(words)?;
        let to = device.allocate(8 * self.primes() * words.len())?;
        let arguments = Arguments::default()
            .with(device.address(&from))
            .with(device.address(&to));
        // SAFETY: the kernel's arguments; a word becomes as many residues as there are primes.
        unsafe { self.each(Kernel::PolynomialsSplit, arguments, words.len(), None)? };
        Ok(to)
    }

    fn join(&self, digits: &D::Memory, count: usize) -> Result<Vec<u64>, NttError> {
        let device = self.device();
        let to = device.allocate(8 * count)?;
        let arguments = Arguments::default()
            .with(device.address(digits))
            .with(device.address(&to));
        // SAFETY: the kernel's arguments; as many words as there were.
        unsafe {
            self.each(
                Kernel::PolynomialsJoin,
                arguments,
                count,
                Some(self.product),
            )?;
        }
        let mut words = vec![0; count];
        device.read(&to, &mut words)?;
        Ok(words)
    }

    /// # Safety
    /// As [`Device::launch`], but for the arguments that are added here.
    unsafe fn each(
        &self,
        kernel: Kernel,
        arguments: Arguments,
        words: usize,
        product: Option<u64>,
    ) -> Result<(), DeviceError> {
        let mut arguments = arguments
            .with(self.device().address(&self.constants))
            .with(self.primes() as u32)
            .with(self.log_size);
        if let Some(product) = product {
            arguments = arguments.with(product);
        }
        let grid = kernel.grid([words.div_ceil(256) as u32, 1, 1]);
        // SAFETY: the caller's.
        unsafe {
            self.device()
                .launch(kernel, grid, arguments.with(words as u64))
        }
    }
}
