//! Whole small files against what the operators' definitions give, with public and private weights.

use ndarray::{ArrayD, array};
use prost::Message;

use super::{
    Constant, Element, Error, Feed, Lowered, Model, Options, Source, Value, Weights,
    format::{
        AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
        TypeProto, ValueInfoProto, attribute_proto::AttributeType, type_proto,
    },
};
use crate::{Clear, run};

mod factors;
mod variations;

pub(super) fn node(domain: &str, op: &str, input: &[&str], output: &[&str]) -> NodeProto {
    NodeProto {
        domain: domain.into(),
        op_type: op.into(),
        name: op.to_lowercase(),
        input: input.iter().map(|s| (*s).into()).collect(),
        output: output.iter().map(|s| (*s).into()).collect(),
        ..NodeProto::default()
    }
}

impl NodeProto {
    pub(super) fn floats(mut self, name: &str, v: &[f32]) -> Self {
        self.attribute.push(AttributeProto {
            name: name.into(),
            floats: v.to_vec(),
            r#type: AttributeType::Floats.into(),
            ..AttributeProto::default()
        });
        self
    }

    pub(super) fn ints(mut self, name: &str, v: &[i64]) -> Self {
        self.attribute.push(AttributeProto {
            name: name.into(),
            ints: v.to_vec(),
            r#type: AttributeType::Ints.into(),
            ..AttributeProto::default()
        });
        self
    }

    pub(super) fn texts(mut self, name: &str, v: &[&str]) -> Self {
        self.attribute.push(AttributeProto {
            name: name.into(),
            strings: v.iter().map(|s| s.as_bytes().to_vec()).collect(),
            r#type: AttributeType::Strings.into(),
            ..AttributeProto::default()
        });
        self
    }

    pub(super) fn text(mut self, name: &str, v: &str) -> Self {
        self.attribute.push(AttributeProto {
            name: name.into(),
            s: v.as_bytes().to_vec(),
            r#type: AttributeType::String.into(),
            ..AttributeProto::default()
        });
        self
    }
}

