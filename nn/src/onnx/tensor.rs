//! Tensors of a file: their entries in whichever field they are, checked against their shape before anything is allocated.

use half::{bf16, f16};
use ndarray::{ArrayD, IxDyn};

use super::{
    Constant, Element, Error,
    format::{
        TensorProto,
        tensor_proto::{DataLocation, DataType},
    },
};

/// No tensor may have more entries: a file of a few bytes can ask for any number of them.
pub(crate) const MAX_ENTRIES: usize = 1 << 28;

/// The kind of a data type's entries; `None` for types that are not supported.
pub(crate) fn element(data_type: i32) -> Option<Element> {
    Some(match DataType::try_from(data_type).ok()? {
        DataType::Float | DataType::Double | DataType::Float16 | DataType::Bfloat16 => {
            Element::Float
        }
        DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Uint8
        | DataType::Uint16
        | DataType::Uint32
        | DataType::Uint64 => Element::Int,
        DataType::Bool => Element::Bool,
        DataType::String => Element::Text,
        _ => return None,
    })
}

/// The name of a data type, as the format spells it.
pub(crate) fn type_name(data_type: i32) -> String {
    DataType::try_from(data_type).map_or_else(
        |_| format!("type {data_type}"),
        |t| t.as_str_name().to_lowercase(),
    )
}

/// The shape of a tensor with at most [`MAX_ENTRIES`] entries.
pub(crate) fn shape_of(dims: &[i64]) -> Option<Vec<usize>> {
    let shape: Vec<usize> = dims
        .iter()
        .map(|&n| usize::try_from(n).ok())
        .collect::<Option<_>>()?;
    entries(&shape).map(|_| shape)
}

/// The number of entries of a shape, if it is at most [`MAX_ENTRIES`].
pub(crate) fn entries(shape: &[usize]) -> Option<usize> {
    // Bounded also without the axes of length 0, whose product would hide the others.
    let mut bound = shape.iter().map(|&n| n.max(1));
    bound
        .try_fold(1usize, usize::checked_mul)
        .filter(|&n| n <= MAX_ENTRIES)?;
    Some(shape.iter().product())
}

/// Decodes a tensor.
///
/// # Errors
/// [`Error::Malformed`] where data and shape contradict each other, [`Error::Feature`] for data types that are not supported
/// and for data in other files.
pub(crate) fn decode(t: &TensorProto) -> Result<Constant, Error> {
    let name = if t.name.is_empty() {
        "a tensor without a name"
    } else {
        &t.name
    };
    if t.data_location == i32::from(DataLocation::External) || !t.external_data.is_empty() {
        return Err(Error::Feature {
            what: format!("external data (tensor {name})"),
            advice: "save the model with its weights in one file".into(),
        });
    }
    if t.segment.is_some() {
        return Err(Error::Feature {
            what: format!("a tensor in segments ({name})"),
            advice: "save it as a whole".into(),
        });
    }
    let kind = element(t.data_type).ok_or_else(|| Error::Feature {
        what: format!("element type {} (tensor {name})", type_name(t.data_type)),
        advice: "supported are float, double, float16, bfloat16, integers of 8 to 64 bits, bool and string".into(),
    })?;
    let shape = shape_of(&t.dims).ok_or_else(|| {
        Error::Malformed(format!(
            "tensor {name}: the shape {:?} has a negative length or more than {MAX_ENTRIES} entries",
            t.dims
        ))
    })?;
    let count = shape.iter().product::<usize>();
    let data_type = DataType::try_from(t.data_type).unwrap_or(DataType::Undefined);
    let raw = (!t.raw_data.is_empty()).then_some(&t.raw_data[..]);
    let fields = Fields { t, raw };
    let found = fields.len(data_type);
    if found != Some(count) {
        return Err(Error::Malformed(format!(
            "tensor {name}: the shape {shape:?} needs {count} entries of {}, the data hold {}",
            type_name(t.data_type),
            found.map_or_else(|| "a broken number".into(), |n| n.to_string())
        )));
    }
    let shape = IxDyn(&shape);
    let wrong = |_| Error::Malformed(format!("tensor {name}: data and shape do not fit"));
    Ok(match kind {
        Element::Float => {
            Constant::Float(ArrayD::from_shape_vec(shape, fields.floats(data_type)).map_err(wrong)?)
        }
        Element::Int => {
            let values = fields.ints(data_type).ok_or_else(|| Error::Feature {
                what: format!("an integer of 2^63 or more (tensor {name})"),
                advice: "integers are signed with 64 bits here".into(),
            })?;
            Constant::Int(ArrayD::from_shape_vec(shape, values).map_err(wrong)?)
        }
        Element::Bool => {
            let values = fields.ints(data_type).unwrap_or_default();
            let values = values.into_iter().map(|v| v != 0).collect();
            Constant::Bool(ArrayD::from_shape_vec(shape, values).map_err(wrong)?)
        }
        Element::Text => {
            let word = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
            let values = t.string_data.iter().map(word).collect();
            Constant::Text(ArrayD::from_shape_vec(shape, values).map_err(wrong)?)
        }
    })
}

