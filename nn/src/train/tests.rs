//! What training checks, releases and shows.

use ndarray::{ArrayD, Axis, IxDyn};

use super::*;
use crate::{Plain, plain, spec::tests::spec};

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
