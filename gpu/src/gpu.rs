//! Bilinear maps on a device.

use ndarray::{ArrayD, IxDyn};
use tacit_mpc::{Bilinear, Error, Kernels, R64, Result, Tensor, kernels};

use crate::device::{Device, DeviceError};
use crate::limbs::Limbs;
use crate::method::Method;
use crate::prepared::Prepared;
use crate::residues::Residues;
use crate::split::Split;
use crate::view::Product;
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
    pub fn prepare(
        &self,
        f: Bilinear,
        terms: &[(&Tensor, &Tensor)],
    ) -> Result<Option<Prepared<'_, D>>> {
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
    pub fn run(&self, prepared: &Prepared<'_, D>) -> Result<()> {
        prepared.run().map_err(|failed| self.told(failed))
    }

    /// The result of what was run.
    ///
    /// # Errors
    /// If the device fails.
    pub fn read(&self, prepared: &Prepared<'_, D>) -> Result<Tensor> {
        prepared.read().map_err(|failed| self.told(failed))
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
        product: &Product,
        sides: &[(u64, u64)],
        to: u64,
    ) -> std::result::Result<(), Failed> {
        let shape = (product.rows, product.columns, product.depth);
        // What operands and result leave, of which they may take half.
        let bytes = self.settings.memory / 2;
        let best = || Method::for_shape(shape.0, shape.1, shape.2);
        match self.settings.method.unwrap_or_else(best) {
            Method::Words => words::matrices(&self.device, product, sides, to),
            Method::Limbs => packed::matrices(&self.device, &Limbs, product, sides, to, bytes),
            Method::Residues => {
                let by = Residues::of(sides.len(), product.depth);
                packed::matrices(&self.device, &by, product, sides, to, bytes)
            }
        }
    }
}

/// As many blocks as `count` things take, `each` at a time.
pub(crate) fn blocks(count: usize, each: usize) -> std::result::Result<u32, Failed> {
    u32::try_from(count.div_ceil(each)).map_err(|_| Failed::TooLarge)
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
        let Some(shape) = f.sum_shape(terms)? else {
            return Ok(ArrayD::from_elem(IxDyn(&[]), R64::default()));
        };
        if self.is_small(f, terms, &shape) {
            return self.cpu.bilinear(f, terms);
        }
        self.on_device(f, terms, &shape)
    }
}

impl<D: Device> Gpu<D> {
    fn on_device(
        &self,
        f: Bilinear,
        terms: &[(&Tensor, &Tensor)],
        shape: &[usize],
    ) -> Result<Tensor> {
        let operands = terms.iter().map(|(x, y)| x.len() + y.len()).sum::<usize>();
        if 8 * (operands + shape.iter().product::<usize>()) > self.settings.memory / 2 {
            return self.in_halves(f, terms);
        }
        match self.prepare(f, terms)? {
            None => Ok(ArrayD::from_elem(IxDyn(shape), R64::default())),
            Some(prepared) => {
                self.run(&prepared)?;
                self.read(&prepared)
            }
        }
    }

    /// Whether the processor is faster than copies would be.
    fn is_small(&self, f: Bilinear, terms: &[(&Tensor, &Tensor)], shape: &[usize]) -> bool {
        let products = terms.iter().map(|(x, y)| f.depth(x.shape(), y.shape()));
        let products = products
            .sum::<usize>()
            .saturating_mul(shape.iter().product());
        self.settings.least > 0 && (f == Bilinear::Mul || products < self.settings.least)
    }

    fn in_halves(&self, f: Bilinear, terms: &[(&Tensor, &Tensor)]) -> Result<Tensor> {
        let one = |x: &Tensor, y: &Tensor| {
            let shape = f.sum_shape(&[(x, y)])?.unwrap_or_default();
            self.on_device(f, &[(x, y)], &shape)
        };
        let [(x, y), others @ ..] = terms else {
            return Err(self.told(Failed::Setting));
        };
        if !others.is_empty() {
            // Terms one by one first: their operands are different ones.
            let mut sum = one(x, y)?;
            for (x, y) in others {
                sum.zip_mut_with(&one(x, y)?, |a, b| *a += b);
            }
            return Ok(sum);
        }
        let split = Split::of(f, x.shape(), y.shape());
        let split = split.ok_or_else(|| self.told(Failed::Setting))?;
        let [first, second] = split.halves((*x, *y));
        Ok(split.join(one(&first.0, &first.1)?, one(&second.0, &second.1)?))
    }
}
