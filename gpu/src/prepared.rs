//! A bilinear map whose operands are on the device.

use std::marker::PhantomData;
use std::num::Wrapping;
use std::sync::Arc;

use ndarray::{ArrayD, IxDyn};
use tacit_mpc::Bilinear;

use crate::device::{Device, DeviceError};
use crate::failed::Failed;
use crate::gpu::Gpu;
use crate::parts::MOST_BLOCKS;
use crate::view::Product;
use crate::word::{TensorOf, Word, from_words};
use crate::words;

/// Operands of one shape, uploaded, and room for the result. What was prepared can be run again and again.
pub struct Prepared<'a, D: Device, W = u64> {
    gpu: &'a Gpu<D>,
    /// Where it is computed.
    lane: &'a D,
    operands: Operands<D>,
    result: D::Memory,
    shape: Vec<usize>,
    /// Bytes for what is packed of operands.
    packed: usize,
    /// None for products entry by entry.
    product: Option<Product>,
    words: PhantomData<W>,
}

/// Of each term. Others may use the same copies.
type Operands<D> = Vec<(Arc<<D as Device>::Memory>, Arc<<D as Device>::Memory>)>;

impl<'a, D: Device, W: Word> Prepared<'a, D, W> {
    /// `f` of terms that fit, none of whose operands is empty.
    pub(crate) fn new(
        gpu: &'a Gpu<D>,
        f: Bilinear,
        terms: &[(&TensorOf<W>, &TensorOf<W>)],
    ) -> Result<Self, Failed> {
        let lane = gpu.device();
        // What operands and result leave, of which they may take half: before operands are found that somebody may let go of.
        let packed = gpu.room() / 2;
        let upload = |(x, y): &(&TensorOf<W>, &TensorOf<W>)| {
            Ok((gpu.upload(lane, x)?, gpu.upload(lane, y)?))
        };
        let operands = terms
            .iter()
            .map(upload)
            .collect::<Result<_, DeviceError>>()?;
        let shapes = terms.first().map(|(x, y)| (x.shape(), y.shape()));
        Self::of_operands(gpu, lane, f, shapes.unwrap_or_default(), operands, packed)
    }

    /// The same of operands of these shapes that are on the device, with so many bytes for what is packed of them.
    pub(crate) fn of_operands(
        gpu: &'a Gpu<D>,
        lane: &'a D,
        f: Bilinear,
        (x, y): (&[usize], &[usize]),
        operands: Operands<D>,
        packed: usize,
    ) -> Result<Self, Failed> {
        let product = match f {
            Bilinear::Mul => None,
            f => Some(Product::of(f, x, y).ok_or(Failed::TooLarge)?),
        };
        let shape = f.output_shape(x, y).ok_or(Failed::TooLarge)?;
        Ok(Self {
            gpu,
            lane,
            operands,
            result: lane.allocate(8 * words_of::<W>(&shape))?,
            shape,
            packed,
            product,
            words: PhantomData,
        })
    }

    /// Asks the device for the result.
    pub(crate) fn run(&self) -> Result<(), Failed> {
        let device = self.lane;
        let to = device.address(&self.result);
        let addresses = self.operands.iter();
        let addresses = addresses.map(|(x, y)| (device.address(x), device.address(y)));
        let Some(product) = self.product else {
            let count = self.shape.iter().product();
            let addresses: Vec<_> = addresses.collect();
            return words::elementwise(device, &W::KERNELS, &addresses, to, count);
        };
        let sides: Vec<(u64, u64)> = addresses
            .map(|(x, y)| if product.swapped { (y, x) } else { (x, y) })
            .collect();
        // As many batches as the axis of a grid has room for.
        for first in (0..product.batches).step_by(MOST_BLOCKS) {
            let (a, b, c) = product.batch_at(first, W::KERNELS.bytes);
            let sides: Vec<(u64, u64)> = sides.iter().map(|&(x, y)| (x + a, y + b)).collect();
            let some = Product {
                batches: MOST_BLOCKS.min(product.batches - first),
                ..product
            };
            self.gpu
                .matrices(device, &W::KERNELS, &some, &sides, to + c, self.packed)?;
        }
        Ok(())
    }

    /// The result, once it is there.
    pub(crate) fn read(&self) -> Result<TensorOf<W>, Failed> {
        let mut words = vec![0_u64; words_of::<W>(&self.shape)];
        self.read_into(&mut words)?;
        let entries: Vec<Wrapping<W>> = from_words(words, self.shape.iter().product());
        let tensor = ArrayD::from_shape_vec(IxDyn(&self.shape), entries);
        Ok(tensor.unwrap_or_else(|_| unreachable!("as many words as its shape")))
    }

    /// The same to where it belongs.
    pub(crate) fn read_into(&self, words: &mut [u64]) -> Result<(), Failed> {
        Ok(self.lane.read(&self.result, words)?)
    }
}

/// Words of 64 bits that a tensor takes.
fn words_of<W: Word>(shape: &[usize]) -> usize {
    (W::KERNELS.bytes * shape.iter().product::<usize>()).div_ceil(8)
}
