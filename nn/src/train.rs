//! Training on any engine: standardise, descend, measure, and hand out a model on the features as they came.

mod stages;

use std::collections::{BTreeMap, btree_map::Entry};

use ndarray::{ArrayD, IxDyn};

pub use crate::spec::{Split, TrainSpec, released_shapes};
use crate::{Engine, Error, Graph, Result, model::Mlp, run};

/// The rows of all contributors.
#[derive(Clone, Debug)]
pub struct Data<V> {
    /// Features in [-1, 1], \[rows, features\].
    pub x: V,
    /// Labels: 0 or 1, \[rows, 1\], or one-hot, \[rows, classes\], for more than two classes.
    pub y: V,
    /// 1 for a row that counts and 0 for padding, \[rows, 1\]; `None` where every row counts.
    pub weights: Option<V>,
}

/// What a training gives out, still on the engine. Shapes and order are those of [`released_shapes`].
#[derive(Clone, Debug)]
pub struct Released<V> {
    /// Names and tensors of the model, on features in [-1, 1].
    pub model: Vec<(String, V)>,
    /// Names and values of the metrics on the held-out rows.
    pub metrics: Vec<(String, V)>,
}

/// Trains a multilayer perceptron on the training rows of `split` and measures it on those held out.
///
/// Statistics of the features are folded into the first layer before anything is released. `observer` is called after every
/// epoch with its number, from 1 on, and the mean training loss during it, if the job shows that; it may stop the training by an
/// error.
///
/// # Errors
/// A specification or data that do not fit, and whatever the engine or the observer reports.
pub fn train<E: Engine>(
    e: &mut E,
    spec: &TrainSpec,
    data: &Data<E::Value>,
    split: &Split,
    observer: &mut dyn FnMut(&mut E, usize, Option<&E::Value>) -> Result<()>,
) -> Result<Released<E::Value>> {
    spec.validate()?;
    check_data(e, spec, data, split)?;
    let (data, statistics) = stages::prepare(e, data, &split.train)?;
    let mlp = Mlp::of(spec);
    let mut parameters = e.public(&mlp.initial(spec))?;
    let mut velocity = e.public(&ArrayD::zeros(IxDyn(&[mlp.parameters()])))?;
    // One graph for full batches and one for the rest.
    let mut steps: BTreeMap<usize, Graph> = BTreeMap::new();

    for epoch in 1..=spec.epochs {
        let mut losses: Vec<E::Value> = Vec::new();
        for rows in split.order(epoch).chunks(spec.batch) {
            let step = match steps.entry(rows.len()) {
                Entry::Occupied(built) => built.into_mut(),
                Entry::Vacant(slot) => slot.insert(stages::step_graph(
                    spec,
                    rows.len(),
                    data.weights.is_some(),
                )?),
            };
            let mut inputs = stages::gather(e, &data, rows)?;
            inputs.extend([parameters, velocity]);
            let mut results = run(step, e, &inputs)?;
            losses.extend(results.drain(2..));
            [parameters, velocity] = stages::exactly(results)?;
        }
        let loss = if spec.epoch_loss {
            Some(stages::epoch_loss(
                e,
                &losses,
                &statistics,
                split.train.len(),
            )?)
        } else {
            None
        };
        observer(e, epoch, loss.as_ref())?;
    }
    let metrics = stages::measure(e, spec, &data, &split.test, &parameters)?;
    let model = stages::fold(e, spec, statistics, parameters)?;
    Ok(Released { model, metrics })
}

fn check_data<E: Engine>(
    e: &E,
    spec: &TrainSpec,
    data: &Data<E::Value>,
    split: &Split,
) -> Result<()> {
    let shape = e.shape(&data.x);
    let rows = shape.first().copied().unwrap_or_default();
    let mut wanted = vec![
        (shape, vec![rows, spec.features]),
        (e.shape(&data.y), spec.label_shape(rows)),
    ];
    wanted.extend(data.weights.as_ref().map(|w| (e.shape(w), vec![rows, 1])));
    if let Some((left, right)) = wanted.into_iter().find(|(has, wants)| has != wants) {
        return Err(Error::Shape {
            op: "training data",
            left,
            right,
        });
    }
    let Split { train, test, .. } = split;
    match (
        train.iter().chain(test).max(),
        train.is_empty() || test.is_empty(),
    ) {
        (_, true) => Err(Error::Invalid(
            "there must be rows to train on and rows to hold out: contribute more".into(),
        )),
        (Some(&row), _) if row >= rows => Err(Error::Invalid(format!(
            "there is no row {row}, the data has {rows}"
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Axis;

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
            ..Split::new(&spec(2, 2, &[]), [1; 32], 0)
        }
    }

    fn quiet(_: &mut Plain, _: usize, loss: Option<&plain::Value>) -> Result<()> {
        assert!(loss.is_none());
        Ok(())
    }

    #[test]
    fn data_that_do_not_fit_are_refused_before_anything_runs() {
        let spec = TrainSpec {
            epoch_loss: false,
            ..spec(2, 2, &[3])
        };
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
        let (prepared, _) = stages::prepare(&mut Plain, &data, &[0, 1, 2, 4]).unwrap();
        assert!(prepared.x.iter().all(|v| v.abs() < 1e-3), "{}", prepared.x);
        data.weights = None;
        let (blown_up, _) = stages::prepare(&mut Plain, &data, &[0, 1, 2]).unwrap();
        assert!(blown_up.x[[4, 0]] < -100.0);
    }

    #[test]
    fn what_is_released_has_the_announced_names_and_shapes() {
        let spec = TrainSpec {
            epoch_loss: false,
            ..spec(2, 2, &[3])
        };
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
}
