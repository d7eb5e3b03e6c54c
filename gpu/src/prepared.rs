//! A bilinear map whose operands are on the device.

use std::marker::PhantomData;
use std::num::Wrapping;

use ndarray::{ArrayD, IxDyn};
use tacit_mpc::Bilinear;
use tacit_mpc::ring::row_major;

use crate::device::{Device, DeviceError};
use crate::gpu::{Failed, Gpu};
use crate::parts::MOST_BLOCKS;
use crate::view::Product;
use crate::word::{TensorOf, Word, from_words, in_words};
use crate::words;

/// Operands of one shape, uploaded, and room for the result. What was prepared can be run again and again.
pub struct Prepared<'a, D: Device, W = u64> {
    gpu: &'a Gpu<D>,
    operands: Vec<(D::Memory, D::Memory)>,
    result: D::Memory,
    shape: Vec<usize>,
    /// None for products entry by entry.
    product: Option<Product>,
    words: PhantomData<W>,
}

impl<'a, D: Device, W: Word> Prepared<'a, D, W> {
    /// `f` of terms that fit, none of whose operands is empty.
    pub(crate) fn new(
        gpu: &'a Gpu<D>,
        f: Bilinear,
        terms: &[(&TensorOf<W>, &TensorOf<W>)],
        shape: Vec<usize>,
    ) -> Result<Self, Failed> {
        let product = match terms {
            [(x, y), ..] if f != Bilinear::Mul => {
                Some(Product::of(f, x.shape(), y.shape()).ok_or(Failed::TooLarge)?)
            }
            _ => None,
        };
        let device = gpu.device();
        let upload = |x: &TensorOf<W>| {
            let entries = row_major(x);
            let words = in_words(&entries);
            let mut memory = device.allocate(8 * words.len())?;
            device.write(&mut memory, &words)?;
            Ok::<_, DeviceError>(memory)
        };
        let operands = terms
            .iter()
            .map(|(x, y)| Ok((upload(x)?, upload(y)?)))
            .collect::<Result<_, DeviceError>>()?;
        Ok(Self {
            gpu,
            operands,
            result: device.allocate(8 * words_of::<W>(&shape))?,
            shape,
            product,
            words: PhantomData,
        })
    }

    /// Asks the device for the result.
    pub(crate) fn run(&self) -> Result<(), Failed> {
        let device = self.gpu.device();
        let to = device.address(&self.result);
        let addresses = self.operands.iter();
        let addresses = addresses.map(|(x, y)| (device.address(x), device.address(y)));
        let Some(product) = self.product else {
            let count = self.shape.iter().product();
            return words::elementwise(
                device,
                &W::KERNELS,
                &addresses.collect::<Vec<_>>(),
                to,
                count,
            );
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
            self.gpu.matrices(&W::KERNELS, &some, &sides, to + c)?;
        }
        Ok(())
    }

    /// The result, once it is there.
    pub(crate) fn read(&self) -> Result<TensorOf<W>, Failed> {
        let mut words = vec![0_u64; words_of::<W>(&self.shape)];
        self.gpu.device().read(&self.result, &mut words)?;
        let entries: Vec<Wrapping<W>> = from_words(words, self.shape.iter().product());
        let tensor = ArrayD::from_shape_vec(IxDyn(&self.shape), entries);
        Ok(tensor.unwrap_or_else(|_| unreachable!("as many words as its shape")))
    }
}

/// Words of 64 bits that a tensor takes.
fn words_of<W: Word>(shape: &[usize]) -> usize {
    (W::KERNELS.bytes * shape.iter().product::<usize>()).div_ceil(8)
}
