//! Writes other weights into a file without touching anything else in it: messages are cut at their boundaries, and only
//! the data of the named tensors and the lengths around them change. So fields that are not known here survive.
//! The wire format: <https://protobuf.dev/programming-guides/encoding/>.

use std::collections::BTreeMap;

use prost::{
    Message,
    encoding::{WireType, decode_key, decode_varint, encode_key, encode_varint},
};

use super::{Error, format::TensorProto};

/// Field numbers on the way to a tensor's data.
const GRAPH: u32 = 7;
const INITIALIZER: u32 = 5;
const RAW_DATA: u32 = 9;
/// float_data, int32_data, int64_data, raw_data, double_data, uint64_data.
const DATA: [u32; 6] = [4, 5, 7, RAW_DATA, 10, 11];

/// The file `model` with the raw data of the named initializers.
pub(super) fn with_raw_data(
    model: &[u8],
    data: &BTreeMap<&str, Vec<u8>>,
) -> Result<Vec<u8>, Error> {
    rewrite(model, &mut |field, content, out| {
        if field != GRAPH {
            return Ok(false);
        }
        let graph = rewrite(content, &mut |field, content, out| {
            if field != INITIALIZER {
                return Ok(false);
            }
            let name = TensorProto::decode(content).map_err(malformed)?.name;
            let Some(raw) = data.get(name.as_str()) else {
                return Ok(false);
            };
            let mut tensor = rewrite(content, &mut |field, _, _| Ok(DATA.contains(&field)))?;
            bytes_field(RAW_DATA, raw, &mut tensor);
            bytes_field(INITIALIZER, &tensor, out);
            Ok(true)
        })?;
        bytes_field(GRAPH, &graph, out);
        Ok(true)
    })
}

fn malformed(e: impl std::fmt::Display) -> Error {
    Error::Malformed(e.to_string())
}

fn bytes_field(field: u32, content: &[u8], out: &mut Vec<u8>) {
    encode_key(field, WireType::LengthDelimited, out);
    encode_varint(content.len() as u64, out);
    out.extend_from_slice(content);
}

/// What may write something else for a field (its number, its content after the length): whether it did.
type Edit<'e> = dyn FnMut(u32, &[u8], &mut Vec<u8>) -> Result<bool, Error> + 'e;

/// Copies a message field by field, except for what `edit` writes or leaves out itself.
fn rewrite(message: &[u8], edit: &mut Edit<'_>) -> Result<Vec<u8>, Error> {
    let cut = || Error::Malformed("a message ends within a field".into());
    let mut out = Vec::with_capacity(message.len());
    let mut rest = message;
    while !rest.is_empty() {
        let start = rest;
        let (field, wire) = decode_key(&mut rest).map_err(malformed)?;
        let length = match wire {
            WireType::Varint => {
                decode_varint(&mut rest).map_err(malformed)?;
                0
            }
            WireType::SixtyFourBit => 8,
            WireType::ThirtyTwoBit => 4,
            WireType::LengthDelimited => {
                usize::try_from(decode_varint(&mut rest).map_err(malformed)?).map_err(malformed)?
            }
            WireType::StartGroup | WireType::EndGroup => {
                return Err(Error::Malformed("it holds a group".into()));
            }
        };
        let content = rest.get(..length).ok_or_else(cut)?;
        rest = &rest[length..];
        if !edit(field, content, &mut out)? {
            out.extend_from_slice(&start[..start.len() - rest.len()]);
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::format::{GraphProto, ModelProto};

    #[test]
    fn only_the_named_data_change_and_unknown_fields_survive() {
        let tensor = |name: &str| TensorProto {
            dims: vec![2],
            data_type: 1,
            float_data: vec![1.0, 2.0],
            name: name.into(),
            doc_string: "kept".into(),
            ..TensorProto::default()
        };
        let graph = GraphProto {
            name: "g".into(),
            initializer: vec![tensor("a"), tensor("b")],
            ..GraphProto::default()
        };
        let mut file = ModelProto {
            ir_version: 8,
            graph: Some(graph),
            ..ModelProto::default()
        }
        .encode_to_vec();
        bytes_field(777, b"from the future", &mut file);
        let none = with_raw_data(&file, &BTreeMap::new()).unwrap();
        assert_eq!(none, file);
        let new = with_raw_data(&file, &BTreeMap::from([("b", vec![7u8; 8])])).unwrap();
        assert!(new.ends_with(b"from the future"));
        let graph = ModelProto::decode(&new[..]).unwrap().graph.unwrap();
        assert_eq!(graph.initializer[0], tensor("a"));
        let b = &graph.initializer[1];
        assert_eq!((b.raw_data.len(), b.float_data.len()), (8, 0));
        assert_eq!(b.doc_string, "kept");
    }
}
