//! Large maps in bands, on two lanes of the device: while one computes a band, the next one is copied to the other, and the
//! one before is copied back.

use std::borrow::Cow;
use std::num::Wrapping;
use std::ops::Range;
use std::sync::Arc;

use ndarray::{ArrayD, IxDyn, Slice};
use tacit_mpc::Bilinear;

use crate::device::{Device, DeviceError};
use crate::failed::Failed;
use crate::gpu::Gpu;
use crate::prepared::Prepared;
use crate::split::Split;
use crate::word::{TensorOf, Word};

/// Bands of a map at most: each packs anew what is not cut.
const MOST: usize = 8;

/// How a map is cut into bands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bands {
    split: Split,
    /// Entries of what is cut, and how many of them a band has.
    length: usize,
    each: usize,
}

impl Bands {
    /// Bands of at least `least` bytes, of which two, with what is not cut, take at most `room`; none where that cannot be, or
    /// where there is one band alone.
    pub(crate) fn of<W: Word>(
        f: Bilinear,
        terms: &[(&TensorOf<W>, &TensorOf<W>)],
        shape: &[usize],
        held: impl Fn(&TensorOf<W>) -> bool,
        (least, room): (usize, usize),
    ) -> Option<Self> {
        let (x, y) = terms.first()?;
        let any = [
            terms.iter().any(|(x, _)| held(x)),
            terms.iter().any(|(_, y)| held(y)),
        ];
        let split = Split::beside(f, x.shape(), y.shape(), any)?;
        let length = split.length(x.shape(), y.shape());
        let (mut cut, mut whole) = (shape.iter().product::<usize>(), 0);
        for (x, y) in terms {
            for (operand, cuts) in [x, y].into_iter().zip(split.cut()) {
                match cuts {
                    true => cut += operand.len(),
                    false if held(operand) => {}
                    false => whole += operand.len(),
                }
            }
        }
        // A word more for what does not fill whole words of 64 bits.
        let size = W::KERNELS.bytes;
        let bands = |each: usize| 2 * (size * (cut / length) * each + 8 * (2 * terms.len() + 1));
        let bytes = |each: usize| bands(each) + size * whole;
        let most = MOST.min(size * cut / least.max(1)).min(length);
        let mut each = length.div_ceil(most.max(1));
        while bytes(each) > room && each > 1 {
            each = each.div_ceil(2);
        }
        (most > 1 && bytes(each) <= room).then_some(Self {
            split,
            length,
            each,
        })
    }

    fn ranges(self) -> impl Iterator<Item = Range<usize>> {
        let Self { length, each, .. } = self;
        (0..length)
            .step_by(each)
            .map(move |at| at..length.min(at + each))
    }
}

/// Two lanes that use memory of the first: the second waits for what the first was asked before, and the first for the second
/// before it is asked to free anything, whatever comes between.
struct Together<'a, D: Device>(&'a D, &'a D);

impl<'a, D: Device> Together<'a, D> {
    fn new(first: &'a D, second: &'a D) -> Result<Self, DeviceError> {
        second.after(first)?;
        Ok(Self(first, second))
    }
}

impl<D: Device> Drop for Together<'_, D> {
    fn drop(&mut self) {
        // Nobody could be told; a device that fails here fails at the next call.
        self.0.after(self.1).ok();
    }
}

/// A band that is computed, and where its result belongs.
type Pending<'a, D, W> = Option<(Range<usize>, Prepared<'a, D, W>)>;

impl<D: Device> Gpu<D> {
    /// Σ f(x, y) band by band.
    pub(crate) fn in_bands<W: Word>(
        &self,
        f: Bilinear,
        terms: &[(&TensorOf<W>, &TensorOf<W>)],
        shape: &[usize],
        bands: Bands,
    ) -> Result<TensorOf<W>, Failed> {
        let mut result = ArrayD::from_elem(IxDyn(shape), Wrapping(W::zeroed()));
        let first = self.device();
        let second = self.second_lane()?;
        let lanes = [first, second];
        // Half of the memory is for what is packed, on two lanes: of what there is now, for what is let go of meanwhile stays
        // until it is used no more.
        let packed = self.room() / 4;
        // What is not cut is there for all bands.
        let mut whole: Vec<[Option<Arc<D::Memory>>; 2]> = Vec::with_capacity(terms.len());
        for (x, y) in terms {
            let copy =
                |cuts: bool, x: &TensorOf<W>| (!cuts).then(|| self.upload(first, x)).transpose();
            let [cuts_x, cuts_y] = bands.split.cut();
            whole.push([copy(cuts_x, x)?, copy(cuts_y, y)?]);
        }
        let _together = Together::new(first, second)?;
        let mut pending: [Pending<'_, D, W>; 2] = [None, None];
        for (band, range) in bands.ranges().enumerate() {
            let (lane, pending) = (lanes[band % 2], &mut pending[band % 2]);
            if let Some(done) = pending.take() {
                put(&mut result, bands.split, done)?;
            }
            let parts = terms.iter().map(|&term| bands.split.part(term, &range));
            let parts: Vec<(Cow<'_, TensorOf<W>>, Cow<'_, TensorOf<W>>)> = parts.collect();
            let operands = parts.iter().zip(&whole).map(|((x, y), [all_x, all_y])| {
                let copy = |all: &Option<Arc<D::Memory>>, x: &TensorOf<W>| match all {
                    Some(all) => Ok(Arc::clone(all)),
                    None => self.upload(lane, x),
                };
                Ok((copy(all_x, x)?, copy(all_y, y)?))
            });
            let operands = operands.collect::<Result<_, DeviceError>>()?;
            let Some((x, y)) = parts.first() else {
                continue;
            };
            let shapes = (x.shape(), y.shape());
            let prepared = Prepared::of_operands(self, lane, f, shapes, operands, packed)?;
            prepared.run()?;
            *pending = Some((range, prepared));
        }
        // The older one first.
        let [even, odd] = &mut pending;
        let mut last = [even.take(), odd.take()];
        last.sort_by_key(|band| band.as_ref().map(|(range, _)| range.start));
        for done in last.into_iter().flatten() {
            put(&mut result, bands.split, done)?;
        }
        Ok(result)
    }
}

/// Copies a band back to its place, once it is computed.
fn put<D: Device, W: Word>(
    result: &mut TensorOf<W>,
    split: Split,
    (range, band): (Range<usize>, Prepared<'_, D, W>),
) -> Result<(), Failed> {
    let Some(axis) = split.join_axis() else {
        return Err(Failed::Setting);
    };
    let mut place = result.slice_axis_mut(axis, Slice::from(range));
    let words = place.as_slice_mut();
    match words.map(bytemuck::try_cast_slice_mut) {
        Some(Ok(words)) => band.read_into(words),
        // It lies apart, or does not fill whole words of 64 bits.
        _ => {
            place.assign(&band.read()?);
            Ok(())
        }
    }
}
