//! Models as ONNX, which common runtimes read: Gemm, Relu, and Sigmoid or Softmax.

use ndarray::Array2;
use prost::Message;

use super::Model;
use crate::onnx::format::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto,
    TensorProto, TensorShapeProto, TypeProto, ValueInfoProto,
    attribute_proto::AttributeType,
    tensor_proto::DataType,
    tensor_shape_proto::{Dimension, dimension},
    type_proto,
};

/// IR version 8 goes with operator set 17.
const IR_VERSION: i64 = 8;
const OPERATOR_SET: i64 = 17;

impl Model {
    /// The model as an ONNX file. Its input `features` is \[N, features\]; its output `probabilities` is \[N, 1\], that of
    /// class 1, for two classes, and \[N, classes\] for more. The names of the features are in the metadata, one a line.
    #[must_use]
    pub fn to_onnx(&self) -> Vec<u8> {
        let mut node = Vec::new();
        let mut initializer = Vec::new();
        let mut current = "features".to_string();
        for (k, layer) in self.layers.iter().enumerate() {
            if k > 0 {
                let rectified = format!("hidden{k}");
                node.push(operator("Relu", &[&current], &rectified, None));
                current = rectified;
            }
            let (weight, bias, sum) = (
                format!("layer{k}.weight"),
                format!("layer{k}.bias"),
                format!("sum{k}"),
            );
            node.push(operator("Gemm", &[&current, &weight, &bias], &sum, None));
            initializer.extend([tensor(weight, &layer.weight), tensor(bias, &layer.bias)]);
            current = sum;
        }
        let last = if self.outputs() == 1 {
            operator("Sigmoid", &[&current], "probabilities", None)
        } else {
            operator("Softmax", &[&current], "probabilities", Some(("axis", 1)))
        };
        node.push(last);
        let graph = GraphProto {
            node,
            name: "multilayer perceptron".into(),
            initializer,
            input: vec![batch_of("features", self.features.len())],
            output: vec![batch_of("probabilities", self.outputs())],
            ..GraphProto::default()
        };
        let model = ModelProto {
            ir_version: IR_VERSION,
            producer_name: "tacit".into(),
            producer_version: env!("CARGO_PKG_VERSION").into(),
            graph: Some(graph),
            opset_import: vec![OperatorSetIdProto {
                domain: String::new(),
                version: OPERATOR_SET,
            }],
            metadata_props: vec![StringStringEntryProto {
                key: "features".into(),
                value: self.features.join("\n"),
            }],
            ..ModelProto::default()
        };
        model.encode_to_vec()
    }
}

fn operator(
    op_type: &str,
    input: &[&str],
    output: &str,
    attribute: Option<(&str, i64)>,
) -> NodeProto {
    let attribute = attribute.map(|(name, i)| AttributeProto {
        name: name.into(),
        i,
        r#type: AttributeType::Int.into(),
        ..AttributeProto::default()
    });
    NodeProto {
        input: input.iter().map(|name| (*name).to_string()).collect(),
        output: vec![output.into()],
        name: format!("{op_type} {output}"),
        op_type: op_type.into(),
        attribute: attribute.into_iter().collect(),
        ..NodeProto::default()
    }
}

fn tensor(name: String, m: &Array2<f32>) -> TensorProto {
    TensorProto {
        dims: m.shape().iter().map(|&n| n as i64).collect(),
        data_type: DataType::Float.into(),
        name,
        raw_data: m.iter().flat_map(|v| v.to_le_bytes()).collect(),
        ..TensorProto::default()
    }
}

/// A matrix with any number N of rows.
fn batch_of(name: &str, columns: usize) -> ValueInfoProto {
    let dim = [
        dimension::Value::DimParam("N".into()),
        dimension::Value::DimValue(columns as i64),
    ];
    let shape = TensorShapeProto {
        dim: dim
            .map(|value| Dimension {
                value: Some(value),
                ..Dimension::default()
            })
            .into(),
    };
    let tensor = type_proto::Tensor {
        elem_type: DataType::Float.into(),
        shape: Some(shape),
    };
    ValueInfoProto {
        name: name.into(),
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(tensor)),
            ..TypeProto::default()
        }),
        ..ValueInfoProto::default()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model_file::tests::{model, rows};

    /// Runs the operators that are written here, from the bytes of the file alone.
    fn evaluate(file: &[u8], x: &Array2<f64>) -> Array2<f64> {
        let model = ModelProto::decode(file).unwrap();
        assert_eq!((model.ir_version, model.opset_import[0].version), (8, 17));
        let graph = model.graph.unwrap();
        let mut values = BTreeMap::from([(graph.input[0].name.clone(), x.clone())]);
        for t in graph.initializer {
            let data = t
                .raw_data
                .as_chunks::<4>()
                .0
                .iter()
                .map(|b| f64::from(f32::from_le_bytes(*b)))
                .collect();
            values.insert(
                t.name,
                Array2::from_shape_vec((t.dims[0] as usize, t.dims[1] as usize), data).unwrap(),
            );
        }
        for node in graph.node {
            let input = |k: usize| &values[&node.input[k]];
            let y = match node.op_type.as_str() {
                "Gemm" => input(0).dot(input(1)) + input(2),
                "Relu" => input(0).mapv(|v| v.max(0.0)),
                "Sigmoid" => input(0).mapv(|v| 1.0 / (1.0 + (-v).exp())),
                "Softmax" => {
                    assert_eq!(
                        (node.attribute[0].name.as_str(), node.attribute[0].i),
                        ("axis", 1)
                    );
                    let mut p = input(0).mapv(f64::exp);
                    p.rows_mut()
                        .into_iter()
                        .for_each(|mut row| row /= row.sum());
                    p
                }
                other => panic!("{other} is not written by this module"),
            };
            values.insert(node.output[0].clone(), y);
        }
        values.remove(&graph.output[0].name).unwrap()
    }

    #[test]
    fn the_bytes_compute_what_the_model_computes() {
        for widths in [&[3, 1][..], &[3, 4, 1], &[30, 16, 8, 5]] {
            let (model, x) = (model(widths), rows(20, widths[0]));
            let want = model.probabilities(&x).unwrap();
            let got = evaluate(&model.to_onnx(), &x);
            let first = want.ncols() - got.ncols();
            for ((i, c), p) in got.indexed_iter() {
                assert!(
                    (p - want[[i, c + first]]).abs() < 1e-9,
                    "{p} {}",
                    want[[i, c + first]]
                );
            }
        }
    }

    #[test]
    fn messages_use_the_official_field_numbers() {
        let file = model(&[1, 1]).to_onnx();
        // ir_version = 8 is field 1 as a varint; producer_name = "tacit" is field 2 with a length.
        assert_eq!(file[..9], [0x08, 8, 0x12, 5, b't', b'a', b'c', b'i', b't']);
        let operator_set = OperatorSetIdProto {
            domain: String::new(),
            version: 17,
        };
        assert_eq!(operator_set.encode_to_vec(), [0x10, 17]);
        let t = tensor("w".into(), &ndarray::array![[1.0f32]]);
        assert_eq!(
            t.encode_to_vec(),
            [
                0x0a, 2, 1, 1, 0x10, 1, 0x42, 1, b'w', 0x4a, 4, 0, 0, 0x80, 0x3f
            ]
        );
    }
}
