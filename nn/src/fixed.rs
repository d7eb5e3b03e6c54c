//! Real numbers as fixed-point words of Z_2^64, two's complement.

use ndarray::ArrayD;
use tacit_mpc::{R64, Tensor};

use crate::{Error, Result};

/// Fractional bits unless a job says otherwise. The tables of [`crate::program`] are fitted for this precision.
pub const FRACTION_BITS: u32 = 18;

/// Magnitudes of encoded words stay below 2^`WORD_BITS`, the bound under which truncation is exact.
pub const WORD_BITS: u32 = 62;

/// Bits of the integer factor in [`scale_factor`].
const FACTOR_BITS: i32 = 12;

/// The word nearest to x·2^`fraction_bits`.
///
/// # Errors
/// [`Error::Range`] where `x` is not a number or its word would reach 2^62.
pub fn encode(x: f64, fraction_bits: u32) -> Result<R64> {
    let word = (x * power_of_two(fraction_bits as i32)).round();
    // Written so that NaN fails it.
    if word.abs() < power_of_two(WORD_BITS as i32) {
        Ok(from_signed(word as i64))
    } else {
        Err(Error::Range {
            what: "fixed-point encoding".into(),
            value: x,
            range: format!("|x| < 2^{}", WORD_BITS.saturating_sub(fraction_bits)),
        })
    }
}

/// The real number that a word stands for.
#[must_use]
pub fn decode(word: R64, fraction_bits: u32) -> f64 {
    signed(word) as f64 * power_of_two(-(fraction_bits as i32))
}

/// [`encode`] for every entry.
///
/// # Errors
/// As for [`encode`].
pub fn encode_tensor(x: &ArrayD<f64>, fraction_bits: u32) -> Result<Tensor> {
    let words: Result<Vec<R64>> = x.iter().map(|&v| encode(v, fraction_bits)).collect();
    ArrayD::from_shape_vec(x.raw_dim(), words?).map_err(|e| Error::Invalid(e.to_string()))
}

/// [`decode`] for every entry.
#[must_use]
pub fn decode_tensor(x: &Tensor, fraction_bits: u32) -> ArrayD<f64> {
    x.mapv(|word| decode(word, fraction_bits))
}

/// The word read as a signed integer.
#[must_use]
pub fn signed(word: R64) -> i64 {
    word.0 as i64
}

/// The word of a signed integer.
#[must_use]
pub fn from_signed(x: i64) -> R64 {
    std::num::Wrapping(x as u64)
}

/// (c, g) with scale ≈ c·2^-g and |c| < 2^12: how a real factor is applied to words, as c in the ring and g more bits to
/// truncate. The relative error is at most 2^-12, and none where `scale` has 12 significant bits; c is odd or g is 0.
///
/// # Errors
/// [`Error::Range`] where `scale` is not a number, reaches 2^12, or is so small that g would exceed 40.
pub fn scale_factor(scale: f64) -> Result<(i64, u32)> {
    const MOST_SHIFT: i32 = 40;
    if scale == 0.0 {
        return Ok((0, 0));
    }
    let misfit = || Error::Range {
        what: "scale factor".into(),
        value: scale,
        range: format!(
            "2^-{} <= |scale| < 2^{FACTOR_BITS}",
            MOST_SHIFT - FACTOR_BITS
        ),
    };
    if !scale.is_finite() {
        return Err(misfit());
    }
    // |scale| lies in [2^e, 2^(e+1)): the shift that leaves twelve bits, but never one to the left.
    let e = scale.abs().log2().floor() as i32;
    let mut g = (FACTOR_BITS - 1 - e).max(0);
    let mut c = (scale * power_of_two(g)).round() as i64;
    while c % 2 == 0 && c != 0 && g > 0 {
        c /= 2;
        g -= 1;
    }
    if c.abs() < 1 << FACTOR_BITS && g <= MOST_SHIFT {
        Ok((c, g as u32))
    } else {
        Err(misfit())
    }
}

/// 2^e, exact for every exponent that fixed point needs.
fn power_of_two(e: i32) -> f64 {
    2f64.powi(e)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn encoding_rejects_what_has_no_word() {
        for x in [
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            2f64.powi(44),
            -2f64.powi(44),
        ] {
            assert!(matches!(encode(x, 18), Err(Error::Range { .. })), "{x}");
        }
        assert_eq!(decode(encode(-1.5, 18).unwrap(), 18), -1.5);
        assert_eq!(encode(-1.0, 18).unwrap().0, u64::MAX - (1 << 18) + 1);
    }

    #[test]
    fn powers_of_two_have_factor_one() {
        for g in 0..=40 {
            assert_eq!(scale_factor(2f64.powi(-g)).unwrap(), (1, g as u32));
            assert_eq!(scale_factor(-(2f64.powi(-g))).unwrap(), (-1, g as u32));
        }
        assert_eq!(scale_factor(256.0).unwrap(), (256, 0));
        assert_eq!(scale_factor(1.5).unwrap(), (3, 1));
        assert_eq!(scale_factor(0.0).unwrap(), (0, 0));
        for bad in [f64::NAN, f64::INFINITY, 4096.0, 1e-20] {
            assert!(
                matches!(scale_factor(bad), Err(Error::Range { .. })),
                "{bad}"
            );
        }
    }

    proptest! {
        #[test]
        fn decoding_inverts_encoding(x in -1e9f64..1e9) {
            let back = decode(encode(x, 18).unwrap(), 18);
            prop_assert!((back - x).abs() <= 2f64.powi(-19));
        }

        #[test]
        fn scale_factors_are_close(exponent in -25f64..11.9, negative: bool) {
            let scale = exponent.exp2() * if negative { -1.0 } else { 1.0 };
            let (c, g) = scale_factor(scale).unwrap();
            prop_assert!(c.abs() < 1 << 12);
            prop_assert!((c as f64 * 2f64.powi(-(g as i32)) / scale - 1.0).abs() <= 2f64.powi(-12));
        }
    }
}
