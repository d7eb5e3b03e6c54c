//! A model's file written anew: nothing comes from the bytes of the file that was read, only from what was understood of it.

use std::collections::BTreeMap;

use ndarray::ArrayD;
use prost::Message;

use crate::onnx::{
    Constant, Dim, Element, Error, Model, Port,
    format::{
        AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
        TensorShapeProto, TypeProto, ValueInfoProto,
        attribute_proto::AttributeType,
        tensor_proto::DataType,
        tensor_shape_proto::{Dimension, dimension},
        type_proto,
    },
    model::Initializer,
    node::{Attribute, Node},
    tensor,
};

/// The version of the format that is written: that of ONNX 1.16.
const IR_VERSION: i64 = 10;

/// The file of a model, functions in their places.
///
/// # Errors
/// [`Error::Feature`] where a function of the file uses another operator set than the file.
pub(super) fn write(model: &Model) -> Result<Vec<u8>, Error> {
    let graph = GraphProto {
        name: "skeleton".into(),
        node: model.nodes.iter().map(node).collect(),
        initializer: model.initializers.iter().map(initializer).collect(),
        input: model.inputs.iter().map(port).collect(),
        output: model.outputs.iter().map(port).collect(),
        ..GraphProto::default()
    };
    let file = ModelProto {
        ir_version: IR_VERSION,
        opset_import: imports(model)?,
        graph: Some(graph),
        ..ModelProto::default()
    };
    Ok(file.encode_to_vec())
}

fn imports(model: &Model) -> Result<Vec<OperatorSetIdProto>, Error> {
    let mut versions = BTreeMap::new();
    for node in &model.nodes {
        let version = *versions.entry(node.domain.as_str()).or_insert(node.opset);
        if version != node.opset {
            return Err(Error::Feature {
                what: format!(
                    "a skeleton of a file whose functions use operator set {} beside {version} (node {})",
                    node.opset, node.label
                ),
                advice: "export the model with its functions inlined".into(),
            });
        }
    }
    if versions.is_empty() {
        // A file names at least one, also where it needs no operator.
        versions.insert("", 13);
    }
    let import = |(domain, version): (&str, i64)| OperatorSetIdProto {
        domain: domain.into(),
        version,
    };
    Ok(versions.into_iter().map(import).collect())
}

fn node(node: &Node) -> NodeProto {
    NodeProto {
        name: node.label.clone(),
        op_type: node.op.clone(),
        domain: node.domain.clone(),
        input: node.inputs.clone(),
        output: node.outputs.clone(),
        attribute: node.attributes.iter().map(attribute).collect(),
        ..NodeProto::default()
    }
}

fn attribute((name, value): (&String, &Attribute)) -> AttributeProto {
    let mut proto = AttributeProto {
        name: name.clone(),
        ..AttributeProto::default()
    };
    let bytes = |word: &String| word.as_bytes().to_vec();
    let kind = match value {
        Attribute::Int(v) => {
            proto.i = *v;
            AttributeType::Int
        }
        Attribute::Float(v) => {
            proto.f = *v as f32;
            AttributeType::Float
        }
        Attribute::Text(v) => {
            proto.s = bytes(v);
            AttributeType::String
        }
        Attribute::Ints(v) => {
            proto.ints.clone_from(v);
            AttributeType::Ints
        }
        Attribute::Floats(v) => {
            proto.floats = v.iter().map(|&v| v as f32).collect();
            AttributeType::Floats
        }
        Attribute::Texts(v) => {
            proto.strings = v.iter().map(bytes).collect();
            AttributeType::Strings
        }
        Attribute::Tensor(v) => {
            proto.t = Some(constant("", v, DataType::Double.into()));
            AttributeType::Tensor
        }
    };
    proto.r#type = kind.into();
    proto
}

fn initializer(i: &Initializer) -> TensorProto {
    constant(&i.name, &i.value, i.data_type)
}

/// A tensor; real numbers in the type `reals`, all else in the widest type of its kind.
fn constant(name: &str, value: &Constant, reals: i32) -> TensorProto {
    let raw = |data_type: DataType, raw_data| TensorProto {
        data_type: data_type.into(),
        raw_data,
        ..TensorProto::default()
    };
    let made = match value {
        Constant::Float(x) => floats(x, reals),
        Constant::Int(x) => raw(
            DataType::Int64,
            x.iter().flat_map(|v| v.to_le_bytes()).collect(),
        ),
        Constant::Bool(x) => raw(DataType::Bool, x.iter().map(|&v| u8::from(v)).collect()),
        Constant::Text(x) => TensorProto {
            data_type: DataType::String.into(),
            string_data: x.iter().map(|v| v.as_bytes().to_vec()).collect(),
            ..TensorProto::default()
        },
    };
    TensorProto {
        name: name.into(),
        dims: value.shape().iter().map(|&n| n as i64).collect(),
        ..made
    }
}

fn floats(x: &ArrayD<f64>, data_type: i32) -> TensorProto {
    let (data_type, raw_data) = match tensor::raw_floats(data_type, x) {
        Some(raw) => (data_type, raw),
        None => (
            DataType::Double.into(),
            x.iter().flat_map(|v| v.to_le_bytes()).collect(),
        ),
    };
    TensorProto {
        data_type,
        raw_data,
        ..TensorProto::default()
    }
}

fn port(port: &Port) -> ValueInfoProto {
    let dim = |dim: &Dim| Dimension {
        value: match dim {
            Dim::Fixed(n) => Some(dimension::Value::DimValue(*n as i64)),
            Dim::Any(name) if name.is_empty() => None,
            Dim::Any(name) => Some(dimension::Value::DimParam(name.clone())),
        },
        ..Dimension::default()
    };
    let shape = (!port.any_rank).then(|| TensorShapeProto {
        dim: port.shape.iter().map(dim).collect(),
    });
    let data_type = match port.element {
        Element::Float => DataType::Float,
        Element::Int => DataType::Int64,
        Element::Bool => DataType::Bool,
        Element::Text => DataType::String,
    };
    let tensor = type_proto::Tensor {
        elem_type: data_type.into(),
        shape,
    };
    ValueInfoProto {
        name: port.name.clone(),
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(tensor)),
            ..TypeProto::default()
        }),
        ..ValueInfoProto::default()
    }
}
