//! One step of a blind rotation: c += K · (X^a·c - c), which multiplies c by X^a if the bit is 1 that K encrypts.
//!
//! K is a GGSW ciphertext: l·(k+1) rows, each a GLWE ciphertext in the Fourier domain; the product takes c's difference
//! apart into digits and adds up digits times rows (Chillotti et al., "TFHE", J. Cryptology 2020, section 4). Transforms
//! are tfhe's; rotation, difference and digits are one pass here, as are the products of all rows.

use pulp::{Arch, Simd, WithSimd};
use tfhe::core_crypto::fft_impl::fft64::math::polynomial::FourierPolynomialMutView;
use tfhe::core_crypto::fft_impl::fft64::{AVec, c64};
use tfhe::core_crypto::prelude::{ComputationBuffers, FftView, Polynomial};

use crate::params::Params;

/// A cache line.
const ALIGN: usize = 64;

/// Working memory for steps, one after another.
pub(crate) struct Steps<'a> {
    fft: FftView<'a>,
    arch: Arch,
    size: usize,
    base_log: u32,
    levels: usize,
    /// l·(k+1) polynomials of digits, least significant level first, and their transforms.
    digits: AVec<u64>,
    spectra: AVec<c64>,
    /// k+1 sums.
    sums: AVec<c64>,
    buffers: ComputationBuffers,
}

impl<'a> Steps<'a> {
    pub(crate) fn new(params: &Params, fft: FftView<'a>) -> Self {
        let (size, gadget) = (params.polynomial_size(), params.bootstrap());
        let levels = gadget.levels as usize;
        let columns = params.glwe_dimension() + 1;
        let complex = |count: usize| AVec::from_iter(ALIGN, (0..count).map(|_| c64::new(0.0, 0.0)));
        let mut buffers = ComputationBuffers::new();
        let scratch = fft.forward_scratch().or(fft.backward_scratch());
        buffers.resize(scratch.unaligned_bytes_required());
        Self {
            fft,
            arch: Arch::new(),
            size,
            base_log: gadget.base_log,
            levels,
            digits: AVec::from_iter(ALIGN, (0..levels * columns * size).map(|_| 0)),
            spectra: complex(levels * columns * size / 2),
            sums: complex(columns * size / 2),
            buffers,
        }
    }

    /// `glwe` (k+1 polynomials) times X^(`power`·bit), 0 < power < 2N, for the bit that `ggsw` encrypts.
    pub(crate) fn step(&mut self, glwe: &mut [u64], power: usize, ggsw: &[c64]) {
        let size = self.size;
        let columns = glwe.len() / size;
        for (column, polynomial) in glwe.chunks_exact(size).enumerate() {
            let mut levels = self.digits.chunks_exact_mut(columns * size);
            let mut next = || {
                let level = levels.next().unwrap_or_default();
                &mut level[column * size..][..size]
            };
            let base = self.base_log;
            match self.levels {
                1 => differ(self.arch, polynomial, power, base, [next()]),
                2 => differ(self.arch, polynomial, power, base, [next(), next()]),
                3 => differ(self.arch, polynomial, power, base, [next(), next(), next()]),
                4 => {
                    let levels = [next(), next(), next(), next()];
                    differ(self.arch, polynomial, power, base, levels);
                }
                _ => unreachable!("no parameter set has {} levels", self.levels),
            }
        }
        let spectra = self.spectra.chunks_exact_mut(size / 2);
        for (data, digits) in spectra.zip(self.digits.chunks_exact(size)) {
            let digits = Polynomial::from_container(digits);
            let fourier = FourierPolynomialMutView { data };
            self.fft
                .forward_as_integer(fourier, digits, self.buffers.stack());
        }
        let (sums, spectra) = (&mut self.sums[..], &self.spectra[..]);
        match self.levels * columns {
            2 => self.arch.dispatch(Products::<2> {
                sums,
                spectra,
                ggsw,
                columns,
            }),
            3 => self.arch.dispatch(Products::<3> {
                sums,
                spectra,
                ggsw,
                columns,
            }),
            4 => self.arch.dispatch(Products::<4> {
                sums,
                spectra,
                ggsw,
                columns,
            }),
            6 => self.arch.dispatch(Products::<6> {
                sums,
                spectra,
                ggsw,
                columns,
            }),
            8 => self.arch.dispatch(Products::<8> {
                sums,
                spectra,
                ggsw,
                columns,
            }),
            rows => unreachable!("no parameter set has {rows} rows"),
        }
        for (polynomial, data) in glwe
            .chunks_exact_mut(size)
            .zip(self.sums.chunks_exact_mut(size / 2))
        {
            let (to, sum) = (
                Polynomial::from_container(polynomial),
                FourierPolynomialMutView { data },
            );
            self.fft
                .add_backward_in_place_as_torus(to, sum, self.buffers.stack());
        }
    }
}

