//! Folding, predicting, and what is refused.

use ndarray::array;

use super::*;
use crate::random::Stream;

pub(crate) fn model(widths: &[usize]) -> Model {
    let mut stream = Stream::new(&[9; 32], "model");
    let mut random =
        |rows, columns| Array2::from_shape_simple_fn((rows, columns), || stream.symmetric() as f32);
    let layers = widths
        .windows(2)
        .map(|w| Dense {
            weight: random(w[0], w[1]),
            bias: random(1, w[1]),
        })
        .collect();
    Model::new(
        (0..widths[0]).map(|k| format!("feature {k}")).collect(),
        layers,
    )
    .unwrap()
}

pub(crate) fn rows(n: usize, features: usize) -> Array2<f64> {
    let mut stream = Stream::new(&[8; 32], "rows");
    Array2::from_shape_simple_fn((n, features), || f64::from(2.0 * stream.symmetric() as f32))
}

#[test]
fn bounds_fold_into_the_first_layer() {
    let features = [("a", 4.0, 36.0), ("b", -1.0, 1.0)];
    let features = features.map(|(name, min, max)| Feature {
        name: name.into(),
        min,
        max,
    });
    let tensors = [array![[1.0], [2.0]].into_dyn(), array![[0.5]].into_dyn()];
    let model = Model::from_released(&features, &tensors).unwrap();
    let logits = model
        .logits(&array![[4.0, 1.0], [20.0, 0.0], [36.0, -1.0]])
        .unwrap();
    assert_eq!(logits, array![[1.5], [0.5], [-0.5]]);
    assert_eq!(
        model.predict(&array![[4.0, 1.0], [36.0, -1.0]]).unwrap(),
        [1, 0]
    );
    assert_eq!(
        (model.classes(), model.features()),
        (2, &["a".to_string(), "b".to_string()][..])
    );
}

#[test]
fn probabilities_add_up_and_metrics_use_labels() {
    for widths in [&[3, 1][..], &[3, 4, 1], &[3, 4, 5]] {
        let (model, x) = (model(widths), rows(50, 3));
        let p = model.probabilities(&x).unwrap();
        assert!(
            p.rows()
                .into_iter()
                .all(|row| row.len() == model.classes() && (row.sum() - 1.0).abs() < 1e-12)
        );
        let labels = model.predict(&x).unwrap();
        assert_eq!(model.accuracy(&x, &labels).unwrap(), 1.0);
        let flipped: Vec<usize> = labels.iter().map(|c| (c + 1) % model.classes()).collect();
        assert_eq!(model.accuracy(&x, &flipped).unwrap(), 0.0);
        assert!(model.accuracy(&x, &labels[1..]).is_err());
        assert!(model.auc(&x, &vec![model.classes(); 50]).is_err());
    }
    let model = model(&[3, 1]);
    let x = rows(50, 3);
    assert_eq!(model.auc(&x, &model.predict(&x).unwrap()).unwrap(), 1.0);
}

#[test]
fn what_does_not_fit_is_refused() {
    let good = model(&[3, 4, 1]);
    let features = good.features.clone();
    assert!(Model::new(features[1..].to_vec(), good.layers.clone()).is_err());
    assert!(Model::new(features.clone(), good.layers[1..].to_vec()).is_err());
    assert!(Model::new(features.clone(), vec![]).is_err());
    let mut bad = good.clone();
    bad.layers[1].weight[[0, 0]] = f32::NAN;
    let error = Model::new(features, bad.layers).unwrap_err().to_string();
    assert_eq!(error, "layer 1 holds a number that is not finite");
    assert!(matches!(good.logits(&rows(2, 4)), Err(Error::Shape { .. })));
    let flat = [Feature {
        name: "a".into(),
        min: 1.0,
        max: 1.0,
    }];
    let tensors = [array![[1.0]].into_dyn(), array![[0.0]].into_dyn()];
    assert!(Model::from_released(&flat, &tensors).is_err());
    assert!(Model::from_released(&flat, &tensors[..1]).is_err());
    assert!(Model::from_released(&[], &tensors).is_err());
    assert!(Model::from_released(&flat, &[]).is_err());
}
