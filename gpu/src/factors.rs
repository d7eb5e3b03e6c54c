//! Polynomials that stay on a device, transformed, and sums of products with them.

use std::sync::Arc;

use tacit_mpc::{Result, kernels};

use crate::budget::{Budget, Held};
use crate::device::{Device, DeviceError};
use crate::failed::Failed;
use crate::ntt::{LOG_SIZES, NttError};
use crate::polynomials::{Polynomials, Spectra, primes_for};

/// log2 of the most products of a sum.
const LOG_PRODUCTS: u32 = 16;

/// Factors of products, on a lane of their own.
pub(crate) struct Factors<D: Device> {
    polynomials: Polynomials<D>,
    spectra: Spectra<D::Memory>,
    size: usize,
    /// Bytes of a transformed polynomial.
    each: usize,
    name: String,
    budget: Arc<Budget>,
    _held: Held,
}

impl<D: Device> Factors<D> {
    /// Keeps polynomials of `size` coefficients on a lane; none where there is no memory, or where such are not transformed.
    ///
    /// # Errors
    /// If they are no whole polynomials, or the device fails.
    pub(crate) fn keep(
        device: &D,
        budget: &Arc<Budget>,
        size: usize,
        words: &[u64],
    ) -> std::result::Result<Option<Self>, Failed> {
        let log_size = size.trailing_zeros();
        if !size.is_power_of_two() || !LOG_SIZES.contains(&log_size) || words.is_empty() {
            return Ok(None);
        }
        // As signed numbers; the other factors may be any words.
        let bits = |&word: &u64| 65 - word.leading_zeros().max(word.leading_ones());
        let bits = words.iter().map(bits).max().unwrap_or(1) + 64 + LOG_PRODUCTS;
        let primes = primes_for(log_size, bits);
        let each = 8 * size * primes;
        let _turn = budget.turn();
        let own = Polynomials::<D>::bytes(log_size, bits);
        let Some(held) = budget.hold(words.len() / size * each + own) else {
            return Ok(None);
        };
        let kept = || {
            let polynomials = Polynomials::new(device.lane()?, log_size, bits)?;
            let spectra = polynomials.transformed(words)?;
            Ok((polynomials, spectra))
        };
        let (polynomials, spectra) = match kept() {
            Ok(kept) => kept,
            Err(NttError::Device(DeviceError::Memory { .. })) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        Ok(Some(Self {
            polynomials,
            spectra,
            size,
            each,
            name: device.name().to_owned(),
            budget: Arc::clone(budget),
            _held: held,
        }))
    }

    fn in_turn(
        &self,
        others: &[u64],
        sums: &[Vec<(u32, u32)>],
        each: &mut dyn FnMut(usize, &[u64]),
    ) -> std::result::Result<(), Failed> {
        if let Some(long) = sums.iter().find(|pairs| pairs.len() > 1 << LOG_PRODUCTS) {
            let found = long.len();
            return Err(NttError::Products { found }.into());
        }
        let _turn = self.budget.turn();
        // A word becomes a residue for each prime.
        let (words, residues) = (8 * others.len(), others.len() / self.size * self.each);
        let room = self.budget.room();
        if words + residues > room {
            return Err(Failed::Setting);
        }
        let others = self.polynomials.transformed(others)?;
        let mut left = sums;
        while let Some(together) = self.together(left, room - residues) {
            let (now, later) = left.split_at(together);
            let done = sums.len() - left.len();
            let found = self.polynomials.sums(&others, &self.spectra, now)?;
            for (i, sum) in found.chunks_exact(self.size).enumerate() {
                each(done + i, sum);
            }
            left = later;
        }
        if left.is_empty() {
            Ok(())
        } else {
            Err(Failed::Setting)
        }
    }

    /// How many of these sums there is room for: none, if not for the first.
    fn together(&self, sums: &[Vec<(u32, u32)>], room: usize) -> Option<usize> {
        // Residues, words that are read back, pairs and where they begin.
        let bytes = |pairs: &Vec<(u32, u32)>| self.each + 8 * (self.size + pairs.len() + 1);
        let mut taken = 16;
        let fitting = sums.iter().take_while(|pairs| {
            taken += bytes(pairs);
            taken <= room
        });
        Some(fitting.count()).filter(|&count| count > 0)
    }
}

impl<D: Device> kernels::Factors for Factors<D> {
    fn sums(
        &self,
        others: &[u64],
        sums: &[Vec<(u32, u32)>],
        each: &mut dyn FnMut(usize, &[u64]),
    ) -> Result<()> {
        let done = self.in_turn(others, sums, each);
        done.map_err(|failed| failed.of(&self.name))
    }
}
