//! Bilinear maps on a device.

use ndarray::{ArrayD, IxDyn};
use tacit_mpc::{Bilinear, Error, Kernels, R64, Result, Tensor};

use crate::device::{Device, DeviceError};
use crate::method::Method;
use crate::prepared::Prepared;
use crate::view::Product;
use crate::{limbs, residues, words};

/// What a party may decide about its device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Bytes that packed operands may take at a time; larger products are computed in parts.
    pub packed_bytes: usize,
    /// The method for all products, instead of the best for each: for tests and measurements.
    pub method: Option<Method>,
}

impl Default for Settings {
    /// A gibibyte, and the best method for each.
    fn default() -> Self {
        Self {
            packed_bytes: 1 << 30,
            method: None,
        }
    }
}

/// The kernels of an engine, on a device.
pub struct Gpu<D: Device> {
    device: D,
    settings: Settings,
    name: &'static str,
}

impl<D: Device> Gpu<D> {
    /// On a device, under settings.
    pub fn new(device: D, settings: Settings) -> Self {
        Self {
            device,
            settings,
            name: "cuda",
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
                    "the setting for packed operands is too small for one tile: raise it".to_owned()
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
        let bytes = self.settings.packed_bytes;
        let best = || Method::for_shape(shape.0, shape.1, shape.2);
        match self.settings.method.unwrap_or_else(best) {
            Method::Words => words::matrices(&self.device, product, sides, to),
            Method::Limbs => limbs::matrices(&self.device, product, sides, to, bytes),
            Method::Residues => residues::matrices(&self.device, product, sides, to, bytes),
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
        self.name
    }

    fn bilinear(&self, f: Bilinear, terms: &[(&Tensor, &Tensor)]) -> Result<Tensor> {
        let Some(prepared) = self.prepare(f, terms)? else {
            let shape = f.sum_shape(terms)?.unwrap_or_default();
            return Ok(ArrayD::from_elem(IxDyn(&shape), R64::default()));
        };
        self.run(&prepared)?;
        self.read(&prepared)
    }
}
