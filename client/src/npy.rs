//! Arrays in files, as numpy writes them: `.npy` holds one, `.npz` several by name.
//!
//! Read are all numbers (half precision included), booleans and text, of either byte order, in C or Fortran order, versions 1
//! to 3 of the format (numpy's NEP 1). A file's sizes are compared with the bytes it has before anything is allocated.

mod archive;
mod header;

use std::path::Path;

use ndarray::{ArrayD, IxDyn, ShapeBuilder};
use tacit_nn::onnx::Constant;

pub use archive::{is_archive, pack, unpack};
pub use header::{Dtype, Kind};

use header::Header;

/// Why a file is not taken, as the end of a sentence about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Error(pub(crate) String);

/// Result of reading or writing.
pub type Result<T> = std::result::Result<T, Error>;

fn refuse<T>(reason: impl Into<String>) -> Result<T> {
    Err(Error(reason.into()))
}

/// The arrays of a file, with their names where it is an archive, in its order.
///
/// # Errors
/// Says what is wrong with the bytes.
pub fn read(bytes: &[u8]) -> Result<Vec<(Option<String>, Constant)>> {
    if is_archive(bytes) {
        let arrays = unpack(bytes)?.into_iter();
        return Ok(arrays.map(|(name, array)| (Some(name), array)).collect());
    }
    Ok(vec![(None, decode(bytes)?)])
}

/// Whether a path is named as an archive.
#[must_use]
pub fn names_archive(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("npz"))
}

/// The array of an `.npy` file.
///
/// # Errors
/// Says what is wrong with the bytes.
pub fn decode(bytes: &[u8]) -> Result<Constant> {
    let (header, data) = Header::parse(bytes)?;
    let Header {
        dtype,
        big_endian,
        fortran,
        shape,
    } = header;
    let count = shape
        .iter()
        .try_fold(1usize, |n, &length| n.checked_mul(length));
    let wanted = count.and_then(|n| n.checked_mul(dtype.bytes));
    if wanted != Some(data.len()) {
        let wanted = wanted.map_or_else(|| "more than 2^64".into(), |n| n.to_string());
        return refuse(format!(
            "its header announces {wanted} bytes of data, {} are there",
            data.len()
        ));
    }
    let layout = Layout {
        shape: &shape,
        fortran,
    };
    let size = dtype.bytes;
    // Little-endian elements, each in the low bytes of a word.
    let words = data.chunks_exact(size.max(1)).map(|item| {
        let mut word = [0u8; 8];
        for (k, &byte) in item.iter().take(8).enumerate() {
            word[if big_endian { size - 1 - k } else { k }] = byte;
        }
        u64::from_le_bytes(word)
    });
    Ok(match dtype.kind {
        Kind::Bool => Constant::Bool(layout.array(words.map(|w| w != 0).collect())?),
        Kind::Signed => {
            let unused = 64 - 8 * size as u32;
            let signed = |w: u64| (w << unused) as i64 >> unused;
            Constant::Int(layout.array(words.map(signed).collect())?)
        }
        Kind::Unsigned => {
            let integers: Option<Vec<i64>> = words.map(|w| i64::try_from(w).ok()).collect();
            match integers {
                Some(integers) => Constant::Int(layout.array(integers)?),
                None => {
                    return refuse("it holds an integer of 2^63 or more, which models do not take");
                }
            }
        }
        Kind::Float => {
            let real = |w: u64| match size {
                2 => half(w as u16),
                4 => f64::from(f32::from_bits(w as u32)),
                _ => f64::from_bits(w),
            };
            Constant::Float(layout.array(words.map(real).collect())?)
        }
        Kind::Text => {
            let strings: Result<Vec<String>> = data
                .chunks_exact(size)
                .map(|s| text(s, big_endian))
                .collect();
            Constant::Text(layout.array(strings?)?)
        }
    })
}

/// How elements lie in a file.
struct Layout<'a> {
    shape: &'a [usize],
    fortran: bool,
}

