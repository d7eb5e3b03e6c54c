//! Bilinear maps on a device.

mod map;

use std::num::Wrapping;
use std::sync::{Arc, OnceLock};

use ndarray::{ArrayD, IxDyn};
use tacit_mpc::kernels::Resident;
use tacit_mpc::ring::row_major;
use tacit_mpc::{Bilinear, Error, Kernels, Result, Tensor, kernels};

use crate::budget::Budget;
use crate::device::{Device, DeviceError};
use crate::factors::Factors;
use crate::failed::Failed;
use crate::limbs::Limbs;
use crate::method::Method;
use crate::prepared::Prepared;
use crate::residents::Residents;
use crate::residues::Residues;
use crate::view::Product;
use crate::word::{OfWords, TensorOf, Word, in_words};
use crate::{packed, words};

/// What a party may decide about its device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Bytes of the device that are taken at most. Tensors that are held take up to half of them; a product has the rest, for
    /// operands, result and what is packed of them, and is computed in parts where that is too little.
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

/// Bytes of a band: enough that launching it takes little of the time in which it is copied. A guess until it is measured.
const BAND: usize = 32 << 20;

/// The kernels of an engine, on a device.
pub struct Gpu<D: Device> {
    device: D,
    /// Another lane of it, for maps in bands.
    second: OnceLock<D>,
    settings: Settings,
    /// Bytes of a band at least.
    band: usize,
    cpu: Box<dyn Kernels>,
    residents: Residents<D::Memory>,
    budget: Arc<Budget>,
}

impl<D: Device> Gpu<D> {
    /// On a device, under settings.
    pub fn new(device: D, settings: Settings) -> Self {
        device.keep(settings.memory);
        Self {
            device,
            second: OnceLock::new(),
            settings,
            band: BAND,
            cpu: kernels::cpu(),
            residents: Residents::default(),
            budget: Budget::new(settings.memory),
        }
    }

    /// Cuts maps into bands of so many bytes at least: for tests and measurements.
    #[must_use]
    pub fn with_bands(mut self, bytes: usize) -> Self {
        self.band = bytes;
        self
    }

    /// The device.
    pub fn device(&self) -> &D {
        &self.device
    }

    /// Bytes of what is held: tensors, and factors of polynomials' products.
    pub fn held(&self) -> usize {
        self.budget.held()
    }

    /// The other lane, made when it is first asked for.
    pub(crate) fn second_lane(&self) -> std::result::Result<&D, DeviceError> {
        if let Some(lane) = self.second.get() {
            return Ok(lane);
        }
        let lane = self.device.lane()?;
        Ok(self.second.get_or_init(|| lane))
    }

    /// A tensor on the device: the copy that is held, or one that a lane is asked to make.
    pub(crate) fn upload<W: Word>(
        &self,
        lane: &D,
        x: &TensorOf<W>,
    ) -> std::result::Result<Arc<D::Memory>, DeviceError> {
        match self.residents.find(x) {
            Some(copy) => Ok(copy),
            None => copied(lane, x).map(Arc::new),
        }
    }

    /// What is held leaves so much of the memory.
    pub(crate) fn room(&self) -> usize {
        self.budget.room()
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
        let prepared = Prepared::new(self, f, terms);
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
        failed.of(self.device.name())
    }

    /// Matrix products on a lane; operands and result by their addresses. What is packed of them takes at most `bytes`.
    pub(crate) fn matrices(
        &self,
        lane: &D,
        words: &OfWords,
        product: &Product,
        sides: &[(u64, u64)],
        to: u64,
        bytes: usize,
    ) -> std::result::Result<(), Failed> {
        let shape = (product.rows, product.columns, product.depth);
        let best = || Method::for_shape(shape.0, shape.1, shape.2);
        match self.settings.method.unwrap_or_else(best) {
            Method::Words => words::matrices(lane, words, product, sides, to),
            Method::Residues if words.bytes == 8 => {
                let by = Residues::of(sides.len(), product.depth);
                packed::matrices(lane, &by, product, sides, to, bytes)
            }
            Method::Limbs | Method::Residues => {
                packed::matrices(lane, &Limbs(*words), product, sides, to, bytes)
            }
        }
    }
}

/// A copy of a tensor in row-major order.
fn copied<D: Device, W: Word>(
    lane: &D,
    x: &TensorOf<W>,
) -> std::result::Result<D::Memory, DeviceError> {
    lane.copied(&in_words(&row_major(x)))
}

/// As many blocks as `count` things take, `each` at a time.
pub(crate) fn blocks(count: usize, each: usize) -> std::result::Result<u32, Failed> {
    u32::try_from(count.div_ceil(each)).map_err(|_| Failed::TooLarge)
}

fn zeros<W: Word>(shape: &[usize]) -> TensorOf<W> {
    ArrayD::from_elem(IxDyn(shape), Wrapping(W::zeroed()))
}

impl<D: Device + 'static> Kernels for Gpu<D> {
    fn name(&self) -> &'static str {
        "cuda"
    }

    fn bilinear(&self, f: Bilinear, terms: &[(&Tensor, &Tensor)]) -> Result<Tensor> {
        self.map(f, terms)
    }

    /// Vectors are no operands of products that a device computes, and are not held.
    fn hold<'a>(&'a self, x: &'a Tensor) -> Result<Resident<'a>> {
        if x.ndim() < 2 || x.is_empty() {
            return Ok(Resident::elsewhere());
        }
        let _turn = self.budget.turn();
        if !self.residents.join(x) {
            let Some(held) = self.budget.hold(8 * x.len()) else {
                return Ok(Resident::elsewhere());
            };
            match copied(&self.device, x) {
                Ok(memory) => self.residents.insert(x, memory, held),
                Err(DeviceError::Memory { .. }) => return Ok(Resident::elsewhere()),
                Err(error) => return Err(self.told(error.into())),
            }
        }
        Ok(Resident::until(|| self.residents.leave(x)))
    }

    fn holds(&self, x: &Tensor) -> bool {
        self.residents.find(x).is_some()
    }

    fn factors(
        &self,
        size: usize,
        polynomials: &[u64],
    ) -> Result<Option<Box<dyn kernels::Factors>>> {
        let kept = Factors::keep(&self.device, &self.budget, size, polynomials);
        let kept = kept.map_err(|failed| self.told(failed))?;
        Ok(kept.map(|kept| Box::new(kept) as Box<dyn kernels::Factors>))
    }
}
