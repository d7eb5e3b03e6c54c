//! What is local and the same on every engine: the words of an input, and maps of tensors over Z_2^64, for public values as for
//! each share.

use ndarray::{ArrayD, Axis};
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

/// The words of an input of this shape at its owner; nothing at the others, whatever they bring.
///
/// # Errors
/// [`Error::Shape`] where the owner brings nothing or another shape; [`Error::Range`] for a number that has no encoding.
pub(crate) fn input_words(
    mine: bool,
    shape: &[usize],
    x: Option<&ArrayD<f64>>,
    fraction_bits: u32,
) -> Result<Option<Tensor>> {
    if !mine {
        return Ok(None);
    }
    match x {
        Some(x) if x.shape() == shape => fixed::encode_tensor(x, fraction_bits).map(Some),
        _ => Err(Error::Shape {
            op: "input",
            left: x.map(|x| x.shape().to_vec()).unwrap_or_default(),
            right: shape.to_vec(),
        }),
    }
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