/// Where the entries are.
struct Fields<'t> {
    t: &'t TensorProto,
    raw: Option<&'t [u8]>,
}

impl Fields<'_> {
    /// How many entries there are; `None` for a part of one.
    fn len(&self, data_type: DataType) -> Option<usize> {
        if let Some(raw) = self.raw {
            let width = width(data_type)?;
            return (raw.len() % width == 0).then_some(raw.len() / width);
        }
        Some(match data_type {
            DataType::Float => self.t.float_data.len(),
            DataType::Double => self.t.double_data.len(),
            DataType::Int64 => self.t.int64_data.len(),
            DataType::Uint32 | DataType::Uint64 => self.t.uint64_data.len(),
            DataType::String => self.t.string_data.len(),
            _ => self.t.int32_data.len(),
        })
    }

    fn floats(&self, data_type: DataType) -> Vec<f64> {
        let halves = || self.t.int32_data.iter().map(|&v| v as u16);
        match (data_type, self.raw) {
            (DataType::Float, Some(raw)) => of(raw, |b| f64::from(f32::from_le_bytes(b))),
            (DataType::Float, None) => self.t.float_data.iter().map(|&v| f64::from(v)).collect(),
            (DataType::Double, Some(raw)) => of(raw, f64::from_le_bytes),
            (DataType::Double, None) => self.t.double_data.clone(),
            (DataType::Float16, Some(raw)) => of(raw, |b| f16::from_le_bytes(b).to_f64()),
            (DataType::Float16, None) => halves().map(|v| f16::from_bits(v).to_f64()).collect(),
            (_, Some(raw)) => of(raw, |b| bf16::from_le_bytes(b).to_f64()),
            (_, None) => halves().map(|v| bf16::from_bits(v).to_f64()).collect(),
        }
    }

    /// `None` where an entry has more than 63 bits.
    fn ints(&self, data_type: DataType) -> Option<Vec<i64>> {
        let narrow = || self.t.int32_data.iter().map(|&v| i64::from(v)).collect();
        Some(match (data_type, self.raw) {
            (DataType::Int64, Some(raw)) => of(raw, i64::from_le_bytes),
            (DataType::Int64, None) => self.t.int64_data.clone(),
            (DataType::Uint64, Some(raw)) => of(raw, u64::from_le_bytes)
                .into_iter()
                .map(|v| i64::try_from(v).ok())
                .collect::<Option<_>>()?,
            (DataType::Uint64 | DataType::Uint32, None) => self
                .t
                .uint64_data
                .iter()
                .map(|&v| i64::try_from(v).ok())
                .collect::<Option<_>>()?,
            (DataType::Int32, Some(raw)) => of(raw, |b| i64::from(i32::from_le_bytes(b))),
            (DataType::Uint32, Some(raw)) => of(raw, |b| i64::from(u32::from_le_bytes(b))),
            (DataType::Int16, Some(raw)) => of(raw, |b| i64::from(i16::from_le_bytes(b))),
            (DataType::Uint16, Some(raw)) => of(raw, |b| i64::from(u16::from_le_bytes(b))),
            (DataType::Int8, Some(raw)) => of(raw, |b| i64::from(i8::from_le_bytes(b))),
            (_, Some(raw)) => of(raw, |[b]: [u8; 1]| i64::from(b)),
            (_, None) => narrow(),
        })
    }
}

/// The little-endian entries of raw data.
fn of<const N: usize, T>(raw: &[u8], entry: impl Fn([u8; N]) -> T) -> Vec<T> {
    raw.as_chunks::<N>().0.iter().map(|b| entry(*b)).collect()
}

