//! Local maps of tensors over Z_2^64, the same for public values and for each share on every engine.

use ndarray::Axis;
use tacit_mpc::Tensor;
use tacit_nn::{Error, Result, fixed};

/// The tensors one after the other along an axis.
///
/// # Errors
/// [`Error::Shape`] where they do not fit.
pub(crate) fn join(axis: usize, parts: &[&Tensor]) -> Result<Tensor> {
    let views: Vec<_> = parts.iter().map(|x| x.view()).collect();
    let shape = |x: Option<&&Tensor>| x.map(|x| x.shape().to_vec()).unwrap_or_default();
    ndarray::concatenate(Axis(axis), &views).map_err(|_| Error::Shape {
        op: "concat",
        left: shape(parts.first()),
        right: shape(parts.last()),
    })
}

/// Σ c·x.
///
/// # Errors
/// [`Error::Shape`] where the shapes differ; [`Error::Invalid`] where there is no term.
pub(crate) fn combine(coefficients: &[i64], parts: &[&Tensor]) -> Result<Tensor> {
    let mut sum: Option<Tensor> = None;
    for (&c, x) in coefficients.iter().zip(parts) {
        let c = fixed::from_signed(c);
        match &mut sum {
            None => sum = Some(x.mapv(|w| c * w)),
            Some(sum) if sum.shape() == x.shape() => {
                sum.zip_mut_with(x, |s, &w| *s += c * w);
            }
            Some(sum) => {
                return Err(Error::Shape {
                    op: "linear",
                    left: sum.shape().to_vec(),
                    right: x.shape().to_vec(),
                });
            }
        }
    }
    sum.ok_or_else(|| Error::Invalid("a linear combination of no terms has no shape".into()))
}

/// A factor of a product of two numbers as an integer, and the bits to round off afterwards.
///
/// # Errors
/// [`Error::Invalid`] where more than 62 bits would have to go.
pub(crate) fn rounding_of(scale: f64, fraction_bits: u32) -> Result<(i64, u32)> {
    let (c, shift) = fixed::scale_factor(scale)?;
    let shift = shift + fraction_bits;
    if shift > 62 {
        return Err(Error::Invalid(format!(
            "a product scaled by {scale} would be rounded by {shift} bits: at most 62 are possible"
        )));
    }
    Ok((c, shift))
}
