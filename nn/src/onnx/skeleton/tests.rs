//! Attacks on skeletons: numbers in every place of a file where an exporter may leave them.

use prost::{
    Message,
    encoding::{WireType, encode_key, encode_varint},
};

use super::*;
use crate::{
    model_file::tests::model,
    onnx::{
        format::{
            AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
            StringStringEntryProto, TensorProto, TrainingInfoProto, attribute_proto::AttributeType,
        },
        tests::{ML, file, node, port},
    },
};

/// Numbers that no file holds by chance, exact in single precision.
const CANARIES: [f32; 3] = [0.731_058_5, -1.918_273_6, 37.142_857];

fn tensor(name: &str, values: &[f32]) -> TensorProto {
    TensorProto {
        name: name.into(),
        dims: vec![values.len() as i64],
        data_type: 1,
        float_data: values.to_vec(),
        ..TensorProto::default()
    }
}

fn with_tensor(mut node: NodeProto, name: &str, t: TensorProto) -> NodeProto {
    node.attribute.push(AttributeProto {
        name: name.into(),
        t: Some(t),
        r#type: AttributeType::Tensor.into(),
        ..AttributeProto::default()
    });
    node
}

fn float(mut node: NodeProto, name: &str, f: f32) -> NodeProto {
    node.attribute.push(AttributeProto {
        name: name.into(),
        f,
        r#type: AttributeType::Float.into(),
        ..AttributeProto::default()
    });
    node
}

/// Whether a file holds one of the canaries: as a number of any width and order, or in digits.
fn tells(bytes: &[u8]) -> Option<f32> {
    CANARIES.into_iter().find(|&c| {
        let wide = f64::from(c);
        let digits = format!("{c:.4}");
        let forms: [Vec<u8>; 6] = [
            c.to_le_bytes().to_vec(),
            c.to_be_bytes().to_vec(),
            wide.to_le_bytes().to_vec(),
            wide.to_be_bytes().to_vec(),
            i64::from(c.to_bits()).to_le_bytes().to_vec(),
            digits.as_bytes()[..digits.len() - 1].to_vec(),
        ];
        forms
            .iter()
            .any(|form| bytes.windows(form.len()).any(|w| w == form))
    })
}

/// The skeleton of a file, which must tell no canary and lower to the graph of the file, at sizes that it was not made for.
fn silent(bytes: &[u8]) -> Skeleton {
    assert!(tells(bytes).is_some(), "the attack holds no canary");
    let full = Model::parse(bytes).unwrap();
    let skeleton = full.skeleton().unwrap();
    assert_eq!(tells(&skeleton.bytes), None);
    let listed = format!("{:?}", skeleton.readable);
    assert_eq!(tells(listed.as_bytes()), None, "{listed}");
    let read = Model::parse(&skeleton.bytes).unwrap();
    for n in [2, 5] {
        let lowered = |model: &Model| {
            let feeds: Vec<Feed> = model
                .inputs()
                .iter()
                .map(|_| Feed::Private(vec![n, 3]))
                .collect();
            let options = Options {
                weights: Weights::Private,
                training: false,
            };
            model.lower(&feeds, &options).unwrap()
        };
        let (full, read) = (lowered(&full), lowered(&read));
        assert!(same_structure(&full, &read));
        // No canary is a public constant of the graph either, which the parties see.
        let graph = format!("{:?}", read.graph);
        assert_eq!(tells(graph.as_bytes()), None, "{graph}");
    }
    skeleton
}

/// A file of one input x of rows of 3 and one output y.
fn net(nodes: Vec<NodeProto>, initializers: Vec<TensorProto>) -> Vec<u8> {
    let bytes = file(17, nodes, initializers, &[("x", 1)], &["y"]);
    let mut proto = ModelProto::decode(&bytes[..]).unwrap();
    shaped(&mut proto);
    proto.encode_to_vec()
}

