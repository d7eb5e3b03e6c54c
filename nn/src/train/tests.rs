//! What training checks, releases and shows.

use ndarray::{ArrayD, Axis, IxDyn};

use super::*;
use crate::{
    Graph, Metric, Plain,
    network::{Applied, Mask, Parameter, Pass},
    plain,
    spec::tests::spec,
};

fn data(rows: usize) -> Data<plain::Value> {
    let x = ArrayD::from_shape_fn(IxDyn(&[rows, 2]), |i| ((3 * i[0] + i[1]) % 7) as f32 / 7.0);
    let y = ArrayD::from_shape_fn(IxDyn(&[rows, 1]), |i| (i[0] % 2) as f32);
    Data {
        x,
        y,
        weights: None,
    }
}

fn split(train: &[usize], test: &[usize]) -> Split {
    Split {
        train: train.to_vec(),
        test: test.to_vec(),
        ..Split::new(0.25, [1; 32], 0)
    }
}

/// A specification that shows no losses.
fn silent(hidden: &[usize]) -> TrainSpec {
    let mut spec = spec(2, 2, hidden);
    spec.recipe.epoch_loss = false;
    spec
}

fn quiet(_: &mut Plain, _: usize, loss: Option<&plain::Value>) -> Result<()> {
    assert!(loss.is_none());
    Ok(())
}

#[test]
fn data_that_do_not_fit_are_refused_before_anything_runs() {
    let spec = silent(&[3]);
    let attempt = |data: Data<plain::Value>, train_rows: &[usize], test_rows: &[usize]| {
        let split = split(train_rows, test_rows);
        train(&mut Plain, &spec, &data, &split, &mut quiet).map(|_| ())
    };
    attempt(data(4), &[0, 1, 2], &[3]).unwrap();
    assert!(matches!(
        attempt(data(4), &[0, 1, 4], &[3]),
        Err(Error::Invalid(_))
    ));
    assert!(matches!(
        attempt(data(4), &[], &[3]),
        Err(Error::Invalid(_))
    ));
    assert!(matches!(
        attempt(data(4), &[0], &[]),
        Err(Error::Invalid(_))
    ));
    let labels = Data {
        y: data(5).y,
        ..data(4)
    };
    assert!(matches!(
        attempt(labels, &[0], &[1]),
        Err(Error::Shape { .. })
    ));
    let weights = Data {
        weights: Some(data(4).x),
        ..data(4)
    };
    assert!(matches!(
        attempt(weights, &[0], &[1]),
        Err(Error::Shape { .. })
    ));
    let features = Data {
        x: data(4).y,
        ..data(4)
    };
    assert!(matches!(
        attempt(features, &[0], &[1]),
        Err(Error::Shape { .. })
    ));
}

#[test]
fn padding_becomes_zero_whatever_it_was() {
    // All training rows alike: a deviation of 0, by which anything else would be blown up.
    let mut data = data(5);
    data.x.fill(0.5);
    data.x.index_axis_mut(Axis(0), 4).fill(-1.0);
    data.weights = Some(ArrayD::from_shape_fn(IxDyn(&[5, 1]), |i| {
        f32::from(u8::from(i[0] < 4))
    }));
    let (prepared, ..) = stages::standardise(&mut Plain, &data, &[0, 1, 2, 4]).unwrap();
    assert!(prepared.x.iter().all(|v| v.abs() < 1e-3), "{}", prepared.x);
    data.weights = None;
    let (blown_up, ..) = stages::standardise(&mut Plain, &data, &[0, 1, 2]).unwrap();
    assert!(blown_up.x[[4, 0]] < -100.0);
}

#[test]
fn what_is_released_has_the_announced_names_and_shapes() {
    let spec = silent(&[3]);
    let released = train(
        &mut Plain,
        &spec,
        &data(9),
        &split(&[0, 1, 2, 3, 4], &[5, 6, 7, 8]),
        &mut quiet,
    )
    .unwrap();
    let shapes: Vec<_> = released
        .model
        .iter()
        .map(|(name, v)| (name.clone(), v.shape().to_vec()))
        .collect();
    let metrics: Vec<_> = released
        .metrics
        .iter()
        .map(|(name, _)| name.clone())
        .collect();
    assert_eq!((shapes, metrics), released_shapes(&spec));
    assert!(released.metrics.iter().all(|(_, v)| v.shape() == [1, 1]));
}