pub(super) fn port(name: &str, elem_type: i32) -> ValueInfoProto {
    let tensor = type_proto::Tensor {
        elem_type,
        shape: None,
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

pub(super) fn file(
    opset: i64,
    node: Vec<NodeProto>,
    initializer: Vec<TensorProto>,
    input: &[(&str, i32)],
    output: &[&str],
) -> Vec<u8> {
    let import = |domain: &str, version| OperatorSetIdProto {
        domain: domain.into(),
        version,
    };
    ModelProto {
        ir_version: 8,
        opset_import: vec![import("", opset), import("ai.onnx.ml", 3)],
        graph: Some(GraphProto {
            node,
            initializer,
            input: input.iter().map(|(name, t)| port(name, *t)).collect(),
            output: output.iter().map(|name| port(name, 1)).collect(),
            ..GraphProto::default()
        }),
        ..ModelProto::default()
    }
    .encode_to_vec()
}

/// The outputs of the graph for one private input.
fn outputs(lowered: &Lowered, x: &ArrayD<f64>) -> Vec<ArrayD<f64>> {
    let inputs: Vec<ArrayD<f64>> = lowered
        .sources
        .iter()
        .map(|source| match source {
            Source::Weight { value, .. } => value.clone(),
            _ => x.clone(),
        })
        .collect();
    run(&lowered.graph, &mut Clear, &inputs).unwrap()
}

fn assert_close(got: &ArrayD<f64>, want: &ArrayD<f64>) {
    assert_eq!(got.shape(), want.shape());
    for (g, w) in got.iter().zip(want) {
        assert!((g - w).abs() < 1e-5, "{got} {want}");
    }
}

pub(super) const ML: &str = "ai.onnx.ml";

fn pipeline(labels: impl Fn(NodeProto) -> NodeProto) -> Model {
    let scaler = node(ML, "Scaler", &["x"], &["scaled"])
        .floats("offset", &[1000.0, -2.0])
        .floats("scale", &[0.001, 4.0]);
    let classifier = node(ML, "LinearClassifier", &["scaled"], &["label", "scores"])
        .floats("coefficients", &[1.0, 0.0, 0.0, 1.0, -1.0, -1.0])
        .floats("intercepts", &[0.0, 0.25, 0.5])
        .text("post_transform", "SOFTMAX");
    let zip = node(ML, "ZipMap", &["scores"], &["probabilities"]);
    let bytes = file(
        17,
        vec![scaler, labels(classifier), zip],
        vec![],
        &[("x", 1)],
        &["label", "probabilities"],
    );
    Model::parse(&bytes).unwrap()
}

#[test]
fn a_pipeline_of_scikit_learn_gives_labels_and_probabilities() {
    let x = array![[3000.0, -2.25], [1000.0, -1.5], [-1000.0, -2.5]].into_dyn();
    // After scaling: (2, -1), (0, 2), (-2, -2).
    let logits = array![[2.0, -0.75, -0.5], [0.0, 2.25, -1.5], [-2.0, -1.75, 4.5]];
    let mut want = logits.mapv(f64::exp);
    want.rows_mut()
        .into_iter()
        .for_each(|mut row| row /= row.sum());
    for weights in [Weights::Public, Weights::Private] {
        let private = weights == Weights::Private;
        let options = Options {
            weights,
            training: false,
        };
        let model = pipeline(|n| n.ints("classlabels_ints", &[3, 20, 7]));
        let lowered = model.lower(&[Feed::Private(vec![3, 2])], &options).unwrap();
        let names = lowered.sources.iter().filter_map(|s| match s {
            Source::Weight { name, .. } => Some(name.as_str()),
            _ => None,
        });
        let names: Vec<&str> = names.collect();
        let all = [
            "scaler.offset",
            "rounded scaler.scale",
            "rest of scaler.scale",
            "rounded linearclassifier.coefficients",
            "rest of linearclassifier.coefficients",
            "linearclassifier.intercepts",
        ];
        assert_eq!(names, if private { &all[..] } else { &[] });
        let got = outputs(&lowered, &x);
        assert_close(&got[0], &array![3.0, 20.0, 7.0].into_dyn());
        assert_close(&got[1], &want.clone().into_dyn());
        assert_eq!(lowered.outputs[0].element, Element::Int);

        let model = pipeline(|n| n.texts("classlabels_strings", &["a", "b", "c"]));
        let lowered = model.lower(&[Feed::Private(vec![3, 2])], &options).unwrap();
        assert_close(&outputs(&lowered, &x)[0], &array![0.0, 1.0, 2.0].into_dyn());
        assert_eq!(lowered.outputs[0].element, Element::Text);
        let words = ["a", "b", "c"].map(String::from).to_vec();
        assert_eq!(lowered.outputs[0].words, Some(words));
    }
}

#[test]
fn labels_are_matched_and_looked_up() {
    // 5, 6 and 9 become 0.5, 0.25 and 8; whatever else becomes -1.
    let encoder = node(ML, "LabelEncoder", &["x"], &["y"])
        .ints("keys_int64s", &[5, 6, 9])
        .floats("values_floats", &[0.5, 0.25, 8.0]);
    let mut encoder = encoder;
    encoder.attribute.push(AttributeProto {
        name: "default_float".into(),
        f: -1.0,
        r#type: AttributeType::Float.into(),
        ..AttributeProto::default()
    });
    let model = Model::parse(&file(17, vec![encoder], vec![], &[("x", 7)], &["y"])).unwrap();
    let x = array![9i64, 5, 7, 6].into_dyn();
    let want = array![8.0, 0.5, -1.0, 0.25].into_dyn();
    let private = model
        .lower(&[Feed::Private(vec![4])], &Options::default())
        .unwrap();
    assert_close(&outputs(&private, &x.mapv(|v| v as f64))[0], &want);
    let public = model
        .lower(&[Feed::Public(Constant::Int(x))], &Options::default())
        .unwrap();
    assert_eq!(public.outputs[0].value, Value::Known(Constant::Float(want)));

    let list = TensorProto {
        name: "classes".into(),
        dims: vec![3],
        data_type: 8,
        string_data: ["no", "yes", "maybe"]
            .map(|s| s.as_bytes().to_vec())
            .to_vec(),
        ..TensorProto::default()
    };
    let nodes = vec![
        node("", "ArgMax", &["x"], &["best"]).int("axis", 1),
        node(ML, "ArrayFeatureExtractor", &["classes", "best"], &["y"]),
    ];
    let model = Model::parse(&file(17, nodes, vec![list], &[("x", 1)], &["y"])).unwrap();
    let lowered = model
        .lower(&[Feed::Private(vec![2, 3])], &Options::default())
        .unwrap();
    let x = array![[0.0, 2.0, 1.0], [5.0, 2.0, 9.0]].into_dyn();
    assert_close(&outputs(&lowered, &x)[0], &array![[1.0, 2.0]].into_dyn());
    assert_eq!(
        lowered.outputs[0].words.as_ref().map(Vec::len),
        Some(3),
        "{:?}",
        lowered.outputs
    );
}

impl NodeProto {
    pub(super) fn int(mut self, name: &str, i: i64) -> Self {
        self.attribute.push(AttributeProto {
            name: name.into(),
            i,
            r#type: AttributeType::Int.into(),
            ..AttributeProto::default()
        });
        self
    }
}

#[test]
fn a_private_value_that_decides_a_shape_is_named() {
    let nodes = vec![
        node("", "Mul", &["n", "n"], &["square"]),
        node("", "Reshape", &["x", "square"], &["y"]),
    ];
    let model = Model::parse(&file(17, nodes, vec![], &[("x", 1), ("n", 7)], &["y"])).unwrap();
    let x = || Feed::Private(vec![2, 2]);
    let refused = model.lower(&[x(), Feed::Private(vec![1])], &Options::default());
    match refused {
        Err(Error::MustBePublic { node, inputs, .. }) => {
            assert_eq!((node.as_str(), inputs), ("reshape", vec!["n".to_string()]));
        }
        other => panic!("{other:?}"),
    }
    let two = Constant::ints([2]);
    let lowered = model.lower(&[x(), Feed::Public(two)], &Options::default());
    assert_eq!(lowered.unwrap().outputs[0].shape, [4]);
}

#[test]
fn softmax_took_all_last_axes_together_before_operator_set_13() {
    let soft = |opset| {
        let nodes = vec![node("", "Softmax", &["x"], &["y"]).int("axis", 1)];
        let model = Model::parse(&file(opset, nodes, vec![], &[("x", 1)], &["y"])).unwrap();
        let feeds = [Feed::Private(vec![1, 2, 2])];
        let lowered = model.lower(&feeds, &Options::default()).unwrap();
        outputs(&lowered, &ArrayD::zeros(vec![1, 2, 2]))[0][[0, 0, 0]]
    };
    assert!((soft(11) - 0.25).abs() < 1e-6 && (soft(13) - 0.5).abs() < 1e-6);
}

#[test]
fn integers_divide_toward_zero_known_or_private() {
    let n = TensorProto {
        name: "n".into(),
        dims: vec![],
        data_type: 7,
        int64_data: vec![-3],
        ..TensorProto::default()
    };
    let nodes = vec![node("", "Div", &["x", "n"], &["y"])];
    let model = Model::parse(&file(14, nodes, vec![n], &[("x", 7)], &["y"])).unwrap();
    let x = array![-9i64, -8, -1, 0, 1, 8, 9, 10].into_dyn();
    let want = array![3i64, 2, 0, 0, 0, -2, -3, -3].into_dyn();
    let feeds = [Feed::Private(vec![8])];
    let private = model.lower(&feeds, &Options::default()).unwrap();
    assert_close(
        &outputs(&private, &x.mapv(|v| v as f64))[0],
        &want.mapv(|v| v as f64),
    );
    let public = model.lower(&[Feed::Public(Constant::Int(x))], &Options::default());
    assert_eq!(
        public.unwrap().outputs[0].value,
        Value::Known(Constant::Int(want))
    );
}

#[test]
fn weights_go_back_into_the_file_in_their_own_type() {
    let tensor = |name: &str, data_type, raw_data: &[u8]| TensorProto {
        name: name.into(),
        dims: vec![1],
        data_type,
        raw_data: raw_data.to_vec(),
        ..TensorProto::default()
    };
    let weights = vec![
        tensor("half", 10, &[0, 0x3c]),
        tensor("double", 11, &1.0f64.to_le_bytes()),
    ];
    let nodes = vec![node("", "Add", &["x", "half"], &["y"])];
    let bytes = file(17, nodes, weights, &[("x", 1)], &["y"]);
    let model = Model::parse(&bytes).unwrap();
    assert_eq!(model.with_parameters(&model.parameters()).unwrap(), bytes);
    let new = |name: &str, v: f64| (name.to_string(), array![v].into_dyn());
    let changed = model
        .with_parameters(&[new("half", 1.0 / 3.0), new("double", 1.0 / 3.0)])
        .unwrap();
    assert_eq!(changed.len(), bytes.len());
    let read = Model::parse(&changed).unwrap().parameters();
    assert_eq!(read[1].1[[0]], 1.0 / 3.0);
    assert!((read[0].1[[0]] - 1.0 / 3.0).abs() < 1e-3 && read[0].1[[0]] != 1.0 / 3.0);
    assert!(model.with_parameters(&[new("other", 1.0)]).is_err());
    let wide = ("half".to_string(), array![1.0, 2.0].into_dyn());
    assert!(model.with_parameters(&[wide]).is_err());
}
