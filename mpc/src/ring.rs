//! The ring Z_2^64 and tensors over it.

use std::num::Wrapping;

/// An element of Z_2^64.
pub type R64 = Wrapping<u64>;

/// A host-resident tensor over Z_2^64, row-major unless stated otherwise.
pub type Tensor = ndarray::ArrayD<R64>;

/// The entries in row-major order, copied only where they lie otherwise.
#[must_use]
pub fn row_major<T: Copy>(x: &ndarray::ArrayD<T>) -> std::borrow::Cow<'_, [T]> {
    x.as_slice()
        .map_or_else(|| x.iter().copied().collect(), std::borrow::Cow::Borrowed)
}

/// The entries in row-major order, copied only where they lie otherwise.
#[must_use]
pub fn into_row_major(x: Tensor) -> Vec<R64> {
    if x.is_standard_layout() {
        let n = x.len();
        let (mut words, offset) = x.into_raw_vec_and_offset();
        words.drain(..offset.unwrap_or(0));
        words.truncate(n);
        return words;
    }
    row_major(&x).into_owned()
}

#[cfg(test)]
mod tests {
    use std::num::Wrapping;

    use ndarray::{ArrayD, IxDyn, Slice};

    use super::*;

    #[test]
    fn words_come_in_row_major_order_however_they_lie() {
        let mut k = 0;
        let x = ArrayD::from_shape_fn(IxDyn(&[4, 3]), |_| {
            k += 1;
            Wrapping(k)
        });
        let words = |x: Tensor| into_row_major(x).iter().map(|w| w.0).collect::<Vec<_>>();
        assert_eq!(words(x.clone()), (1..=12).collect::<Vec<_>>());
        assert_eq!(words(x.clone().reversed_axes())[..4], [1, 4, 7, 10]);
        let mut middle = x;
        middle.slice_axis_inplace(ndarray::Axis(0), Slice::from(1..3));
        assert_eq!(words(middle), [4, 5, 6, 7, 8, 9]);
    }
}