#[test]
fn the_observer_sees_every_epoch_and_can_stop() {
    let spec = spec(2, 2, &[]);
    let mut seen = Vec::new();
    let mut observer = |_: &mut Plain, epoch: usize, loss: Option<&plain::Value>| {
        seen.push((epoch, loss.map(|v| v.shape().to_vec())));
        if epoch == 3 {
            Err(Error::Invalid("cancelled".into()))
        } else {
            Ok(())
        }
    };
    let error = train(
        &mut Plain,
        &spec,
        &data(4),
        &split(&[0, 1, 2], &[3]),
        &mut observer,
    )
    .unwrap_err();
    assert_eq!(error.to_string(), "cancelled");
    assert_eq!(seen, [1, 2, 3].map(|epoch| (epoch, Some(vec![1, 1]))));
}

/// One logit, x·w with entries of x dropped; its state counts the entries that were kept.
struct Dropping {
    keep: f64,
}

impl Network for Dropping {
    fn parameters(&self) -> Result<Vec<Parameter>> {
        Ok(vec![Parameter {
            name: "w".into(),
            value: ArrayD::from_elem(IxDyn(&[2, 1]), 0.5),
        }])
    }

    fn state(&self) -> Result<Vec<Parameter>> {
        Ok(vec![Parameter {
            name: "kept".into(),
            value: ArrayD::zeros(IxDyn(&[1, 1])),
        }])
    }

    fn apply(&self, g: &mut Graph, pass: &Pass<'_>) -> Result<Applied> {
        let shape = g.shape(pass.x)?.to_vec();
        let (mut x, mut state, mut masks) = (pass.x, vec![], vec![]);
        if pass.training {
            let mask = g.input(&shape);
            x = g.mul(x, mask)?;
            let rows = g.sum(mask, 0)?;
            let all = g.sum(rows, 1)?;
            state.push(g.add(pass.state[0], all)?);
            masks.push(Mask {
                shape,
                keep: self.keep,
            });
        }
        Ok(Applied {
            outputs: g.matmul(x, pass.parameters[0])?,
            state,
            masks,
        })
    }
}

#[test]
fn what_is_dropped_follows_from_the_seed_and_changes_every_step() {
    let kept = |seed: u8, keep: f64, epochs: usize| {
        let recipe = Recipe {
            epochs,
            batch: 20,
            seed: [seed; 32],
            metrics: [Metric::Loss].into(),
            epoch_loss: false,
            ..spec(2, 2, &[]).recipe
        };
        let rows: Vec<usize> = (0..60).collect();
        let split = split(&rows[..40], &rows[40..]);
        let network = Dropping { keep };
        let data = data(60);
        let released =
            train_network(&mut Plain, &network, &recipe, &data, &split, &mut quiet).unwrap();
        let names: Vec<&str> = released.model.iter().map(|(n, _)| n.as_str()).collect();
        assert_eq!(names, ["w", "kept"]);
        (released.model[1].1[[0, 0]], released.model[0].1.clone())
    };
    // Two steps an epoch, of 40 entries each.
    assert_eq!(kept(1, 1.0, 3).0, 240.0);
    assert_eq!(kept(1, 0.0, 3).0, 0.0);
    let (count, w) = kept(1, 0.25, 25);
    assert!((count / 2000.0 - 0.25).abs() < 0.05, "{count} of 2000");
    assert_eq!(kept(1, 0.25, 25), (count, w.clone()));
    assert_ne!(kept(2, 0.25, 25).1, w);
    let first = kept(1, 0.25, 1).0;
    assert!(
        (first * 25.0 - count).abs() > 0.5,
        "every step drops the same"
    );

    let padded = Data {
        weights: Some(ArrayD::from_elem(IxDyn(&[60, 1]), 1.0)),
        ..data(60)
    };
    let recipe = Recipe {
        metrics: [].into(),
        ..spec(2, 2, &[]).recipe
    };
    let network = Dropping { keep: 1.0 };
    let mut observer = |_: &mut Plain, _: usize, _: Option<&_>| Ok(());
    let split = split(&[0, 1], &[2]);
    let refused = train_network(
        &mut Plain,
        &network,
        &recipe,
        &padded,
        &split,
        &mut observer,
    );
    assert!(refused.unwrap_err().to_string().contains("padded rows"));
}
