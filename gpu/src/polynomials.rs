//! Exact products of polynomials over Z_2^64 / (X^N + 1): `kernels/polynomials.cu` around `kernels/ntt.cu`.

use bytemuck::{Pod, Zeroable};

use crate::device::{Arguments, Device, DeviceError, Kernel};
use crate::ntt::{Field, NttError, Transforms};
use crate::primes::{inverse, primes, times};

/// Products of polynomials of one size.
pub struct Polynomials<'a, D: Device> {
    device: &'a D,
    log_size: u32,
    transforms: Transforms<'a, D>,
    /// `Prime`s of the kernels.
    constants: D::Memory,
    /// Of all primes, modulo 2^64.
    product: u64,
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

impl<'a, D: Device> Polynomials<'a, D> {
    /// Of 2^`log_size` coefficients, for factors whose coefficients, read as signed, have `bits` bits together: 128 for any
    /// words, fewer where one of them has small coefficients. Fewer bits take fewer primes.
    ///
    /// # Errors
    /// For other sizes than 2^10 to 2^16, or if the device has not enough memory.
    pub fn new(device: &'a D, log_size: u32, bits: u32) -> Result<Self, NttError> {
        if !(10..=16).contains(&log_size) {
            return Err(NttError::Size { log_size });
        }
        // |S| < 2^(bits - 2 + log N) is to be below M/4; primes are above 2^61.9.
        let count = (bits.min(128) + log_size).div_ceil(61) as usize;
        let chosen = primes(62, log_size + 1, count);
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
        let words: &[u64] = bytemuck::cast_slice(&constants);
        let mut memory = device.allocate(8 * words.len())?;
        device.write(&mut memory, words)?;
        Ok(Self {
            device,
            log_size,
            transforms: Transforms::scaled(device, Field::Prime62, log_size, &chosen, &scales)?,
            constants: memory,
            product: chosen.iter().copied().fold(1, u64::wrapping_mul),
        })
    }

    /// Product i of polynomials i of `a` and `b`, modulo X^N + 1 and 2^64.
    ///
    /// # Errors
    /// If they are not as many whole polynomials, or the device fails.
    pub fn multiply(&self, a: &[u64], b: &[u64]) -> Result<Vec<u64>, NttError> {
        let size = 1 << self.log_size;
        if a.len() != b.len() || !a.len().is_multiple_of(size) {
            let wanted = a.len().next_multiple_of(size);
            return Err(NttError::Length {
                found: b.len(),
                wanted,
            });
        }
        if a.is_empty() {
            return Ok(Vec::new());
        }
        let count = self.transforms.primes().len();
        let mut transformed = [a, b]
            .into_iter()
            .map(|words| {
                let mut values = self.split(words)?;
                self.transforms.forward(&mut values, count * words.len())?;
                Ok(values)
            })
            .collect::<Result<Vec<_>, NttError>>()?;
        let other = transformed.pop();
        let mut product = transformed.swap_remove(0);
        self.transforms
            .backward(&mut product, other.as_ref(), count * a.len())?;
        self.join(&product, a.len())
    }

    fn split(&self, words: &[u64]) -> Result<D::Memory, NttError> {
        let mut from = self.device.allocate(8 * words.len())?;
        self.device.write(&mut from, words)?;
        let count = self.transforms.primes().len();
        let to = self.device.allocate(8 * count * words.len())?;
        let arguments = Arguments::default()
            .with(self.device.address(&from))
            .with(self.device.address(&to));
        // SAFETY: the kernel's arguments; a word becomes `count` residues.
        unsafe { self.each(Kernel::PolynomialsSplit, arguments, words.len(), None)? };
        Ok(to)
    }

    fn join(&self, digits: &D::Memory, count: usize) -> Result<Vec<u64>, NttError> {
        let to = self.device.allocate(8 * count)?;
        let arguments = Arguments::default()
            .with(self.device.address(digits))
            .with(self.device.address(&to));
        // SAFETY: the kernel's arguments; as many words as there were.
        unsafe {
            self.each(
                Kernel::PolynomialsJoin,
                arguments,
                count,
                Some(self.product),
            )?
        };
        let mut words = vec![0; count];
        self.device.read(&to, &mut words)?;
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
            .with(self.device.address(&self.constants))
            .with(self.transforms.primes().len() as u32)
            .with(self.log_size);
        if let Some(product) = product {
            arguments = arguments.with(product);
        }
        let grid = kernel.grid([words.div_ceil(256) as u32, 1, 1]);
        // SAFETY: the caller's.
        unsafe {
            self.device
                .launch(kernel, grid, arguments.with(words as u64))
        }
    }
}
