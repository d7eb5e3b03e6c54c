//! Known factors on the ring engine.

use super::*;

fn tensor(name: &str, values: &[f64]) -> TensorProto {
    TensorProto {
        name: name.into(),
        dims: vec![values.len() as i64],
        data_type: 11,
        double_data: values.to_vec(),
        ..TensorProto::default()
    }
}

/// Deviations from 10^-4 to 10^6 in one tensor: standardised by a Scaler, a Mul, a Div or a BatchNormalization, every feature
/// keeps twelve bits.
#[test]
fn factors_that_lie_far_apart_keep_their_digits() {
    let deviations = [1e-4, 3e-2, 1.0, 70.0, 1234.0, 1e5, 1e6];
    let n = deviations.len();
    let unit = 2f64.powi(18);
    let x = ArrayD::from_shape_fn(vec![13, n], |at| {
        ((at[0] as f64 / 2.0 - 3.1) * deviations[at[1]] * unit).round() / unit
    });
    let factors = deviations.map(f64::recip);
    let constants = [
        ("factors", factors),
        ("deviations", deviations),
        // BatchNormalization adds its epsilon.
        ("variance", [1.0 - 1e-5; 7]),
        ("zeros", [0.0; 7]),
    ];
    let nodes = [
        node(ML, "Scaler", &["x"], &["y"])
            .floats("offset", &[0.0])
            .floats("scale", &factors.map(|v| v as f32)),
        node("", "Mul", &["x", "factors"], &["y"]),
        node("", "Mul", &["factors", "x"], &["y"]),
        node("", "Div", &["x", "deviations"], &["y"]),
        node(
            "",
            "BatchNormalization",
            &["x", "factors", "zeros", "zeros", "variance"],
            &["y"],
        ),
    ];
    for op in nodes {
        let name = op.op_type.clone();
        let tensors = constants.iter().map(|(name, v)| tensor(name, v)).collect();
        let bytes = file(17, vec![op], tensors, &[("x", 1)], &["y"]);
        let model = Model::parse(&bytes).unwrap();
        for weights in [Weights::Public, Weights::Private] {
            if weights == Weights::Private && (name == "Mul" || name == "BatchNormalization") {
                continue;
            }
            let options = Options {
                weights: weights.clone(),
                training: false,
            };
            let lowered = model
                .lower(&[Feed::Private(vec![13, n])], &options)
                .unwrap();
            let mut e = crate::Ring::new(18);
            let inputs: Vec<_> = lowered
                .sources
                .iter()
                .map(|source| match source {
                    Source::Weight { value, .. } => e.encode(value).unwrap(),
                    _ => e.encode(&x).unwrap(),
                })
                .collect();
            let y = run(&lowered.graph, &mut e, &inputs).unwrap();
            let y = e.decode(&y[0]);
            for (at, &y) in y.indexed_iter() {
                let want = x[&at] / deviations[at[1]];
                let off = (y - want).abs();
                assert!(
                    off < 3.0 / unit + want.abs() * 2f64.powi(-12),
                    "{name} with {weights:?} weights, deviation {}: {y}, not {want}",
                    deviations[at[1]]
                );
            }
        }
    }
}
