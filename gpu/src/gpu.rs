//! Bilinear maps on a device.

use std::num::Wrapping;

use ndarray::{ArrayD, IxDyn};
use tacit_mpc::{Bilinear, Error, Kernels, Result, Tensor, kernels};

use crate::device::{Device, DeviceError};
use crate::limbs::Limbs;
use crate::method::Method;
use crate::prepared::Prepared;
use crate::residues::Residues;
use crate::split::{Split, sum};
use crate::view::Product;
use crate::word::{OfWords, TensorOf, Word};
use crate::{packed, words};

/// What a party may decide about its device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Bytes of the device that a product may take, with operands, result and what is packed of them; larger products are
    /// computed in parts.
    pub memory: usize,
    /// Products of fewer multiply-adds, and products entry by entry, are left to the processor: copying them would take
    /// longer. 0 computes all on the device.
    pub least: usize,
    /// The method for all products, instead of the best for each: for tests and measurements.
    pub method: Option<Method>,
}

impl Default for Settings {
    /// Four gibibytes, products of a million multiply-adds, and the best method for each.
    fn default() -> Self {
        Self {
            memory: 4 << 30,
            least: 1 << 20,
            method: None,
        }
    }
}

/// The kernels of an engine, on a device.
pub struct Gpu<D: Device> {
    device: D,
    settings: Settings,
    cpu: Box<dyn Kernels>,
}

impl<D: Device> Gpu<D> {
    /// On a device, under settings.
    pub fn new(device: D, settings: Settings) -> Self {
        Self {
            device,
            settings,
            cpu: kernels::cpu(),
        }
    }

    /// The device.
    pub fn device(&self) -> &D {
        &self.device
    }

    /// Uploads the operands of a map, to run it more than once; none where the result is zero for want of entries.
    ///
    /// # Errors
    /// If operands do not fit, or the device fails.
    pub fn prepare<W: Word>(
        &self,
        f: Bilinear,
        terms: &[(&TensorOf<W>, &TensorOf<W>)],
    ) -> Result<Option<Prepared<'_, D, W>>> {
        let Some(shape) = f.sum_shape(terms)? else {
            return Ok(None);
        };
        let empty = terms.iter().any(|(x, y)| x.is_empty() || y.is_empty());
        if empty || shape.contains(&0) {
            return Ok(None);
        }
        let prepared = Prepared::new(self, f, terms, shape);
        prepared.map(Some).map_err(|failed| self.told(failed))
    }

    /// Asks the device for the result of what was prepared.
    ///
    /// # Errors
    /// If the device refuses or fails.
    pub fn run<W: Word>(&self, prepared: &Prepared<'_, D, W>) -> Result<()> {
        prepared.run().map_err(|failed| self.told(failed))
    }

    /// The result of what was run.
    ///
    /// # Errors
    /// If the device fails.
    pub fn read<W: Word>(&self, prepared: &Prepared<'_, D, W>) -> Result<TensorOf<W>> {
        prepared.read().map_err(|failed| self.told(failed))
    }

    /// Σ f(xᵢ, yᵢ) modulo 2^32, as [`Kernels::bilinear`] is modulo 2^64.
    ///
    /// By words or by limbs, of which 10 products are needed. There are no residues for these words: a sum of K products is up
    /// to K·2^62 large, which 8 moduli do not determine; the 9 or 10 that do are as many products as those of limbs.
    ///
    /// # Errors
    /// As [`Kernels::bilinear`].
    pub fn bilinear_32(
        &self,
        f: Bilinear,
        terms: &[(&TensorOf<u32>, &TensorOf<u32>)],
    ) -> Result<TensorOf<u32>> {
        self.map(f, terms)
    }

    fn told(&self, failed: Failed) -> Error {
        Error::Device {
            device: self.device.name().to_owned(),
            why: match failed {
                Failed::Device(error) => error.to_string(),
                Failed::TooLarge => {
                    "a tensor has more than 2^31 entries along an index: split it".to_owned()
                }
                Failed::Setting => {
                    "the device memory that is set is too little for one tile of this product: raise it".to_owned()
                }
            },
        }
    }

    pub(crate) fn matrices(
        &self,
        words: &OfWords,
        product: &Product,
        sides: &[(u64, u64)],
        to: u64,
    ) -> std::result::Result<(), Failed> {
        let shape = (product.rows, product.columns, product.depth);
        // What operands and result leave, of which they may take half.
        let bytes = self.settings.memory / 2;
        let best = || Method::for_shape(shape.0, shape.1, shape.2);
        match self.settings.method.unwrap_or_else(best) {
            Method::Words => words::matrices(&self.device, words, product, sides, to),
            Method::Residues if words.bytes == 8 => {
                let by = Residues::of(sides.len(), product.depth);
                packed::matrices(&self.device, &by, product, sides, to, bytes)
            }
            Method::Limbs | Method::Residues => {
                packed::matrices(&self.device, &Limbs(*words), product, sides, to, bytes)
            }
        }
    }
}

/// As many blocks as `count` things take, `each` at a time.
pub(crate) fn blocks(count: usize, each: usize) -> std::result::Result<u32, Failed> {
    u32::try_from(count.div_ceil(each)).map_err(|_| Failed::TooLarge)
}

fn zeros<W: Word>(shape: &[usize]) -> TensorOf<W> {
    ArrayD::from_elem(IxDyn(shape), Wrapping(W::zeroed()))
}

/// Why a product was not computed.
pub(crate) enum Failed {
    Device(DeviceError),
    /// An index has more than 31 bits.
    TooLarge,
    /// Not even one tile fits into the memory that the settings allow.
    Setting,
}

impl From<DeviceError> for Failed {
    fn from(error: DeviceError) -> Self {
        Self::Device(error)
    }
}

impl<D: Device> Kernels for Gpu<D> {
    fn name(&self) -> &'static str {
        "cuda"
    }

    fn bilinear(&self, f: Bilinear, terms: &[(&Tensor, &Tensor)]) -> Result<Tensor> {
        self.map(f, terms)
    }
}

impl<D: Device> Gpu<D> {
    fn map<W: Word>(
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
        self.on_device(f, terms, &shape)
    }

    fn on_device<W: Word>(
        &self,
        f: Bilinear,
        terms: &[(&TensorOf<W>, &TensorOf<W>)],
        shape: &[usize],
    ) -> Result<TensorOf<W>> {
        let operands = terms.iter().map(|(x, y)| x.len() + y.len()).sum::<usize>();
        if W::KERNELS.bytes * (operands + shape.iter().product::<usize>())
            > self.settings.memory / 2
        {
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
        let split = Split::of(f, x.shape(), y.shape());
        let split = split.ok_or_else(|| self.told(Failed::Setting))?;
        let [first, second] = split.halves((*x, *y));
        Ok(split.join(one(&first.0, &first.1)?, one(&second.0, &second.1)?))
    }
}
