//! Words of 64 and of 32 bits: which kernels are for which, and how a device, whose memory is in words of 64, has them.

use std::borrow::Cow;
use std::num::Wrapping;

use bytemuck::Pod;
use ndarray::ArrayD;
use tacit_mpc::{Bilinear, Kernels, Result, Tensor};

use crate::kernel::Kernel;

/// A tensor over the ring of these words.
pub type TensorOf<W> = ArrayD<Wrapping<W>>;

/// The words that there are kernels for: `u64` and `u32`.
pub trait Word: Pod + sealed::Sealed {
    /// Their kernels.
    #[doc(hidden)]
    const KERNELS: OfWords;

    /// The sum in the ring.
    #[doc(hidden)]
    #[must_use]
    fn plus(self, other: Self) -> Self;

    /// Σ f(xᵢ, yᵢ) by the processor's kernels.
    #[doc(hidden)]
    fn bilinear(
        cpu: &dyn Kernels,
        f: Bilinear,
        terms: &[(&TensorOf<Self>, &TensorOf<Self>)],
    ) -> Result<TensorOf<Self>>;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for u64 {}
    impl Sealed for u32 {}
}

/// The kernels for words of one size.
#[derive(Clone, Copy, Debug)]
pub struct OfWords {
    pub(crate) bytes: usize,
    pub(crate) product: Kernel,
    pub(crate) elementwise: Kernel,
    pub(crate) limbs_pack: Kernel,
    pub(crate) limbs_product: Kernel,
    pub(crate) limbs_convolution: Kernel,
}

impl Word for u64 {
    const KERNELS: OfWords = OfWords {
        bytes: 8,
        product: Kernel::WordsProduct,
        elementwise: Kernel::WordsElementwise,
        limbs_pack: Kernel::LimbsPack,
        limbs_product: Kernel::LimbsProduct,
        limbs_convolution: Kernel::LimbsConvolution,
    };

    fn plus(self, other: Self) -> Self {
        self.wrapping_add(other)
    }

    fn bilinear(cpu: &dyn Kernels, f: Bilinear, terms: &[(&Tensor, &Tensor)]) -> Result<Tensor> {
        cpu.bilinear(f, terms)
    }
}

impl Word for u32 {
    const KERNELS: OfWords = OfWords {
        bytes: 4,
        product: Kernel::WordsProduct32,
        elementwise: Kernel::WordsElementwise32,
        limbs_pack: Kernel::LimbsPack32,
        limbs_product: Kernel::LimbsProduct32,
        limbs_convolution: Kernel::LimbsConvolution32,
    };

    fn plus(self, other: Self) -> Self {
        self.wrapping_add(other)
    }

    /// Modulo 2^64, of which modulo 2^32 is a part.
    fn bilinear(
        cpu: &dyn Kernels,
        f: Bilinear,
        terms: &[(&TensorOf<Self>, &TensorOf<Self>)],
    ) -> Result<TensorOf<Self>> {
        let wide = |x: &TensorOf<Self>| x.mapv(|word| Wrapping(u64::from(word.0)));
        let operands: Vec<_> = terms.iter().map(|(x, y)| (wide(x), wide(y))).collect();
        let terms: Vec<_> = operands.iter().map(|(x, y)| (x, y)).collect();
        let wide = cpu.bilinear(f, &terms)?;
        Ok(wide.mapv(|word| Wrapping(word.0 as Self)))
    }
}

/// Entries as words of 64 bits; copied where they do not fill such words or do not lie as they must.
pub(crate) fn in_words<T: Pod>(entries: &[T]) -> Cow<'_, [u64]> {
    bytemuck::try_cast_slice(entries).map_or_else(
        |_| {
            let mut words = vec![0_u64; size_of_val(entries).div_ceil(8)];
            bytemuck::cast_slice_mut(&mut words)[..entries.len()].copy_from_slice(entries);
            Cow::Owned(words)
        },
        Cow::Borrowed,
    )
}

/// And back: the first `count` entries.
pub(crate) fn from_words<T: Pod>(words: Vec<u64>, count: usize) -> Vec<T> {
    match bytemuck::allocation::try_cast_vec(words) {
        Ok(entries) => entries,
        Err((_, words)) => bytemuck::cast_slice(&words)[..count].to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::{from_words, in_words};

    #[test]
    fn entries_come_back_whatever_they_fill() {
        let all: Vec<u32> = (1..20).collect();
        for from in 0..3 {
            for to in from..19 {
                let words = in_words(&all[from..to]).into_owned();
                assert_eq!(words.len(), (to - from).div_ceil(2));
                assert_eq!(from_words::<u32>(words, to - from), all[from..to]);
            }
        }
        let all: Vec<u64> = (1..20).collect();
        assert_eq!(in_words(&all), &all[..]);
        assert_eq!(from_words::<u64>(all.clone(), 19), all);
    }
}