/// Rows of 3 for every input.
fn shaped(proto: &mut ModelProto) {
    use crate::onnx::format::tensor_shape_proto::dimension::Value;
    use crate::onnx::format::{TensorShapeProto, tensor_shape_proto::Dimension, type_proto};
    for input in &mut proto.graph.as_mut().unwrap().input {
        let dim = |value| Dimension {
            value: Some(value),
            ..Dimension::default()
        };
        if let Some(type_proto::Value::TensorType(t)) =
            input.r#type.as_mut().and_then(|t| t.value.as_mut())
        {
            t.shape = Some(TensorShapeProto {
                dim: vec![dim(Value::DimParam("n".into())), dim(Value::DimValue(3))],
            });
        }
    }
}

fn refused(bytes: &[u8]) -> String {
    Model::parse(bytes)
        .unwrap()
        .skeleton()
        .unwrap_err()
        .to_string()
}

#[test]
fn initializers_are_blank_also_those_of_one_number() {
    let mut double = tensor("b", &[]);
    double.dims = vec![1];
    double.data_type = 11;
    double.raw_data = f64::from(CANARIES[1]).to_le_bytes().to_vec();
    let mut nodes = vec![
        node("", "Mul", &["x", "w"], &["h"]),
        node("", "Add", &["h", "b"], &["y"]),
    ];
    nodes[0].doc_string = CANARIES[0].to_string();
    let skeleton = silent(&net(nodes, vec![tensor("w", &CANARIES), double]));
    assert_eq!(skeleton.readable, []);
}

#[test]
fn a_skeleton_has_the_shapes_and_none_of_the_weights() {
    let full = Model::parse(&model(&[3, 4, 1]).to_onnx()).unwrap();
    let skeleton = Model::parse(&full.skeleton().unwrap().bytes).unwrap();
    let (ours, theirs) = (full.parameters(), skeleton.parameters());
    assert!(
        ours.iter()
            .any(|(_, value)| value.iter().any(|&v| v != 0.0))
    );
    for ((name, ours), (other, theirs)) in ours.iter().zip(&theirs) {
        assert_eq!((name, ours.shape()), (other, theirs.shape()));
        assert!(theirs.iter().all(|&v| v == 0.0), "{name}");
    }
}

#[test]
fn tables_in_constant_nodes_are_weights() {
    let of_floats = node("", "Constant", &[], &["c"]).floats("value_floats", &CANARIES);
    let of_tensor = with_tensor(
        node("", "Constant", &[], &["c"]),
        "value",
        tensor("", &CANARIES),
    );
    for constant in [of_floats, of_tensor] {
        for op in ["Mul", "Add", "Sub", "Max", "PRelu"] {
            let nodes = vec![constant.clone(), node("", op, &["x", "c"], &["y"])];
            let bytes = net(nodes, vec![]);
            silent(&bytes);
            // Whoever runs it with private weights has them as inputs of the graph.
            let options = Options {
                weights: Weights::Private,
                training: false,
            };
            let model = Model::parse(&bytes).unwrap();
            let lowered = model.lower(&[Feed::Private(vec![1, 3])], &options).unwrap();
            assert!(
                matches!(&lowered.sources[1], Source::Weight { value, .. } if value.len() == 3)
            );
        }
        // Folded with a weight, by a product, by joining, by a function.
        for op in ["Mul", "Concat", "Add"] {
            let mut joins = node("", op, &["w", "c"], &["f"]);
            if op == "Concat" {
                joins = joins.int("axis", 0);
            }
            let nodes = vec![
                constant.clone(),
                joins,
                node("", "Exp", &["f"], &["e"]),
                node("", "ReduceSum", &["e"], &["s"]),
                node("", "Mul", &["x", "s"], &["y"]),
            ];
            silent(&net(nodes, vec![tensor("w", &CANARIES)]));
        }
    }
}

