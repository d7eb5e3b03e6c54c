//! Forms of operators that the node tests of the ONNX project do not have.

use super::*;

fn tensor(name: &str, dims: &[i64], values: &[f64]) -> TensorProto {
    TensorProto {
        name: name.into(),
        dims: dims.to_vec(),
        data_type: 11,
        double_data: values.to_vec(),
        ..TensorProto::default()
    }
}

fn ints(name: &str, dims: &[i64], values: &[i64]) -> TensorProto {
    TensorProto {
        name: name.into(),
        dims: dims.to_vec(),
        data_type: 7,
        int64_data: values.to_vec(),
        ..TensorProto::default()
    }
}

fn lowered(node: Vec<NodeProto>, initializer: Vec<TensorProto>, feed: Feed) -> Lowered {
    let bytes = file(18, node, initializer, &[("x", 1)], &["y"]);
    let model = Model::parse(&bytes).unwrap();
    model.lower(&[feed], &Options::default()).unwrap()
}

/// Decomposed attention asks which rows of a known mask are masked throughout.
#[test]
fn the_greatest_and_least_of_known_infinities() {
    let far = f64::NEG_INFINITY;
    let mask = tensor("mask", &[3, 2], &[0.5, far, far, far, far, 0.25]);
    let reduced = node("", "ReduceMax", &["mask", "axes"], &["y"]).int("keepdims", 0);
    let rows = lowered(
        vec![reduced],
        vec![mask.clone(), ints("axes", &[1], &[1])],
        Feed::Private(vec![1]),
    );
    let want = Constant::Float(array![0.5, far, 0.25].into_dyn());
    assert_eq!(rows.outputs[0].value, Value::Known(want));
    let other = tensor("other", &[2], &[far, 0.125]);
    let all = lowered(
        vec![node("", "Max", &["mask", "other"], &["y"])],
        vec![mask, other],
        Feed::Private(vec![1]),
    );
    let want = array![[0.5, 0.125], [far, 0.125], [far, 0.25]].into_dyn();
    assert_eq!(all.outputs[0].value, Value::Known(Constant::Float(want)));
}

#[test]
fn entries_are_gathered_within_a_batch() {
    // For batch b: x[b, at[b, k]].
    let at = [[2i64, -1], [0, 1]];
    let index = ints("at", &[2, 2, 1], &at.concat());
    let gather = node("", "GatherND", &["x", "at"], &["y"]).int("batch_dims", 1);
    let x = ArrayD::from_shape_fn(vec![2, 3, 2], |i| (100 * i[0] + 10 * i[1] + i[2]) as f64);
    let low = lowered(vec![gather], vec![index], Feed::Private(vec![2, 3, 2]));
    let want = ArrayD::from_shape_fn(vec![2, 2, 2], |i| {
        let row = at[i[0]][i[1]].rem_euclid(3) as usize;
        x[[i[0], row, i[2]]]
    });
    assert_close(&outputs(&low, &x)[0], &want);
}

#[test]
fn missing_values_are_imputed() {
    let imputer = |missing: f32| {
        let mut node =
            node(ML, "Imputer", &["x"], &["y"]).floats("imputed_value_floats", &[7.0, 8.0]);
        node.attribute.push(AttributeProto {
            name: "replaced_value_float".into(),
            f: missing,
            r#type: AttributeType::Float.into(),
            ..AttributeProto::default()
        });
        vec![node]
    };
    let x = array![[1.0, -1.0], [-1.0, 2.0]].into_dyn();
    let private = || Feed::Private(vec![2, 2]);
    let low = lowered(imputer(-1.0), vec![], private());
    assert_close(
        &outputs(&low, &x)[0],
        &array![[1.0, 8.0], [7.0, 2.0]].into_dyn(),
    );
    // A private value is a number.
    let low = lowered(imputer(f32::NAN), vec![], private());
    assert_close(&outputs(&low, &x)[0], &x);
    let known = x.mapv(|v| if v < 0.0 { f64::NAN } else { v });
    let low = lowered(
        imputer(f32::NAN),
        vec![],
        Feed::Public(Constant::Float(known)),
    );
    let want = Constant::Float(array![[1.0, 8.0], [7.0, 2.0]].into_dyn());
    assert_eq!(low.outputs[0].value, Value::Known(want));
}

fn classifier(coefficients: &[f32], intercepts: &[f32], transform: &str) -> NodeProto {
    node(ML, "LinearClassifier", &["x"], &["label", "y"])
        .floats("coefficients", coefficients)
        .floats("intercepts", intercepts)
        .ints("classlabels_ints", &[0, 1])
        .text("post_transform", transform)
}

/// The runtime of scikit-learn's exporter gives 1 - z and z for one score under SOFTMAX, which would be 1 whatever z is.
#[test]
fn one_score_has_no_softmax() {
    let node = classifier(&[2.0, -1.0], &[0.5], "SOFTMAX");
    let low = lowered(vec![node], vec![], Feed::Private(vec![1, 2]));
    let y = &outputs(&low, &array![[1.0, 3.0]].into_dyn())[0];
    assert_close(y, &array![[1.5, -0.5]].into_dyn());
}

#[test]
fn scores_of_zero_stay_zero() {
    let node = classifier(&[1.0, 0.0, 0.0, 1.0], &[0.0, 0.0], "SOFTMAX_ZERO");
    let low = lowered(vec![node], vec![], Feed::Private(vec![2, 2]));
    let y = &outputs(&low, &array![[0.0, -3.0], [1.0, 2.0]].into_dyn())[0];
    let p = 1.0 / (1.0 + 1f64.exp());
    assert_close(y, &array![[0.0, 1.0], [p, 1.0 - p]].into_dyn());
}