/// The digits of (X^`power` - 1)·polynomial, least significant first.
fn differ<const L: usize>(
    arch: Arch,
    polynomial: &[u64],
    power: usize,
    base_log: u32,
    to: [&mut [u64]; L],
) {
    let size = polynomial.len();
    let (turn, negative) = (power % size, power >= size);
    let (stay, wrap) = polynomial.split_at(size - turn);
    let (mut low, mut high) = ([(); L].map(|()| &mut [][..]), [(); L].map(|()| &mut [][..]));
    for ((to, low), high) in to.into_iter().zip(&mut low).zip(&mut high) {
        (*low, *high) = to.split_at_mut(turn);
    }
    let (first, second) = polynomial.split_at(turn);
    // What comes in at the low end changes its sign, and everything does from X^N on.
    arch.dispatch(
        #[inline(always)]
        || digits(wrap, first, !negative, base_log, low),
    );
    arch.dispatch(
        #[inline(always)]
        || digits(stay, second, negative, base_log, high),
    );
}

/// The digits of ±x - y.
///
/// Adding B/2 at every digit makes them digits from 0 to B - 1 that are found without carries: signed ones again when
/// B/2 is taken off.
#[inline(always)]
fn digits<const L: usize>(
    x: &[u64],
    y: &[u64],
    negative: bool,
    base_log: u32,
    mut to: [&mut [u64]; L],
) {
    let kept = base_log * L as u32;
    let half = 1_u64 << (base_log - 1);
    let shift = |level: usize| 64 - kept + base_log * level as u32;
    let rounding = if kept < 64 { 1 << (63 - kept) } else { 0 };
    let offset = (0..L).fold(rounding, |sum, level| sum + (half << shift(level)));
    let sign = if negative { u64::MAX } else { 0 };
    let mask = (1 << base_log) - 1;
    let count = x.len();
    let y = &y[..count];
    for to in &mut to {
        *to = &mut std::mem::take(to)[..count];
    }
    for i in 0..count {
        let difference = (x[i] ^ sign).wrapping_sub(sign).wrapping_sub(y[i]);
        let shifted = difference.wrapping_add(offset);
        for (level, to) in to.iter_mut().enumerate() {
            to[i] = (shifted >> shift(level) & mask).wrapping_sub(half);
        }
    }
}

/// sums_c = Σ_r spectra_r · ggsw_(r,c), for R rows.
struct Products<'a, const R: usize> {
    sums: &'a mut [c64],
    spectra: &'a [c64],
    ggsw: &'a [c64],
    columns: usize,
}

impl<const R: usize> WithSimd for Products<'_, R> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let len = self.sums.len() / self.columns;
        let spectra: [&[S::c64s]; R] =
            std::array::from_fn(|r| S::as_simd_c64s(&self.spectra[r * len..][..len]).0);
        for (c, sum) in self.sums.chunks_exact_mut(len).enumerate() {
            let sum = S::as_mut_simd_c64s(sum).0;
            let rows: [&[S::c64s]; R] = std::array::from_fn(|r| {
                let at = (r * self.columns + c) * len;
                S::as_simd_c64s(&self.ggsw[at..][..len]).0
            });
            for (i, sum) in sum.iter_mut().enumerate() {
                let mut total = simd.mul_c64s(spectra[0][i], rows[0][i]);
                for r in 1..R {
                    total = simd.mul_add_c64s(spectra[r][i], rows[r][i], total);
                }
                *sum = total;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tfhe::core_crypto::fft_impl::fft64::c64;
    use tfhe::core_crypto::prelude::{Fft, PolynomialSize};

    use super::Steps;
    use crate::params::Params;

    /// Every set's number of digits and rows has its own code: an encryption of nothing by nothing changes nothing.
    #[test]
    fn every_parameter_set_takes_steps() {
        for set in Params::catalogue().iter().chain(Params::toys()) {
            let (size, columns) = (set.polynomial_size(), set.glwe_dimension() + 1);
            let rows = set.bootstrap().levels as usize * columns;
            let ggsw = vec![c64::new(0.0, 0.0); rows * columns * size / 2];
            let fft = Fft::new(PolynomialSize(size));
            let before: Vec<u64> = (0..columns * size)
                .map(|k| (k as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15))
                .collect();
            let mut glwe = before.clone();
            Steps::new(set, fft.as_view()).step(&mut glwe, size + 3, &ggsw);
            assert!(glwe == before, "{}", set.name());
        }
    }
}