#[test]
fn nothing_that_no_output_needs_is_written() {
    let c = CANARIES;
    let nodes = vec![
        float(node("", "Constant", &[], &["dead"]), "value_float", c[0]),
        node("", "Add", &["dead", "old"], &["deader"]),
        float(node("", "LeakyRelu", &["x"], &["deadest"]), "alpha", c[1]),
        node("", "Relu", &["x"], &["y"]),
    ];
    let scalar = TensorProto {
        dims: vec![],
        ..tensor("old", &c[..1])
    };
    let skeleton = silent(&net(nodes, vec![scalar, tensor("unused", &c)]));
    assert_eq!(skeleton.readable, []);
    let read = Model::parse(&skeleton.bytes).unwrap();
    assert_eq!((read.nodes.len(), read.initializers.len()), (1, 0));
}

#[test]
fn attributes_that_an_operator_does_not_have_are_left_out() {
    let c = CANARIES;
    let mut relu = node("", "Relu", &["x"], &["y"])
        .floats("table", &c)
        .int("bits", i64::from(c[0].to_bits()))
        .ints("more_bits", &[i64::from(c[1].to_bits())])
        .text("note", &c[2].to_string());
    relu = with_tensor(float(relu, "alpha", c[0]), "value", tensor("t", &c));
    let skeleton = silent(&net(vec![relu], vec![]));
    assert_eq!(skeleton.readable, []);
}

#[test]
fn coefficients_of_classical_models_are_weights() {
    let c = CANARIES;
    let scaler = node(ML, "Scaler", &["x"], &["s"])
        .floats("offset", &c)
        .floats("scale", &[0.25 * c[0], 0.1, 0.3]);
    let regressor = node(ML, "LinearRegressor", &["s"], &["r"])
        .floats("coefficients", &c)
        .floats("intercepts", &c[..1]);
    let encoder = node(ML, "LabelEncoder", &["r"], &["y"])
        .floats("keys_floats", &c)
        .floats("values_floats", &[c[2], c[0], c[1]]);
    let skeleton = silent(&net(vec![scaler, regressor, encoder], vec![]));
    assert!(skeleton.readable.iter().all(|r| !r.real), "{skeleton:?}");
}

#[test]
fn lists_that_decide_the_graph_are_refused_by_name() {
    let constant = node("", "Constant", &[], &["p"]).floats("value_floats", &CANARIES);
    let power = node("", "Pow", &["x", "p"], &["y"]);
    let why = refused(&net(vec![constant, power.clone()], vec![]));
    assert!(
        why.contains("value_floats") && why.contains("constant"),
        "{why}"
    );
    let why = refused(&net(vec![power], vec![tensor("p", &CANARIES)]));
    assert!(
        why.contains("initializer p") && why.contains("pow"),
        "{why}"
    );
}

#[test]
fn single_numbers_that_decide_the_graph_are_kept_and_listed() {
    let nodes = vec![
        float(node("", "LeakyRelu", &["x"], &["h"]), "alpha", 0.125),
        node("", "Pow", &["h", "p"], &["y"]),
    ];
    let full = Model::parse(&net(nodes, vec![tensor("p", &[3.0])])).unwrap();
    let skeleton = full.skeleton().unwrap();
    let told: Vec<(bool, &str, &str)> = skeleton
        .readable
        .iter()
        .map(|r| (r.real, &r.place[..], &r.content[..]))
        .collect();
    let want = [
        (true, "initializer p", "[3]"),
        (true, "alpha of node leakyrelu (LeakyRelu)", "0.125"),
    ];
    assert_eq!(told, want);
}

/// A field that the format does not have, holding a canary.
fn unknown(message: &mut Vec<u8>) {
    encode_key(777, WireType::LengthDelimited, message);
    encode_varint(4, message);
    message.extend_from_slice(&CANARIES[0].to_le_bytes());
}

fn nested(field: u32, content: &[u8], message: &mut Vec<u8>) {
    encode_key(field, WireType::LengthDelimited, message);
    encode_varint(content.len() as u64, message);
    message.extend_from_slice(content);
}

