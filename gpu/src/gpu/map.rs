//! A bilinear map, from operands to result: left to the processor, in bands, at once, or in halves.

use tacit_mpc::{Bilinear, Result};

use crate::bands::Bands;
use crate::device::Device;
use crate::failed::Failed;
use crate::split::{Split, sum};
use crate::word::{TensorOf, Word};

use super::{Gpu, zeros};

impl<D: Device> Gpu<D> {
    /// Σ f(xᵢ, yᵢ), by whoever is faster.
    pub(super) fn map<W: Word>(
        &self,
        f: Bilinear,
        terms: &[(&TensorOf<W>, &TensorOf<W>)],
    ) -> Result<TensorOf<W>> {
        let Some(shape) = f.sum_shape(terms)? else {
            return Ok(zeros(&[]));
        };
        if self.is_small(f, terms, &shape) {
            return W::bilinear(&*self.cpu, f, terms);
        }
        let empty = terms.iter().any(|(x, y)| x.is_empty() || y.is_empty());
        if empty || shape.contains(&0) {
            return Ok(zeros(&shape));
        }
        let _turn = self.budget.turn();
        self.on_device(f, terms, &shape)
    }

    fn on_device<W: Word>(
        &self,
        f: Bilinear,
        terms: &[(&TensorOf<W>, &TensorOf<W>)],
        shape: &[usize],
    ) -> Result<TensorOf<W>> {
        let room = self.room() / 2;
        let held = |x: &TensorOf<W>| self.residents.find(x).is_some();
        if let Some(bands) = Bands::of(f, terms, shape, held, (self.band, room)) {
            match self.in_bands(f, terms, shape, bands) {
                // What is packed of two bands at a time takes more than of one map.
                Err(Failed::Setting) => {}
                result => return result.map_err(|failed| self.told(failed)),
            }
        }
        let copied = |x: &TensorOf<W>| if held(x) { 0 } else { x.len() };
        let operands = terms.iter().map(|(x, y)| copied(x) + copied(y));
        let entries = operands.sum::<usize>() + shape.iter().product::<usize>();
        if W::KERNELS.bytes * entries > room {
            return self.in_halves(f, terms);
        }
        match self.prepare(f, terms)? {
            None => Ok(zeros(shape)),
            Some(prepared) => {
                self.run(&prepared)?;
                self.read(&prepared)
            }
        }
    }

    /// Whether the processor is faster than copies would be.
    fn is_small<W: Word>(
        &self,
        f: Bilinear,
        terms: &[(&TensorOf<W>, &TensorOf<W>)],
        shape: &[usize],
    ) -> bool {
        let products = terms.iter().map(|(x, y)| f.depth(x.shape(), y.shape()));
        let products = products
            .sum::<usize>()
            .saturating_mul(shape.iter().product());
        self.settings.least > 0 && (f == Bilinear::Mul || products < self.settings.least)
    }

    fn in_halves<W: Word>(
        &self,
        f: Bilinear,
        terms: &[(&TensorOf<W>, &TensorOf<W>)],
    ) -> Result<TensorOf<W>> {
        let one = |x: &TensorOf<W>, y: &TensorOf<W>| {
            let shape = f.sum_shape(&[(x, y)])?.unwrap_or_default();
            self.on_device(f, &[(x, y)], &shape)
        };
        let [(x, y), others @ ..] = terms else {
            return Err(self.told(Failed::Setting));
        };
        if !others.is_empty() {
            // Terms one by one first: their operands are different ones.
            let first = one(x, y)?;
            return others
                .iter()
                .try_fold(first, |all, (x, y)| Ok(sum(all, &one(x, y)?)));
        }
        let split = Split::of(
            f,
            x.shape(),
            y.shape(),
            [x, y].map(|x| self.residents.find(x).is_some()),
        );
        let split = split.ok_or_else(|| self.told(Failed::Setting))?;
        let [first, second] = split.halves((*x, *y));
        Ok(split.join(one(&first.0, &first.1)?, one(&second.0, &second.1)?))
    }
}
