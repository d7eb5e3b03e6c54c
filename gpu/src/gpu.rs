//! Bilinear maps on a device.

use ndarray::{ArrayD, IxDyn};
use tacit_mpc::ring::row_major;
use tacit_mpc::{Bilinear, Error, Kernels, R64, Result, Tensor};

use crate::device::{Device, DeviceError};
use crate::method::Method;
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

/// Batches of one launch: the second or third axis of a grid.
const MOST_BATCHES: usize = crate::parts::MOST_BLOCKS;

type Done = std::result::Result<(), Failed>;

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

    fn compute(
        &self,
        f: Bilinear,
        terms: &[(&Tensor, &Tensor)],
        shape: &[usize],
    ) -> std::result::Result<Vec<u64>, Failed> {
        let upload = |x: &Tensor| -> std::result::Result<D::Memory, DeviceError> {
            let words = row_major(x);
            let words: &[u64] = bytemuck::cast_slice(&words);
            let mut memory = self.device.allocate(8 * words.len())?;
            self.device.write(&mut memory, words)?;
            Ok(memory)
        };
        let operands = terms
            .iter()
            .map(|(x, y)| Ok((upload(x)?, upload(y)?)))
            .collect::<std::result::Result<Vec<_>, DeviceError>>()?;
        let mut found = vec![0_u64; shape.iter().product()];
        let result = self.device.allocate(8 * found.len())?;
        let addresses: Vec<(u64, u64)> = operands
            .iter()
            .map(|(x, y)| (self.device.address(x), self.device.address(y)))
            .collect();
        let to = self.device.address(&result);
        if f == Bilinear::Mul {
            words::elementwise(&self.device, &addresses, to, found.len())?;
        } else {
            let (x, y) = (terms[0].0.shape(), terms[0].1.shape());
            let product = Product::of(f, x, y).ok_or(Failed::TooLarge)?;
            for first in (0..product.batches).step_by(MOST_BATCHES) {
                let (a, b, c) = product.batch_at(first);
                let sided = addresses.iter().map(|&(x, y)| {
                    let (left, right) = if product.swapped { (y, x) } else { (x, y) };
                    (left + a, right + b)
                });
                let some = Product {
                    batches: MOST_BATCHES.min(product.batches - first),
                    ..product
                };
                self.matrices(&some, &sided.collect::<Vec<_>>(), to + c)?;
            }
        }
        self.device.read(&result, &mut found)?;
        Ok(found)
    }

    fn matrices(&self, product: &Product, sides: &[(u64, u64)], to: u64) -> Done {
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
        let Some(shape) = f.sum_shape(terms)? else {
            return Ok(ArrayD::from_elem(IxDyn(&[]), R64::default()));
        };
        let empty = terms.iter().any(|(x, y)| x.is_empty() || y.is_empty());
        if empty || shape.contains(&0) {
            return Ok(ArrayD::from_elem(IxDyn(&shape), R64::default()));
        }
        let words = self.compute(f, terms, &shape);
        let words = words.map_err(|failed| Error::Device {
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
        })?;
        let words = bytemuck::allocation::cast_vec(words);
        Ok(ArrayD::from_shape_vec(IxDyn(&shape), words)
            .unwrap_or_else(|_| unreachable!("as many words as its shape")))
    }
}