#[test]
fn fields_that_are_not_known_are_left_out() {
    // In the file, in its graph, in a node that is needed.
    let mut relu = node("", "Relu", &["h"], &["y"]).encode_to_vec();
    unknown(&mut relu);
    let mut graph = Vec::new();
    unknown(&mut graph);
    nested(1, &relu, &mut graph);
    let mut bytes = net(vec![node("", "Neg", &["x"], &["h"])], vec![]);
    nested(7, &graph, &mut bytes);
    unknown(&mut bytes);
    let skeleton = silent(&bytes);
    assert_eq!(Model::parse(&skeleton.bytes).unwrap().nodes.len(), 2);
}

#[test]
fn descriptions_and_metadata_are_left_out() {
    let c = CANARIES[1].to_string();
    let note = || {
        vec![StringStringEntryProto {
            key: c.clone(),
            value: c.clone(),
        }]
    };
    let mut relu = node("", "Relu", &["x"], &["h"]);
    relu.doc_string.clone_from(&c);
    relu.metadata_props = note();
    let mut add = node("", "Softmax", &["h"], &["z"]).int("axis", 1);
    add.attribute[0].doc_string.clone_from(&c);
    let mut weight = tensor("w", &CANARIES);
    weight.doc_string.clone_from(&c);
    weight.metadata_props = note();
    let nodes = vec![relu, add, node("", "Add", &["z", "w"], &["y"])];
    let mut proto = ModelProto::decode(&net(nodes, vec![weight])[..]).unwrap();
    proto.doc_string.clone_from(&c);
    proto.producer_name.clone_from(&c);
    proto.producer_version.clone_from(&c);
    proto.domain.clone_from(&c);
    proto.model_version = i64::from(CANARIES[0].to_bits());
    proto.metadata_props = note();
    proto.training_info = vec![TrainingInfoProto {
        initialization_binding: note(),
        ..TrainingInfoProto::default()
    }];
    proto.functions = vec![FunctionProto {
        name: "uncalled".into(),
        doc_string: c.clone(),
        ..FunctionProto::default()
    }];
    let graph: &mut GraphProto = proto.graph.as_mut().unwrap();
    graph.name.clone_from(&c);
    graph.doc_string.clone_from(&c);
    graph.metadata_props = note();
    graph.value_info = vec![port(&c, 1)];
    graph.input[0].doc_string.clone_from(&c);
    graph.input[0].metadata_props = note();
    graph.output[0].doc_string.clone_from(&c);
    // Files of old versions list their weights among the inputs.
    graph.input.push(port("w", 1));
    silent(&proto.encode_to_vec());
}

#[test]
fn functions_of_the_file_are_put_in_their_places() {
    let table = node("", "Constant", &[], &["t"]).floats("value_floats", &CANARIES);
    let mut body = node("", "Mul", &["a", "t"], &["m"]);
    body.doc_string = CANARIES[0].to_string();
    let slope = AttributeProto {
        name: "alpha".into(),
        ref_attr_name: "slope".into(),
        r#type: AttributeType::Float.into(),
        ..AttributeProto::default()
    };
    let mut leaky = node("", "LeakyRelu", &["m"], &["b"]);
    leaky.attribute = vec![slope];
    let import = |version| OperatorSetIdProto {
        domain: String::new(),
        version,
    };
    let function = |version| FunctionProto {
        name: "f".into(),
        domain: "mine".into(),
        input: vec!["a".into()],
        output: vec!["b".into()],
        node: vec![table.clone(), body.clone(), leaky.clone()],
        opset_import: vec![import(version)],
        ..FunctionProto::default()
    };
    let call = float(node("mine", "f", &["x"], &["h"]), "slope", 0.25);
    let bytes = net(vec![call, node("", "Neg", &["h"], &["y"])], vec![]);
    let mut proto = ModelProto::decode(&bytes[..]).unwrap();
    proto.functions = vec![function(17)];
    let skeleton = silent(&proto.encode_to_vec());
    let reals: Vec<_> = skeleton.readable.iter().filter(|r| r.real).collect();
    assert_eq!(reals.len(), 1, "{reals:?}");
    proto.functions = vec![function(16)];
    let why = refused(&proto.encode_to_vec());
    assert!(why.contains("operator set"), "{why}");
}