impl Layout<'_> {
    /// The elements as an array in row-major order.
    fn array<T: Clone>(&self, elements: Vec<T>) -> Result<ArrayD<T>> {
        let shape = IxDyn(self.shape).set_f(self.fortran);
        let array = ArrayD::from_shape_vec(shape, elements)
            .map_err(|e| Error(format!("its shape: {e}")))?;
        Ok(if self.fortran {
            array.as_standard_layout().into_owned()
        } else {
            array
        })
    }
}

/// A string of UCS-4 characters, padded with zeros.
fn text(item: &[u8], big_endian: bool) -> Result<String> {
    let characters = item.chunks_exact(4).map(|c| {
        let code = [c[0], c[1], c[2], c[3]];
        let code = if big_endian {
            u32::from_be_bytes(code)
        } else {
            u32::from_le_bytes(code)
        };
        char::from_u32(code).ok_or_else(|| Error(format!("{code:#x} is no character")))
    });
    let string = characters.collect::<Result<String>>()?;
    Ok(string.trim_end_matches('\0').to_owned())
}

/// A number in half precision (IEEE 754 binary16).
fn half(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    let magnitude = match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1.0 + fraction / 1024.0) * 2f64.powi(exponent - 15),
    };
    if bits >> 15 == 1 {
        -magnitude
    } else {
        magnitude
    }
}

/// The bits of the nearest number in half precision, to even in the middle.
fn to_half(x: f64) -> u16 {
    let sign = u16::from(x.is_sign_negative()) << 15;
    let x = x.abs();
    if x.is_nan() {
        return sign | 0x7e00;
    }
    // Steps of 2^-24 below the normal numbers, then 2^-10 of the power of two below x.
    let exponent = if x < 2f64.powi(-14) {
        -14
    } else {
        x.log2().floor().min(16.0) as i32
    };
    let units = (x / 2f64.powi(exponent - 10)).round_ties_even();
    let bits = (f64::from(exponent + 14) * 1024.0 + units).min(f64::from(0x7c00));
    sign | bits as u16
}

/// An `.npy` file of an array, its elements stored as `dtype`; integers outside it and fractions in it are cut off.
///
/// # Errors
/// Text where `dtype` holds numbers, or the reverse.
pub fn encode(array: &Constant, dtype: Dtype) -> Result<Vec<u8>> {
    let mut bytes = header::render(dtype, array.shape());
    if let Constant::Text(strings) = array {
        if dtype.kind != Kind::Text {
            return refuse("text cannot be stored as numbers");
        }
        for string in strings {
            let characters = string.chars().map(u32::from).chain(std::iter::repeat(0));
            for code in characters.take(dtype.bytes / 4) {
                bytes.extend_from_slice(&code.to_le_bytes());
            }
        }
        return Ok(bytes);
    }
    let word: Box<dyn Fn(f64, i64) -> u64> = match (dtype.kind, dtype.bytes) {
        (Kind::Text, _) => return refuse("numbers cannot be stored as text"),
        (Kind::Bool, _) => Box::new(|x, _| u64::from(x != 0.0)),
        (Kind::Signed | Kind::Unsigned, _) => Box::new(|_, n| n as u64),
        (Kind::Float, 2) => Box::new(|x, _| to_half(x).into()),
        (Kind::Float, 4) => Box::new(|x, _| (x as f32).to_bits().into()),
        (Kind::Float, _) => Box::new(|x, _| x.to_bits()),
    };
    let mut put =
        |x: f64, n: i64| bytes.extend_from_slice(&word(x, n).to_le_bytes()[..dtype.bytes]);
    match array {
        Constant::Float(x) => x.iter().for_each(|&x| put(x, x.round() as i64)),
        Constant::Int(x) => x.iter().for_each(|&n| put(n as f64, n)),
        Constant::Bool(x) => x
            .iter()
            .for_each(|&b| put(f64::from(u8::from(b)), b.into())),
        Constant::Text(_) => (),
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