/// Bytes of an entry in raw data; `None` for types that have none.
fn width(data_type: DataType) -> Option<usize> {
    Some(match data_type {
        DataType::Double | DataType::Int64 | DataType::Uint64 => 8,
        DataType::Float | DataType::Int32 | DataType::Uint32 => 4,
        DataType::Float16 | DataType::Bfloat16 | DataType::Int16 | DataType::Uint16 => 2,
        DataType::Int8 | DataType::Uint8 | DataType::Bool => 1,
        _ => return None,
    })
}

/// Numbers as the raw data of a type of real numbers, rounded to it; `None` for other types.
pub(crate) fn raw_floats(data_type: i32, x: &ArrayD<f64>) -> Option<Vec<u8>> {
    Some(match DataType::try_from(data_type).ok()? {
        DataType::Float => x.iter().flat_map(|&v| (v as f32).to_le_bytes()).collect(),
        DataType::Double => x.iter().flat_map(|&v| v.to_le_bytes()).collect(),
        DataType::Float16 => x
            .iter()
            .flat_map(|&v| f16::from_f64(v).to_le_bytes())
            .collect(),
        DataType::Bfloat16 => x
            .iter()
            .flat_map(|&v| bf16::from_f64(v).to_le_bytes())
            .collect(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(data_type: DataType, dims: &[i64], raw_data: &[u8]) -> TensorProto {
        TensorProto {
            dims: dims.to_vec(),
            data_type: data_type.into(),
            name: "t".into(),
            raw_data: raw_data.to_vec(),
            ..TensorProto::default()
        }
    }

    #[test]
    fn every_element_type_is_read_from_both_places() {
        let floats = |c: Constant| c.numbers().unwrap().into_raw_vec_and_offset().0;
        for t in [
            DataType::Float,
            DataType::Double,
            DataType::Float16,
            DataType::Bfloat16,
        ] {
            let x = ndarray::array![1.5, -2.0, 0.0].into_dyn();
            let bytes = raw_floats(t.into(), &x).unwrap();
            assert_eq!(
                floats(decode(&raw(t, &[3], &bytes)).unwrap()),
                [1.5, -2.0, 0.0]
            );
        }
        for (t, bytes, want) in [
            (DataType::Int8, &[0xff][..], -1),
            (DataType::Uint8, &[0xff], 255),
            (DataType::Int16, &[0xfe, 0xff], -2),
            (DataType::Uint16, &[0xfe, 0xff], 65534),
            (DataType::Int32, &[0xff; 4], -1),
            (DataType::Uint32, &[0xff; 4], u32::MAX.into()),
            (DataType::Int64, &[0xff; 8], -1),
        ] {
            assert_eq!(
                decode(&raw(t, &[], bytes)).unwrap(),
                Constant::int(want),
                "{t:?}"
            );
        }
        let mut t = raw(DataType::Float16, &[1], &[]);
        t.int32_data = vec![0x3e00];
        assert_eq!(floats(decode(&t).unwrap()), [1.5]);
        t.data_type = DataType::Bool.into();
        assert_eq!(
            decode(&t).unwrap(),
            Constant::Bool(ndarray::array![true].into_dyn())
        );
        t.data_type = DataType::Uint32.into();
        t.uint64_data = vec![7];
        assert_eq!(decode(&t).unwrap(), Constant::ints([7]));
    }

    #[test]
    fn contradictions_are_refused_before_anything_is_allocated() {
        let message = |t: TensorProto| decode(&t).unwrap_err().to_string();
        assert!(message(raw(DataType::Float, &[1 << 40, 1 << 40], &[0; 4])).contains("entries"));
        assert!(message(raw(DataType::Float, &[0, i64::MAX], &[])).contains("entries"));
        assert!(message(raw(DataType::Float, &[-1], &[0; 4])).contains("negative"));
        assert!(message(raw(DataType::Float, &[2], &[0; 4])).contains("needs 2 entries"));
        assert!(message(raw(DataType::Float, &[1], &[0; 5])).contains("broken"));
        assert!(message(raw(DataType::Uint64, &[1], &[0xff; 8])).contains("2^63"));
        assert!(message(raw(DataType::Complex64, &[1], &[0; 8])).contains("complex64"));
        let mut t = raw(DataType::Float, &[1], &[]);
        t.data_location = DataLocation::External.into();
        assert!(message(t).contains("one file"));
    }
}
